"""The command `zoneserver schema`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.arsenal import Arsenal
from helpers.paths import ROOT

from zoneserver.cli import main as cli
from zoneserver.zone.schema import schema_of


def test_schema_is_printed_as_json() -> None:
    command = [sys.executable, "-m", "zoneserver", "schema", "helpers.arsenal:Arsenal"]
    done = subprocess.run(
        command, cwd=ROOT / "tests", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == schema_of(Arsenal)


def test_check_says_whether_a_file_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, file in (("json", "tag.json"), ("ts", "tag.d.ts"), ("csharp", "TagGame.cs")):
        command = ["schema", "zoneserver.games.tag:Tag", "--lang", language]
        assert cli.main(command) == 0
        text = capsys.readouterr().out
        # Some systems end lines otherwise.
        Path(file).write_text(text, newline="\r\n")
        assert cli.main([*command, "--check", file]) == 0
        Path(file).write_text(text.replace("tags", "touches"))
        assert cli.main([*command, "--check", file]) == 1
        captured = capsys.readouterr()
        again = f"zoneserver {' '.join(command)} > {file}"
        assert (captured.out, captured.err) == ("", f"zoneserver: {file} is stale: {again}\n")
        assert language == "json" or f"//     {again}\n" in text


def test_file_that_cannot_be_checked_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "zoneserver.games.tag:Tag", "--check", str(tmp_path / "none.json")]) == 3
    assert "none.json: No such file" in capsys.readouterr().err
    (tmp_path / "other").write_bytes(b"\xff\x00")
    assert cli.main(["schema", "zoneserver.games.tag:Tag", "--check", str(tmp_path / "other")]) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("stats = ['hp']", "stats is ['hp']: it must be a dict"),
        ("events = {'won': int}", "events['won'] is <class 'int'>: it must be a tuple of types"),
        ("@action\n    def go(self, player, way: dict): ...", "Game.go(way) is annotated <class 'dict'>"),
    ],
)
def test_problem_of_a_game_is_one_line_on_stderr(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"schema_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(f"from zoneserver import *\n\nclass Game(Rules):\n    {body}\n")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["schema", f"{name}:Game"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert words in captured.err
