"""`zoneserver check --rerun`: what would keep a server from a restart in the middle of a game."""

from __future__ import annotations

import inspect
import os
import random
import secrets
from pathlib import Path
from typing import Any, ClassVar

import pytest
from helpers.bazaar import Bazaar
from helpers.paths import ROOT

from zoneserver.authoring import rerun_check
from zoneserver.authoring.rerun_check import rerun_problems, rerun_trial
from zoneserver.cli import main as cli
from zoneserver.journal.values import Checkpoint, RecordedTick
from zoneserver.support.watchdog import Watchdog
from zoneserver.zone.rules import Player, Rules, action


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute takes 400 ticks."""
    monkeypatch.setattr(rerun_check, "RERUN_TICKS", 400)
    monkeypatch.setattr(rerun_check, "_CHECKPOINT_TICKS", 100)


def problems_of(game: type[Rules]) -> list[str]:
    with Watchdog(lambda *_: None, 50) as watchdog:
        return rerun_problems(game, rerun_trial(game, watchdog), watchdog)


class Counting(Rules):
    """Counts on the class, where a second game goes on."""

    calls: ClassVar = [0]

    def on_tick(self) -> None:
        self.calls[0] += 1
        self.emit("calls", self.calls[0])


class Forgetful(Rules):
    """Saves nothing of what it counts."""

    def on_start(self) -> None:
        self.jumps = 0

    def save(self) -> None: ...

    def load(self, value: Any) -> None: ...

    @action
    def jump(self, player: Player) -> int:
        self.jumps += 1
        return self.jumps


class Calm(Bazaar):
    """A bazaar without guards."""

    def on_tick(self) -> None: ...


class Whispering(Rules):
    """Answers with a number by chance that no journal has."""

    @action(private=True)
    def draw(self, player: Player) -> int:
        return secrets.randbits(60)


class Hoarding(Rules):
    """Saves such a number."""

    def to_save(self, player: Player) -> dict[str, Any]:
        return player.saved

    @action(private=True)
    def draw(self, player: Player) -> None:
        player.saved["drawn"] = secrets.randbits(60)


class Chancy(Calm):
    """Has another source of chance."""

    def on_start(self) -> None:
        super().on_start()
        self.random = random.SystemRandom()


class Closing(Calm):
    """Sets a timer that no checkpoint holds."""

    def on_resume(self, player: Player) -> None:
        self.after(200, lambda: player.tell("late"))


def test_game_that_runs_again_has_no_problem() -> None:
    with Watchdog(lambda *_: None, 50) as watchdog:
        trial = rerun_trial(Calm, watchdog)
        assert rerun_problems(Calm, trial, watchdog) == []
    assert sum(isinstance(entry, RecordedTick) for entry in trial.entries) == 400
    assert sum(isinstance(entry, Checkpoint) for entry in trial.entries) == 5
    resumed = [entry.resumed for entry in trial.entries if isinstance(entry, RecordedTick) and entry.resumed]
    assert len(resumed) > 2


def test_state_outside_of_the_game_is_found() -> None:
    (problem,) = problems_of(Counting)
    assert problem.startswith("tick 1: event 1: calls(1) of the game in the journal, calls(401) of the game in the re")
    assert "as on the class" in problem


@pytest.mark.parametrize(
    ("game", "words"), [(Whispering, "what players were told alone"), (Hoarding, "what was saved of ")]
)
def test_difference_that_is_in_no_frame_is_found(game: type[Rules], words: str) -> None:
    (problem,) = problems_of(game)
    assert words in problem


def test_random_source_that_no_checkpoint_holds_is_named() -> None:
    problem, *_ = problems_of(Chancy)
    assert problem.startswith("self.random is of type SystemRandom, whose state no checkpoint holds: leave it as ")


def test_state_that_save_leaves_out_is_found() -> None:
    (problem,) = problems_of(Forgetful)
    assert "began with the checkpoint of tick 100: save() has left out what made the difference" in problem


def test_timer_that_no_checkpoint_holds_is_named_with_its_line() -> None:
    (problem,) = problems_of(Closing)
    line = inspect.getsourcelines(Closing.on_resume)[1] + 1
    assert f"test_rerun_check.py:{line}) calls a function that has no name in the game" in problem


class Local(Rules):
    """Tells what differs from process to process."""

    def on_tick(self) -> None:
        self.emit("process", os.getpid())


class Unplain(Forgetful):
    """Saves what no checkpoint holds."""

    def save(self) -> Any:
        return {1}

    @action
    def jump(self, player: Player) -> None: ...


@pytest.mark.parametrize("game", [Local, Unplain])
def test_check_tells_one_cause_once(
    game: type[Rules], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    # The other process imports this module too.
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    assert cli.main(["check", f"test_rerun_check:{game.__name__}", "--rerun"]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("wrong")][1:] == []


@pytest.mark.parametrize("options", [[], ["--rerun"]])
def test_check_runs_a_minute_again_if_it_is_asked_to(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "zoneserver.games.tag:Tag", *options]) == 0
    assert ("re-run   400 ticks, from the start" in capsys.readouterr().out) == bool(options)
