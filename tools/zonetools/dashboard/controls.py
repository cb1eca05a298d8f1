"""What the user has set with the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoneserver.admin.stats import SESSION_SORTS
from zonetools.dashboard.data.monitor import WINDOWS, ServerState
from zonetools.dashboard.screen.glyphs import Glyphs
from zonetools.dashboard.screen.view import ScreenState, lists_shown, next_panel


class Controls:
    """Carries out what the keys mean. `size` returns the terminal's columns and rows; `reset` clears the counts."""

    def __init__(self, size: Callable[[], tuple[int, int]], reset: Callable[[], None], glyphs: Glyphs) -> None:
        self._size = size
        self._reset = reset
        self._glyphs = glyphs
        self.changed = asyncio.Event()
        """Set when the screen has to be drawn again."""
        self.over = False
        self.paused = False
        self.sort = SESSION_SORTS[0]
        """The column that the sessions are sorted by."""
        self._help = False
        self._panel = ""
        self._window = 1

    @property
    def lists(self) -> tuple[str, ...]:
        """The lists that are on the screen."""
        return lists_shown(self._panel, *self._size())

    def screen_state(self, server: ServerState) -> ScreenState:
        """What the screen shows of this server with the present settings."""
        return ScreenState(server, WINDOWS[self._window], self.paused, self._help, self._panel, self._glyphs)

    def settle(self) -> None:
        """End pause and help, so that the screen shows the zone as it is now."""
        self.paused = self._help = False

    def press(self, key: str) -> None:
        """Do what the key means; a key without a meaning only has the screen drawn again."""
        if key in ("q", "Q"):
            self.over = True
        elif key == "?":
            self._help = not self._help
        elif key == " ":
            self.paused = not self.paused
        elif key == "\t":
            self._panel = next_panel(self._panel, *self._size())
        elif key in ("<", ",", ">", "."):
            if "sessions" in self.lists:
                step = -1 if key in "<," else 1
                self.sort = SESSION_SORTS[(SESSION_SORTS.index(self.sort) + step) % len(SESSION_SORTS)]
            else:
                self._panel = "sessions"
        elif key in ("+", "="):
            self._window = min(len(WINDOWS) - 1, self._window + 1)
        elif key == "-":
            self._window = max(0, self._window - 1)
        elif key in ("r", "R"):
            # A paused screen would not show the new counts.
            self.paused = False
            self._reset()
        self.changed.set()
