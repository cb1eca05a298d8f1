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
