"""The kinds of arguments: what each accepts, makes up, says of itself and reads from a word."""

from __future__ import annotations

import enum
import json
import math
import random
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional

import pytest
from helpers.arsenal import FakePlayer, FakeThing, Rank, Weapon
from hypothesis import assume, example, given
from hypothesis import strategies as st

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.decoding import decode_act
from zoneserver.protocol.messages import encode_act
from zoneserver.protocol.values import encode_action
from zoneserver.zone.annotations import argument_of
from zoneserver.zone.entities import Thing
from zoneserver.zone.rules import AtMost, Between, Player, Refused, Rules, Text

KINDS = ("coin", "wolf")
PLAYERS: dict[int, Any] = {0: FakePlayer(0, "ann"), 3: FakePlayer(3, "bob"), 7: FakePlayer(7, "3")}
THINGS: dict[int, Any] = {40: FakeThing(40, "coin"), 41: FakeThing(41, "wolf")}


def zone_rules() -> Rules:
    rules = Rules()
    rules.players, rules.things = MappingProxyType(PLAYERS), MappingProxyType(THINGS)
    return rules


RULES = zone_rules()


def convert(hint: Any, value: Any) -> Any:
    return argument_of("go(it)", hint, KINDS).converter("go(it)", RULES)(value)


# --- What is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "sent", "handled"),
    [
        (Literal["sword", "bow"], "bow", "bow"),
        (Literal[1, "x"], 1, 1),
        (Weapon, "bow", Weapon.BOW),
        (Rank, 7, Rank.HIGH),
        (list[int], (1, -2), [1, -2]),
        (list[int], [1, -2], [1, -2]),
        (list[float], (), []),
        (list[str], ("a",) * 16, ["a"] * 16),
        (list[bool], (True,), [True]),
        (list[bytes], (b"",), [b""]),
        (list[int | None], (None, 3), [None, 3]),
        (list[Player], (3, 0), [PLAYERS[3], PLAYERS[0]]),
        (list[Weapon], ("bow",), [Weapon.BOW]),
        (Annotated[list[Annotated[int, Between(1, 6)]], AtMost(5)], (1, 2, 3, 4, 6), [1, 2, 3, 4, 6]),
        (bytes, b"", b""),
        (bytes, b"x" * 1024, b"x" * 1024),
        (Annotated[bytes, AtMost(2)], b"xy", b"xy"),
        (int | None, None, None),
        (int | None, 3, 3),
        (Optional[str], "x", "x"),  # noqa: UP045
        (Annotated[int, Between(1, 6)] | None, 6, 6),
        (Annotated[int | None, Between(1, 6)], None, None),
        (Annotated[int | None, Between(1, 6)], 6, 6),
        (Player | None, 3, PLAYERS[3]),
        (Thing, 41, THINGS[41]),
        (Annotated[Thing, "coin"], 40, THINGS[40]),
        (Annotated[int, Between(0.5, math.inf)], 2**63 - 1, 2**63 - 1),
        (Annotated[float, Between(0, math.inf)], 1.7e308, 1.7e308),
    ],
)
def test_value_that_fits_reaches_the_handler(hint: Any, sent: Any, handled: Any) -> None:
    result = convert(hint, sent)
    assert (result, type(result)) == (handled, type(handled))


@pytest.mark.parametrize(
    ("hint", "sent"),
    [
        (Literal["sword", "bow"], "axe"),
        (Literal["sword", "bow"], ("bow",)),
        (Literal[1, 2], True),
        (Literal[1, 2], 1.0),
        (Weapon, "SWORD"),
        (Rank, 2),
        (Rank, True),
        (Rank, None),
        (list[int], 1),
        (list[int], "12"),
        (list[int], b"12"),
        (list[int], (1, 2.5)),
        (list[int], (True,)),
        (list[int], ((1,),)),
        (list[int], (1,) * 17),
        (list[int], None),
        (Annotated[list[int], AtMost(2)], (1, 2, 3)),
        (Annotated[list[int], AtMost(99)], (1,) * 17),
        (Annotated[list[Annotated[int, Between(1, 6)]], AtMost(5)], (0,)),
        (bytes, "x"),
        (bytes, b"x" * 1025),
        (Annotated[bytes, AtMost(2)], b"xyz"),
        (int | None, "x"),
        (Annotated[int | None, Between(1, 6)], 7),
        (Thing, True),
        (Thing, "coin"),
        (str, "\ud800"),
        (Annotated[int, Between(0.5, 3.5)], 4),
        (float, 10**400),
    ],
)
def test_value_that_does_not_fit_is_a_violation(hint: Any, sent: Any) -> None:
    with pytest.raises(Refused) as caught:
        convert(hint, sent)
    assert (caught.value.code, caught.value.violation) == (RefusalCode.BAD_PAYLOAD, True)
    assert "go(it) must be" in caught.value.text


@pytest.mark.parametrize(
    ("hint", "slot", "text"),
    [
        (Player, 1, "go(it): there is no player in slot 1"),
        (Player, 40, "go(it): there is no player in slot 40"),
        (Thing, 0, "go(it): there is no thing in slot 0"),
        (Annotated[Thing, "coin"], 41, "go(it): there is no coin in slot 41"),
    ],
)
def test_slot_without_its_target_is_refused_without_a_violation(hint: Any, slot: int, text: str) -> None:
    with pytest.raises(Refused) as caught:
        convert(hint, slot)
    assert (caught.value.code, caught.value.text, caught.value.violation) == (RefusalCode.NO_TARGET, text, False)


# --- Annotations that stand for nothing -----------------------------------------------------------


class Empty(enum.Enum):
    pass


class Mixed(enum.Enum):
    A = 1
    B = (2, 3)


@pytest.mark.parametrize(
    "hint",
    [
        *(dict, tuple[int, str], set[int], int | str, int | str | None, type(None), Literal[True], Literal[b"x"]),
        *(Literal["a", None], Literal["\ud800"], Literal[2**63], Empty, Mixed, [int], "int", 5),
        *(Annotated[int, Between(1, 2), Between(1, 2)], Annotated[list[int], Text(3)], Annotated[Player, "coin"]),
        *(Annotated[int, AtMost(3)], Annotated[str, AtMost(3)], Annotated[bytes, Text(3)]),
        Annotated[Thing, Between(0, 1)],
    ],
    ids=repr,
)  # fmt: skip
def test_annotation_that_stands_for_no_kind_is_a_type_error(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^go is annotated"):
        argument_of("go", hint, KINDS)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (list[list[int]], "go is annotated list.*: a list has no lists in it"),
        (list[list[int] | None], "a list has no lists in it"),
        (list[object], "an item of go is annotated"),
        (Annotated[Thing, "dragon"], "go is a Thing of the kind 'dragon', which is not in `kinds` of the game"),
        (Annotated[list[int], AtMost(0)], "go is bounded by .*, which allows no value"),
        (Annotated[bytes, AtMost(-1)], "which allows no value"),
        (Annotated[bytes, AtMost(1.5)], "which allows no value"),  # type: ignore[arg-type]
        (Annotated[int, Between(0.2, 0.8)], "which allows no value"),
        (Annotated[int, Between(2**70, math.inf)], "which allows no value"),
        (Annotated[int, Between(math.inf, math.inf)], "which allows no value"),
        (Annotated[int, Between(-math.inf, -math.inf)], "which allows no value"),
        (Annotated[float, Between(math.inf, math.inf)], "which allows no value"),
        (Annotated[float, Between(0, math.nan)], "which allows no value"),
    ],
)
def test_annotation_that_allows_nothing_is_a_type_error_that_says_why(hint: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        argument_of("go", hint, KINDS)


# --- Properties of every kind ---------------------------------------------------------------------

numbers = st.one_of(st.integers(-(2**65), 2**65), st.integers(-9, 9), st.floats(allow_nan=False))


def between(kind: type, ends: tuple[float, float]) -> Any:
    return Annotated[kind, Between(*sorted(ends))]


bounded = st.builds(between, st.sampled_from([int, float]), st.tuples(numbers, numbers))
plain = st.one_of(
    st.sampled_from(
        [int, float, str, bool, bytes, Weapon, Rank, Literal["a", "ü"], Literal[1, -(2**63)], Player, Thing]
    ),
    st.just(Annotated[Thing, "wolf"]),
    bounded,
    st.builds(lambda most: Annotated[str, Text(most)], st.integers(1, 2000)),
    st.builds(lambda most: Annotated[bytes, AtMost(most)], st.integers(1, 2000)),
)
items = st.one_of(plain, st.builds(lambda kind: kind | None, plain))
lists = st.one_of(
    st.builds(lambda item: list[item], items),  # type: ignore[valid-type]
    st.builds(lambda item, most: Annotated[list[item], AtMost(most)], items, st.integers(1, 40)),  # type: ignore[valid-type]
)
hints = st.one_of(items, lists, st.builds(lambda kind: kind | None, lists))
sendable = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(0, 50), st.floats(), st.text(), st.binary(), st.just("sword")
)
anything = st.recursive(sendable, lambda inner: st.lists(inner, max_size=20).map(tuple))


def kind_of(hint: Any) -> Any:
    try:
        return argument_of("go(it)", hint, KINDS)
    except TypeError as error:
        assume("allows no value" not in str(error))
        raise


@given(hints, st.integers())
@example(between(float, (2**64 + 1, 2**64 + 1)), 0)
def test_example_can_be_sent_and_converts(hint: Any, seed: int) -> None:
    argument = kind_of(hint)
    value = argument.example(RULES, random.Random(seed))
    ((_, sent),) = decode_act(encode_act(1, [encode_action("go", value)]))[1]
    argument.converter("go(it)", RULES)(sent)
    assert argument.example(RULES, random.Random(seed)) == value


@given(hints, anything)
def test_any_value_converts_or_is_refused(hint: Any, value: Any) -> None:
    argument = kind_of(hint)
    for function in (argument.converter("go(it)", RULES), argument.teller("go(it)")):
        try:
            function(value)
        except Refused as refused:
            assert refused.text


@given(hints, st.integers())
def test_handled_value_is_told_as_it_was_sent(hint: Any, seed: int) -> None:
    argument = kind_of(hint)
    value = argument.example(RULES, random.Random(seed))
    told = argument.teller("go(it)")(argument.converter("go(it)", RULES)(value))
    assert told == (list(value) if type(value) is tuple else value)


@given(hints)
def test_description_is_text_and_json(hint: Any) -> None:
    argument = kind_of(hint)
    document = argument.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert argument.describe().isprintable()


@given(hints, st.text())
def test_word_is_read_or_an_error_says_why(hint: Any, word: str) -> None:
    argument = kind_of(hint)
    try:
        value = argument.read(word, RULES)
    except (ValueError, Refused) as error:
        assert str(error)
    else:
        try:
            argument.converter("go(it)", RULES)(value)
        except Refused as refused:
            assert refused.text


# --- Words, descriptions, JSON --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "word", "value"),
    [
        (int, "-5", -5),
        (float, "1e3", 1000.0),
        (str, "ann", "ann"),
        (bool, "True", True),
        (bool, "false", False),
        (bytes, "00fF", b"\x00\xff"),
        (Literal["sword", 3], "3", 3),
        (Weapon, "sword", "sword"),
        (Rank, "high", 7),
        (Rank, "7", 7),
        (list[int], "1,2,-3", [1, 2, -3]),
        (list[int], "", []),
        (int | None, "none", None),
        (int | None, "3", 3),
        (Player, "bob", 3),
        (Player, "0", 0),
        (Player, "3", 7),
        (Thing, "41", 41),
    ],
)
def test_word_is_read_as_what_a_client_would_send(hint: Any, word: str, value: Any) -> None:
    assert argument_of("go", hint, KINDS).read(word, RULES) == value


@pytest.mark.parametrize(
    ("hint", "word", "expected"),
    [
        (int, "1.5", "a whole number"),
        (int, "9" * 5000, "a whole number"),
        (float, "x", "a number"),
        (bool, "1", "true or false"),
        (bytes, "0", "bytes as pairs of hexadecimal digits"),
        (Weapon, "axe", "one of sword, bow"),
        (Thing, "coin", "the slot of a thing"),
        (Annotated[Thing, "coin"], "-1", "the slot of a coin"),
        (list[int], "1,,2", "a whole number"),
    ],
)
def test_word_that_cannot_be_read_says_what_was_expected(hint: Any, word: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{expected}$"):
        argument_of("go", hint, KINDS).read(word, RULES)


@pytest.mark.parametrize("hint", [Player, Player | None, list[Player]])
@pytest.mark.parametrize("word", ["eve", "²"])
def test_word_that_names_no_player_is_refused(hint: Any, word: str) -> None:
    with pytest.raises(Refused, match=f"^NO_TARGET: there is no player '{word}' in the zone$"):
        argument_of("go", hint, KINDS).read(word, RULES)


@pytest.mark.parametrize(
    ("hint", "text", "document"),
    [
        (int, "int", {"type": "int"}),
        (Annotated[int, Between(1, 6)], "int 1..6", {"type": "int", "min": 1, "max": 6}),
        (Annotated[float, Between(0.5, math.inf)], "float 0.5..inf", {"type": "float", "min": 0.5}),
        (str, "str", {"type": "str", "bytes_max": 1024}),
        (Annotated[str, Text(9)], "str of 1..9 bytes", {"type": "str", "bytes_max": 9}),
        (bytes, "bytes", {"type": "bytes", "bytes_max": 1024}),
        (Annotated[bytes, AtMost(9)], "bytes, at most 9", {"type": "bytes", "bytes_max": 9}),
        (Literal["a", 2], "'a' | 2", {"type": "choice", "values": ["a", 2]}),
        (Rank, "1 | 7", {"type": "choice", "values": [1, 7], "names": ["LOW", "HIGH"]}),
        (
            Annotated[list[int], AtMost(5)],
            "list of at most 5 (int)",
            {"type": "list", "items": {"type": "int"}, "items_max": 5},
        ),
        (bool | None, "bool or None", {"type": "bool", "nullable": True}),
        (Player, "Player", {"type": "player"}),
        (Thing, "Thing", {"type": "thing"}),
        (Annotated[Thing, "coin"], "Thing 'coin'", {"type": "thing", "kind": "coin"}),
    ],
)
def test_kind_describes_itself(hint: Any, text: str, document: dict[str, Any]) -> None:
    argument = argument_of("go", hint, KINDS)
    assert (argument.describe(), argument.to_json()) == (text, document)
