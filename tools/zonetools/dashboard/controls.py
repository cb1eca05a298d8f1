"""What the keys have set."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from zoneserver.admin.stats import SESSION_SORTS
from zonetools.dashboard.data.monitor import WINDOWS
from zonetools.dashboard.screen.view import ScreenState, lists_shown, turned

__all__ = ["Controls"]


class Controls:
    """Does what keys stand for. `size` tells the terminal's columns and rows, `reset` forgets what was counted."""

    def __init__(self, size: Callable[[], tuple[int, int]], reset: Callable[[], None]) -> None:
        self._size = size
        self._reset = reset
        self.changed = asyncio.Event()
        """Set when the screen has to be drawn again."""
        self.over = False
        self.paused = False
        self.sort = SESSION_SORTS[0]
        """What the sessions are sorted by."""
        self._help = False
        self._panel = ""
        self._window = 1

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists that are on the screen."""
        return lists_shown(self._panel, *self._size())

    def applied(self, picture: ScreenState) -> ScreenState:
        """The picture as it is to be seen."""
        window = WINDOWS[self._window]
        return dataclasses.replace(picture, window=window, paused=self.paused, help=self._help, panel=self._panel)

    def settle(self) -> None:
        """Ends pause and help: what is to be seen from here on is the zone."""
        self.paused = self._help = False

    def press(self, key: str) -> None:
        """Does what the key stands for; one without a meaning only draws anew."""
        if key in ("q", "Q"):
            self.over = True
        elif key == "?":
            self._help = not self._help
        elif key == " ":
            self.paused = not self.paused
        elif key == "\t":
            self._panel = turned(self._panel, *self._size())
        elif key in ("<", ",", ">", "."):
            self._sort_by(-1 if key in "<," else 1)
        elif key in ("+", "="):
            self._window = min(len(WINDOWS) - 1, self._window + 1)
        elif key == "-":
            self._window = max(0, self._window - 1)
        elif key in ("r", "R"):
            # What is counted from here on is to be seen.
            self.paused = False
            self._reset()
        self.changed.set()

    def _sort_by(self, step: int) -> None:
        """Turns to the next column; where no sessions are on the screen, to them first."""
        if "sessions" in self.lists:
            self.sort = SESSION_SORTS[(SESSION_SORTS.index(self.sort) + step) % len(SESSION_SORTS)]
        else:
            self._panel = "sessions"
