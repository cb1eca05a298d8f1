"""A restart from a journal: the zone goes on, or its world does."""

from __future__ import annotations

import dataclasses
import math
import re
import secrets
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from helpers.bazaar import HZ, Bazaar, inputs
from helpers.played import PARAMETERS, brought_back, go_on, play, step
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.journal.bodies import recorded_tick
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.rerun import Rerun
from zoneserver.journal.restart import first_checkpoint
from zoneserver.journal.roster import Roster
from zoneserver.journal.values import Checkpoint, Header, JournalError, RecordedTick
from zoneserver.journal.writer import Journal
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.protocol.world import World
from zoneserver.zone.link import Command, Join, Requests, TickInput, TickOutput
from zoneserver.zone.parking import unpack_kept
from zoneserver.zone.rules import Player, action
from zoneserver.zone.zone import Zone


class NeverSaved(Bazaar):
    """A Bazaar with a timer that cannot be written down."""

    name = "bazaar"

    def on_start(self) -> None:
        super().on_start()
        self.every(ticks=50, callback=lambda: None)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal")


@pytest.mark.parametrize("game", [Bazaar, NeverSaved])
def test_restart_goes_on_as_a_server_that_was_not_killed(
    game: type[Bazaar], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = inputs(2, 150)
    zone = play(directory, game(), script[:70], checkpoints=(30, 60))
    assert zone.counters.rule_failures_total
    caplog.clear()
    again = brought_back(directory, game)
    assert (again.difference, again.epoch, again.ticks) == ("", 2, 10 if game is Bazaar else 70)
    assert not again.is_other_code
    assert not again.zone.rules.is_rerun
    assert again.zone.counters.rule_failures_total == len(caplog.records) == 0, "each failure counts once"
    assert again.zone.attendance.refs() == zone.attendance.refs()
    go_on(directory, again, script[70:110])
    third = brought_back(directory, game)
    assert (third.difference, third.epoch) == ("", 3)
    for tick_input in script[70:]:
        output = zone.tick(tick_input)
        if tick_input.tick > 110:
            assert third.zone.tick(tick_input) == output


def test_restart_before_the_first_tick_begins_with_an_empty_world(directory: Path) -> None:
    play(directory, Bazaar(), [])
    again = brought_back(directory, Bazaar)
    go_on(directory, again, inputs(1, 20))
    third = brought_back(directory, Bazaar)
    assert (again.ticks, third.ticks, third.difference) == (0, 20, "")
    world_of(directory)


def world_of(directory: Path) -> World:
    """The world at the end of a journal as a client has it that began with the first checkpoint."""
    reader = JournalReader(directory)
    world: World | None = None
    for entry in reader.entries():
        if isinstance(entry, Checkpoint) and world is None:
            world = World(reader.segments[0].header.game)
            world.restore(decoded(entry.snapshot))
        elif isinstance(entry, RecordedTick):
            assert world
            world.apply(decoded(entry.frame))
    assert world
    return world


def decoded(payload: bytes) -> Any:
    return decode_server(payload)


# --- Games that run otherwise the second time -----------------------------------------------------


class Changed(Bazaar):
    """Another version of the game: who robs gets more."""

    name = "bazaar"

    @action
    def rob(self, player: Player, other: Player) -> None:
        super().rob(player, other)
        player["gold"] += 100


class Timed(Bazaar):
    """A game that reads a clock."""

    name = "bazaar"

    @action
    def rob(self, player: Player, other: Player) -> None:
        super().rob(player, other)
        player["luck"] = time.perf_counter_ns() % 2**30


@pytest.mark.parametrize(("first", "second"), [(Bazaar, Changed), (Timed, Timed)])
def test_first_difference_is_named_and_players_keep_their_places(
    first: type[Bazaar], second: type[Bazaar], directory: Path
) -> None:
    zone = play(directory, first(), inputs(4, 60), checkpoints=(30,))
    again = brought_back(directory, second, code="other")
    assert again.is_other_code
    assert again.difference.split(": ")[1].split()[0] == {Changed: "gold", Timed: "luck"}[second]
    assert again.checkpoint.snapshot == zone.snapshot()
    assert places_in(again.zone) == places_in(zone)
    assert places_in(zone), "somebody is in"
    # The frame of the next tick tells what on_restore did.
    assert (None, None, "restored") in decoded(step(again.zone).frame).events


class Whispering(Bazaar):
    """Answers a player alone with a number by chance that no journal has."""

    name = "bazaar"

    @action(private=True)
    def purse(self, player: Player) -> int:
        return secrets.randbits(60)


class Hoarding(Bazaar):
    """Tells nobody of such a number, and saves it."""

    name = "bazaar"

    @action(private=True)
    def purse(self, player: Player) -> int:
        player.saved["bag"].append(secrets.randbits(60))
        return player["gold"]


@pytest.mark.parametrize(
    ("game", "words"),
    [
        (Whispering, "what players were told alone (answers, refusals, messages) is not what the journal has"),
        (Hoarding, "what was saved of "),
    ],
)
def test_difference_that_is_in_no_frame_is_found(game: type[Bazaar], words: str, directory: Path) -> None:
    zone = play(directory, game(), inputs(4, 60))
    again = brought_back(directory, game)
    assert re.match(rf"tick \d+: {re.escape(words)}", again.difference), again.difference
    assert again.checkpoint.snapshot == zone.snapshot()


def places_in(zone: Zone) -> list[list[Any]]:
    """Ref, slot and newest sequence of each player, in the order in which rules see them."""
    players = {player[1]: player[:3] for player in zone.state()["players"]}
    return [players[slot] for slot in zone.rules.players]


def test_restart_after_a_difference_begins_where_the_game_began_anew(directory: Path) -> None:
    script = inputs(4, 110)
    play(directory, Bazaar(), script[:60])
    again = brought_back(directory, Changed)
    go_on(directory, again, script[60:])
    third = brought_back(directory, Changed)
    assert (third.difference, third.epoch, third.ticks) == ("", 3, 50)
    assert third.zone.snapshot() == again.zone.snapshot()
    world_of(directory)


def test_rerun_begins_anew_where_the_game_did(directory: Path) -> None:
    script = inputs(4, 110)
    play(directory, Bazaar(), script[:60])
    again = brought_back(directory, Louder)
    assert again.difference
    go_on(directory, again, script[60:])
    rerun = Rerun(Bazaar)
    for entry in JournalReader(directory).entries():
        rerun.take(entry)
    assert (rerun.difference, rerun.ticks) == ("", 110)


def test_state_that_the_game_does_not_load_is_a_difference(directory: Path) -> None:
    class Renamed(Bazaar):
        name = "bazaar"

        def load(self, value: Any) -> None:
            super().load({"robbed_by": value["robbed"]})

    zone = play(directory, Bazaar(), inputs(1, 40), checkpoints=(30,))
    again = brought_back(directory, Renamed)
    assert again.difference.startswith("tick 30: load raised KeyError: 'bytes' (")
    assert again.checkpoint.snapshot == zone.snapshot()


def test_journal_without_a_beginning_has_the_world_alone(directory: Path) -> None:
    zone = Zone(NeverSaved(), **PARAMETERS.for_zone())
    journal = Journal.open(directory, sync="never")
    journal.begin(Header(1, zone.info, parameters=PARAMETERS.to_plain()), Checkpoint(0, zone.snapshot(), zone.state()))
    journal.close()
    again = brought_back(directory, NeverSaved)
    assert again.difference == "the journal does not reach back to a point at which the game can begin"
    assert again.checkpoint.snapshot == zone.snapshot()


def test_player_of_a_restored_world_comes_back_by_their_token(directory: Path) -> None:
    token = b"t" * 32
    join = Join(7, "ann", b"", "127.0.0.1", saved='{"gold":3}', token=token)
    script = [TickInput(1, 0.0, 100, Requests(joins=[join])), TickInput(2, 0.0, 100, Requests())]
    play(directory, Bazaar(), script)
    zone = brought_back(directory, Louder).zone
    assert zone.rules.players[2].saved["gold"] == 3
    assert step(zone, drops=zone.attendance.refs()).ended == []
    assert not zone.rules.players[2].is_here
    (back,) = step(zone, joins=[Join(8, "ann", b"", "::1", token=b"u" * 32, claim=token, tick=2)]).resumed
    assert (back.ref, back.slot, back.former) == (8, 2, 7)


class Louder(Bazaar):
    """Differs in the second tick."""

    name = "bazaar"

    def on_tick(self) -> None:
        super().on_tick()
        if self.tick == 2:
            self.emit("hear")


# --- Other parameters -----------------------------------------------------------------------------


def test_parameters_may_change_with_a_restart(directory: Path) -> None:
    script = inputs(6, 160)
    play(directory, NeverSaved(), script[:50])
    more = dataclasses.replace(PARAMETERS, players_max=6, resume_ticks=3, settings={"cats": 5}, needs_ticket=True)
    again = brought_back(directory, NeverSaved, more)
    assert again.zone.rules.setting["cats"] == 5
    go_on(directory, again, script[50:100], more)
    third = brought_back(directory, NeverSaved)
    assert (third.difference, third.ticks) == ("", 100)
    assert third.zone.rules.setting["cats"] == 2


@pytest.mark.parametrize(
    ("attributes", "hz", "text"),
    [
        ({}, HZ + 1, "was written with --hz 10, and now it is 11: the zone cannot go on"),
        ({"width": 900}, HZ, "a width of 400, and now it is 900"),
        (
            {"stats": {"gold": 10}},
            HZ,
            r"the kinds player\(gold, luck\), stall\(price\), cat\(\), and now it is player\(gold\)",
        ),
        ({"name": "fair"}, HZ, "the game bazaar, and now it is fair"),
    ],
)
def test_game_of_another_shape_is_refused(attributes: dict[str, Any], hz: int, text: str, directory: Path) -> None:
    play(directory, Bazaar(), inputs(1, 5))
    other = type("Other", (Bazaar,), {"name": "bazaar"} | attributes)
    with pytest.raises(JournalError, match=text):
        brought_back(directory, other, dataclasses.replace(PARAMETERS, hz=hz))


# --- Ticks that fail, and players on their way to the store ---------------------------------------


def test_tick_that_failed_fails_again(directory: Path) -> None:
    class Failing(Zone):
        def encode(self) -> TickOutput:
            if self.world.tick == 5:
                raise ZeroDivisionError
            return super().encode()

    script = inputs(2, 20)
    zone, header = Failing(Bazaar(), **PARAMETERS.for_zone()), None
    journal = Journal.open(directory, sync="never")
    header = Header(1, zone.info, parameters=PARAMETERS.to_plain())
    journal.begin(header, first_checkpoint(zone))
    for tick_input in script:
        try:
            output = zone.tick(tick_input)
        except ZeroDivisionError:
            output = TickOutput(tick_input.tick, b"", 0, [], [], [])
        journal.record(tick_input, output)
    journal.close()
    with mock.patch("zoneserver.journal.rerun.Zone", Failing):
        again = brought_back(directory, Bazaar)
    assert (again.difference, again.ticks) == ("", 20)
    assert again.zone.snapshot() == zone.snapshot()
    assert brought_back(directory, Bazaar).difference.startswith("tick 5: the tick: failed in the journal")


@pytest.mark.parametrize("game", [Bazaar, Changed])
@pytest.mark.parametrize("mark", [0, 20, 60])
def test_saves_behind_the_newest_mark_come_back_as_they_were_recorded(
    directory: Path, game: type[Bazaar], mark: int
) -> None:
    zone, script = Zone(Bazaar(), **PARAMETERS.for_zone()), inputs(3, 60)
    saved = [dict(zone.tick(tick_input).saves) for tick_input in script]
    play(directory, Bazaar(), script, checkpoints=(30,), mark=mark)
    again = brought_back(directory, game)
    assert bool(again.difference) == (game is Changed)
    newest = {name: text for saves in saved[mark:] for name, text in saves.items()}
    assert (again.unsaved.tick, again.unsaved.texts) == (mark, newest)
    assert bool(newest) == (mark < 60)


class Hoard(Bazaar):
    """Keeps what it saves to itself, and has it from `saved` when it begins anew."""

    name = "bazaar"

    def on_start(self) -> None:
        super().on_start()
        self.bags: dict[str, int] = {}

    def save(self) -> Any:
        return super().save() | {"bags": self.bags}

    def load(self, value: Any) -> None:
        super().load(value)
        self.bags = value["bags"]

    def on_join(self, player: Player) -> None:
        self.bags[player.name] = player.saved.get("bag", 0)

    def on_restore(self) -> None:
        for player in self.players.values():
            self.on_join(player)

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"bag": self.bags[player.name]}

    def on_tick(self) -> None:
        for name in self.bags:
            self.bags[name] += 1


class OtherHoard(Hoard):
    """Differs in a late tick."""

    def on_tick(self) -> None:
        super().on_tick()
        if self.tick == 40:
            self.emit("hear")


@pytest.mark.parametrize("checkpoint", [36, 39])
def test_saved_of_a_player_after_a_difference_is_what_was_saved_last(directory: Path, checkpoint: int) -> None:
    joins = {tick: Join(tick, name, b"", "::1", saved='{"bag":100}') for tick, name in ((1, "ann"), (30, "cid"))}
    script = [
        TickInput(tick, 0.0, 100, Requests(joins=[joins[tick]] if tick in joins else [])) for tick in range(1, 42)
    ]
    zone = play(directory, Hoard(), script, checkpoints=(checkpoint,))
    again = brought_back(directory, OtherHoard)
    assert again.difference.startswith("tick 40: ")
    saved = {player.name: player.saved["bag"] for player in again.zone.rules.players.values()}
    had = {player.name: zone.rules.bags[player.name] for player in zone.rules.players.values()}
    assert saved.keys() == had.keys() == {"ann", "cid"}
    assert all(0 <= had[name] - saved[name] <= PARAMETERS.save_ticks for name in had)
    assert again.zone.rules.bags == saved


# --- The roster -----------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_roster_knows_from_the_frames_who_is_in(seed: int, ticks: int) -> None:
    zone, script = Zone(Bazaar(), **PARAMETERS.for_zone()), inputs(seed, ticks + 40)
    for tick_input in script[:ticks]:
        zone.tick(tick_input)
    roster = Roster(zone.info, Checkpoint(ticks, zone.snapshot(), zone.state()))
    for tick_input in script[ticks:]:
        output = zone.tick(tick_input)
        roster.apply(recorded_tick(tick_input, output))
    state, known = roster.state(), zone.state()
    assert roster.world.snapshot().encode() == zone.snapshot()
    players = {slot: [ref, slot, seq] for ref, slot, seq, _, _ in state["players"]}
    assert [players[slot] for slot in state["order"]] == places_in(zone)
    assert set(state["things"]) == set(zone.rules.things)
    # Whether a token was confirmed before its player was in, no frame tells.
    joins = {join[0]: join[:7] for join in known["registered"]}
    assert [join[:7] for join in state["registered"]] == [joins[ref] for ref, *_ in state["players"]]
    assert state["newest_ref"] == known["newest_ref"]
    here = {ref for ref, *_ in state["players"]}
    assert sorted(state["standings"]) == sorted(each for each in known["standings"] if each[0] in here)
    assert set(unpack_kept(state["kept"])) == set(unpack_kept(known["kept"]))


def test_roster_knows_used_tickets_and_bans_of_the_inputs() -> None:
    zone = Zone(Bazaar(), **PARAMETERS.for_zone(), secret=b"a secret of 16 bytes or more")
    roster = Roster(zone.info, Checkpoint(0, World(zone.info).snapshot().encode(), zone.state()))
    ticket = issue_ticket(b"a secret of 16 bytes or more", "ann", "bazaar", 10_000, b"n" * 16)
    joins = [Join(1, "ann", ticket, "127.0.0.1"), Join(2, "bob", b"no ticket", "127.0.0.1")]
    words = [
        ("ban", "bob", "--for", "1h", "be", "nice"),
        ("ban", "cid"),
        ("ban", "dan"),
        ("unban", "dan"),
        ("ban", "eve", "--for", "never"),
        ("ban",),
        ("unban",),
        ("say", "hear"),
        ("ban", "192.0.2.1", "--for", "2h", "go", "away"),
        ("ban", "192.0.2.2"),
        ("unban", "192.0.2.2"),
        ("ban", "127.0.0.1"),
    ]
    commands = [Command(number, each) for number, each in enumerate(words)]
    tick_input = TickInput(1, 1000.0, 100, Requests(joins=joins, commands=commands, bans=[("192.0.2.3", 60.0)]))
    roster.apply(recorded_tick(tick_input, zone.tick(tick_input)))
    state = roster.state()
    assert state["tickets"] == [0, [[10_000, b"n" * 16]]]
    assert [(name, until) for name, until, _ in state["bans"]] == [("bob", 4600.0), ("cid", math.inf)]
    assert state["address_bans"] == [["192.0.2.1", 8200.0, "go away"]]
    assert state["kick_bans"] == [["192.0.2.3", 1060.0, ""]]
    bans = "bans", "address_bans", "kick_bans"
    assert ([state[each] for each in bans], state["commands"]) == ([zone.state()[each] for each in bans], [])
