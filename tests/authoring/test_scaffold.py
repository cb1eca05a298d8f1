"""`zoneserver new`: the new game passes its own tests and the check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoneserver.authoring.scaffold import make_game
from zoneserver.cli import main as cli


def test_a_new_game_passes_its_own_tests_and_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "my_game"
    assert cli.main(["new", str(folder)]) == 0
    said = capsys.readouterr().out
    assert f"cd {folder}" in said
    assert "-m zoneclient ann " in said
    assert sorted(path.name for path in folder.iterdir()) == ["my_game.py", "test_my_game.py"]
    assert len((folder / "my_game.py").read_text().splitlines()) <= 50
    for command, words in (
        (["zoneserver", "check", "my_game:MyGame"], "nothing is wrong with it"),
        (["pytest", "-p", "no:asyncio", "-p", "no:cacheprovider"], "5 passed"),
    ):
        assert f"-m {' '.join(command[:3])}" in said or command[0] == "pytest"
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, words in done.stdout) == (0, True), done


def test_make_game_names_the_python_that_has_zoneserver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"{sys.executable} -m zoneserver run one:One" in make_game(tmp_path / "one")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert "  python -m zoneserver run two:Two" in make_game(tmp_path / "two")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "cannot be the name of a game"),
        ("3d", "cannot be the name of a game"),
        ("my-game", "cannot be the name of a game: use letters, digits and _"),
        ("spiel.py", "cannot be the name of a game"),
        ("größe", "cannot be the name of a game"),
        ("class", "cannot be the name of a game"),
        ("random", "would hide an existing"),
        ("zoneclient", "would hide an existing"),
        ("rules", "would hide an existing"),
        ("there", "exists already"),
        ("file/game", "cannot make"),
    ],
)
def test_a_wrong_name_is_one_line_on_stderr_and_makes_nothing(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["new", name]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert words in captured.err
    assert sorted(tmp_path.rglob("*")) == before
