"""What every command does around its own work: settings, logs, exit codes, output files."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoneserver.cli.command import parse_output, require_open_files, run_command, write_output
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import CannotStartError, UsageError
from zoneserver.support.parse import parse_duration


def run(body: Callable[[argparse.Namespace], Any], *argv: str) -> int:
    parser = Parser("zone-nap", "Sleep.")
    parser.setting("--time", parse=parse_duration, default=30.0, help="how long")
    parser.common()
    return run_command(parser, body, argv)


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def body(_: argparse.Namespace) -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no such bed"), 2, "zone-nap: no such bed\n"),
        (CannotStartError("no bed is free"), 3, "zone-nap: no bed is free\n"),
        (FileNotFoundError(2, "No such file or directory", "bed"), 3, "zone-nap: bed: No such file or directory\n"),
        (KeyboardInterrupt(), 130, ""),
        (asyncio.CancelledError(), 130, ""),
    ],
)
def test_run_command_turns_an_error_into_an_exit_code_and_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_run_command_prints_an_error_as_an_object_if_the_log_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(UsageError("no such bed")), "--log-format", "json") == 2
    out, err = capsys.readouterr()
    assert (out, json.loads(err)["level"], json.loads(err)["message"]) == ("", "error", "no such bed")


def test_run_command_escapes_an_error_that_could_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(UsageError("no bed \x1b[31m\nat all"))) == 2
    assert capsys.readouterr().err == "zone-nap: no bed \\x1b[31m\nat all\n"


def test_run_command_logs_the_traceback_at_the_level_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(UsageError("no such bed")), "-v") == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("zone-nap: no such bed\n")


def test_run_command_runs_a_coroutine() -> None:
    async def body(arguments: argparse.Namespace) -> int:
        await asyncio.sleep(0)
        return int(arguments.time)

    assert run(body, "--time", "7s") == 7


def test_no_color_is_passed_on_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"FORCE_COLOR": "1"})
    seen: list[dict[str, str]] = []

    def body(_: argparse.Namespace) -> int:
        seen.append(dict(os.environ))
        return 0

    run(body, "--no-color")
    assert [environment.get("NO_COLOR") for environment in seen] == ["1"]
    assert "FORCE_COLOR" not in seen[0]


def test_parse_output_rejects_a_file_in_a_missing_folder(tmp_path: Path) -> None:
    assert parse_output("-") == "-"
    assert parse_output(str(tmp_path / "report.json")) == str(tmp_path / "report.json")
    with pytest.raises(ValueError, match=r"cannot write .*: No such file or directory"):
        parse_output(str(tmp_path / "missing" / "report.json"))


def test_write_output_writes_a_file_or_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_output(str(tmp_path / "text"), "one\n")
    assert (tmp_path / "text").read_text() == "one\n"
    write_output("-", "two\n")
    assert capsys.readouterr().out == "two\n"
    with pytest.raises(CannotStartError, match="cannot write"):
        write_output(str(tmp_path), "three")


def test_require_open_files_names_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.cli.command.raise_open_files", lambda _wanted: 1024)
    require_open_files(1024, "1,000 bots need")
    with pytest.raises(CannotStartError, match="1,100 bots need 1200 open files: ulimit -n 1200"):
        require_open_files(1200, "1,100 bots need")
