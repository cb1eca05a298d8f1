"""Figures as people read them, in a few characters each, and bars. Everything here is pure."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

__all__ = [
    "ASCII",
    "UNICODE",
    "Glyphs",
    "bar",
    "clip",
    "count",
    "fit",
    "heading",
    "level",
    "milliseconds",
    "size",
    "span",
]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that pictures are made of."""

    rule: str
    side: str
    corners: str
    """Top left, top right, bottom left, bottom right."""
    fill: str
    half: str
    rest: str
    ramp: str
    """From nothing to full, for one cell of a chart."""
    more: str
    """Stands for what is cut off."""
    sorted: str
    """Marks the column that a list is sorted by."""
    dots: bool
    """Whether the map may use braille."""


UNICODE = Glyphs("─", "│", "╭╮╰╯", "━", "╸", "┄", " ▁▂▃▄▅▆▇█", "…", "▾", dots=True)
ASCII = Glyphs("-", "|", "++++", "=", "-", ".", " .:-=+*%#", "~", "v", dots=False)


# Stands where a figure is not known yet.
_UNKNOWN = "-"


def count(value: float | None) -> str:
    """A count or a rate in at most five characters.

    >>> [count(value) for value in (0, 2.345, 1234, 12_345, 999_999, 4_560_000)]
    ['0', '2.3', '1,234', '12.3k', '1.00M', '4.56M']
    """
    if value is None:
        return _UNKNOWN
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return f"{round(value):,}"
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P"))


def size(value: float | None) -> str:
    """Bytes in at most eight characters.

    >>> [size(value) for value in (0, 512, 2048, 123_456, 5_000_000_000)]
    ['0 B', '512 B', '2.00 KiB', '121 KiB', '4.66 GiB']
    """
    if value is None:
        return _UNKNOWN
    if round(value) < 1000:
        return f"{round(value)} B"
    return _scaled(value, 1024.0, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    """Three digits and a unit."""
    power = 0
    # 999.5 would be written with four digits.
    while value >= 999.5 and power < len(units) - 1:
        value /= base
        power += 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{units[power]}"


def milliseconds(value: float) -> str:
    """Milliseconds without their unit, in four characters up to ten seconds.

    >>> milliseconds(0.123), milliseconds(45.67), milliseconds(1234.5)
    ('0.12', '45.7', '1234')
    """
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def span(seconds: float) -> str:
    """A duration by its two largest units.

    >>> span(5), span(65), span(3_725), span(90_000)
    ('5s', '1m 05s', '1h 02m', '1d 01h')
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"


def level(share: float) -> tuple[str, str]:
    """How near a budget is, as a word and as the colour that goes with it.

    >>> level(0.2), level(0.5), level(0.9)
    (('fine', 'green'), ('busy', 'yellow'), ('over', 'red'))
    """
    if share < 0.5:
        return "fine", "green"
    if share < 0.9:
        return "busy", "yellow"
    return "over", "red"


def bar(share: float, width: int, style: str, glyphs: Glyphs) -> Text:
    """A bar of `width` cells, filled by a share from 0 to 1; anything at all shows as half a cell."""
    halves = min(2 * width, max(0, round(share * 2 * width)))
    if share > 0 and halves == 0:
        halves = 1
    full, half = divmod(halves, 2)
    text = Text().append(glyphs.fill * full + glyphs.half * half, style)
    return text.append(glyphs.rest * (width - full - half), "bright_black")


def heading(title: str, note: str, width: int, glyphs: Glyphs) -> Text:
    """A rule with a title at its left and a note at its right."""
    note = f" {note}" if note else ""
    rule = glyphs.rule * max(1, width - len(title) - len(note) - 1)
    return fit(Text().append(title, "bold").append(f" {rule}{note}", "bright_black"), width)


def clip(words: str, width: int, more: str, at_right: bool = False) -> str:
    """The same words in exactly `width` cells, at the left or at the right of them; `more` says that some are cut.

    >>> clip("ann", 5, "…"), clip("ann", 5, "…", at_right=True), clip("annabel", 5, "…")
    ('ann  ', '  ann', 'anna…')
    """
    length = cell_len(words)
    if length > width:
        return set_cell_size(words, width - len(more)) + more
    return " " * (width - length) + words if at_right else words + " " * (width - length)


def fit(text: Text, width: int) -> Text:
    """The same text, cut or filled up with spaces to exactly `width` cells."""
    text = text.copy()
    text.truncate(width, overflow="crop", pad=True)
    return text
