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

# An arrow or function key sends an escape sequence: its letters are not keys that the user pressed.
_KEY = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?|[^\x1b]", re.DOTALL)
_ARROWS = {
    b"\x1b" + start + letter: name
    for start in (b"[", b"O")
    for letter, name in ((b"A", "up"), (b"B", "down"), (b"C", "right"), (b"D", "left"))
}


class Keyboard:
    """Calls `pressed` with each character typed between `open` and `close`, and with `up`, `down`, `left` and
    `right` for the arrows.

    Ctrl-C and Ctrl-Z still raise their signals. If standard input is no terminal, `pressed` is never
    called. `close` restores the terminal's attributes and may be called at any time.
    """

    def __init__(self, pressed: Callable[[str], None]) -> None:
        self._pressed = pressed
        # The attributes to restore; None if there is nothing to restore.
        self._before: list[Any] | None = None
        # The loop that watches the terminal; None if the terminal is not watched.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1

    def open(self) -> None:
        """Start to read; a no-op without a terminal."""
        if not _has_termios or self._before is not None:
            return
        try:
            descriptor = sys.stdin.fileno()
            if not os.isatty(descriptor):
                return
            self._before = termios.tcgetattr(descriptor)
            self._descriptor = descriptor
            tty.setcbreak(descriptor, termios.TCSANOW)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(descriptor, self._read)
        except (OSError, ValueError, termios.error, NotImplementedError):
            # Standard input is closed or belongs to another process, or the loop cannot watch it: work without keys.
            self.close()

    def close(self) -> None:
        """Restore the terminal as it was found."""
        self._stop_reading()
        if self._before is not None:
            before, self._before = self._before, None
            # The terminal may be gone.
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, before)

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
            # At end of file the descriptor stays readable for ever, and the loop would spin.
            self._stop_reading()
        for key in _KEY.findall(data):
            name = _ARROWS.get(key) or ("" if key[:1] == b"\x1b" else key.decode("ascii", "ignore"))
            if name:
                self._pressed(name)
