"""Output to a terminal that may take nothing, as after Ctrl-S or over a connection that stalls.

A write to such a terminal blocks, and with it the event loop: no signal would end the program. What is written here
waits in this process instead, and goes to the terminal as it takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import select
import sys
import time
from typing import TextIO

try:
    import termios
except ImportError:  # Windows.
    _has_termios = False
else:
    _has_termios = True

# How long the end of the output waits for a terminal that takes nothing.
_STALL_SECONDS = 1.0
# CAN ends an escape sequence that was cut; then: the ordinary screen, the cursor, no colour.
_RESTORE = b"\x18\x1b[?1049l\x1b[?25h\x1b[0m\r\n"


class TerminalOutput(io.TextIOBase):
    """A text file that writes to a terminal without blocking. Call `finish` at its end."""

    def __init__(self, stream: TextIO) -> None:
        self._encoding = stream.encoding
        # A description of its own: to stop blocking on the shared one would reach the shell as well.
        self._descriptor = os.open(os.ttyname(stream.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        self._waiting = bytearray()
        # Why the terminal takes nothing any more; None while it does.
        self._error: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def is_behind(self) -> bool:
        """Whether the terminal has not taken everything yet."""
        return bool(self._waiting)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._waiting += text.encode(self._encoding, "replace")
        return len(text)

    def flush(self) -> None:
        """Write what the terminal takes now; the event loop writes the rest as the terminal takes it. Raises OSError if
        the terminal is gone."""
        if self.closed:
            return
        self._write()
        if self._error is not None:
            raise self._error
        if self._waiting and self._loop is None:
            with contextlib.suppress(RuntimeError, NotImplementedError):
                loop = asyncio.get_running_loop()
                loop.add_writer(self._descriptor, self._write)
                self._loop = loop

    def finish(self) -> None:
        """Write the rest, as `drain` does, and close the file."""
        if not self.closed:
            self.drain()
            self._waiting.clear()
            self._error = None
            self.close()
            os.close(self._descriptor)

    def drain(self) -> None:
        """Write the rest. If the terminal takes nothing for a second, discard it and restore the terminal."""
        self._stop_watching()
        deadline = time.monotonic() + _STALL_SECONDS
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while self._waiting and time.monotonic() < deadline:
            before = len(self._waiting)
            poll.poll(100)
            self._write()
            if len(self._waiting) < before:
                deadline = time.monotonic() + _STALL_SECONDS
        if self._waiting:
            self._discard()

    def _discard(self) -> None:
        self._waiting[:] = _RESTORE
        if _has_termios:
            # Ctrl-S is undone; what the terminal has not taken makes room for the restoring.
            with contextlib.suppress(OSError, termios.error):
                termios.tcflow(self._descriptor, termios.TCOON)
                termios.tcflush(self._descriptor, termios.TCOFLUSH)
        self._write()

    def _write(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._descriptor, self._waiting[:4096])]
        except BlockingIOError:
            return
        except OSError as error:
            self._waiting.clear()
            # A terminal that was closed: the process gets SIGHUP, and ends in order.
            self._error = None if error.errno == errno.EIO else error
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._loop is not None:
            loop, self._loop = self._loop, None
            loop.remove_writer(self._descriptor)


def terminal_output(stream: TextIO) -> TerminalOutput | None:
    """The output to the terminal of a standard stream; None if the stream is no terminal, or none that can be opened
    once more, as after `su`."""
    if sys.platform == "win32" or not stream.isatty():
        return None
    try:
        return TerminalOutput(stream)
    except (OSError, ValueError):
        return None
