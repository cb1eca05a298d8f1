"""Timers: by example, and compared with a naive model."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from helpers.yard import HZ, told, zone_of
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.zone.rules import Player, Refused, Rules, action
from zoneserver.zone.timers import Timer


class Bells(Rules):
    """A game that notes in which tick each bell rings."""

    def __init__(self) -> None:
        self.rung: list[tuple[int, object]] = []
        self.timer: Timer

    def ring(self, what: object) -> None:
        self.rung.append((self.tick, what))

    def greet(self, player: Player) -> None:
        self.ring(player.name)

    @action
    def set(self, player: Player, ticks: int) -> None:
        self.after(ticks, self.ring, "set")
        if ticks == 2:
            raise Refused("NO")

    @action
    def stop(self, player: Player, is_refused: bool) -> None:
        self.timer.cancel()
        if is_refused:
            raise Refused("NO")

    @action
    def remember(self, player: Player, is_refused: bool) -> None:
        player.after(2, self.ring, "own")
        if is_refused:
            raise Refused("NO")


def bells(*names: str) -> tuple[Any, Bells]:
    """A zone with these players, which has run one tick, and its game."""
    rules = Bells()
    return zone_of(*names, rules=rules), rules


def ticks_of(rules: Bells, what: object) -> list[int]:
    return [tick for tick, rung in rules.rung if rung == what]


def run(zone: Any, ticks: int) -> None:
    for _ in range(ticks):
        zone.step()


@pytest.mark.parametrize(("seconds", "ticks"), [(0.0, 1), (0.1, 1), (0.25, 1), (0.6, 2), (1, 4), (2.5, 10)])
def test_seconds_are_rounded_to_ticks_and_at_least_one(seconds: float, ticks: int) -> None:
    zone, rules = bells()
    assert HZ == 4
    assert rules.every(seconds, rules.ring, "every").interval == ticks
    assert rules.after(seconds=seconds, callback=partial(rules.ring, "after")).due == 1 + ticks
    run(zone, 3 * ticks)
    assert ticks_of(rules, "every") == [1 + ticks, 1 + 2 * ticks, 1 + 3 * ticks]
    assert ticks_of(rules, "after") == [1 + ticks]


def test_every_takes_ticks_and_arguments() -> None:
    zone, rules = bells()
    rules.every(None, rules.ring, "bell", ticks=3)
    run(zone, 7)
    assert ticks_of(rules, "bell") == [4, 7]


def test_timer_that_repeats_goes_on_after_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    zone, rules = bells()

    def ring() -> None:
        rules.ring("raises")
        raise ZeroDivisionError

    rules.every(callback=ring, ticks=1)
    run(zone, 3)
    assert ticks_of(rules, "raises") == [2, 3, 4]
    assert zone.counters.rule_failures_total == 3
    assert "the timer test_timer_that_repeats_goes_on_after_it_raises.<locals>.ring failed in tick 2" in caplog.text


def test_cancel_ends_a_timer_and_may_be_called_again() -> None:
    zone, rules = bells()
    timer = rules.every(callback=partial(rules.ring, "bell"), ticks=1)
    run(zone, 1)
    timer.cancel()
    timer.cancel()
    run(zone, 2)
    assert ticks_of(rules, "bell") == [2]
    assert timer.due is None
    once = rules.after(1, rules.ring, "once")
    run(zone, 1)
    once.cancel()
    assert ticks_of(rules, "once") == [5]


def test_timer_may_cancel_itself_and_a_later_one_of_its_tick() -> None:
    zone, rules = bells()

    def end_all() -> None:
        rules.ring("end")
        for timer in timers:
            timer.cancel()

    timers = [rules.after(2, rules.ring, "earlier"), rules.every(callback=end_all, ticks=2)]
    timers += [rules.after(2, rules.ring, "later"), rules.every(callback=partial(rules.ring, "later"), ticks=1)]
    run(zone, 6)
    assert rules.rung == [(2, "later"), (3, "earlier"), (3, "end")]


def test_timers_of_one_tick_run_in_the_order_of_their_making() -> None:
    zone, rules = bells()
    rules.every(callback=partial(rules.ring, "every"), ticks=2)
    run(zone, 1)
    rules.after(3, rules.ring, "after")
    run(zone, 3)
    assert rules.rung == [(3, "every"), (5, "every"), (5, "after")]


def test_cancelled_timers_keep_no_memory() -> None:
    zone, rules = bells("ann")
    for _ in range(100):
        rules.after(1_000_000, rules.ring, 1).cancel()
        rules.players[0].after(1_000_000, rules.ring, 1).cancel()
    rules.players[0].after(1_000_000, rules.ring, 1)
    zone.leave(1)
    run(zone, 1)
    assert (rules._zone_timers._waiting, rules._zone_timers._owned) == ({}, {})


def test_timers_of_a_player_are_forgotten_when_the_player_leaves() -> None:
    zone, rules = bells("ann", "bob")
    ann, bob = rules.players[0], rules.players[1]
    for player in (ann, bob):
        player.after(3, rules.greet, player)
        player.after(seconds=0.25, callback=rules.greet)
    timer = ann.after(9, rules.greet, ann)
    zone.leave(1)
    run(zone, 5)
    assert ticks_of(rules, "ann") == []
    assert ticks_of(rules, "bob") == [4]
    assert timer.due is None
    assert zone.counters.rule_failures_total == 1, "bob's callback without its argument"
    with pytest.raises(LookupError, match="has left"):
        ann.after(1, rules.ring, 1)


def test_timer_of_a_player_who_is_turned_away_is_forgotten() -> None:
    class Door(Bells):
        def on_join(self, player: Player) -> None:
            player.after(1, self.ring, player.name)
            if player.name == "bob":
                raise Refused("NOT_BOB")

    rules = Door()
    zone = zone_of("ann", "bob", rules=rules)
    run(zone, 3)
    assert [what for _, what in rules.rung] == ["ann"]


def test_method_of_the_game_with_plain_arguments_is_kept_by_its_name() -> None:
    zone, rules = bells("ann")
    ann = rules.players[0]
    kept = rules.after(1, rules.greet, ann)
    assert (kept.callback, kept.arguments) == ("greet", (ann,))
    assert rules.after(1, rules.ring, {"not": "plain"}).callback == rules.ring
    rest = rules.ring
    rules.ring = lambda what: rest(f"{what} by another method")  # type: ignore[method-assign]
    assert rules.after(1, rest, "x").callback is rest, "the name means another method now"
    assert str(rules.after(1, rest, "x")) == "the timer Bells.ring"
    assert str(kept) == "the timer greet"
    run(zone, 1)
    assert ticks_of(rules, "ann by another method") == [2], "a name means the game's method of that moment"


def test_timers_that_a_refused_action_makes_or_cancels_are_as_before() -> None:
    zone, rules = bells("ann")
    rules.timer = rules.every(callback=partial(rules.ring, "bell"), ticks=2)
    zone.submit(1, 1, [("set", 2), ("set", 1), ("stop", True), ("remember", True)])
    run(zone, 4)
    assert rules.rung == [(3, "bell"), (3, "set"), (5, "bell")]
    zone.submit(1, 5, [("stop", False), ("remember", False)])
    run(zone, 4)
    assert rules.rung[3:] == [(8, "own")]


def test_timers_of_a_tick_that_failed_run_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    zone, rules = bells()
    rules.every(callback=partial(rules.ring, "bell"), ticks=1)
    let_in = zone.attendance._let_in

    def fails(_: float) -> None:
        monkeypatch.setattr(zone.attendance, "_let_in", let_in)
        raise ZeroDivisionError

    monkeypatch.setattr(zone.attendance, "_let_in", fails)
    with pytest.raises(ZeroDivisionError):
        zone.step()
    run(zone, 2)
    assert ticks_of(rules, "bell") == [3, 4]


# --- Compared with a naive model ------------------------------------------------------------------


@dataclass
class Plan:
    """What a timer of the test does when it is called."""

    does: str = ""
    number: int = 0
    ticks: int = 1


@dataclass
class NaiveTimer:
    plan: Plan
    due: int | None
    interval: int
    owner: int | None


@dataclass
class NaiveTimers:
    """Timers as a list in the order of their making."""

    tick: int = 1
    timers: list[NaiveTimer] = field(default_factory=list)
    rung: list[tuple[int, object]] = field(default_factory=list)

    def make(self, plan: Plan, ticks: int, *, is_repeated: bool = False, owner: int | None = None) -> None:
        self.timers.append(NaiveTimer(plan, self.tick + ticks, ticks if is_repeated else 0, owner))

    def cancel(self, number: int) -> None:
        if self.timers:
            self.timers[number % len(self.timers)].due = None

    def step(self) -> None:
        self.tick += 1
        for number, timer in enumerate(list(self.timers)):
            if timer.due == self.tick:
                timer.due = self.tick + timer.interval if timer.interval else None
                self.rung.append((self.tick, number))
                perform(self, timer.plan)

    def forget(self, owner: int) -> None:
        for timer in self.timers:
            if timer.owner == owner:
                timer.due = None


class RealTimers:
    """Runs a script with the timers of a zone, as the model runs it with a list."""

    def __init__(self) -> None:
        self.rules = Bells()
        self.zone = zone_of("ann", "bob", rules=self.rules)
        self.players = dict(self.rules.players)
        self.timers: list[Timer] = []

    def make(self, plan: Plan, ticks: int, *, is_repeated: bool = False, owner: int | None = None) -> None:
        number = len(self.timers)

        def call() -> None:
            self.rules.ring(number)
            perform(self, plan)
            if plan.does == "raise":
                raise ZeroDivisionError

        if is_repeated:
            timer = self.rules.every(callback=call, ticks=ticks)
        else:
            timer = (self.rules if owner is None else self.players[owner]).after(ticks, call)
        self.timers.append(timer)

    def cancel(self, number: int) -> None:
        if self.timers:
            self.timers[number % len(self.timers)].cancel()

    def step(self) -> None:
        self.zone.step()

    def forget(self, owner: int) -> None:
        self.rules._zone_timers.forget(self.players[owner])


def perform(timers: NaiveTimers | RealTimers, plan: Plan) -> None:
    """Does what an action or a timer of the test does."""
    match plan.does:
        case "after":
            timers.make(Plan(), plan.ticks)
        case "own":
            timers.make(Plan(), plan.ticks, owner=plan.number % 2)
        case "every":
            timers.make(Plan("cancel", plan.number), plan.ticks, is_repeated=True)
        case "cancel":
            timers.cancel(plan.number)


does = st.sampled_from(["", "raise", "after", "own", "every", "cancel"])
plans = st.builds(Plan, does, st.integers(0, 9), st.integers(1, 4))
steps = st.one_of(
    st.tuples(st.just("make"), plans, st.integers(1, 4), st.sampled_from(["once", "every", "ann", "bob"])),
    st.tuples(st.just("act"), st.lists(plans, max_size=4), st.booleans()),
    st.tuples(st.just("tick"), st.integers(1, 4)),
    st.tuples(st.just("forget"), st.integers(0, 1)),
)


@given(st.lists(steps, max_size=25))
def test_timers_agree_with_a_naive_model(script: list[tuple[Any, ...]]) -> None:
    naive, real = NaiveTimers(), RealTimers()
    frame = real.rules._zone_frame
    for what, *arguments in script:
        before = copy.deepcopy(naive.timers)
        for timers in (naive, real):
            if what == "make":
                plan, ticks, kind = arguments
                owner = {"ann": 0, "bob": 1}.get(kind)
                timers.make(plan, ticks, is_repeated=kind == "every", owner=owner)
            elif what == "act":
                if timers is real:
                    frame.undo = []
                for plan in arguments[0]:
                    perform(timers, plan)
            elif what == "tick":
                for _ in range(arguments[0]):
                    timers.step()
            else:
                timers.forget(arguments[0])
        if what == "act":
            if arguments[1]:
                frame.take_back(0)
                del real.timers[len(before) :]
                naive.timers = before
            frame.undo = None
        assert [timer.due for timer in real.timers] == [timer.due for timer in naive.timers]
        assert real.rules.rung == naive.rung
    waiting = real.rules._zone_timers._waiting
    assert sum(map(len, waiting.values())) == sum(timer.due is not None for timer in naive.timers)
    assert all(waiting.values())
    assert told(real.zone.step()).events == ()
