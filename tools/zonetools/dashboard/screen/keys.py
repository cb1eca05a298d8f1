"""Single keys from the terminal, without Enter and without echo."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows: the dashboard works there, without keys.
    _has_termios = False
else:
    _has_termios = True

__all__ = ["Keyboard"]

# What an arrow or a function key sends: its letters are not keys of their own.
_ESCAPED = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)


class Keyboard:
    """Calls `pressed` with each character typed, between `open` and `close`.

    Ctrl-C and Ctrl-Z still raise their signals. Where standard input is no terminal nothing is
    called. `close` restores the terminal's attributes and may be called at any time.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        # The attributes to restore; None when there is nothing to restore.
        self._before: list[Any] | None = None
        # The loop that watches the terminal; None when none does.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1

    def open(self) -> None:
        """Begins to read; a no-op without a terminal."""
        if not _has_termios or self._before is not None:
            return
        try:
            descriptor = sys.stdin.fileno()
            if not os.isatty(descriptor):
                return
            self._before = termios.tcgetattr(descriptor)
            self._descriptor = descriptor
            tty.setcbreak(descriptor, termios.TCSADRAIN)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(descriptor, self._read)
        except (OSError, ValueError, termios.error, NotImplementedError):
            # A closed or foreign standard input, or a loop that watches no terminals: no keys then.
            self.close()

    def close(self) -> None:
        """Gives the terminal back as it was found."""
        self._stop_reading()
        if self._before is not None:
            before, self._before = self._before, None
            # The terminal itself may be gone.
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

    def _stop_reading(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop = None

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 64)
        except OSError:
            data = b""
        if not data:
            # End of file stays readable for ever: without this the loop would spin.
            self._stop_reading()
        for character in _ESCAPED.sub(b"", data).decode("ascii", "ignore"):
            self._pressed(character)
