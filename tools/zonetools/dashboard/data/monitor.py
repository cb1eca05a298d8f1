"""What is known of one server, and how it is to be shown."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from zoneserver.admin.stats import SESSION_SORTS, SessionList
from zonetools.common.admin_client import AdminClient, ServerUnreachable, ZoneMap
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.screen.glyphs import ASCII, UNICODE, Glyphs
from zonetools.dashboard.screen.svg import svg
from zonetools.dashboard.screen.view import HEIGHT_MIN, WIDTH_MIN, Away, ScreenState, render

__all__ = ["WINDOWS", "DisplayOptions", "Export", "Monitor", "ScreenSize"]

WINDOWS = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds that charts may reach back."""
# Larger than any terminal, and a picture that nobody can read.
_WIDTH_MAX, _HEIGHT_MAX = 400, 200
# As many sessions, and closes, as the highest screen has room for.
_LISTED = 40


@dataclass(frozen=True, slots=True)
class ScreenSize:
    """Columns and rows, as in `120x36`.

    >>> ScreenSize.parse("120x36"), str(ScreenSize(80, 24))
    (ScreenSize(columns=120, rows=36), '80x24')
    """

    columns: int
    rows: int

    @classmethod
    def parse(cls, text: str) -> ScreenSize:
        """Raises ValueError for what is none, or is too small for a screen, or larger than any."""
        match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
        if match is None:
            raise ValueError(f"{text!r} is not a size: write 120x36, columns and rows")
        columns, rows = int(match[1]), int(match[2])
        if not (WIDTH_MIN <= columns <= _WIDTH_MAX and HEIGHT_MIN <= rows <= _HEIGHT_MAX):
            raise ValueError(f"{text} is not within {WIDTH_MIN}x{HEIGHT_MIN} and {_WIDTH_MAX}x{_HEIGHT_MAX}")
        return cls(columns, rows)

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}"


@dataclass(frozen=True, slots=True)
class Export:
    """An SVG file of the last screen, and the size of that, whatever the terminal's."""

    file: Path
    size: ScreenSize = ScreenSize(120, 36)


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """How it is shown."""

    ascii: bool = False
    json: bool = False
    """JSON lines in place of the screen or the columns."""
    export: Export | None = None

    def glyphs(self) -> Glyphs:
        """The characters of pictures: plain ones too where standard output cannot carry others."""
        return UNICODE if not self.ascii and (sys.stdout.encoding or "").lower().startswith("utf") else ASCII

    def console(self) -> Console:
        """The console on standard output as it is now."""
        return Console(highlight=False, markup=False, emoji=False)


class Monitor:
    """What is known of one server."""

    def __init__(self, host: str, port: int, interval: float, look: DisplayOptions) -> None:
        self._export = look.export
        # Asked for now: while the screen is up, standard output is a stand-in.
        self._glyphs = look.glyphs()
        self._source = AdminClient(host, port, ascii=not self._glyphs.dots)
        self.interval = interval
        self.history = History(interval, max(WINDOWS))
        self.zone: ZoneMap | None = None
        self.last: Sample | None = None
        self._listed: SessionList | None = None
        # When that was asked for.
        self._listed_at = 0.0
        # Why it is away, and since when by the two clocks; None while it answers.
        self._away: tuple[str, float, str] | None = None

    async def ask(self, with_map: bool = False, sort: str | None = None) -> Sample:
        """Takes one more sample, and with `sort` a list of sessions. Raises AwayError, and remembers since when.

        What is to be exported is asked for anyway.
        """
        if self._export is not None:
            with_map, sort = True, sort or SESSION_SORTS[0]
        try:
            stats = await self._source.stats()
            if with_map:
                self.zone = await self._source.map()
            if sort is not None:
                await self._list(sort)
        except ServerUnreachable as error:
            since = self._away[1:] if self._away else (time.monotonic(), time.strftime("%H:%M:%S"))
            self._away = (str(error), *since)
            raise
        self._away = None
        self.last = self.history.add(stats, time.monotonic())
        return self.last

    async def _list(self, sort: str) -> None:
        """Asks who is first, once an interval: the server looks at everybody for it."""
        now = time.monotonic()
        if self._listed is None or self._listed.sort != sort or now - self._listed_at >= 0.9 * self.interval:
            self._listed = await self._source.sessions(sort, _LISTED)
            self._listed_at = now

    def reset(self) -> None:
        """Forgets what was seen and counted so far."""
        self.history.reset(time.monotonic(), time.strftime("%H:%M:%S"))

    def picture(self) -> ScreenState:
        """All of it, to be drawn."""
        now = time.monotonic()
        away = None
        if self._away is not None:
            reason, since, clock = self._away
            away = Away(reason, clock, now - since)
        listed, reset = self._listed, self.history.reset_at
        if listed is not None and reset is not None:
            age = self._listed_at - reset.at
            listed = replace(listed, closed=[closed for closed in listed.closed if closed.ago_s <= age])
        return ScreenState(
            address=self._source.address,
            samples=self.history.samples(),
            now=now,
            zone=self.zone,
            listed=listed,
            away=away,
            since=None if reset is None else reset.clock,
            glyphs=self._glyphs,
        )

    def export(self) -> None:
        """Writes the file, if one is asked for and the server has ever answered. Raises OSError."""
        if self._export is not None and self.last is not None:
            stats, columns, rows = self.last.stats, self._export.size.columns, self._export.size.rows
            title = f"zone-dash: {stats.players:,} players in {stats.game}, a tick takes {stats.tick_ms['p99']:.1f} ms"
            view = render(self.picture(), columns, rows)
            self._export.file.write_text(svg(view, columns, rows, title), encoding="utf-8")

    def close(self) -> None:
        """Ends the connection to the server."""
        self._source.close()
