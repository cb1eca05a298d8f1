"""A real pseudo-terminal with a program in it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import resource
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

ALTERNATE_ON, ALTERNATE_OFF = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = b"\x1b[?25l", b"\x1b[?25h"
# How long anything may take before a test fails; nothing is expected to take a fifth of it.
_PATIENCE_SECONDS = 50.0
_COLOURS = rb"(?:\x1b\[[0-9;]*m)*"


class Terminal:
    """Runs what `start` starts, which is given the rest of what `Popen` takes, with the terminal as its own."""

    def __init__(
        self, start: Callable[..., subprocess.Popen[Any]], columns: int = 80, rows: int = 24, stderr: Any = None
    ) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self.before = self.attributes()
        self.everything = b""
        """All that was written."""
        self.output = b""
        """What was written since the words that were last waited for."""
        self.process = start(
            stdin=self._slave,
            stdout=self._slave,
            stderr=stderr or self._slave,
            start_new_session=True,
            preexec_fn=self._take_terminal,
        )

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        # Whoever is ended by Ctrl-\\ leaves no core behind.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def resize(self, columns: int, rows: int) -> None:
        size = rows.to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)

    def attributes(self) -> list[Any]:
        return list(termios.tcgetattr(self._slave))

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, words: bytes) -> None:
        """Reads until the words have been written, in whatever colours."""
        wanted = re.compile(_COLOURS.join(re.escape(words[place : place + 1]) for place in range(len(words))))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (found := wanted.search(self.output)) is None:
            assert time.monotonic() < deadline, f"{words!r} never came: {self.output[-2000:]!r}"
            self._read(0.1)
        self.output = self.output[found.end() :]

    def wait_for_end(self) -> int:
        """Reads on until the program has ended; returns its exit code."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.output[-2000:]!r}"
            self._read(0.01)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._master], [], [], seconds)
        if readable:
            data = os.read(self._master, 65536)
            self.everything += data
            self.output += data
        return bool(readable)

    def hang_up(self) -> None:
        """The window is closed; the program is told, and goes on as it sees fit."""
        os.close(self._master)
        os.close(self._slave)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
