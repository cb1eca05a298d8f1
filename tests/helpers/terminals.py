"""A real pseudo-terminal that a program runs in."""

from __future__ import annotations

import contextlib
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
# How long a test waits before it fails; a fifth of it is usually enough.
_PATIENCE_SECONDS = 50.0
_COLOURS = rb"(?:\x1b\[[0-9;]*m)*"


class Terminal:
    """Runs a program with the terminal as its controlling terminal. `start` gets the arguments for `Popen`."""

    def __init__(
        self, start: Callable[..., subprocess.Popen[Any]], columns: int = 80, rows: int = 24, stderr: Any = None
    ) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self.before = self.attributes()
        self.everything = b""
        """Everything that the program wrote."""
        self.output = b""
        """What the program wrote after the words that were last waited for."""
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
        # A program that Ctrl-\\ ends must leave no core file.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def resize(self, columns: int, rows: int) -> None:
        size = rows.to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, size)

    def attributes(self) -> list[Any]:
        return list(termios.tcgetattr(self._slave))

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, words: bytes) -> None:
        """Read until the program has written these words, in any colours."""
        wanted = re.compile(_COLOURS.join(re.escape(words[place : place + 1]) for place in range(len(words))))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (found := wanted.search(self.output)) is None:
            assert time.monotonic() < deadline, f"{words!r} never came: {self.output[-2000:]!r}"
            self._read(0.1)
        self.output = self.output[found.end() :]

    def fill(self) -> None:
        """Read no more, and fill the terminal: it takes nothing more from the program."""
        filler = os.open(os.ttyname(self._slave), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(filler, b" ")
        os.close(filler)
        assert not select.select([], [self._slave], [], 0)[1]

    def wait_for_end(self) -> int:
        """Read until the program has ended; return its exit code."""
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

    def stall(self) -> None:
        """Take no more output, as after Ctrl-S: whatever writes waits."""
        termios.tcflow(self._slave, termios.TCOOFF)

    def hang_up(self) -> None:
        """Close the window, as a user does: the program gets a hang-up signal."""
        os.close(self._master)
        os.close(self._slave)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
