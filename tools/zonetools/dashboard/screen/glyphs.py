"""The characters that the dashboard draws with, bars, and text cut to a width. Everything here is pure."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that the screen is drawn with."""

    rule: str
    side: str
    corners: str
    """Top left, top right, bottom left, bottom right."""
    fill: str
    half: str
    empty: str
    """The unfilled part of a bar."""
    ramp: str
    """The characters of one cell of a chart, from empty to full."""
    more: str
    """Marks that text was cut off."""
    sorted: str
    """Marks the column that a list is sorted by."""
    dots: bool
    """Whether the map may use braille."""


UNICODE = Glyphs("─", "│", "╭╮╰╯", "━", "╸", "┄", " ▁▂▃▄▅▆▇█", "…", "▾", dots=True)
ASCII = Glyphs("-", "|", "++++", "=", "-", ".", " .:-=+*%#", "~", "v", dots=False)


def bar(share: float, width: int, style: str, glyphs: Glyphs) -> Text:
    """A bar of `width` cells, filled by a share from 0 to 1. Any share above zero fills at least half a cell."""
    halves = min(2 * width, max(0, round(share * 2 * width)))
    if share > 0 and halves == 0:
        halves = 1
    full, half = divmod(halves, 2)
    text = Text().append(glyphs.fill * full + glyphs.half * half, style)
    return text.append(glyphs.empty * (width - full - half), "bright_black")


def heading(title: str, note: str, width: int, glyphs: Glyphs) -> Text:
    """A rule with a title at its left and a note at its right."""
    note = f" {note}" if note else ""
    rule = glyphs.rule * max(1, width - len(title) - len(note) - 1)
    return fit(Text().append(title, "bold").append(f" {rule}{note}", "bright_black"), width)


def clip(words: str, width: int, more: str, at_right: bool = False) -> str:
    """The words in exactly `width` cells, aligned to the left or the right. `more` marks words that were cut.

    >>> clip("ann", 5, "…"), clip("ann", 5, "…", at_right=True), clip("annabel", 5, "…")
    ('ann  ', '  ann', 'anna…')
    """
    length = cell_len(words)
    if length > width:
        return set_cell_size(words, width - len(more)) + more
    return " " * (width - length) + words if at_right else words + " " * (width - length)


def fit(text: Text, width: int) -> Text:
    """A copy of the text, cut or padded with spaces to exactly `width` cells."""
    text = text.copy()
    text.truncate(width, overflow="crop", pad=True)
    return text
