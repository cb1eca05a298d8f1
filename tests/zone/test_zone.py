"""The zone: what was asked for since the last tick becomes one frame, and no rule can break it."""

import logging
from typing import Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.protocol.world import World
from zoneserver.zone.link import Ended, TickOutput
from zoneserver.zone.rules import Player, Refused, Rules, Speed, action

HZ = 4


class Yard(Rules):
    """A game whose rules do what a test wants, failing included."""

    width, height = 1000, 1000
    stats: ClassVar = {"hp": 100}

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.noted: list[tuple[str, str]] = []

    def note(self, what: str, player: Player | None = None) -> None:
        self.noted.append((what, player.name if player else ""))
        if self.failing == what:
            raise RuntimeError(f"{what} fails")

    def on_join(self, player: Player) -> None:
        player.place(100, 100)
        self.note("on_join", player)

    def on_leave(self, player: Player) -> None:
        self.note("on_leave", player)

    def on_tick(self) -> None:
        self.note("on_tick")

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def push(self, player: Player, other: Player, vx: Speed) -> None:
        other.move(vx, 0)

    @action
    def jump(self, player: Player, x: int, y: int) -> None:
        player.place(x, y)

    @action
    def waver(self, player: Player, vx: Speed) -> None:
        player.move(vx, 0)
        raise Refused("WAVERED", "on second thoughts")

    @action
    def stumble(self, player: Player, vx: Speed) -> None:
        player.move(vx, 0)
        raise RuntimeError("a rule fails")

    @action
    def deny(self, player: Player) -> None:
        raise Refused("DENIED", "never")

    @action
    def say(self, player: Player, text: str) -> None:
        self.note(text, player)

    @action
    def answer(self, player: Player, one: int, two: int) -> Any:
        return (one + two, "sum")

    @action
    def double(self, player: Player, number: int) -> Any:
        return number * 2

    @action
    def unpackable(self, player: Player) -> Any:
        return {player}

    @action
    def sprint(self, player: Player) -> None:
        player.move(1, 128)


def zone_of(*names: str, rules: Rules | None = None, limits: Limits | None = None, **settings: Any) -> DrivenZone:
    """A zone with these players in it, by the refs from 1 on."""
    zone = DrivenZone(rules or Yard(), hz=HZ, seed=1, limits=limits, **settings)
    for ref, name in enumerate(names, 1):
        zone.join(ref, name)
    zone.step()
    return zone


def told(result: TickOutput) -> Tick:
    """A tick's frame as a client has it."""
    tick = decode_server(result.frame)
    assert isinstance(tick, Tick)
    return tick


def replica_of(zone: DrivenZone) -> World:
    """What a client has that comes in now, by a snapshot."""
    (buffer,) = zone.history.since(None)
    snapshot = decode_server(buffer.payload)
    assert isinstance(snapshot, Snapshot)
    world = World(zone.rules.width, zone.rules.height, dict(zone.rules.stats))
    world.restore(snapshot)
    return world


def moved(tick: Tick) -> list[tuple[int, int, int, int]]:
    """(slot, seq, vx, vy) of each mover."""
    return list(zip(tick.movers, tick.seqs, tick.vx, tick.vy, strict=True))


def codes(result: TickOutput) -> list[tuple[int, int, str]]:
    """(ref, seq, code) of each refusal."""
    return [(ref, refusal.seq, refusal.code) for ref, refusal, _ in result.refused]


# --- One frame ------------------------------------------------------------------------------------


def test_frame_has_all_actions_of_its_tick() -> None:
    zone = zone_of("ann", "bob", "eve")
    zone.submit(1, 1, [("walk", 1, 2), ("say", "hi")])
    zone.submit(2, 1, [("jump", 5, 6)])
    zone.submit(3, 1, [("push", 1, 9)])
    result = zone.step()
    tick = told(result)
    assert moved(tick) == [(0, 1, 1, 2)]
    assert list(tick.placed) == [1, 5, 6, 9, 0]
    assert list(tick.events) == [(0, 2, "say", "hi"), (1, 1, "jump", 5, 6), (2, 1, "push", 1, 9)]
    assert result.records == 5


def test_every_tick_is_encoded_exactly_once() -> None:
    zone = zone_of("ann")
    for ticks in range(2, 10):
        zone.submit(1, ticks, [("say", "hi")] * (ticks % 3))
        zone.history.snapshot()
        zone.step()
        assert zone.counters.encodes_total == zone.world.tick == ticks


def test_idle_tick_has_no_records() -> None:
    result = zone_of("ann").step()
    assert (result.records, result.joined, result.refused) == (0, [], [])
    assert len(result.frame) < 32


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        (("say", "hi"), ("say", "hi")),
        (("answer", 1, 2), ("answer", 3, "sum")),
        (("double", 4), ("double", 8)),
    ],
)
def test_event_of_an_action_has_its_result_or_its_arguments(sent: tuple[Any, ...], event: tuple[Any, ...]) -> None:
    zone = zone_of("ann")
    zone.submit(1, 300, [sent])
    assert list(told(zone.step()).events) == [(0, 300 & 0xFF, *event)]


def test_frame_has_the_dilation_and_once_a_second_the_hash() -> None:
    zone = DrivenZone(Yard(), hz=HZ, seed=1)
    ticks = [told(zone.step(50)) for _ in range(2 * HZ)]
    assert {tick.dilation_percent for tick in ticks} == {50}
    assert [tick.tick for tick in ticks if tick.hash is not None] == [HZ, 2 * HZ]


def test_zone_has_the_name_of_its_game() -> None:
    assert zone_of().info.name == "yard"
    assert zone_of(rules=Plaza()).info.name == "plaza"


# --- Coming and going -----------------------------------------------------------------------------


def test_joining_players_get_the_lowest_slots_with_the_next_tick() -> None:
    zone = zone_of()
    zone.join(7, "ann")
    zone.join(5, "bob")
    result = zone.step()
    assert result.joined == [(7, 0), (5, 1)]
    assert list(told(result).joins) == [(0, "ann"), (1, "bob")]


def test_joins_beyond_the_limit_of_a_tick_wait_in_order() -> None:
    zone = DrivenZone(Yard(), hz=HZ, seed=1, limits=Limits(joins_per_second=4 * HZ - 1))
    for ref in range(8):
        zone.join(ref, f"player-{ref}")
    zone.leave(1)
    zone.leave(6)
    joined = [[ref for ref, _ in zone.step().joined] for _ in range(3)]
    assert joined == [[0, 2, 3], [4, 5, 7], []]


@pytest.mark.parametrize(("hz", "joined"), [(1, 20), (10, 2), (20, 1), (100, 1)])
def test_joins_per_tick_follow_the_tick_rate_and_are_at_least_one(hz: int, joined: int) -> None:
    zone = DrivenZone(Yard(), hz=hz, seed=1, limits=Limits(joins_per_second=20))
    for ref in range(40):
        zone.join(ref, f"player-{ref}")
    assert len(zone.step().joined) == joined


def test_joining_player_may_act_in_the_tick_of_the_join() -> None:
    zone = zone_of()
    zone.join(1, "ann")
    zone.submit(1, 1, [("walk", 3, 4)])
    assert moved(told(zone.step())) == [(0, 1, 3, 4)]


def test_join_and_leave_within_one_tick_change_nothing() -> None:
    zone = zone_of("ann")
    before = zone.world.hash()
    zone.join(2, "bob")
    zone.submit(2, 1, [("say", "hi")])
    zone.leave(2)
    result = zone.step()
    assert (result.records, result.joined, result.refused) == (0, [], [])
    assert zone.world.hash() == before


def test_free_slot_goes_to_the_next_player() -> None:
    zone = zone_of("ann", "bob")
    zone.submit(1, 1, [("say", "last words")])
    zone.leave(1)
    zone.join(3, "eve")
    result = zone.step()
    tick = told(result)
    assert result.joined == [(3, 0)]
    assert (list(tick.leaves), list(tick.joins), list(tick.events)) == ([0], [(0, "eve")], [])
    assert zone.world.names == ["eve", "bob"]


def test_the_lowest_free_slot_is_taken_first() -> None:
    zone = zone_of(*"abcdef")
    for ref in (5, 2, 6):
        zone.leave(ref)
    zone.step()
    for ref in (11, 12, 13, 14):
        zone.join(ref, f"new {ref}")
    assert zone.step().joined == [(11, 1), (12, 4), (13, 5), (14, 6)]


def test_player_may_return_within_one_tick_under_a_new_ref() -> None:
    zone = zone_of("ann")
    zone.leave(1)
    zone.join(2, "ann")
    assert zone.step().joined == [(2, 0)]


def test_join_with_a_leave_in_its_input_is_ignored() -> None:
    zone = zone_of("ann")
    zone.join(2, "bob")
    zone.leave(2)
    result = zone.step()
    assert (result.joined, result.ended) == ([], [])
    zone.join(3, "bob")
    assert zone.step().joined == [(3, 1)]


def test_leave_of_an_unknown_player_is_ignored() -> None:
    zone = zone_of("ann")
    zone.leave(7)
    assert told(zone.step()).leaves == ()


def test_join_of_a_registered_name_replaces_the_older_player() -> None:
    zone = zone_of("ann", "bob")
    zone.join(7, "ann")
    result = zone.step()
    assert result.ended == [Ended(1, CloseReason.REPLACED, "")]
    assert result.joined == [(7, 0)]
    assert (list(told(result).leaves), list(told(result).joins)) == ([0], [(0, "ann")])
    zone.leave(1)
    assert told(zone.step()).leaves == (), "its gateway reports the end of the old session, which the zone knows"


def test_join_of_a_name_from_another_address_is_rejected() -> None:
    zone = zone_of("ann")
    zone.join(2, "ann", host="192.0.2.1")
    assert zone.step().ended == [Ended(2, CloseReason.BAD_NAME, "a player at another address has this name")]


def test_full_zone_rejects_joins_until_a_player_leaves() -> None:
    zone = zone_of("ann", "bob", players_max=2)
    zone.join(3, "cid")
    assert zone.step().ended == [Ended(3, CloseReason.SERVER_FULL, "")]
    zone.leave(1)
    zone.join(4, "dan")
    assert zone.step().joined == [(4, 0)]


def test_zone_with_a_secret_accepts_each_ticket_once() -> None:
    secret = b"0123456789abcdef"
    zone = zone_of(secret=secret)
    ticket = issue_ticket(secret, "ann", "yard", 100, bytes(16))
    zone.join(1, "ann")
    zone.join(2, "ann", ticket)
    result = zone.step(unix_seconds=50.0)
    assert result.ended == [Ended(1, CloseReason.BAD_TICKET, "this zone requires a ticket")]
    assert result.joined == [(2, 0)]
    zone.join(3, "ann", ticket)
    assert zone.step(unix_seconds=50.0).ended == [Ended(3, CloseReason.BAD_TICKET, "the ticket has been used")]


def test_players_who_wait_for_a_slot_count_as_players() -> None:
    zone = zone_of(limits=Limits(joins_per_second=HZ), players_max=2)
    for ref, name in enumerate(("ann", "bob", "cid"), 1):
        zone.join(ref, name)
    result = zone.step()
    assert (result.joined, result.ended) == ([(1, 0)], [Ended(3, CloseReason.SERVER_FULL, "")])
    zone.leave(2)
    result = zone.step()
    assert (result.joined, list(told(result).leaves)) == ([], [])


def test_actions_of_a_player_who_left_are_dropped() -> None:
    rules = Yard()
    zone = zone_of("ann", "bob", rules=rules)
    zone.submit(1, 1, [("say", "hi"), ("deny",)])
    zone.leave(1)
    result = zone.step()
    assert list(told(result).events) == []
    assert result.refused == []
    assert ("hi", "ann") not in rules.noted


def test_leaves_come_before_joins_and_both_before_actions() -> None:
    rules = Yard()
    zone = zone_of("ann", "bob", rules=rules)
    rules.noted.clear()
    zone.submit(1, 1, [("say", "hi")])
    zone.join(3, "eve")
    zone.leave(2)
    zone.step()
    assert rules.noted == [("on_leave", "bob"), ("on_join", "eve"), ("hi", "ann"), ("on_tick", "")]


class Parting(Yard):
    """A game that changes somebody as somebody leaves."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change

    def on_leave(self, player: Player) -> None:
        for changed in self.players.values() if self.change == "everybody" else [player]:
            changed["hp"] -= 1
        if self.change == "place":
            player.place(5, 5, 1, 1)
        elif self.change == "move":
            player.move(1, 1)


@pytest.mark.parametrize("leaving", [[1], [2], [3], [1, 2], [2, 3], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("change", ["stat", "place", "move", "everybody"])
def test_on_leave_may_change_players(change: str, leaving: list[int]) -> None:
    zone = zone_of("ann", "bob", "eve", rules=Parting(change))
    replica = replica_of(zone)
    for ref in leaving:
        zone.leave(ref)
    replica.apply(told(zone.step()))
    assert replica.snapshot() == zone.world.snapshot()


# --- How much may wait ----------------------------------------------------------------------------


def test_actions_per_tick_bounds_the_actions_of_each_player() -> None:
    zone = zone_of("ann", "bob", limits=Limits(actions_per_tick=5))
    zone.submit(1, 1, [("say", "a")] * 3)
    zone.submit(1, 4, [("say", "b")] * 2)
    zone.submit(1, 6, [("say", "c")])
    zone.submit(2, 1, [("say", "d")] * 5)
    result = zone.step()
    assert len(told(result).events) == 10
    assert codes(result) == [(1, 6, "TOO_MANY_ACTIONS")]


def test_packet_beyond_the_action_limit_is_refused_whole() -> None:
    zone = zone_of("ann", limits=Limits(actions_per_tick=5))
    zone.submit(1, 1, [("say", "a")] * 3)
    zone.submit(1, 4, [("say", "b")] * 3)
    zone.submit(1, 7, [("say", "c")] * 2)
    result = zone.step()
    assert [event[3] for event in told(result).events] == ["a", "a", "a", "c", "c"]
    assert codes(result) == [(1, seq, "TOO_MANY_ACTIONS") for seq in (4, 5, 6)]


def test_action_limit_starts_afresh_with_each_tick() -> None:
    zone = zone_of("ann", limits=Limits(actions_per_tick=2))
    for seq in (1, 3, 5):
        zone.submit(1, seq, [("say", "a")] * 2)
        assert zone.step().refused == []


# --- What is refused ------------------------------------------------------------------------------


def test_refusals_name_the_acting_player() -> None:
    zone = zone_of("ann", "bob")
    zone.submit(1, 10, [("deny",), ("say", "hi"), ("fly",)])
    zone.submit(2, 20, [("say", 1), ("push", 9, 1)])
    result = zone.step()
    assert codes(result) == [
        (1, 10, "DENIED"),
        (1, 12, RefusalCode.UNKNOWN_ACTION),
        (2, 20, RefusalCode.BAD_PAYLOAD),
        (2, 21, RefusalCode.NO_TARGET),
    ]
    assert {refusal.tick for _ref, refusal, _ in result.refused} == {2}
    assert list(told(result).events) == [(0, 11, "say", "hi")]


def test_refusal_is_in_one_output_only() -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("deny",)])
    assert len(zone.step().refused) == 1
    assert zone.step().refused == []


def test_refused_action_does_not_advance_the_sequence() -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("say", "hi"), ("deny",)])
    zone.step()
    assert zone.world.seq[0] == 1


def test_sequence_is_that_of_the_newest_applied_action() -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("deny",)] * 150)
    zone.submit(1, 151, [("say", "hi")])
    zone.step()
    assert zone.world.seq[0] == 151


def test_replica_has_the_sequence_of_the_zone_for_actions_far_apart() -> None:
    zone = zone_of("ann")
    replica = replica_of(zone)
    zone.submit(1, 5, [("walk", 1, 1)])
    zone.submit(1, 133, [("say", "too far")])
    zone.submit(1, 2**31, [("say", "too far")])
    zone.submit(1, 132, [("say", "hi")])
    result = zone.step()
    assert codes(result) == [(1, 133, "TOO_MANY_ACTIONS"), (1, 2**31, "TOO_MANY_ACTIONS")]
    replica.apply(told(result))
    assert replica.seq == zone.world.seq
    assert replica.seq[0] == 132
    zone.submit(1, 2**31, [("say", "another tick")])
    assert zone.step().refused == []


def test_replica_has_the_sequence_of_the_zone_after_128_actions() -> None:
    zone = zone_of("ann", limits=Limits(event_bytes_per_tick=10_000, actions_per_tick=128))
    replica = replica_of(zone)
    zone.submit(1, 200, [("say", "hi")] * 127)
    zone.submit(1, 327, [("walk", 1, 1)])
    zone.submit(1, 328, [("say", "one more")])
    result = zone.step()
    assert codes(result) == [(1, 328, "TOO_MANY_ACTIONS")]
    replica.apply(told(result))
    assert replica.seq == zone.world.seq
    assert replica.seq[0] == 327 & 0xFF


def test_event_bytes_of_one_player_are_bounded_per_tick_and_later_packets_wait_in_order() -> None:
    zone = zone_of("ann", "bob", limits=Limits(event_bytes_per_tick=100))
    text = "x" * 60
    for seq in range(1, 6):
        zone.submit(1, seq, [("say", text)])
    zone.submit(2, 1, [("say", "me too")])
    assert [(slot, seq) for slot, seq, *_ in told(zone.step()).events] == [(0, 1), (0, 2), (1, 1)]
    # What waits comes before what is new, and counts towards what may wait.
    zone.submit(1, 6, [("say", "new")])
    assert [(slot, seq) for slot, seq, *_ in told(zone.step()).events] == [(0, 3), (0, 4)]
    assert [(slot, seq) for slot, seq, *_ in told(zone.step()).events] == [(0, 5), (0, 6)]
    assert told(zone.step()).events == ()


# --- Rules that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["on_join", "on_leave", "on_tick"])
def test_callback_that_raises_is_counted_and_changes_nothing_else(failing: str) -> None:
    rules = Yard(failing)
    zone = zone_of("ann", "bob", rules=rules)
    before = zone.counters.rule_failures_total
    zone.submit(1, 1, [("walk", 1, 1)])
    zone.leave(2)
    zone.join(3, "eve")
    result = zone.step()
    assert moved(told(result)) == [(0, 1, 1, 1)]
    assert zone.world.names == ["ann", "eve"]
    assert zone.counters.rule_failures_total == before + 1


def test_timer_that_raises_stops_no_other_timer() -> None:
    rules = Yard("first")
    zone = zone_of(rules=rules)
    rules.after(1, lambda: rules.note("first"))
    rules.after(1, lambda: rules.note("second"))
    zone.step()
    assert [what for what, _who in rules.noted[-3:]] == ["first", "second", "on_tick"]
    assert zone.counters.rule_failures_total == 1


@pytest.mark.parametrize("kind", ["fails", "unpackable", "sprint"])
def test_action_whose_rule_raises_is_refused_alone(kind: str) -> None:
    zone = zone_of("ann", "bob", rules=Yard("fails"))
    replica = replica_of(zone)
    zone.submit(1, 1, [("say", "before"), ("say", kind) if kind == "fails" else (kind,), ("say", "after")])
    result = zone.step()
    assert codes(result) == [(1, 2, RefusalCode.RULE_FAILED)]
    assert [event[3] for event in told(result).events] == ["before", "after"]
    assert zone.counters.rule_failures_total == 1
    replica.apply(told(result))
    assert replica.hash() == zone.world.hash()


def test_failures_of_one_place_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        zone = zone_of(rules=Yard("on_tick"))
        for _ in range(3 * HZ - 1):
            zone.step()
    assert zone.counters.rule_failures_total == 3 * HZ
    assert len(caplog.records) == 3


def test_failures_of_different_places_are_logged_separately(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Rules):
        def on_tick(self) -> None:
            if self.tick % 2:
                raise ZeroDivisionError("odd")
            raise ZeroDivisionError("even")

        @action
        def deep(self, player: Player, calls: int) -> None:
            if calls == 0:
                raise ZeroDivisionError("deep down")
            self.deep(player, calls - 1)

        @action
        def jump(self, player: Player) -> None:
            raise KeyError("jump")

    with caplog.at_level(logging.ERROR):
        zone = zone_of("ann", rules=Broken())
        for seq in range(1, 2 * HZ - 1):
            zone.submit(1, 3 * seq, [("jump",), ("deep", 500 + seq), ("deep", 300)])
            zone.step()
    told_of = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert {text: told_of.count(text) for text in told_of} == {"odd": 2, "even": 2, "'jump'": 2, "deep down": 2}


# --- Motion that was taken back, or superseded ----------------------------------------------------


@pytest.mark.parametrize(("kind", "code"), [("waver", "WAVERED"), ("stumble", RefusalCode.RULE_FAILED)])
def test_motion_of_a_refused_action_is_sent_as_placed(kind: str, code: str) -> None:
    zone = zone_of("ann")
    replica = replica_of(zone)
    zone.submit(1, 1, [(kind, 5)])
    result = zone.step()
    tick = told(result)
    assert codes(result) == [(1, 1, code)]
    assert moved(tick) == []
    assert list(tick.placed) == [0, 100, 100, 5, 0]
    assert (zone.world.vx[0], zone.world.seq[0]) == (5, 0)
    replica.apply(tick)
    assert replica.snapshot() == zone.world.snapshot()


@pytest.mark.parametrize("kind", ["waver", "stumble"])
def test_earlier_motion_of_the_tick_keeps_its_sequence(kind: str) -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("walk", 1, 1), (kind, 5)])
    tick = told(zone.step())
    assert moved(tick) == [(0, 1, 5, 0)]
    assert list(tick.placed) == [0, 100, 100, 5, 0]


def test_last_of_several_motions_in_one_tick_is_sent() -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("walk", 1, 1), ("walk", 2, 2)])
    zone.submit(1, 3, [("walk", 3, 3)])
    result = zone.step()
    assert moved(told(result)) == [(0, 3, 3, 3)]
    assert (result.records, result.refused) == (1, [])
    assert zone.counters.superseded_total == 2


def test_motion_supersedes_only_its_players_motions_of_one_tick() -> None:
    zone = zone_of("ann", "bob")
    for seq in (1, 2):
        zone.submit(1, seq, [("walk", 1, 1)])
        zone.submit(2, seq, [("walk", 1, 1)])
        zone.step()
    assert zone.counters.superseded_total == 0


def test_push_by_another_player_is_sent_as_placed() -> None:
    zone = zone_of("ann", "bob")
    zone.submit(1, 1, [("push", 1, 7)])
    tick = told(zone.step())
    assert moved(tick) == []
    assert list(tick.placed) == [1, 100, 100, 7, 0]
    assert list(tick.events) == [(0, 1, "push", 1, 7)]


# --- Everybody agrees -----------------------------------------------------------------------------

Step = tuple[str, int, tuple[Any, ...]]
speeds = st.integers(-30, 30)
slots = st.integers(0, 4)
plaza_actions = st.one_of(
    st.tuples(st.just("move"), speeds, speeds),
    st.tuples(st.sampled_from(["strike", "bolt", "heal"]), slots),
    st.tuples(st.just("say"), st.text(max_size=5)),
    st.tuples(st.just("emote"), st.integers(-1, 6)),
)
steps = st.tuples(st.sampled_from(["join", "leave", "act", "act", "act"]), slots, plaza_actions)
scripts = st.lists(st.lists(steps, max_size=5), min_size=1, max_size=12)


def played(script: list[list[Step]], seed: int) -> list[TickOutput]:
    """What a crowded little plaza makes of a script."""

    class Corner(Plaza):
        width, height = 300, 300

    zone = DrivenZone(Corner(), hz=HZ, seed=seed)
    refs: list[int] = []
    results = []
    number = 0
    for tick in script:
        for what, who, sent in tick:
            number += 1
            if what == "join":
                refs.append(number)
                zone.join(number, f"player{number}")
            elif what == "leave" and refs:
                zone.leave(refs.pop(who % len(refs)))
            elif refs:
                zone.submit(refs[who % len(refs)], number, [sent])
        results.append(zone.step())
    return results


@settings(max_examples=60, deadline=None)
@given(scripts, st.integers(0, 2**32))
def test_equal_inputs_give_equal_frames(script: list[list[Step]], seed: int) -> None:
    assert played(script, seed) == played(script, seed)


def test_other_seeds_give_other_frames() -> None:
    script: list[list[Step]] = [[("join", 0, ())]]
    assert played(script, 1)[0].frame != played(script, 2)[0].frame


@settings(max_examples=60, deadline=None)
@given(scripts)
def test_replica_agrees_with_each_hash(script: list[list[Step]]) -> None:
    replica = World(300, 300, dict(Plaza.stats))
    for result in played([*script, *([[]] * HZ)], 1):
        tick = told(result)
        replica.apply(tick)
        if result.tick % HZ == 0:
            assert tick.hash == replica.hash()


def test_replica_reaches_equal_state_by_frames_or_by_snapshot() -> None:
    zone = zone_of("ann", "bob")
    early = replica_of(zone)
    for seq in range(1, 6):
        zone.submit(1, seq, [("walk", seq, -seq)])
        zone.step()
    for buffer in zone.history.since(1):
        tick = decode_server(buffer.payload)
        if isinstance(tick, Tick):
            early.apply(tick)
        else:
            assert isinstance(tick, Snapshot)
            early.restore(tick)
    assert early.snapshot() == replica_of(zone).snapshot() == zone.world.snapshot()
