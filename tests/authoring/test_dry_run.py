"""The dry run of a game."""

from __future__ import annotations

from helpers.arsenal import Arsenal

from zoneserver.authoring.dry_run import TICKS, run_trial
from zoneserver.games.chat import Chat
from zoneserver.games.plaza import Plaza


def test_run_trial_tries_every_action_and_gives_equal_results() -> None:
    first, second = run_trial(Plaza()), run_trial(Plaza())
    assert first == second
    assert len(first.digests) == TICKS
    assert set(first.tried) == {"bolt", "emote", "heal", "move", "say", "strike"}
    assert all(first.tried[kind] > first.refused.get(kind, {}).get("TOO_FAST", 0) for kind in first.tried)
    assert (first.failures, first.failures_total) == ([], 0)
    assert run_trial(Chat()).digests != first.digests


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
