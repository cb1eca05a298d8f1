"""Programs that a test starts as a user does, and the processes that they start."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from helpers.paths import ROOT
from helpers.terminals import Terminal

PATIENCE_SECONDS = 50.0
"""A test fails if a step takes this long. No step is expected to take a fifth of it."""


Found = TypeVar("Found")


def until(look: Callable[[], Found]) -> Found:
    """The first true result of `look`, which is called again and again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
    return found


class Family:
    """Programs that a test starts, and all their descendants.

    They are found by a mark in their environment, since some of them have sessions of their own.
    """

    def __init__(self) -> None:
        self.mark = f"TEST_FAMILY={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        removed = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        inherited = {key: text for key, text in os.environ.items() if key not in removed}
        self.environment = inherited | {name: value, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *command: str, **settings: Any) -> subprocess.Popen[str]:
        usual = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT}
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=self.environment, text=True, **usual | settings
        )
        self.started.append(process)
        return process

    def terminal(self, *command: str, stderr: Any = None) -> Terminal:
        """Starts a program in a terminal of its own."""
        return Terminal(functools.partial(self.start, *command), stderr=stderr)

    def run(self, *command: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a program that ends by itself."""
        return ended(self.start(*command))

    def members(self) -> dict[int, str]:
        """The command of each process of the family that is alive, by its id."""
        alive = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    alive[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return alive

    def close(self) -> None:
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def assert_everything_delivered(report: dict[str, Any], bots: int, *, has_hashes: bool = True) -> None:
    actions = report["actions"]
    assert report["bots"] == {"requested": bots, "joined": bots, "failed": 0, "web": 0}
    assert actions["sent"] == actions["delivered"] + actions["superseded"] + sum(actions["refused"].values())
    assert (actions["lost"], actions["duplicated"], actions["reordered"]) == (0, 0, 0)
    assert actions["delivered"] > 0
    assert (report["frames"]["mismatched"], report["frames"]["gaps"]) == (0, 0)
    assert report["frames"]["received"] > 0
    assert report["state_hash"]["diverged"] == 0
    assert report["state_hash"]["checked"] > 0 or not has_hashes
    assert (report["closed"], report["closed_early"], report["faults"]) == ({"CLIENT_LEFT": bots}, 0, 0)
    assert {error["kind"] for error in report["errors"]} <= {"refusal"}
