"""The commands of operators in the zone: its own and those of the game, as inputs and results of a tick."""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal

import pytest

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.commands import BUILT_IN
from zoneserver.zone.entities import Thing
from zoneserver.zone.game_class import problems_of
from zoneserver.zone.game_commands import commands_of
from zoneserver.zone.link import AddressBan, Command, Ended, Join, Requests, TickInput, TickOutput
from zoneserver.zone.rules import AtMost, Between, Player, Refused, Rules, Text, command
from zoneserver.zone.zone import RuleFailure, Zone


class Bank(Rules):
    stats: ClassVar = {"gold": 0}

    @command
    def give(self, player: Player, gold: int, times: int = 1) -> str:
        """Gives gold to a player.

        It may be given more than once.
        """
        player["gold"] += gold * times
        return f"{player.name} has {player['gold']}"

    @command
    def note(self, number: Annotated[float, Between(0, 3)], on: bool, text: Annotated[str, Text(9)] = "") -> str:
        return repr((number, on, text))

    @command
    def shout(self, text: str) -> None:
        self.emit("shout", text)

    @command
    def halfway(self, player: Player, how: str) -> str:
        player["gold"] += 100
        player.move(5, 5)
        player.kick("OUT")
        self.emit("halfway")
        self.after(1, self.never)
        if how == "refuse":
            raise Refused("NO", "not today")
        return str(1 / 0)

    def never(self) -> None:
        raise AssertionError


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Shop(Rules):
    """Its commands take the kinds of arguments that those of `Bank` do not."""

    kinds: ClassVar = {"coin": {}, "wolf": {}}

    def on_start(self) -> None:
        self.coin = self.spawn("coin", 1, 1)
        self.wolf = self.spawn("wolf", 1, 1)

    @command
    def choose(self, size: Size, way: Literal["up", 3], data: bytes) -> str:
        return repr((size, way, data))

    @command
    def count(self, numbers: Annotated[list[Annotated[int, Between(0, 9)]], AtMost(3)], most: int | None = 5) -> str:
        return repr((numbers, most))

    @command
    def take(self, coin: Annotated[Thing, "coin"], thing: Thing) -> str:
        return repr((coin is self.coin, thing is self.wolf))

    @command
    def note(self, player: Player | None = None, text: str | None = None) -> str:
        return repr((player and player.name, text))


class Desk:
    """A zone with ann in it, and what operators ask of it."""

    def __init__(self, game: type[Rules] = Bank) -> None:
        self.failures: list[RuleFailure] = []
        self.zone = Zone(game(), hz=20, seed=1, players_max=2, on_failure=self.failures.append)
        self.seconds = 1_000.0
        self.tick(joins=[Join(1, "ann", b"", "192.0.2.1")])

    def tick(self, **requests: Any) -> TickOutput:
        return self.zone.tick(TickInput(self.zone.world.tick + 1, self.seconds, 100, Requests(**requests)))

    def ask(self, *words: str) -> tuple[bool, str]:
        self.output = self.tick(commands=[Command(7, words)])
        [(ref, done, text)] = self.output.results
        assert ref == 7
        return done, text

    @property
    def frame(self) -> Tick:
        frame = decode_server(self.output.frame)
        assert isinstance(frame, Tick)
        return frame


def test_command_of_the_game_gets_values_and_returns_a_text() -> None:
    desk = Desk()
    assert desk.ask("give", "ann", "5") == (True, "ann has 5")
    assert desk.ask("give", "ann", "-1", "3") == (True, "ann has 2")
    assert desk.ask("note", "0.5", "true") == (True, "(0.5, True, '')")
    assert desk.ask("note", "1", "FALSE", "a", "b") == (True, "(1.0, False, 'a b')")
    assert desk.ask("shout", "hello", "all") == (True, "")
    assert [event[2:] for event in desk.frame.events] == [("shout", "hello all")]


def with_slots(desk: Desk, words: str) -> list[str]:
    """The words, with a slot in place of ANN, COIN and WOLF."""
    rules = desk.zone.rules
    slots = {thing.kind.upper(): str(slot) for slot, thing in rules.things.items()}
    slots |= {player.name.upper(): str(slot) for slot, player in rules.players.items()}
    return [slots.get(word, word) for word in words.split(" ")]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("choose small up 00ff", "(<Size.SMALL: 1>, 'up', b'\\x00\\xff')"),
        ("choose 2 3 00", "(<Size.LARGE: 2>, 3, b'\\x00')"),
        ("count 1,2,3", "([1, 2, 3], 5)"),
        ("count 1 none", "([1], None)"),
        ("take COIN WOLF", "(True, True)"),
        ("note", "(None, None)"),
        ("note ann", "('ann', None)"),
        ("note ANN hello  all", "('ann', 'hello  all')"),
        ("note none none", "(None, None)"),
    ],
)
def test_words_are_read_as_every_kind_of_argument(words: str, text: str) -> None:
    desk = Desk(Shop)
    assert desk.ask(*with_slots(desk, words)) == (True, text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("choose huge up 00", "size must be one of 1, 2, not 'huge'"),
        ("choose small down 00", "way must be one of up, 3, not 'down'"),
        ("choose small up 0", "data must be bytes as pairs of hexadecimal digits, not '0'"),
        ("count 1,x", "numbers must be a whole number, not '1,x'"),
        ("count 1,10", "each item of numbers must be a whole number from 0 to 9, not '1,10'"),
        ("count 1,2,3,4", "numbers must be a list of at most 3 items, not '1,2,3,4'"),
        ("take coin WOLF", "coin must be the slot of a coin, not 'coin'"),
        ("take WOLF WOLF", "NO_TARGET: coin: there is no coin in slot"),
        ("note bob", "NO_TARGET: there is no player 'bob' in the zone"),
        ("note none \t", "text must be printable text of 1 to 1024 bytes, not '\\t'"),
    ],
)
def test_words_that_are_no_argument_of_a_kind_say_what_was_expected(words: str, text: str) -> None:
    desk = Desk(Shop)
    done, found = desk.ask(*with_slots(desk, words))
    assert (done, text in found) == (False, True), found
    assert found.startswith(("NO_TARGET: ", "usage: "))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "usage: there is no command ''"),
        ("gift ann 5", "usage: there is no command 'gift'"),
        ("give", "usage: give <player: Player> <gold: int> [times: int = 1]: player is missing"),
        ("give ann", "usage: give <player: Player> <gold: int> [times: int = 1]: gold is missing"),
        ("give ann 5 1 1", "usage: give <player: Player> <gold: int> [times: int = 1]: '1' is one word too many"),
        ("give ann x", "gold must be a whole number, not 'x'"),
        ("give ann 5.0", "gold must be a whole number"),
        ("give ann 9223372036854775808", "to 9223372036854775807, not '9223372036854775808'"),
        ("give 1 5", "NO_TARGET: player: there is no player in slot 1"),
        ("give bob 5", "NO_TARGET: there is no player 'bob' in the zone"),
        ("note nan true", "number must be a number from 0 to 3, not 'nan'"),
        ("note 4 true", "number must be a number from 0 to 3, not '4'"),
        ("note 1 perhaps", "on must be true or false, not 'perhaps'"),
        ("note 1 true much-too-long", "text must be printable text of 1 to 9 bytes, not 'much-too-long'"),
        ("shout \x1b[2J", "text must be printable text"),
        ("shout \ud800", "text must be printable text"),
        ("kick", "usage: kick NAME [TEXT]: NAME is missing"),
        ("kick bob", "NO_TARGET: there is no player 'bob' in the zone"),
        ("kick ann \x1b", "usage: kick NAME [TEXT]: TEXT must be printable"),
        ("ban", "NAME is missing"),
        ("ban ann --for", "--for needs a value"),
        ("ban ann --for ever", "'ever' is not a duration"),
        ("ban ann --for 0", "0 is not above zero"),
        ("unban", "usage: unban NAME|ADDRESS: give one name"),
        ("unban ann", "NOT_BANNED: 'ann' is not banned"),
        ("say", "usage: say TEXT: TEXT is missing"),
        ("save", "NO_STORE: this server keeps no players"),
        ("bans now", "usage: bans: 'now' is one word too many"),
        ("save now", "usage: save: 'now' is one word too many"),
    ],
)
def test_wrong_words_change_nothing_and_say_why(words: str, text: str) -> None:
    desk = Desk()
    done, found = desk.ask(*words.split(" ") if words else ())
    assert (done, text in found) == (False, True), found
    assert (desk.zone.world.stats[0][0], desk.frame.events, desk.output.ended) == (0, (), [])
    assert desk.failures == []


@pytest.mark.parametrize(
    ("how", "text"), [("refuse", "NO: not today"), ("raise", "the game failed: ZeroDivisionError")]
)
def test_a_command_that_does_not_end_well_changes_nothing(how: str, text: str) -> None:
    desk = Desk()
    before = desk.zone.world.hash()
    done, found = desk.ask("halfway", "ann", how)
    assert not done
    assert found.startswith(text)
    assert desk.zone.world.hash() == before
    assert (desk.frame.events, desk.output.ended, desk.output.records) == ((), [], 0)
    desk.tick()
    assert [failure.about for failure in desk.failures] == [{"command": "halfway"}] * (how == "raise")
    assert desk.zone.counters.rule_failures_total == (how == "raise")


def test_kick_ends_the_session_and_the_player_may_come_back() -> None:
    desk = Desk()
    assert desk.ask("kick", "ann", "be", "nice") == (True, "ann is kicked")
    assert [(each.ref, str(each.reason), each.text) for each in desk.output.ended] == [(1, "KICKED", "be nice")]
    assert desk.tick(joins=[Join(2, "ann", b"", "192.0.2.1")]).joined == [(2, 0)]


def test_kick_reaches_a_player_who_waits_for_a_slot() -> None:
    desk = Desk()
    crowd = [Join(ref, f"bob-{ref}", b"", "192.0.2.1") for ref in range(2, 300)]
    zone = desk.zone = Zone(Bank(), hz=20, seed=1)
    assert len(zone.tick(TickInput(1, 0.0, 100, Requests(joins=crowd))).joined) < len(crowd)
    assert desk.ask("kick", "bob-299") == (True, "bob-299 is kicked")
    refs = [ref for _ in range(5) for ref, _ in desk.tick().joined]
    assert 298 in refs
    assert 299 not in refs


def test_ban_ends_the_session_and_refuses_the_name_until_it_is_over() -> None:
    desk = Desk()
    assert desk.ask("ban", "ann", "--for", "1h", "go", "away") == (
        True,
        "ann is banned for 1h; a restart without a journal forgets the ban",
    )
    [ended] = desk.output.ended
    assert (ended.reason, ended.text) == (CloseReason.BANNED, "go away")
    assert isinstance(ended.reason, CloseReason)
    for seconds, is_banned in ((3599.0, True), (3601.0, False)):
        desk.seconds = 1_000.0 + seconds
        output = desk.tick(joins=[Join(int(seconds), "ann", b"", "198.51.100.7")])
        assert [(each.reason, each.text) for each in output.ended] == [(CloseReason.BANNED, "go away")] * is_banned
        assert len(output.joined) == (not is_banned)


def test_ban_without_an_end_holds_until_unban() -> None:
    desk = Desk()
    desk.ask("ban", "bob")
    desk.seconds = 1e12
    assert desk.tick(joins=[Join(2, "bob", b"", "192.0.2.1")]).ended[0].text == "an operator has banned this name"
    assert desk.ask("unban", "bob") == (True, "bob is not banned any more")
    assert desk.tick(joins=[Join(3, "bob", b"", "192.0.2.1")]).joined == [(3, 1)]


def test_ban_of_an_address_ends_its_players_and_refuses_new_ones_and_names_stay() -> None:
    desk = Desk()
    desk.tick(joins=[Join(2, "bob", b"", "198.51.100.7")])
    assert desk.ask("ban", "192.0.2.1", "--for", "1h", "go", "away") == (
        True,
        "192.0.2.1 is banned for 1h, 1 player ended; a restart without a journal forgets the ban",
    )
    assert desk.output.ended == [Ended(1, CloseReason.BANNED, "go away")]
    lifted, ban = desk.output.bans
    assert (lifted.seconds, ban) == (0.0, AddressBan("192.0.2.1", 3600.0, "go away", is_ordered=True))
    assert desk.ask("ban", "192.0.2.1", "--for", "30m")[0], "the newest order counts"
    for seconds, is_banned in ((1799.0, True), (1801.0, False)):
        desk.seconds = 1_000.0 + seconds
        output = desk.tick(joins=[Join(int(seconds), "cid", b"", "192.0.2.1")])
        assert [each.reason for each in output.ended] == [CloseReason.BANNED] * is_banned
    assert desk.ask("unban", "192.0.2.1") == (False, "NOT_BANNED: '192.0.2.1' is not banned")
    assert desk.ask("ban", "::ffff:127.0.0.1")[1].startswith("EXEMPT: 127.0.0.1 cannot be banned, since proxies")


def test_bans_are_listed_with_those_after_kicks() -> None:
    desk = Desk()
    assert desk.ask("bans") == (True, "nobody is banned")
    desk.ask("ban", "bob", "--for", "1h", "be", "nice")
    desk.tick(bans=[("2001:db8::7", 60.0), ("127.0.0.1", 60.0), ("192.0.2.9", 0.0)])
    desk.ask("ban", "192.0.2.2")
    assert desk.ask("bans")[1].splitlines() == [
        "ends in  banned",
        "     1h  bob            be nice",
        "      -  192.0.2.2      an operator has banned this address",
        "     1m  2001:db8::/64  a player from this address was kicked a short while ago",
    ]
    assert desk.ask("unban", "2001:db8::1") == (True, "2001:db8::/64 is not banned any more")


def test_say_is_an_event_of_the_zone() -> None:
    desk = Desk()
    assert desk.ask("say", "hello", "all") == (True, "")
    assert [tuple(event) for event in desk.frame.events] == [(None, None, "say", "hello all")]


def test_save_calls_the_zone_where_it_can_save() -> None:
    class Keeping(Bank):
        def to_save(self, player: Player) -> dict[str, int]:
            return {"gold": player["gold"]}

    zone = Zone(Keeping(), hz=20, seed=1, save_ticks=1_000)
    requests = Requests(joins=[Join(1, "ann", b"", "127.0.0.1")], commands=[Command(1, ("save",))])
    output = zone.tick(TickInput(1, 0.0, 100, requests))
    assert ([name for name, _ in output.saves], [done for _, done, _ in output.results]) == (["ann"], [True])


def test_commands_wait_for_the_next_tick_when_a_tick_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.zone._actions, "run", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        desk.tick(commands=[Command(3, ("say", "hello"))])
    monkeypatch.undo()
    assert desk.tick().results == [(3, True, "")]


def test_zone_tells_its_gateways_of_the_commands() -> None:
    assert Desk().zone.commands == (
        ("give <player: Player> <gold: int> [times: int = 1]", "Gives gold to a player."),
        ("halfway <player: Player> <how: str>", ""),
        ("note <number: float 0..3> <on: bool> [text: str of 1..9 bytes = '']", ""),
        ("shout <text: str>", ""),
    )


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def a(self, what: list): pass", "it can be int, float, str, bool, bytes, Player, Thing"),
        ("def a(self, what): pass", "has no annotation that says what is sent for it"),
        ("def a(self, *what: str): pass", "a fixed number of positional arguments"),
        ("async def a(self): pass", "is async: a rule must be an ordinary function"),
        ("def a(self, what: 'Nothing'): pass", "cannot be evaluated"),
        ("def a(): pass", "has no parameter for the game"),
    ],
)
def test_command_that_no_words_could_call_is_a_problem(source: str, complaint: str) -> None:
    found: dict[str, Any] = {}
    exec(source, globals(), found)
    game = type("Game", (Rules,), {"a": command(found["a"])})
    with pytest.raises(TypeError, match=complaint):
        commands_of(game())
    [problem] = problems_of(game)
    assert complaint in problem


@pytest.mark.parametrize("name", [*BUILT_IN, "emit"])
def test_names_of_the_server_cannot_be_commands_of_a_game(name: str) -> None:
    game = type("Game", (Rules,), {name: command(lambda _: None)})
    assert any("cannot be the name of a" in problem for problem in problems_of(game))


def test_static_command_is_a_problem() -> None:
    game = type("Game", (Rules,), {"give": staticmethod(command(lambda: None))})
    assert list(problems_of(game)) == [
        "give is marked as a command, but is not an ordinary method: no operator can call it"
    ]
