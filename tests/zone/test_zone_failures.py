"""Rules that raise an exception."""

from __future__ import annotations

import logging

import pytest
from helpers.yard import HZ, Yard, codes, moved, replica_of, told, zone_of

from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.rules import Player, Rules, action


@pytest.mark.parametrize("failing", ["on_leave", "on_tick"])
def test_callback_that_raises_is_counted_and_changes_nothing_else(failing: str) -> None:
    rules = Yard(failing)
    zone = zone_of("ann", "bob", rules=rules)
    before = zone.counters.rule_failures_total
    zone.submit(1, 1, [("walk", 1, 1)])
    zone.leave(2)
    zone.join(3, "eve")
    result = zone.step()
    assert moved(told(result)) == [(0, 1, 1, 1)]
    assert zone.world.holders == ["ann", "eve"]
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
