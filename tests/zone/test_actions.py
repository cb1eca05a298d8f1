"""Typed actions: which arguments reach a handler, and which are refused."""

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, cast

import pytest
from helpers.arsenal import Weapon
from helpers.driven_zone import DrivenZone

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.actions import actions_of, private_kinds
from zoneserver.zone.rules import Between, Player, Rules, Speed, Text, action


class Probe(Rules):
    """A game with an action for each annotation. It records the arguments."""

    width, height = 100, 80
    stats: ClassVar = {"hp": 100, "kills": 0}

    def __init__(self) -> None:
        self.handled: list[Any] = []

    @action
    def nothing(self, player: Player) -> None:
        self.handled.append(())

    @action
    def whole(self, player: Player, value: int) -> None:
        self.handled.append(value)

    @action
    def digit(self, player: Player, value: Annotated[int, Between(-3, 9)]) -> None:
        self.handled.append(value)

    @action
    def speed(self, player: Player, value: Speed) -> None:
        self.handled.append(value)

    @action
    def real(self, player: Player, value: float) -> None:
        self.handled.append(value)

    @action
    def share(self, player: Player, value: Annotated[float, Between(0.0, 1.0)]) -> None:
        self.handled.append(value)

    @action
    def words(self, player: Player, value: str) -> None:
        self.handled.append(value)

    @action
    def tag(self, player: Player, value: Annotated[str, Text(4)]) -> None:
        self.handled.append(value)

    @action
    def flag(self, player: Player, value: bool) -> None:
        self.handled.append(value)

    @action
    def aim(self, player: Player, value: Player) -> None:
        self.handled.append(value.name)

    @action
    def both(self, player: Player, one: int, other: str) -> None:
        self.handled.append((one, other))

    def helper(self, player: Player) -> None:
        self.handled.append("a method that is no action")


def ask(*sent: Any) -> tuple[list[Any], list[str]]:
    """Sends an action of ann; returns the recorded arguments and the codes of refusals. Bob is in slot 1."""
    rules = Probe()
    zone = DrivenZone(rules, hz=20, seed=1)
    zone.join(1, "ann")
    zone.join(2, "bob")
    zone.submit(1, 1, [sent])
    result = zone.step()
    return rules.handled, [refusal.code for _ref, refusal, _ in result.refused]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("whole", -(2**63)),
        ("whole", 2**63 - 1),
        ("digit", -3),
        ("digit", 9),
        ("speed", -127),
        ("speed", 127),
        ("real", -1.5),
        ("real", 3),
        ("real", 1.7e308),
        ("share", 0.0),
        ("share", 1.0),
        ("share", 1),
        ("words", "x" * 1024),
        ("words", "Zoë says 猫 and 🙂"),
        ("tag", "a"),
        ("tag", "éé"),
        ("tag", "🙂"),
        ("flag", True),
        ("flag", False),
    ],
)
def test_argument_that_fits_its_annotation_reaches_the_handler_unchanged(kind: str, value: Any) -> None:
    assert ask(kind, value) == ([value], [])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("whole", -(2**63) - 1),
        ("whole", 2**63),
        ("whole", 1.0),
        ("whole", True),
        ("whole", "1"),
        ("whole", None),
        ("digit", -4),
        ("digit", 10),
        ("digit", False),
        ("speed", -128),
        ("speed", 128),
        ("real", math.nan),
        ("real", math.inf),
        ("real", -math.inf),
        ("real", True),
        ("real", "1.5"),
        ("share", math.nextafter(0.0, -1.0)),
        ("share", math.nextafter(1.0, 2.0)),
        ("share", math.nan),
        ("share", math.inf),
        ("share", True),
        ("words", ""),
        ("words", "x" * 1025),
        ("words", "é" * 512 + "x"),
        ("words", b"bytes"),
        ("words", 1),
        ("words", None),
        ("tag", ""),
        ("tag", "abcde"),
        ("tag", "ééx"),
        ("flag", 1),
        ("flag", 0),
        ("flag", None),
        ("flag", "true"),
        ("aim", True),
        ("aim", 1.0),
        ("aim", "bob"),
        ("aim", None),
        ("aim", (1,)),
    ],
)
def test_argument_that_does_not_fit_is_refused_before_the_handler(kind: str, value: Any) -> None:
    assert ask(kind, value) == ([], [RefusalCode.BAD_PAYLOAD])


@pytest.mark.parametrize(
    "character",
    ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x9b", "\u200e", "\u202e", "\u2066", "\u2069", "\u2028", "\ufeff"],
    ids=ascii,
)
@pytest.mark.parametrize("kind", ["words", "tag"])
def test_text_with_control_or_direction_characters_is_refused(kind: str, character: str) -> None:
    assert ask(kind, "a" + character) == ([], [RefusalCode.BAD_PAYLOAD])


@pytest.mark.parametrize(
    "sent", [("nothing", 1), ("whole",), ("whole", 1, 2), ("both", 1), ("both", 1, "a", 2), ("both", "a", 1)]
)
def test_wrong_number_or_order_of_arguments_is_refused(sent: tuple[Any, ...]) -> None:
    assert ask(*sent) == ([], [RefusalCode.BAD_PAYLOAD])


def test_action_without_arguments_runs() -> None:
    assert ask("nothing") == ([()], [])


def test_arguments_arrive_in_their_order() -> None:
    assert ask("both", 1, "a") == ([(1, "a")], [])


def test_slot_reaches_the_handler_as_its_player() -> None:
    assert ask("aim", 1) == (["bob"], [])


@pytest.mark.parametrize("slot", [2, -1, 2**40])
def test_free_slot_is_refused_as_no_target(slot: int) -> None:
    assert ask("aim", slot) == ([], [RefusalCode.NO_TARGET])


@pytest.mark.parametrize("kind", ["helper", "on_tick", "emit", "__init__", "handled", "", "Whole"])
def test_method_without_the_decorator_is_not_an_action(kind: str) -> None:
    assert ask(kind) == ([], [RefusalCode.UNKNOWN_ACTION])


def test_refusal_names_the_action_and_the_parameter() -> None:
    zone = DrivenZone(Probe(), hz=20, seed=1)
    zone.join(1, "ann")
    zone.submit(1, 1, [("digit", 10)])
    ((_ref, refusal, _is_violation),) = zone.step().refused
    assert refusal.text == "digit(value) must be a whole number from -3 to 9"


def test_subclass_has_the_actions_of_its_base() -> None:
    class More(Probe):
        @action
        def extra(self, player: Player) -> None: ...

    assert set(actions_of(More())) == set(actions_of(Probe())) | {"extra"}


def rules_with(hint: Any) -> Rules:
    """A game called Odd, with an action whose parameter `thing` has the annotation `hint`."""

    def act(self: Rules, player: Player, thing: Any) -> None: ...

    if hint is ...:
        del act.__annotations__["thing"]
    else:
        act.__annotations__["thing"] = hint
    game: Callable[[], Rules] = type("Odd", (Rules,), {"act": action(act)})
    return game()


@pytest.mark.parametrize(
    "hint",
    [
        ...,
        Any,
        None,
        object,
        list,
        complex,
        Annotated[int, Text(3)],
        Annotated[str, Between(0, 1)],
        Annotated[bool, Between(0, 1)],
        Annotated[Player, Between(0, 1)],
        Annotated[int, "an age"],
    ],
    ids=repr,
)
def test_unsupported_annotation_is_a_type_error_that_names_it(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"^Odd\.act\(thing\) (is annotated|has no annotation)"):
        actions_of(rules_with(hint))
    with pytest.raises(TypeError):
        DrivenZone(rules_with(hint), hz=20, seed=1)


# --- Defaults -------------------------------------------------------------------------------------


class Shop(Rules):
    """A game whose actions have defaults. It records the arguments."""

    def __init__(self) -> None:
        self.handled: list[Any] = []

    @action
    def buy(self, player: Player, item: int = 3) -> None:
        self.handled.append(item)

    @action
    def pay(self, player: Player, amount: int, other: Player = None, note: str = "") -> None:  # type: ignore[assignment]
        self.handled.append((amount, other and other.name, note))

    @action
    def wear(self, player: Player, weapon: Weapon = Weapon.BOW, marks: list[int] = [1, 2]) -> None:  # noqa: B006
        self.handled.append((weapon, marks))

    @action
    def count(self, player: Player, first: int = 0) -> int:
        return first + 1

    @action
    def walk(self, player: Player, vx: int = 5) -> None:
        player.move(vx, 0)

    @action(private=True)
    def look(self, player: Player, far: bool = False) -> None:
        self.handled.append(far)


def shop(*sent: Any) -> tuple[list[Any], list[Any], list[str]]:
    """Sends an action of ann; returns the recorded arguments, the values of its event, and the texts of refusals."""
    rules = Shop()
    zone = DrivenZone(rules, hz=20, seed=1)
    zone.join(1, "ann")
    zone.submit(1, 1, [sent])
    result = zone.step()
    tick = decode_server(result.frame)
    assert isinstance(tick, Tick)
    return (
        rules.handled,
        [list(event[3:]) for event in tick.events],
        [refusal.text for _ref, refusal, _ in result.refused],
    )


@pytest.mark.parametrize(
    ("sent", "handled", "told"),
    [
        (("buy",), [3], [3]),
        (("buy", 7), [7], [7]),
        (("pay", 1), [(1, None, "")], [1, None, ""]),
        (("pay", 1, None), [(1, None, "")], [1, None, ""]),
        (("pay", 1, 0), [(1, "ann", "")], [1, 0, ""]),
        (("pay", 1, 0, "x"), [(1, "ann", "x")], [1, 0, "x"]),
        (("wear",), [(Weapon.BOW, [1, 2])], ["bow", (1, 2)]),
        (("wear", "sword"), [(Weapon.SWORD, [1, 2])], ["sword", (1, 2)]),
        (("wear", "sword", (5,)), [(Weapon.SWORD, [5])], ["sword", (5,)]),
        (("count",), [], [1]),
        (("count", 4), [], [5]),
    ],
)
def test_argument_with_a_default_may_be_left_out(sent: Any, handled: list[Any], told: list[Any]) -> None:
    assert shop(*sent) == (handled, [told], [])


def test_motion_with_a_default_is_told_as_a_motion() -> None:
    assert shop("walk") == ([], [], [])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (("buy", 1, 2), "buy takes 0 to 1 arguments"),
        (("buy", None), "buy(item) must be a whole number from -9223372036854775808 to 9223372036854775807"),
        (("pay",), "pay takes 1 to 3 arguments"),
        (("pay", 1, 0, ""), "pay(note) must be printable text of 1 to 1024 bytes"),
        (("pay", 1, 5), "pay(other): there is no player in slot 5"),
    ],
)
def test_argument_beside_a_default_is_still_checked(sent: Any, text: str) -> None:
    assert shop(*sent) == ([], [], [text])


def test_default_of_a_private_action_is_no_answer() -> None:
    run, rules = actions_of(game := Shop())["look"], game
    assert (run(cast(Player, None), ("look",)), rules.handled) == (None, [False])


@pytest.mark.parametrize("default", [object(), {1: 2}, 1j, [{}]])
def test_default_that_no_client_could_send_is_a_type_error(default: Any) -> None:
    def act(self: Rules, player: Player, thing: int = default) -> None: ...

    with pytest.raises(TypeError, match=r"^Odd\.act\(thing\) has the default "):
        actions_of(type("Odd", (Rules,), {"act": action(act)})())


# --- Private actions ------------------------------------------------------------------------------


def test_action_is_private_where_the_decorator_says_so() -> None:
    class Mixed(Shop):
        @action()
        def public(self, player: Player) -> None: ...

        @action(private=True)
        def secret(self, player: Player) -> None: ...

    assert set(actions_of(Mixed())) == {"buy", "count", "look", "pay", "public", "secret", "walk", "wear"}
    assert private_kinds(Mixed) == private_kinds(Mixed()) == {"look", "secret"}


@pytest.mark.parametrize("marked", [1, "kind", None])
def test_decorator_of_no_function_is_a_type_error(marked: Any) -> None:
    with pytest.raises(TypeError, match="marks a method"):
        action(private=True)(marked)
