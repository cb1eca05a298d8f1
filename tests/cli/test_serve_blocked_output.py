"""A running `zoneserver run` whose output nobody reads: players do not notice, and a signal stops it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS, Player, until

from zoneserver.protocol.messages import Bye, Tick


def full_pipe() -> tuple[int, int]:
    """(reader, writer) of a pipe without room."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    return reader, writer


def stopped_terminal() -> tuple[int, int]:
    """(controlling end, end of the program) of a terminal that Ctrl-S has stopped."""
    controller, terminal = os.openpty()
    termios.tcflow(terminal, termios.TCOOFF)
    return controller, terminal


@pytest.mark.parametrize(
    ("make", "blocked", "log_format"),
    [
        (full_pipe, ("stderr",), "json"),
        (full_pipe, ("stderr", "stdout"), "text"),
        (stopped_terminal, ("stderr", "stdout"), "text"),
    ],
)
def test_server_with_output_that_nobody_reads_runs_and_stops(
    tmp_path: Path, make: Callable[[], tuple[int, int]], blocked: tuple[str, ...], log_format: str
) -> None:
    reader, writer = make()
    ready_file = tmp_path / "ready.json"
    ports = ("--port", "0", "--stats-port", "0", "--ready-file", str(ready_file), "--log-format", log_format)
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | dict.fromkeys(blocked, writer)
    process = subprocess.Popen(
        [sys.executable, "-m", "zoneserver", "run", *ports],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        **pipes,
    )
    try:
        until(ready_file.exists)
        port = json.loads(ready_file.read_text())["port"]
        # Each of these players makes the server log a line.
        for _ in range(5):
            with contextlib.closing(Player(port)) as stranger:
                stranger.sock.sendall(b"nonsense")
                assert stranger.read_until(Bye).code == "PROTOCOL_ERROR"
        with contextlib.closing(Player(port)) as player:
            player.hello("ann")
            player.read_until(Tick)
            process.send_signal(signal.SIGTERM)
            assert player.read_until(Bye).code == "SERVER_STOPPING"
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)


def test_error_of_a_command_does_not_wait_for_stderr() -> None:
    reader, writer = full_pipe()
    command = [sys.executable, "-m", "zoneserver", "check", "no_such_module:Game"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=writer)
    try:
        assert process.wait(PATIENCE_SECONDS) == 3
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)
