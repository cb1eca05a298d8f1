"""The dry run of a game."""

from __future__ import annotations

from helpers.arsenal import Arsenal
from helpers.yard import zone_of

from zoneserver.authoring.dry_run import TICKS, run_trial
from zoneserver.games.chat import Chat
from zoneserver.games.plaza import Plaza
from zoneserver.zone.rules import Rules


def test_run_trial_tries_every_action_and_gives_equal_results() -> None:
    first, second = run_trial(Plaza()), run_trial(Plaza())
    assert first == second
    assert len(first.digests) == TICKS
    assert set(first.tried) == {"bolt", "emote", "heal", "move", "say", "strike"}
    assert all(first.tried[kind] > first.refused.get(kind, {}).get("TOO_FAST", 0) for kind in first.tried)
    assert (first.failures, first.failures_total) == ([], 0)
    assert run_trial(Chat()).digests != first.digests


class Careful(Rules):
    """A game that asks whether it is played in earnest when it starts and when it ticks."""

    def __init__(self) -> None:
        self.answers = [self.is_trial]

    def on_start(self) -> None:
        self.answers.append(self.is_trial)

    def on_tick(self) -> None:
        self.answers.append(self.is_trial)


def test_game_is_on_trial_in_a_dry_run_and_in_no_other_zone() -> None:
    game = Careful()
    run_trial(game)
    assert game.answers == [False, *[True] * (TICKS + 1)]
    other = Careful()
    zone_of(rules=other)
    assert other.answers == [False] * 3


def test_run_trial_sends_arguments_of_every_kind_that_reach_the_handlers() -> None:
    rules = Arsenal()
    trial = run_trial(rules)
    assert (trial.failures, trial.refused) == ([], {})
    kinds = {"choices", "count", "find", "lists", "numbers", "raw", "texts"}
    assert set(trial.tried) == kinds
    assert {kind for kind, *_ in rules.handled} == kinds - {"count"}
    # With what has a default, and without it.
    names = {arguments[1] for kind, *arguments in rules.handled if kind == "texts"}
    assert names > {"", "hello"}
    assert run_trial(Arsenal()).digests == trial.digests
