"""Values of a journal as bytes, and back: equal, and of the same types."""

from __future__ import annotations

import enum
import math
import random
from typing import Any, NamedTuple

import msgpack
import pytest
from helpers.journals import HEADER, output_of, tick_of, typed
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.games.plaza import Plaza
from zoneserver.games.tag import Tag
from zoneserver.journal.bodies import (
    decode_checkpoint,
    decode_header,
    decode_tick,
    encode_header,
    encode_input,
    encode_output,
    encode_state,
    private_checksum,
    recorded_tick,
)
from zoneserver.journal.values import Checkpoint, RecordedTick
from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.messages import Answered, Refusal
from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import (
    Batch,
    Command,
    Ended,
    Join,
    RefusedAction,
    Requests,
    Resumed,
    Standing,
    TickInput,
)
from zoneserver.zone.schema import schema_of, schema_text

integers = st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False)
# The words of an operator may be no Unicode.
texts = st.text(st.characters(exclude_categories=()), max_size=5)
scalars = st.none() | st.booleans() | integers | floats | texts | st.binary(max_size=5)
refs = st.integers(0, 2**32)
arguments = scalars | st.lists(scalars, max_size=3).map(tuple)
actions = st.tuples(texts, arguments) | st.tuples(texts)
joins = st.builds(
    Join,
    *(
        refs,
        texts,
        st.binary(max_size=3),
        texts,
        st.booleans(),
        texts,
        st.binary(max_size=3),
        st.binary(max_size=3),
        refs,
    ),
)
numbers = st.integers(0, 2**31)
standings = st.builds(Standing, numbers, texts, texts, st.lists(numbers, max_size=4).map(tuple), floats)
requests = st.builds(
    Requests,
    joins=st.lists(joins, max_size=2),
    leaves=st.lists(refs, max_size=2),
    drops=st.lists(refs, max_size=2),
    confirmed=st.lists(refs, max_size=2),
    actions=st.lists(st.tuples(refs, refs, st.lists(actions, min_size=1, max_size=2).map(tuple)), max_size=3),
    commands=st.lists(st.builds(Command, refs, st.lists(texts, max_size=3).map(tuple)), max_size=2),
    batches=st.lists(st.builds(Batch, refs, refs, refs), max_size=2),
    lost=st.lists(refs, max_size=2),
    bans=st.lists(st.tuples(texts, floats), max_size=2),
    standings=st.lists(st.tuples(refs, standings), max_size=2),
    failed=st.lists(st.builds(Ended, refs, st.sampled_from(CloseReason), texts), max_size=2),
)
ticks = st.builds(
    RecordedTick,
    st.builds(TickInput, st.integers(1, 2**31), floats, st.integers(1, 100), requests),
    st.binary(max_size=30),
    st.lists(st.tuples(refs, st.none() | refs), max_size=2),
    st.lists(st.builds(Resumed, refs, refs, refs, refs, st.none() | standings), max_size=2),
    st.just(0),
    st.lists(st.tuples(texts, texts), max_size=2),
)
plain = st.recursive(
    scalars | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(texts | refs, inner, max_size=3)
    ),
    max_leaves=10,
)


@given(ticks)
def test_tick_comes_back_equal_with_the_same_types(recorded: RecordedTick) -> None:
    output = output_of(recorded)
    again = decode_tick(encode_input(recorded.tick_input, output), encode_output(output))
    assert typed(again) == typed(recorded)


def test_tick_of_an_earlier_version_is_read() -> None:
    lists: list[list[Any]] = [[] for _ in range(6)]
    for of_gateways in ([], [[(3, 1, 0)], [4], [("192.0.2.1", 60.0)]]):
        body = msgpack.packb([7, 1_000.0, 100, *lists, *of_gateways])
        recorded = decode_tick(body, msgpack.packb([b"frame", [], [(8, 0, 5, 7)], 0, []]))
        assert recorded.resumed == [Resumed(8, 0, 5, 7)]
        requests = recorded.tick_input.requests
        assert (requests.standings, len(requests.batches)) == ([], len(of_gateways[:1]))


@given(st.dictionaries(texts, plain, max_size=3))
def test_state_comes_back_equal_with_the_same_types(state: dict[str, Any]) -> None:
    again = decode_checkpoint(5, b"snapshot", encode_state(state))
    assert typed(again) == typed(Checkpoint(5, b"snapshot", state))


def test_state_keeps_the_state_of_a_random_source() -> None:
    source = random.Random(5)
    source.gauss()
    again = decode_checkpoint(1, b"", encode_state({"random": source.getstate()})).state
    other = random.Random()
    other.setstate(again["random"])
    assert (other.random(), other.getstate()) == (source.random(), source.getstate())


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    one: int


@pytest.mark.parametrize("value", [Colour.RED, Pair(1), {1, 2}, object(), [(Pair(1),)]])
def test_state_with_a_value_that_would_come_back_otherwise_raises(value: Any) -> None:
    with pytest.raises(TypeError, match="is no plain value, so no journal can keep it"):
        encode_state({"value": value})


def test_header_comes_back_equal_with_the_same_types() -> None:
    kinds = Kind("player", (("hp", 100),)), Kind("coin", ())
    game = ZoneInfo("coins", "2", 20, 500, 400, 10, kinds, (("round", 1), ("topic", "tea")))
    header = HEADER._replace(game=game, parameters={"limits": {"stall_seconds": math.inf}})
    assert typed(decode_header(encode_header(header))) == typed(header)


def test_join_with_a_bad_ticket_is_left_out() -> None:
    joins = [Join(ref, f"p{ref}", b"ticket", "127.0.0.1") for ref in (1, 2, 3)]
    recorded = tick_of(1, joins=joins)
    ended = [Ended(1, CloseReason.BANNED, ""), Ended(2, CloseReason.BAD_TICKET, "it has expired")]
    output = output_of(recorded, ended=ended)
    again = decode_tick(encode_input(recorded.tick_input, output), encode_output(output))
    assert again.tick_input.requests.joins == [joins[0], joins[2]]
    assert len(joins) == 3
    assert again.private == recorded_tick(recorded.tick_input, output_of(recorded, ended=ended[:1])).private != 0


REFUSED = RefusedAction(1, Refusal(7, 1, "NO", "not now"), False)


@pytest.mark.parametrize(
    "told",
    [
        {"told": [(1, b"message")]},
        {"told": [(2, b"message")]},
        {"refused": [REFUSED]},
        {"refused": [REFUSED._replace(refusal=REFUSED.refusal._replace(text="later"))]},
        {"ended": [Ended(1, GameReason("OUT"), "you fell")]},
        {"ended": [Ended(1, CloseReason.BANNED, "you fell")]},
        {"results": [(0, True, "3 players")]},
        {"results": [(0, True, "\udc80")]},
        {"results": [(0, False, "")]},
    ],
)
def test_private_checksum_covers_all_that_somebody_is_told(told: dict[str, Any]) -> None:
    seen = {private_checksum(output_of(tick_of(7), **each)) for each in ({}, {"told": [(1, b"other")]}, told)}
    assert len(seen) == 3


def test_private_checksum_leaves_out_what_is_of_the_code_alone() -> None:
    one, other = ({"told": [(1, Answered(7, 1, [schema_text(schema_of(game))]).encode())]} for game in (Plaza, Tag))
    assert one != other
    one |= {"results": [(1, False, "the game failed: KeyError: 1 (tag.py:3)")]}
    other |= {"results": [(1, False, "the game failed: KeyError: 1 (tag.py:4)")]}
    assert private_checksum(output_of(tick_of(7), **one)) == private_checksum(output_of(tick_of(7), **other))
