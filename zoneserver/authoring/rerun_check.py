"""Finds out whether a server could be restarted in the middle of a game: whether recorded ticks, run again, give the
same frames, private messages and saved values, from the start and from checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoneserver.authoring.dry_run import Trial, run_trial
from zoneserver.journal.rerun import Rerun
from zoneserver.journal.values import Checkpoint, Entry
from zoneserver.support.watchdog import Watchdog
from zoneserver.zone.game_class import can_save, new_game
from zoneserver.zone.rules import Rules

__all__ = ["RERUN_TICKS", "rerun_problems", "rerun_trial"]

RERUN_TICKS = 1_200
"""A minute."""
_CHECKPOINT_TICKS = 150
# So many ticks after each checkpoint run again: what a checkpoint lacks may show as late as this.
_AFTER_TICKS = 300


def rerun_trial(game: type[Rules], watchdog: Watchdog, settings: Mapping[str, Any] | None = None) -> Trial:
    """A dry run of a minute, with checkpoints. Raises as `run_trial` does."""
    return run_trial(new_game(game), watchdog, settings, RERUN_TICKS, _CHECKPOINT_TICKS)


def rerun_problems(game: type[Rules], trial: Trial, watchdog: Watchdog) -> list[str]:
    """Runs the ticks of a trial again in this process. Returns why a restart could not do so, in one line each."""
    return list(_problems(game, trial, watchdog))


def _problems(game: type[Rules], trial: Trial, watchdog: Watchdog) -> Iterator[str]:
    if can_save(game) and trial.save_problem:
        yield f"{trial.save_problem}. Until then a restart runs all ticks since the start of the zone again"
    difference = _difference(game, trial.entries, watchdog)
    if difference:
        yield (
            f"{difference}. The second run was a re-run (is_rerun is True). What the first run left outside of the "
            "game, as on the class, in the module or in a file, must not change it"
        )
        return
    header, start, *_ = trial.entries
    for index, entry in enumerate(trial.entries):
        if isinstance(entry, Checkpoint) and entry is not start and entry.state["game"] is not None:
            following = trial.entries[index : index + _AFTER_TICKS]
            difference = _difference(game, [header, *following], watchdog)
            if difference:
                yield (
                    f"{difference}. The second run began with the checkpoint of tick {entry.tick:,}: save() has left "
                    "out what made the difference, or load(value) has not set it again"
                )
                return


def _difference(game: type[Rules], entries: list[Entry], watchdog: Watchdog) -> str:
    rerun = Rerun(lambda: new_game(game), is_trial=True)
    for entry in entries:
        rerun.take(entry)
        watchdog.beats += 1
        if rerun.difference:
            break
    return rerun.difference
