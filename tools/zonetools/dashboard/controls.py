"""What the user has set with the keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from zoneserver.admin.stats import SESSION_SORTS
from zonetools.dashboard.data.monitor import WINDOWS, ServerState
from zonetools.dashboard.screen import processes
from zonetools.dashboard.screen.glyphs import Glyphs
from zonetools.dashboard.screen.replay import STEP_SECONDS
from zonetools.dashboard.screen.view import ScreenState, lists_shown, next_panel


class Orders(Protocol):
    """Gives commands to the server. Each method returns a text for the user, until the server has answered."""

    def objection(self, name: str) -> str:
        """Why the player of this name cannot be kicked from here; empty if that is possible."""

    def kick(self, name: str) -> str: ...

    def play_or_pause(self) -> str: ...

    def change_speed(self, factor: float) -> str: ...

    def seek(self, seconds: int) -> str: ...


# The keys of a replay.
_STEERING: dict[str, Callable[[Orders], str]] = {
    "p": lambda orders: orders.play_or_pause(),
    "left": lambda orders: orders.seek(-STEP_SECONDS),
    "right": lambda orders: orders.seek(STEP_SECONDS),
    "[": lambda orders: orders.change_speed(0.5),
    "]": lambda orders: orders.change_speed(2.0),
}


class Controls:
    """Carries out what the keys mean. `size` returns the terminal's columns and rows; `reset` clears the counts;
    `orders` gives commands to the server. With several admin `ports`, digits choose one."""

    def __init__(
        self,
        size: Callable[[], tuple[int, int]],
        reset: Callable[[], None],
        glyphs: Glyphs,
        orders: Orders | None = None,
        ports: int = 1,
    ) -> None:
        self._size = size
        self._reset = reset
        self._glyphs = glyphs
        self._orders = orders
        # The names in the list of sessions, in its order; the selected name; the name of whom to kick if the answer is
        # yes; what stands in place of the keys until the next one.
        self._names: list[str] = []
        self._selected: str | None = None
        self._doomed: str | None = None
        self._details = False
        self._is_replay = False
        self._has_gateways = False
        self._ports = ports
        self.only: int | None = None
        """The place of the port that is shown alone; None for all."""
        self.notice = ""
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
        return lists_shown(self._panel, *self._space(), self._has_gateways)

    def _space(self) -> tuple[int, int]:
        """Columns and rows, without the bar of a replay."""
        columns, rows = self._size()
        return columns, rows - self._is_replay

    def screen_state(self, server: ServerState) -> ScreenState:
        """What the screen shows of this server with the present settings."""
        self._names = [session.name for session in server.sessions.sessions] if server.sessions else []
        self._is_replay = bool(server.samples and server.samples[-1].stats.replay)
        self._has_gateways = bool(processes.rows_of(server))
        shown = WINDOWS[self._window], self.paused, self._help, self._panel, self._glyphs
        return ScreenState(server, *shown, self._selected, self._details, self.notice, self._ports > 1)

    def settle(self) -> None:
        """End pause and help, so that the screen shows the zone as it is now."""
        self.paused = self._help = self._details = False
        self._selected = None

    def press(self, key: str) -> None:
        """Do what the key means; a key without a meaning only has the screen drawn again."""
        doomed, self._doomed, self.notice = self._doomed, None, ""
        if doomed is not None:
            self.notice = self._orders.kick(doomed) if self._orders and key in ("y", "Y") else f"{doomed} stays"
        elif self._is_replay and self._orders is not None and key in _STEERING:
            self.notice = _STEERING[key](self._orders)
        elif key in ("q", "Q"):
            self.over = True
        elif key in ("up", "down"):
            self._move(1 if key == "down" else -1)
        elif key in ("\n", "\r", "d"):
            self._details = self._selected in self._names and not self._details
        elif key == "k":
            self._ask()
        elif key.isdecimal() and self._ports > 1:
            self._choose(int(key))
        elif key == "?":
            self._help = not self._help
        elif key == " ":
            self.paused = not self.paused
        elif key == "\t":
            self._panel = next_panel(self._panel, *self._space(), self._has_gateways)
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

    def _choose(self, number: int) -> None:
        """Shows one port alone, counted from 1; all with 0."""
        if number > self._ports:
            self.notice = f"there are {self._ports} ports"
        else:
            self.only, self._selected, self._details = number - 1 if number else None, None, False

    def _move(self, step: int) -> None:
        """Selects the next or the previous session; none above the first."""
        if step > 0 and "sessions" not in self.lists:
            self._panel = "sessions"
        place = self._names.index(self._selected) if self._selected in self._names else -1
        place = min(place + step, len(self._names) - 1)
        self._selected = self._names[place] if place >= 0 else None

    def _ask(self) -> None:
        """Asks whether to kick the player of the selected session."""
        if self._selected not in self._names or self._orders is None:
            self.notice = "select a session with the arrow keys first"
            return
        objection = self._orders.objection(self._selected)
        if objection:
            self.notice = f"cannot kick: {objection}"
        else:
            self._doomed, self.notice = self._selected, f"kick {self._selected}? y/n"
