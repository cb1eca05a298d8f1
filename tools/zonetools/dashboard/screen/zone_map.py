"""The map: where everybody is, in a frame that is the edge of the zone. Everything here is pure."""

from __future__ import annotations

import itertools

from rich.text import Text

from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.screen.braille import Canvas, cells_for
from zonetools.dashboard.screen.glyphs import Glyphs

__all__ = ["crowd"]

# Players in one cell of the map, from dense to sparse, with the colour of each step.
_DENSITY = ((8, "bright_red"), (4, "bright_yellow"), (2, "bright_green"), (0, "cyan"))


def crowd(zone: ZoneMap, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The zone in its proportion, at the top of the space there is: exactly `height` lines."""
    columns, rows = cells_for(zone.width, zone.height, width - 2, height - 2)
    canvas = Canvas(columns, rows)
    shown = len(zone.positions) // 2
    # Of a large crowd only some are in the map: each of those then stands for several.
    weight = zone.players / shown if shown else 1.0
    for x, y in zip(zone.positions[::2], zone.positions[1::2], strict=True):
        canvas.add(x / zone.width, y / zone.height, weight)
    title = Text().append("the zone", "bold")
    lines = [_edge(glyphs, columns, 0, title.copy().append(f" {zone.width:,} x {zone.height:,}"), title)]
    for cells in canvas.rows(glyphs.dots):
        line = Text().append(glyphs.side, "bright_black")
        # Runs of one colour, of which there are far fewer than cells.
        for style, run in itertools.groupby(cells, lambda cell: _density(cell[1])):
            line.append("".join(mark for mark, _ in run), style)
        lines.append(line.append(glyphs.side, "bright_black"))
    steps = (("1", 1), ("2", 2), ("4", 4), ("8+", 8))
    legend = Text(" ").join([Text(name, _density(least)) for name, least in steps])
    lines.append(_edge(glyphs, columns, 2, Text("in a cell ").append_text(legend), legend))
    left = (width - columns - 2) // 2
    framed = [Text(" " * left).append_text(line) for line in lines]
    return framed + [Text()] * (height - len(framed))


def _density(players: float) -> str:
    return next(style for least, style in _DENSITY if players >= least) if players else ""


def _edge(glyphs: Glyphs, columns: int, corner: int, *words: Text) -> Text:
    """The upper or the lower edge, with the first of the words that fit into it."""
    text = Text().append(glyphs.corners[corner] + glyphs.rule, "bright_black")
    fitting = next((each for each in words if columns >= len(each) + 4), None)
    if fitting is not None:
        text.append(" ").append_text(fitting).append(" ")
    text.append(glyphs.rule * (columns + 1 - len(text)), "bright_black")
    return text.append(glyphs.corners[corner + 1], "bright_black")
