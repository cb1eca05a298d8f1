"""The map of the zone, with a border that is the edge of the zone. Everything here is pure."""

from __future__ import annotations

import itertools

from rich.text import Text

from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.screen.braille import Canvas, cells_for
from zonetools.dashboard.screen.glyphs import Glyphs

# The fewest players in a cell of the map, with the colour of such a cell.
_DENSITY = ((8, "bright_red"), (4, "bright_yellow"), (2, "bright_green"), (1, "cyan"))
# The colour of a cell with things and no player.
_THINGS = "magenta"


def zone_map(zone: ZoneMap, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The zone in its true proportions at the top of the given space: exactly `height` lines."""
    columns, rows = cells_for(zone.width, zone.height, width - 2, height - 2)
    canvas = Canvas(columns, rows)
    shown = len(zone.positions) // 2
    # The map of a large crowd holds only some players: each of them then counts for several.
    weight = zone.players / shown if shown else 1.0
    for x, y in zip(zone.positions[::2], zone.positions[1::2], strict=True):
        canvas.add(x / zone.width, y / zone.height, weight)
    for x, y in zip(zone.thing_positions[::2], zone.thing_positions[1::2], strict=True):
        canvas.add(x / zone.width, y / zone.height, 0.0)
    title = Text().append("the zone", "bold")
    lines = [_edge(glyphs, columns, 0, title.copy().append(f" {zone.width:,} x {zone.height:,}"), title)]
    for cells in canvas.rows(glyphs.dots):
        line = Text().append(glyphs.side, "bright_black")
        # Cells of one colour are appended together, since there are far fewer runs than cells.
        for style, run in itertools.groupby(cells, lambda cell: _style(*cell)):
            line.append("".join(mark for mark, _ in run), style)
        lines.append(line.append(glyphs.side, "bright_black"))
    steps = (("1", 1), ("2", 2), ("4", 4), ("8+", 8))
    names = [Text(name, _style(name, least)) for name, least in steps]
    legend = Text(" ").join([*names, Text("things", _THINGS)] if zone.thing_positions else names)
    lines.append(_edge(glyphs, columns, 2, Text("in a cell ").append_text(legend), legend))
    left = (width - columns - 2) // 2
    bordered = [Text(" " * left).append_text(line) for line in lines]
    return bordered + [Text()] * (height - len(bordered))


def _style(mark: str, players: float) -> str:
    """The colour of a cell with this mark and so many players."""
    if players:
        return next(style for least, style in _DENSITY if players >= least)
    return "" if mark == " " else _THINGS


def _edge(glyphs: Glyphs, columns: int, corner: int, *titles: Text) -> Text:
    """The upper or lower edge, with the first of the titles that fits into it."""
    text = Text().append(glyphs.corners[corner] + glyphs.rule, "bright_black")
    fitting = next((each for each in titles if columns >= len(each) + 4), None)
    if fitting is not None:
        text.append(" ").append_text(fitting).append(" ")
    text.append(glyphs.rule * (columns + 1 - len(text)), "bright_black")
    return text.append(glyphs.corners[corner + 1], "bright_black")
