"""Hub and remote links over ways that lose payloads, with a zone that is killed: all arrives, and happens once."""

from __future__ import annotations

import random
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from helpers.link_way import Way
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver import Player, Refused, Rules, action
from zoneserver.link.hub import GatewayHub
from zoneserver.link.messages import Attach, Facts, Jump, Start
from zoneserver.link.remote_link import RemoteZoneLink
from zoneserver.link.validation import decode_up
from zoneserver.protocol.decoding import decode_server
from zoneserver.zone.link import Join, Requests, TickInput, TickOutput
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

HZ = 20


class Counting(Rules):
    """Tells each player the number of every action, and refuses every seventh."""

    def on_start(self) -> None:
        self.done: dict[str, list[int]] = defaultdict(list)
        self.calls: list[tuple[str, str]] = []

    @action
    def count(self, player: Player, number: int) -> None:
        if number % 7 == 3:
            raise Refused("SEVEN", str(number))
        self.done[player.name].append(number)
        player.tell("counted", number)

    def on_join(self, player: Player) -> None:
        player.move(1, 1)

    def on_drop(self, player: Player) -> None:
        self.calls.append(("drop", player.name))

    def on_resume(self, player: Player) -> None:
        self.calls.append(("resume", player.name))

    def on_leave(self, player: Player) -> None:
        self.calls.append(("leave", player.name))


class Member:
    """What a gateway does for its players: it lets them act, and notes what the zone says to each."""

    def __init__(self, world: Field, name: str, players: int) -> None:
        self.name = name
        self.field = world
        self.link = RemoteZoneLink(name, lambda payload: world.way.up.append((name, payload)), world.now, self)
        self.link.subscribe(self.on_tick)
        self.pid = 1
        self.names = [f"{name}-{number}" for number in range(players)]
        self.refs: dict[int, str] = {}
        self.inside: set[int] = set()
        self.seq = dict.fromkeys(self.names, 0)
        self.told: dict[str, list[int]] = defaultdict(list)
        self.refused: dict[str, list[int]] = defaultdict(list)
        self.ended: list[tuple[str, str]] = []
        self.ticks: list[int] = []
        self.broken: list[str] = []
        self.is_begun = False
        self.attached = 0

    def link_figures(self) -> Mapping[str, Any]:
        return {"host": "test", "pid": self.pid}

    def link_attached(self) -> None:
        self.attached += 1
        if not self.is_begun:
            self.is_begun = True
            self.join()
            self.link.begin()

    def join(self) -> None:
        self.refs = {self.link.next_ref(): name for name in self.names}
        joins = [Join(ref, name, b"", "127.0.0.1", token=name.encode()) for ref, name in self.refs.items()]
        self.link.send(Requests(joins=joins))

    def link_broken(self, text: str) -> None:
        self.broken.append(text)

    def link_rejected(self, text: str) -> None:
        self.broken.append(f"rejected: {text}")

    def link_stopping(self, *, keep: bool) -> None:
        self.broken.append(f"stopping: {keep}")

    def on_tick(self, output: TickOutput) -> None:
        self.ticks.append(output.tick)
        self.inside |= {ref for ref, _ in output.joined if ref in self.refs}
        for ref, payload in output.told:
            self.told[self.refs[ref]].append(decode_server(payload).values[0])  # type: ignore[union-attr]
        for ref, refusal, _ in output.refused:
            self.refused[self.refs[ref]].append(int(refusal.text))
        self.ended += [(self.refs[each.ref], str(each.reason)) for each in output.ended]

    def act(self) -> None:
        """Each player inside does the next thing."""
        actions = []
        for ref in sorted(self.inside):
            name = self.refs[ref]
            self.seq[name] += 1
            actions.append((ref, self.seq[name], [("count", self.seq[name])]))
        self.link.send(Requests(actions=actions))


class Field:
    """A zone, its hub and gateways. `loses` says of each payload whether it gets lost."""

    def __init__(
        self,
        *players: int,
        loses: Callable[[], bool] = lambda: False,
        resume_ticks: int = 400,
        is_stream: bool = True,
    ) -> None:
        self.clock = 100.0
        self.way = Way()
        self.loses = loses
        self.resume_ticks = resume_ticks
        self.is_stream = is_stream
        self.inputs: list[TickInput] = []
        self.frames: list[tuple[int, bytes]] = []
        self.epoch = 0
        self.superseded = 0
        self.start()
        self.members = [Member(self, f"gw{index}", count) for index, count in enumerate(players)]
        self.stopped: set[str] = set()

    def now(self) -> float:
        return self.clock

    def start(self) -> None:
        """Starts the zone, from its journal if it ran before."""
        self.epoch += 1
        self.rules = Counting()
        self.zone = Zone(self.rules, hz=HZ, seed=1, resume_ticks=self.resume_ticks)
        for tick_input in self.inputs:
            self.zone.tick(tick_input)
        if self.inputs and len(self.inputs) % 2:  # As after a checkpoint.
            state, snapshot = self.zone.state(), decode_server(self.zone.snapshot())
            rules = Counting()
            self.zone = Zone(rules, hz=HZ, seed=1, resume_ticks=self.resume_ticks)
            self.zone.restore(snapshot, state)  # type: ignore[arg-type]
            rules.done, rules.calls, self.rules = self.rules.done, self.rules.calls, rules
        self.local = LocalZoneLink(self.zone, self.epoch)
        facts = Facts(self.zone.info, {}, (), self.zone.world.tick, 15.0, 100, needs_ticket=False)
        start = Start(self.epoch, round(self.clock * 1000))
        self.hub = GatewayHub(
            self.local,
            self.zone.attendance.gateways,
            self.way,
            start,
            facts,
            64,
            1_000,
            self.frames[-64:],
            self.now,
            lambda: self.clock + 1 / HZ,
            self.supersede,
            lambda _: None,
        )
        self.local.subscribe(self.hub.on_tick)

    def supersede(self) -> None:
        self.superseded += 1

    def kill(self) -> None:
        """Kills the zone. What was on its way is lost."""
        self.way.up.clear()
        self.way.down.clear()
        if self.is_stream:
            self.way.accepted.clear()
            for member in self.members:
                member.link.changed(False)

    def restart(self) -> None:
        """Starts the zone again. The gateways notice on a stream, and hear of it by a broker."""
        self.start()
        for member in self.members if self.is_stream else ():
            member.link.changed(True)

    def deliver_up(self) -> None:
        up, self.way.up = self.way.up, []
        for peer, payload in up:
            if not self.loses() and peer not in self.stopped:
                self.hub.receive(peer, payload)

    def deliver_down(self) -> None:
        for member in self.members:
            if member.name in self.stopped:
                continue
            payloads, self.way.down[member.name] = self.way.down[member.name], []
            namesakes = [each for each in self.members if each.name == member.name]
            for payload in payloads:
                if not self.loses():
                    for each in namesakes:
                        each.link.receive(payload)

    def tick(self) -> None:
        self.deliver_up()
        tick_input = self.local.take_input(self.clock)
        output = self.zone.tick(tick_input)
        self.inputs.append(tick_input)
        self.frames.append((output.tick, output.frame))
        self.local.publish(output)
        self.clock += 1 / HZ

    def turn(self, *, acting: bool = True, zone: bool = True) -> None:
        for member in self.members:
            if member.name not in self.stopped:
                if acting:
                    member.act()
                else:
                    member.link.send(Requests())
        if zone:
            self.tick()
        else:
            self.clock += 1 / HZ
        self.deliver_down()

    def settle(self) -> None:
        """Goes on without loss until everything has arrived."""
        self.loses = lambda: False
        for _ in range(60):
            self.turn(acting=False)

    def check(self) -> None:
        """Every action of everybody happened once, in order, and everybody was told of it once."""
        for member in self.members:
            assert member.inside == set(member.refs)
            assert member.ticks == sorted(set(member.ticks))
            for name in member.names:
                numbers = range(1, member.seq[name] + 1)
                happened = [number for number in numbers if number % 7 != 3]
                assert self.rules.done[name] == happened
                assert member.told[name] == happened
                assert member.refused[name] == [number for number in numbers if number % 7 == 3]
            assert member.link.snapshot() == self.zone.snapshot()
            assert not member.broken


def chances(seed: int, percent: int) -> Callable[[], bool]:
    chance = random.Random(seed)
    return lambda: chance.random() * 100 < percent


def test_gateways_read_the_log_of_a_zone_and_act_in_it() -> None:
    field = Field(3, 2)
    for _ in range(50):
        field.turn()
    field.settle()
    field.check()
    for member in field.members:
        # Nothing was missed, and nothing was sent twice.
        assert (member.link.counters.asks_total, member.link.counters.batches_resent_total) == (0, 0)
        assert member.ticks == list(range(member.ticks[0], field.zone.world.tick + 1))
    assert field.hub.counters.link_resent_total == 0


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    percent=st.integers(1, 60),
    kills=st.sets(st.integers(1, 80), max_size=3),
    is_stream=st.booleans(),
)
def test_nothing_is_lost_and_nothing_happens_twice(seed: int, percent: int, kills: set[int], is_stream: bool) -> None:
    field = Field(2, 1, loses=chances(seed, percent), is_stream=is_stream)
    for turn in range(80):
        if turn in kills:
            field.kill()
            for _ in range(turn % 9):
                field.turn(zone=False)
            field.restart()
        field.turn()
    field.settle()
    field.check()
    assert all(name != "leave" for name, _ in field.rules.calls)


def test_a_gateway_that_missed_more_than_is_kept_jumps_and_loses_no_private_message() -> None:
    field = Field(2, 2)
    for _ in range(10):
        field.turn()
    field.stopped.add("gw1")
    for _ in range(30):
        field.turn()
    field.way.down["gw1"].clear()
    for _ in range(50):
        field.turn()
    assert [call for call in field.rules.calls if call[1].startswith("gw1")] == [("drop", "gw1-0"), ("drop", "gw1-1")]
    field.stopped.clear()
    field.settle()
    field.check()
    assert field.members[1].link.counters.ticks_missed_total > 60
    # They were parked meanwhile, and go on.
    assert field.rules.calls[2:] == [("resume", "gw1-0"), ("resume", "gw1-1")]
    assert not field.zone.parked


def test_players_of_a_gateway_that_stays_away_leave_and_it_begins_anew() -> None:
    field = Field(1, 1, resume_ticks=40)
    for _ in range(10):
        field.turn()
    field.stopped.add("gw1")
    for _ in range(150):
        field.turn()
    assert field.rules.calls == [("drop", "gw1-0"), ("leave", "gw1-0")]
    field.stopped.clear()
    for _ in range(5):
        field.turn()
    late = field.members[1]
    assert late.broken == ["the zone does not know this gateway any more"]
    late.inside.clear()
    late.link.begin_anew()
    late.seq["gw1-0"] = 0
    late.told.clear()
    late.refused.clear()
    field.rules.done["gw1-0"].clear()
    late.join()
    late.broken.clear()
    for _ in range(20):
        field.turn()
    field.settle()
    field.check()


@pytest.mark.parametrize("is_clock_set_back", [False, True])
def test_another_zone_at_the_same_place_is_noticed(is_clock_set_back: bool) -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    # It has no journal: its world is another one.
    field.kill()
    field.inputs.clear()
    field.frames.clear()
    field.epoch = 0
    field.clock += 1
    if is_clock_set_back:
        for _ in range(25):
            field.turn(zone=False)
        field.clock -= 50
    field.restart()
    field.clock += 50 * is_clock_set_back
    for _ in range(15):
        field.turn()
    assert set(field.members[0].broken) == {"the zone does not know this gateway any more"}


@pytest.mark.parametrize("data", [b"", b"none", zlib.compress(b"cut short")[:-1], zlib.compress(bytes(2**26 + 1))])
def test_a_jump_whose_snapshot_cannot_be_inflated_is_dropped(data: bytes) -> None:
    field = Field(1)
    for _ in range(3):
        field.turn()
    field.members[0].link.receive(Jump(field.hub._newest, data, ()).encode())
    field.settle()
    field.check()


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_zone_that_has_lost_its_journal_is_noticed(*, is_stream: bool) -> None:
    field = Field(1, is_stream=is_stream)
    field.kill()
    field.restart()
    for _ in range(5):
        field.turn()
    field.kill()
    field.inputs.clear()
    field.frames.clear()
    field.epoch = 0
    field.restart()
    for _ in range(2 * HZ):
        field.turn()
    assert field.members[0].broken[0] == "the zone does not know this gateway any more"


def test_a_gateway_that_has_missed_a_start_takes_the_state_of_the_zone() -> None:
    field = Field(1, 1)
    for _ in range(5):
        field.turn()
    for _ in range(3):
        field.members[1].act()
        field.tick()
        field.deliver_down()
    # The power fails: the journal lacks two ticks that the gateways have.
    field.stopped.add("gw0")
    field.kill()
    del field.inputs[-2:], field.frames[-2:]
    field.restart()
    for _ in range(5):
        field.turn(acting=False)
    field.kill()
    field.restart()
    field.stopped.clear()
    field.settle()
    assert not field.members[0].broken
    assert field.members[0].link.snapshot() == field.zone.snapshot()


def test_a_gateway_that_hears_nothing_lets_few_payloads_pile_up_and_is_told_of_one_return() -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    (member,) = field.members
    # Nothing passes for 8 s, and then everything at once.
    for _ in range(8 * HZ):
        field.turn(zone=False)
    attaching = [payload for _, payload in field.way.up if isinstance(decode_up(payload), Attach)]
    assert len(attaching) <= 8
    field.settle()
    field.check()
    assert (field.hub.counters.gateways_attached_total, member.attached) == (1, 1)


def test_ticks_that_are_read_together_say_which_one_is_the_last() -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    (member,) = field.members
    calls: list[Callable[[], None]] = []
    member.link._call_soon = calls.append
    outputs: list[TickOutput] = []
    member.link.subscribe(outputs.append)
    before = member.link.tick
    for _ in range(3):
        field.tick()
    field.deliver_down()
    assert (len(calls), outputs) == (1, [])
    calls.pop()()
    assert [(each.tick - before, each.is_last) for each in outputs] == [(1, False), (2, False), (3, True)]
    assert member.link.snapshot() == field.zone.snapshot()


def test_gateway_that_was_stopped_has_a_zone_that_is_not_silent() -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    field.clock += 10
    field.turn()
    (member,) = field.members
    assert not [peer for peer, payload in field.way.up if isinstance(decode_up(payload), Attach)]
    for _ in range(HZ + 1):
        member.act()
    assert [peer for peer, payload in field.way.up if isinstance(decode_up(payload), Attach)] == ["gw0"]


def newer_namesake(field: Field) -> Member:
    """Another process whose gateway is also called gw0."""
    second = Member(field, "gw0", 1)
    second.names, second.seq, second.pid = ["gw0-9"], {"gw0-9": 0}, 2
    return second


def test_a_gateway_that_was_started_again_takes_its_name_when_the_first_one_is_silent() -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    former = field.members[0]
    field.members = [newer_namesake(field)]
    for _ in range(40):
        field.turn()
    field.settle()
    field.check()
    assert ("drop", "gw0-0") in field.rules.calls
    assert former.broken == []


def test_a_second_gateway_of_a_name_is_rejected_while_the_first_one_lives() -> None:
    field = Field(1)
    for _ in range(5):
        field.turn()
    second = newer_namesake(field)
    field.members.append(second)
    # At a broker both are reached by their name.
    for _ in range(3 * HZ):
        field.turn()
    (text,) = second.broken
    assert text.startswith("rejected: a gateway called gw0 is attached already")
    # It does not ask again, even if the first one stops now.
    field.way.up.clear()
    second.link.changed(True)
    second.link.knock()
    second.link.send(Requests())
    assert not field.way.up
    field.members.remove(second)
    field.settle()
    field.check()


def test_an_older_start_hears_of_a_later_one() -> None:
    field = Field(1)
    for _ in range(3):
        field.turn()
    other = Field(1)
    other.clock = 200.0
    other.start()
    for _ in range(3):
        other.turn()
    newest = other.hub._newest
    field.hub.receive("", newest)
    other.hub.receive("", field.hub._newest)
    assert (field.superseded, other.superseded) == (1, 0)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x91\x63", b"\x92\x02\x01", b"\x94\x01\x01\x00\xa0"])
def test_a_payload_that_is_no_message_costs_the_peer_its_way(payload: bytes) -> None:
    field = Field()
    field.way.accept("x")
    field.hub.receive("x", payload)
    assert not field.way.accepted


def test_a_zone_rejects_a_gateway_of_another_version() -> None:
    field = Field(1)
    (member,) = field.members
    field.hub.receive("gw0", Attach(99, member.link.number, "gw0", {}).encode())
    field.deliver_down()
    assert member.broken == ["rejected: the zone speaks version 1 of the link, this gateway 99"]
