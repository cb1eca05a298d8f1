"""`zoneserver rerun`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.bazaar import Bazaar, inputs
from helpers.played import brought_back, go_on, play

from zoneserver.cli.main import main


class Richer(Bazaar):
    """Another version of the game."""

    name = "bazaar"

    def on_tick(self) -> None:
        super().on_tick()
        if self.tick == 25:
            self.board["sales"] += 1000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal of 60 ticks and one restart."""
    script = inputs(1, 60)
    play(tmp_path, Bazaar(), script[:40], checkpoints=(20,))
    go_on(tmp_path, brought_back(tmp_path, Bazaar), script[40:])
    return tmp_path


@pytest.mark.parametrize(
    ("options", "ticks", "first"), [([], 60, 0), (["--from", "39"], 40, 20), (["--from", "19"], 60, 0)]
)
def test_rerun_of_the_same_game_has_no_difference(
    options: list[str], ticks: int, first: int, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerun", str(directory), "helpers.bazaar:Bazaar", *options]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(rf"{ticks} ticks from tick {first} on were run again in .* s, \d+ times as fast .*\n", out), out


def test_rerun_of_another_game_names_the_first_difference(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert main(["rerun", str(directory), "test_rerun:Richer"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"tick 25: sales on the board: \S+ in the journal, 10\d\d in the re-run", first), first
    assert second == "24 ticks before it are the same; the game is of another code than that which wrote the journal"


class Wider(Bazaar):
    """A version of the game with another stat."""

    name = "bazaar"
    stats = Bazaar.stats | {"hats": 0}


def test_rerun_of_a_game_of_another_shape_is_refused_with_the_words_of_the_start(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert main(["rerun", str(directory), "test_rerun:Wider"]) == 3
    assert "the journal was written with the kinds player(" in capsys.readouterr().err


def test_rerun_without_a_journal_or_a_beginning_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rerun", str(tmp_path)]) == 3
    assert f"there is no journal in {tmp_path}" in capsys.readouterr().err
