"""How the dashboard is shown: which characters it may use, and the picture that it leaves behind."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console

from zonetools.common.console import BoundedConsole
from zonetools.dashboard.screen.glyphs import ASCII, UNICODE, Glyphs
from zonetools.dashboard.screen.svg import svg
from zonetools.dashboard.screen.view import HEIGHT_MIN, WIDTH_MIN, ScreenState, render

# Larger than any terminal; a picture of more cells would not be readable.
_WIDTH_MAX, _HEIGHT_MAX = 400, 200


@dataclass(frozen=True, slots=True)
class ScreenSize:
    """Columns and rows, written as `120x36`.

    >>> ScreenSize.parse("120x36"), str(ScreenSize(80, 24))
    (ScreenSize(columns=120, rows=36), '80x24')
    """

    columns: int
    rows: int

    @classmethod
    def parse(cls, text: str) -> ScreenSize:
        """Raises ValueError if the text is no size, or a size that no screen has."""
        match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", text)
        if match is None:
            raise ValueError(f"{text!r} is not a size: write columns and rows as in 120x36")
        columns, rows = int(match[1]), int(match[2])
        if not (WIDTH_MIN <= columns <= _WIDTH_MAX and HEIGHT_MIN <= rows <= _HEIGHT_MAX):
            raise ValueError(f"{text} is not between {WIDTH_MIN}x{HEIGHT_MIN} and {_WIDTH_MAX}x{_HEIGHT_MAX}")
        return cls(columns, rows)

    def __str__(self) -> str:
        return f"{self.columns}x{self.rows}"


@dataclass(frozen=True, slots=True)
class Export:
    """An SVG file of the last screen. Its size does not depend on the terminal."""

    file: Path
    size: ScreenSize = ScreenSize(120, 36)

    def write(self, state: ScreenState) -> None:
        """Write the file. `state` needs at least one sample. Raises OSError."""
        stats, columns, rows = state.server.samples[-1].stats, self.size.columns, self.size.rows
        title = f"zone-dash: {stats.players:,} players in {stats.game}, a tick takes {stats.tick_ms['p99']:.1f} ms"
        self.file.write_text(svg(render(state, columns, rows), columns, rows, title), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """How the statistics are shown, and how often."""

    interval: float = 1.0
    """The time between two lines, and the time that rates are taken over, in seconds."""
    ascii: bool = False
    json: bool = False
    """Whether to print lines of JSON instead of the screen or the columns."""
    export: Export | None = None

    def glyphs(self) -> Glyphs:
        """The characters to draw with: ASCII if asked for, or if standard output cannot encode others."""
        return UNICODE if not self.ascii and (sys.stdout.encoding or "").lower().startswith("utf") else ASCII

    def console(self, file: IO[str] | None = None) -> Console:
        """A console on a file, or on the present standard output."""
        return BoundedConsole(file=file, highlight=False, markup=False, emoji=False)
