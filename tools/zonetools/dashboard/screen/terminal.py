"""The terminal while a full screen is on it: entered, drawn to, and always given back as it was."""

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

from zonetools.dashboard.screen.keys import Keyboard

__all__ = ["Screen"]

# What a loop says that takes no such signal: Windows has none, and only the main thread may take one.
_NOT_TAKEN = (AttributeError, NotImplementedError, RuntimeError, ValueError)


class Screen:
    """A context manager: the alternate screen, no cursor, keys without Enter.

    `pressed` gets each key, and an empty text when the screen has to be drawn again. Ctrl-Z gives
    the terminal back until the process goes on, and Ctrl-\\ before it ends the process as it always
    does. Other signals are left to whoever runs the loop.
    """

    def __init__(self, console: Console, pressed: Callable[[str], None]) -> None:
        self._console = console
        self._pressed = pressed
        self._keyboard = Keyboard(pressed)
        # What is on the screen; None while the terminal is given back.
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self._open()
        with contextlib.suppress(*_NOT_TAKEN):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
            asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._quit)
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(*_NOT_TAKEN):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGTSTP)
            asyncio.get_running_loop().remove_signal_handler(signal.SIGQUIT)
        self._close()

    def draw(self, view: Text) -> None:
        """Shows a view of the size of the console."""
        if self._live is not None:
            self._live.update(view, refresh=True)

    def _open(self) -> None:
        # Live's own refresh thread would draw between two states of ours.
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
                # The terminal itself may be gone: then there is nobody to give it back to.
                with contextlib.suppress(OSError):
                    live.stop()
        finally:
            self._keyboard.close()

    def _suspend(self) -> None:
        self._close()
        # Returns when somebody continues the process, `fg` of a shell for one.
        os.kill(os.getpid(), signal.SIGSTOP)
        self._open()
        self._pressed("")

    def _quit(self) -> None:
        self._close()
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGQUIT)
