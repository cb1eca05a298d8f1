"""A screen as one SVG file that looks alike everywhere. Pure.

Words are text in any monospaced font, stretched to their cells. Bars, charts, borders and the dots of the
map are drawn as shapes, because few fonts have all of these characters at the right width. The file loads
nothing: no font, no style, no script.
"""

from __future__ import annotations

import io
import itertools
import re
from collections import defaultdict
from html import escape

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

# The size of a cell in pixels: twice as high as wide, so that the dots of the map form a square grid.
_WIDTH, _HEIGHT = 9, 18
_MARGIN, _BASELINE, _FONT_SIZE = 16, 13.5, 15
_DOT, _THIN, _THICK = 2.8, 1, 4

_BACKGROUND, _FOREGROUND, _EDGE = "#11151c", "#d6dce5", "#303947"
# The sixteen colours of a terminal, in the order of their numbers.
_PALETTE = (
    *("#11151c", "#e5686b", "#7fc47a", "#e0b25a", "#6aa5e8", "#c58be0", "#52bdc9", "#d6dce5"),
    *("#6d7889", "#ff7d78", "#9be08f", "#ffd479", "#8fc1ff", "#e0a8f5", "#7fdde6", "#ffffff"),
)
_FONT = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

_BLOCKS = "▁▂▃▄▅▆▇█"
_LINES = "─│╭╮╰╯"
_BARS = "━╸┄"
_DRAWN = f"{_BLOCKS}{_LINES}{_BARS}\u2801-\u28ff"
# Either words with single spaces between them, or a run of drawn characters. Other spaces are skipped.
_PIECES = re.compile(f"[{_DRAWN}]+|[^ {_DRAWN}]+(?: [^ {_DRAWN}]+)*")


def svg(view: Text, columns: int, rows: int, title: str) -> str:
    """A view of this many columns and rows as the text of an SVG file. Screen readers announce `title`."""
    drawing = _Drawing()
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system="standard")
    for row, segments in enumerate(console.render_lines(view, pad=False)):
        column = 0
        for segment in segments:
            drawing.add(segment, column, row)
            column += segment.cell_length
    width, height = columns * _WIDTH + 2 * _MARGIN, rows * _HEIGHT + 2 * _MARGIN
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        f' role="img" font-family="{_FONT}" font-size="{_FONT_SIZE}">',
        f"<title>{escape(title)}</title>",
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" fill="{_BACKGROUND}" stroke="{_EDGE}"/>',
        f'<g transform="translate({_MARGIN} {_MARGIN})">',
        *drawing.elements(),
        "</g>",
        "</svg>",
        "",
    ])  # fmt: skip


class _Drawing:
    """Collects shapes, so that all shapes of one kind and colour become one path."""

    def __init__(self) -> None:
        # Each layer holds paths by their colour.
        layers: list[dict[str, list[str]]] = [defaultdict(list) for _ in range(4)]
        self._backgrounds, self._fills, self._strokes, self._dots = layers
        self._words: list[str] = []

    def add(self, segment: Segment, column: int, row: int) -> None:
        """Add a run of characters in one style."""
        style = segment.style or Style.null()
        color, background = _colors(style)
        if background is not None:
            self._backgrounds[background].append(_box(column, row, segment.cell_length, 0, 1))
        for piece in _PIECES.finditer(segment.text):
            text, at = piece.group(), column + cell_len(segment.text[: piece.start()])
            if re.match(f"[{_DRAWN}]", text):
                for mark, run in itertools.groupby(text):
                    length = len(list(run))
                    self._draw(mark, at, row, length, color)
                    at += length
            else:
                weight = ' font-weight="bold"' if style.bold else ""
                self._words.append(
                    f'<text x="{at * _WIDTH}" y="{row * _HEIGHT + _BASELINE:g}" fill="{color}"{weight}'
                    f' textLength="{cell_len(text) * _WIDTH}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
                )

    def elements(self) -> list[str]:
        """The SVG elements, from the bottom layer to the top."""
        layers = (
            (self._backgrounds, 'fill="{}"'),
            (self._fills, 'fill="{}"'),
            (self._strokes, f'fill="none" stroke="{{}}" stroke-width="{_THIN}"'),
            (self._dots, f'fill="none" stroke="{{}}" stroke-width="{_DOT}" stroke-linecap="round"'),
        )
        return [
            f'<path {paint.format(color)} d="{"".join(paths)}"/>'
            for shapes, paint in layers
            for color, paths in shapes.items()
        ] + self._words

    def _draw(self, mark: str, column: int, row: int, length: int, color: str) -> None:
        """Draw one character `length` times, side by side."""
        left, middle = column * _WIDTH, row * _HEIGHT + _HEIGHT / 2
        if mark in _BLOCKS:
            self._fills[color].append(_box(column, row, length, 1 - (_BLOCKS.index(mark) + 1) / 8, 1))
        elif mark in "━╸":
            top = (1 - _THICK / _HEIGHT) / 2
            self._fills[color].append(_box(column, row, length if mark == "━" else 0.5, top, 1 - top))
        elif mark == "┄":
            dashes = [f"M{left + (place + 0.5) * _WIDTH / 3 - 1:g} {middle:g}h2" for place in range(3 * length)]
            self._strokes[color].extend(dashes)
        elif mark in _LINES:
            self._strokes[color].append(_line(mark, left, row * _HEIGHT, length))
        else:
            for place in range(length):
                self._dots[color].extend(_dots(ord(mark) - 0x2800, left + place * _WIDTH, row * _HEIGHT))


def _colors(style: Style) -> tuple[str, str | None]:
    """The colour of the characters, and of their background if it is not the usual one."""
    number = None if style.color is None else style.color.number
    color = _FOREGROUND if number is None else _PALETTE[number]
    if style.dim:
        color = _PALETTE[8]
    return (_BACKGROUND, color) if style.reverse else (color, None)


def _box(column: int, row: int, length: float, top: float, bottom: float) -> str:
    """A rectangle over `length` cells, from one share of their height to another."""
    width, height = length * _WIDTH, (bottom - top) * _HEIGHT
    return f"M{column * _WIDTH} {(row + top) * _HEIGHT:g}h{width:g}v{height:g}h{-width:g}z"


def _line(mark: str, left: float, top: float, length: int) -> str:
    half, middle = _WIDTH / 2, _HEIGHT / 2
    x, y = left + half, top + middle
    match mark:
        case "─":
            return f"M{left:g} {y:g}h{length * _WIDTH}"
        case "│":
            return f"M{x:g} {top:g}v{_HEIGHT}"
        case "╭":
            return f"M{x:g} {top + _HEIGHT:g}v{half - middle:g}q0 {-half:g} {half:g} {-half:g}"
        case "╮":
            return f"M{left:g} {y:g}q{half:g} 0 {half:g} {half:g}v{middle - half:g}"
        case "╰":
            return f"M{x:g} {top:g}v{middle - half:g}q0 {half:g} {half:g} {half:g}"
        case _:
            return f"M{left:g} {y:g}q{half:g} 0 {half:g} {-half:g}v{half - middle:g}"


def _dots(bits: int, left: float, top: float) -> list[str]:
    """The dots of a braille character, as lines of length zero: only their round ends are visible."""
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
    return [
        f"M{left + (x + 0.5) * _WIDTH / 2:g} {top + (y + 0.5) * _HEIGHT / 4:g}h0"
        for bit, (x, y) in enumerate(places)
        if bits >> bit & 1
    ]
