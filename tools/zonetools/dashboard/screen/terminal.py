"""A full screen on the terminal: enter it, draw on it, and always restore what was there before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from zonetools.common.terminal_output import TerminalOutput
from zonetools.dashboard.screen.keys import Keyboard

# The errors of a loop that cannot handle a signal: Windows has none, and only the main thread may handle one.
_UNSUPPORTED = (AttributeError, NotImplementedError, RuntimeError, ValueError)


class Screen:
    """A context manager: the alternate screen, no cursor, keys without Enter.

    `pressed` receives each key, and an empty text when the screen has to be drawn again. Ctrl-Z restores
    the terminal until the process continues; Ctrl-\\ restores it and then ends the process as usual. The
    program that runs the loop handles the other signals.
    """

    def __init__(self, console: Console, pressed: Callable[[str], None]) -> None:
        self._console = console
        # A file that does not block, if the console has one.
        self._output = console.file if isinstance(console.file, TerminalOutput) else None
        self._pressed = pressed
        self._keyboard = Keyboard(pressed)
        # The display on the screen; None while the terminal is restored.
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._open()
        with contextlib.suppress(*_UNSUPPORTED):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
            asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._quit)
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(*_UNSUPPORTED):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTSTP)
            asyncio.get_running_loop().remove_signal_handler(signal.SIGQUIT)
        self._close()

    def draw(self, view: Text) -> None:
        """Show a view that has the size of the console."""
        # A terminal that is behind gets a later view in place of this one.
        if self._live is not None and not (self._output is not None and self._output.is_behind):
            self._live.update(view, refresh=True)

    def _open(self) -> None:
        # Without auto_refresh: rich's thread would draw half-made states.
        live = Live(console=self._console, auto_refresh=False, screen=True)
        try:
            self._keyboard.open()
            live.start()
            self._live = live
        except BaseException:
            self._keyboard.close()
            raise

    def _close(self) -> None:
        live, self._live = self._live, None
        try:
            if live is not None:
                # The terminal may be gone; then there is nothing to restore.
                with contextlib.suppress(OSError):
                    live.stop()
                    if self._output is not None:
                        self._output.drain()
        finally:
            self._keyboard.close()

    def _suspend(self) -> None:
        self._close()
        # Returns when the process is continued, for example by `fg` in a shell.
        os.kill(os.getpid(), signal.SIGSTOP)
        self._open()
        self._pressed("")

    def _quit(self) -> None:
        self._close()
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGQUIT)
