"""The zone: the actions of a tick become one frame, within bounds."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import HZ, Yard, codes, moved, replica_of, told, zone_of

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.zone import Zone

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


# --- Bounds on actions ----------------------------------------------------------------------------


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


# --- Refusals -------------------------------------------------------------------------------------


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
    # Waiting packets come before new ones, and count towards the bound.
    zone.submit(1, 6, [("say", "new")])
    assert [(slot, seq) for slot, seq, *_ in told(zone.step()).events] == [(0, 3), (0, 4)]
    assert [(slot, seq) for slot, seq, *_ in told(zone.step()).events] == [(0, 5), (0, 6)]
    assert told(zone.step()).events == ()


# --- Motion of refused and of several actions -----------------------------------------------------


@pytest.mark.parametrize(("kind", "code"), [("waver", "WAVERED"), ("stumble", RefusalCode.RULE_FAILED)])
def test_motion_of_a_refused_action_is_taken_back(kind: str, code: str) -> None:
    zone = zone_of("ann")
    replica = replica_of(zone)
    zone.submit(1, 1, [(kind, 5)])
    result = zone.step()
    tick = told(result)
    assert codes(result) == [(1, 1, code)]
    assert (moved(tick), tick.placed, result.records) == ([], (), 0)
    assert (zone.world.vx[0], zone.world.seq[0]) == (0, 0)
    replica.apply(tick)
    assert replica.snapshot() == zone.world.snapshot()


@pytest.mark.parametrize("kind", ["waver", "stumble"])
def test_earlier_motion_of_the_tick_stands_when_a_later_one_is_taken_back(kind: str) -> None:
    zone = zone_of("ann")
    zone.submit(1, 1, [("walk", 1, 1), (kind, 5)])
    tick = told(zone.step())
    assert moved(tick) == [(0, 1, 1, 1)]
    assert tick.placed == ()


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


def test_push_by_another_player_is_sent_as_steered() -> None:
    zone = zone_of("ann", "bob")
    zone.submit(1, 1, [("push", 1, 7)])
    tick = told(zone.step())
    assert moved(tick) == []
    assert list(tick.placed) == []
    assert (list(tick.steered), list(tick.steered_vx), list(tick.steered_vy)) == ([1], [7], [0])
    assert list(tick.events) == [(0, 1, "push", 1, 7)]


# --- Input ----------------------------------------------------------------------------------------


def test_zone_takes_the_input_of_the_next_tick_only() -> None:
    zone = Zone(Yard(), hz=4, seed=1)
    link = LocalZoneLink(zone)
    first = link.take_input(0.0)
    zone.tick(first)
    with pytest.raises(AssertionError, match="input of tick 1 after tick 1"):
        zone.tick(first)


# --- Ticks that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["_let_in", "run"])
def test_a_tick_that_fails_keeps_what_it_did_not_come_to(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = zone_of("ann", "bob")

    def broken(*_: object) -> None:
        raise MemoryError

    zone.leave(1)
    zone.join(3, "cid")
    zone.submit(2, 1, [("say", "hi")])
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(zone._actions if method == "run" else zone.attendance, method, broken)
        zone.step()
    result = zone.step()
    assert result.joined == [(3, 0)]
    assert (list(told(result).leaves), told(result).events) == ([0], ((1, 1, "say", "hi"),))
    assert [name for name in zone.world.holders if name] == ["cid", "bob"]


def test_a_player_who_leaves_after_a_failed_tick_does_not_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = zone_of("ann")

    def broken(_unix_seconds: float) -> None:
        raise MemoryError

    zone.join(2, "bob")
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(zone.attendance, "_let_in", broken)
        zone.step()
    zone.leave(2)
    assert zone.step().joined == []
    assert zone.world.holders == ["ann"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(("hook", "joined"), [("on_join", []), ("on_leave", [(3, 0), (4, 1)])])
def test_an_exception_whose_text_raises_costs_only_its_rule(
    hook: str, joined: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = zone_of("ann", "bob")

    def broken(_player: object) -> None:
        raise Unspeakable

    monkeypatch.setattr(zone.rules, hook, broken)
    zone.leave(1)
    zone.leave(2)
    zone.join(3, "cid")
    zone.join(4, "dan")
    assert zone.step().joined == joined
    assert zone.counters.rule_failures_total == 2
    assert len(zone.world.holders) == len(joined)


def test_too_many_actions_are_refused_with_the_last_finished_tick() -> None:
    zone = zone_of("ann", limits=Limits(actions_per_tick=1))
    zone.submit(1, 1, [("say", "a")] * 2)
    finished = zone.world.tick
    assert {refused.refusal.tick for refused in zone.step().refused} == {finished}
