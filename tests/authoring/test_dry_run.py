"""The dry run of a game."""

from __future__ import annotations

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
