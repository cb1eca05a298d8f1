"""The whole screen: a pure function of what is known and of the size of the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tools.dashboard import figures, panels
from tools.dashboard.braille import Canvas, cells_for
from tools.dashboard.figures import Glyphs
from tools.dashboard.history import Sample
from tools.source import ZoneMap

__all__ = ["HEIGHT_MIN", "WIDTH_MIN", "Away", "Picture", "render", "summary"]

WIDTH_MIN, HEIGHT_MIN = 60, 15
_FIGURES_WIDTH = 40
_FIGURES_WIDTH_MAX = 122
# Figures in one column need so many lines; only what is above that may go to a map below them.
_FIGURES_HEIGHT = 24
_MAP_COLUMNS, _MAP_ROWS = 20, 8

# Players in one cell of the map, from dense to sparse, with the colour of each step.
_DENSITY = ((8, "bright_red"), (4, "bright_yellow"), (2, "bright_green"), (0, "cyan"))

_KEYS = (("q", "quit"), ("?", "help"), ("space", "pause"), ("+ -", "window"))

_HELP = """\
players         in the zone, of those it admits
tick p99        99 of 100 ticks of the last 10 s took no longer;
                up to 50 % of the budget fine, up to 90 % busy, else over
rules, ...      the mean time of each part of a tick
ingest*         CPU time between ticks, not a part of them
actions in      what players did
deliveries      what was told, times the players it was told to
amplified       deliveries out per action in
encodes/tick    1.00: a tick is encoded once, for everybody
behind          players who skip frames: their last send is not taken yet
skipped         frames that those did not get; a catch-up follows
dilation        below 100 % the zone stretches time to bear the load
the map         who is where; the colour is how many in one cell"""


@dataclass(frozen=True, slots=True)
class Away:
    """The server does not answer."""

    reason: str
    clock: str
    """The time of day since when."""
    seconds: float
    """How long that is ago."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that a screen shows."""

    address: str
    samples: Sequence[Sample]
    now: float
    """By the clock of the samples."""
    zone: ZoneMap | None = None
    away: Away | None = None
    window: float = 60.0
    """Seconds that sparklines and charts reach back."""
    paused: bool = False
    help: bool = False
    glyphs: Glyphs = figures.UNICODE


def render(picture: Picture, width: int, height: int, footer: bool = True) -> Text:
    """Exactly `height` lines of at most `width` cells."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return _too_small(width, height)
    body_height = height - 1 - footer
    if picture.help:
        body = [Text(line) for line in _HELP.splitlines()]
    elif not picture.samples:
        body = _waiting(picture, width, body_height)
    else:
        body = _body(picture, width, body_height)
    body = [figures.fit(line, width) for line in body[:body_height]]
    if picture.away and picture.samples:
        body = [Text(line.plain, "dim") for line in body]
    body += [Text()] * (body_height - len(body))
    lines = [_header(picture, width), *body]
    if footer:
        lines.append(_footer(picture, width))
    return _joined(lines)


def summary(picture: Picture, width: int) -> Text:
    """The figures alone, as many lines as they need."""
    width = max(_FIGURES_WIDTH, min(width, 80))
    parts = panels.sections(picture.samples, picture.now, picture.window, width, picture.glyphs)
    return _joined([_header(picture, width), *panels.choose(parts, 100)])


def _joined(lines: Sequence[Text]) -> Text:
    # Nothing wraps: every line is cut to its width already.
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _too_small(width: int, height: int) -> Text:
    lines = ["too small", f"{width}x{height} of at least", f"{WIDTH_MIN}x{HEIGHT_MIN}", "q quits"]
    return _joined([Text(line[:width]) for line in lines[:height]])


def _waiting(picture: Picture, width: int, height: int) -> list[Text]:
    lines = [f"waiting for a server at {picture.address}"]
    if picture.away:
        lines += [f"{picture.away.reason}; trying again for {figures.span(picture.away.seconds)}"]
    lines += ["", "start one with:  zoneserver run"]
    return [Text()] * max(0, height // 2 - 3) + [Text(line[:width].center(width), "dim") for line in lines]


def _header(picture: Picture, width: int) -> Text:
    if picture.away and picture.samples:
        # The bar is lit although all below is grey: this is what is new.
        away = picture.away
        state, style = f"away since {away.clock} ({figures.span(away.seconds)}): {away.reason}, retrying", "red"
    elif picture.paused:
        state, style = "paused", "yellow"
    else:
        state, style = ("live" if picture.samples else "waiting"), "green"
    parts = [f" {picture.address}"]
    if picture.samples:
        stats = picture.samples[-1].stats
        parts = [f" {stats.game}", picture.address, f"up {figures.span(stats.uptime_s)}"]
        parts += [f"tick {stats.tick:,}", stats.loop, f"pid {stats.pid}"]
    # What does not fit beside the state is left out from the end.
    while len(parts) > 1 and len("  ".join(parts)) + len(state) + 3 > width:
        parts.pop()
    line = Text("  ".join(parts))
    line = figures.fit(line, max(0, width - len(state) - 1)).append(state, f"bold {style}").append(" ")
    line = figures.fit(line, width)
    line.stylize("reverse")
    return line


def _footer(picture: Picture, width: int) -> Text:
    text = Text(" ")
    for key, meaning in _KEYS:
        text.append(key, "bold reverse").append(f" {meaning}   ")
    text.append(f"{panels.window_name(picture.window)}", "bright_black")
    return figures.fit(text, width)


def _body(picture: Picture, width: int, height: int) -> list[Text]:
    zone = picture.zone
    if zone is None:
        return _figures(picture, width, height)
    if width >= _FIGURES_WIDTH + 1 + _MAP_COLUMNS + 2 and height >= _MAP_ROWS + 2:
        ideal, _ = cells_for(zone.width, zone.height, 10_000, height - 2)
        left_width = min(_FIGURES_WIDTH_MAX, max(_FIGURES_WIDTH, width - 1 - (ideal + 2)))
        map_lines = _map(picture, zone, width - left_width - 1, height)
        left = _figures(picture, left_width, height)
        left += [Text()] * (height - len(left))
        return [
            figures.fit(line, left_width + 1).append_text(beside) for line, beside in zip(left, map_lines, strict=True)
        ]
    if height >= _FIGURES_HEIGHT + _MAP_ROWS + 2:
        return [
            *_figures(picture, width, _FIGURES_HEIGHT),
            *_map(picture, zone, width, height - _FIGURES_HEIGHT),
        ]
    return _figures(picture, width, height)


def _figures(picture: Picture, width: int, height: int) -> list[Text]:
    recent = [sample for sample in picture.samples if sample.at >= picture.now - picture.window]
    about = recent or picture.samples[-1:], picture.now, picture.window, width
    lines = panels.choose(panels.sections(*about, picture.glyphs), height)
    if height - len(lines) >= panels.CHART_ROWS + 2:
        lines = panels.choose(panels.sections(*about, picture.glyphs, sparkline=False), height)
        lines += panels.charts(*about, height - len(lines), picture.glyphs)
    return lines + [Text()] * (height - len(lines))


def _map(picture: Picture, zone: ZoneMap, width: int, height: int) -> list[Text]:
    """The zone in a frame that is its edge, in the middle of the space there is."""
    glyphs = picture.glyphs
    columns, rows = cells_for(zone.width, zone.height, width - 2, height - 2)
    canvas = Canvas(columns, rows)
    shown = len(zone.positions) // 2
    # Of a large crowd only some are in the map: each of those then stands for several.
    weight = zone.players / shown if shown else 1.0
    for x, y in zip(zone.positions[::2], zone.positions[1::2], strict=True):
        canvas.add(x / zone.width, y / zone.height, weight)
    lines = [
        _edge(glyphs, columns, 0, Text().append("the zone ", "bold").append(f"{zone.width:,} x {zone.height:,}", ""))
    ]
    for cells in canvas.rows(glyphs.dots):
        line = Text().append(glyphs.side, "bright_black")
        # Runs of one colour, of which there are far fewer than cells.
        for style, run in itertools.groupby(cells, lambda cell: _density(cell[1])):
            line.append("".join(mark for mark, _ in run), style)
        lines.append(line.append(glyphs.side, "bright_black"))
    legend = Text("in a cell")
    for name, least in (("1", 1), ("2", 2), ("4", 4), ("8+", 8)):
        legend.append(" ").append(name, _density(least))
    lines.append(_edge(glyphs, columns, 2, legend))
    left = (width - columns - 2) // 2
    above = (height - len(lines)) // 2
    framed = [Text(" " * left).append_text(line) for line in lines]
    return [Text()] * above + framed + [Text()] * (height - above - len(framed))


def _density(players: float) -> str:
    return next(style for least, style in _DENSITY if players >= least) if players else ""


def _edge(glyphs: Glyphs, columns: int, corner: int, words: Text) -> Text:
    text = Text().append(glyphs.corners[corner] + glyphs.rule, "bright_black")
    if columns >= len(words) + 4:
        text.append(" ").append_text(words).append(" ")
    text.append(glyphs.rule * (columns + 1 - len(text)), "bright_black")
    return text.append(glyphs.corners[corner + 1], "bright_black")
