"""The whole screen: a pure function of what is known and of the size of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from zoneserver.admin.stats import SessionList
from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.screen.zone_map import crowd
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.screen import glyphs as figures
from zonetools.dashboard.screen import panels, tables
from zonetools.dashboard.screen.braille import cells_for
from zonetools.dashboard.screen.glyphs import Glyphs

__all__ = ["HEIGHT_MIN", "WIDTH_MIN", "Away", "ScreenState", "lists_shown", "render", "summary", "turned"]

WIDTH_MIN, HEIGHT_MIN = 60, 15
_FIGURES_WIDTH = 40
_FIGURES_WIDTH_MAX = 122
# Figures in one column need so many lines; only what is above that may go to a map below them.
_FIGURES_HEIGHT = 24
# The least of a map, with its frame.
_MAP_WIDTH, _MAP_HEIGHT = 22, 10
# Beside a map, figures are short of nothing that matters with so many lines.
_UPPER_HEIGHT = 22
# From this width on both lists stand side by side.
_WIDE = 120
_SESSIONS_WIDTH, _SESSIONS_SHARE = 70, 0.55
_LISTS_HEIGHT = 10
_GAP = 2

_KEYS = (
    ("q", "quit"),
    ("?", "help"),
    ("space", "pause"),
    ("tab", "view"),
    ("< >", "sort"),
    ("+ -", "window"),
    ("r", "reset"),
)

_HELP = """\
players      in the zone, of those it admits
tick p99     99 of 100 ticks of 10 s took no longer; fine to
             50 % of the budget, busy to 90 %, then over
rules, ...   the mean time of each part of a tick
ingest*      CPU time between ticks, not a part of them
deliveries   what was told, times the players it was told to
amplified    deliveries out per action in
encodes/tick 1.00: a tick is encoded once, for everybody
behind       who skips frames: a last send is on its way
skipped      frames that those did not get; catch-ups follow
dilation     below 100 % time is stretched to bear the load
the map      who is where; the colour: how many in one cell
sessions     tab turns to who has most queued; < > sort anew
  rtt        there and back, as the server's kernel sees it
  actions    since it came in, by the player's own count
closes       who has gone, and why
reset        forgets the past; totals count from then on"""
_HELP_LABEL = 13


@dataclass(frozen=True, slots=True)
class Away:
    """The server does not answer."""

    reason: str
    clock: str
    """The time of day since when."""
    seconds: float
    """How long that is ago."""


@dataclass(frozen=True, slots=True)
class ScreenState:
    """Everything that a screen shows."""

    address: str
    samples: Sequence[Sample]
    now: float
    """By the clock of the samples."""
    zone: ZoneMap | None = None
    listed: SessionList | None = None
    away: Away | None = None
    since: str | None = None
    """The time of day of a reset."""
    window: float = 60.0
    """Seconds that sparklines and charts reach back."""
    paused: bool = False
    help: bool = False
    panel: str = ""
    """The list that somebody has turned to: `sessions`, `closes` or none."""
    glyphs: Glyphs = figures.UNICODE


def render(picture: ScreenState, width: int, height: int, footer: bool = True) -> Text:
    """Exactly `height` lines of at most `width` cells."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return _too_small(width, height)
    body_height = height - 1 - footer
    if picture.help:
        body = [Text(line[:_HELP_LABEL], "bold").append(line[_HELP_LABEL:], "not bold") for line in _HELP.splitlines()]
    elif not picture.samples:
        body = _waiting(picture, width, body_height)
    else:
        body = _body(picture, width, body_height, lists_shown(picture.panel, width, height))
    body = [figures.fit(line, width) for line in body[:body_height]]
    if picture.away and picture.samples:
        body = [Text(line.plain, "dim") for line in body]
    body += [Text()] * (body_height - len(body))
    lines = [_header(picture, width), *body]
    if footer:
        lines.append(_footer(picture, width, height))
    return _joined(lines)


def summary(picture: ScreenState, width: int) -> Text:
    """The figures alone, as many lines as they need."""
    width = max(_FIGURES_WIDTH, min(width, 80))
    parts = panels.sections(picture.samples, picture.now, picture.window, width, picture.glyphs)
    return _joined([_header(picture, width), *panels.choose(parts, 100)])


# --- What there is room for ---------------------------------------------------------------------------


def lists_shown(panel: str, width: int, height: int) -> tuple[str, ...]:
    """The lists on a screen of this size for who has turned to `panel`: `sessions` and `closes`, one, or none."""
    views = _views(width, height)
    return next((view for view in views if panel in view), views[0])


def turned(panel: str, width: int, height: int) -> str:
    """The panel after this one, on a screen of this size."""
    views = _views(width, height)
    view = views[(views.index(lists_shown(panel, width, height)) + 1) % len(views)]
    return view[0] if view else ""


def _views(width: int, height: int) -> list[tuple[str, ...]]:
    """What may stand below the figures and the map; a key turns from one to the next."""
    lists: list[tuple[str, ...]] = [("sessions", "closes")] if width >= _WIDE else [("sessions",), ("closes",)]
    return lists if height - 2 >= _upper_least(width) + _LISTS_HEIGHT else [(), *lists]


def _upper_least(width: int) -> int:
    """Lines that figures and map have to have before anything stands below them."""
    return _UPPER_HEIGHT if _has_map_beside(width) else _FIGURES_HEIGHT + _MAP_HEIGHT


def _has_map_beside(width: int) -> bool:
    return width >= _FIGURES_WIDTH + 1 + _MAP_WIDTH


# --- The edges ----------------------------------------------------------------------------------------


def _joined(lines: Sequence[Text]) -> Text:
    # Nothing wraps: every line is cut to its width already.
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _too_small(width: int, height: int) -> Text:
    lines = ["too small", f"{width}x{height} of at least", f"{WIDTH_MIN}x{HEIGHT_MIN}", "q quits"]
    return _joined([Text(line[:width]) for line in lines[:height]])


def _waiting(picture: ScreenState, width: int, height: int) -> list[Text]:
    lines = [f"waiting for a server at {picture.address}"]
    if picture.away:
        lines += [f"{picture.away.reason}; trying again for {figures.span(picture.away.seconds)}"]
    lines += ["", "start one with:  zoneserver run"]
    return [Text()] * max(0, height // 2 - 3) + [Text(line[:width].center(width), "dim") for line in lines]


def _header(picture: ScreenState, width: int) -> Text:
    if picture.away and picture.samples:
        # The bar is lit although all below is grey: this is what is new.
        away = picture.away
        state, style = f"away since {away.clock} ({figures.span(away.seconds)}): {away.reason}, retrying", "red"
    elif picture.paused:
        state, style = "paused", "yellow"
    elif not picture.samples:
        state, style = "waiting", "green"
    elif (dilation := picture.samples[-1].stats.dilation) < 1:
        state, style = f"live, dilated to {100 * dilation:.0f}%", "yellow"
    else:
        state, style = "live", "green"
    if picture.since is not None:
        state = f"since reset {picture.since}  {state}"
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


def _footer(picture: ScreenState, width: int, height: int) -> Text:
    """The keys that do something, as far apart as there is room for."""
    keys = [(key, meaning) for key, meaning in _KEYS if key != "tab" or len(_views(width, height)) > 1]
    for gap in (3, 2, 1):
        text = Text(" ").append_text(_keys(keys, gap))
        if text.cell_len <= width:
            break
    else:
        text = _keys([(key.replace(" ", ""), meaning) for key, meaning in keys], 1)
    name = panels.window_name(picture.window)
    if text.cell_len + len(name) + 4 <= width:
        text.append(f"   {name}", "bright_black")
    return figures.fit(text, width)


def _keys(keys: Sequence[tuple[str, str]], gap: int) -> Text:
    return Text(" " * gap).join([Text().append(key, "bold reverse").append(f" {meaning}") for key, meaning in keys])


# --- The body -----------------------------------------------------------------------------------------


def _body(picture: ScreenState, width: int, height: int, lists: tuple[str, ...]) -> list[Text]:
    """Figures and map, and below them the lists."""
    if not lists:
        return _upper(picture, width, height)
    spare = height - _upper_least(width)
    below = min(spare, max(_LISTS_HEIGHT, height // 3)) if spare >= _LISTS_HEIGHT else height // 2
    return [*_upper(picture, width, height - below), *_lists(picture, width, below, lists)]


def _lists(picture: ScreenState, width: int, height: int, lists: tuple[str, ...]) -> list[Text]:
    listed, glyphs = picture.listed, picture.glyphs
    if lists == ("sessions",):
        return tables.sessions(listed, width, height, glyphs)
    if lists == ("closes",):
        return tables.closes(listed, width, height, glyphs)
    left_width = max(_SESSIONS_WIDTH, round(width * _SESSIONS_SHARE))
    left = tables.sessions(listed, left_width, height, glyphs)
    right = tables.closes(listed, width - left_width - _GAP, height, glyphs)
    return _beside(left, right, left_width + _GAP, height)


def _beside(left: list[Text], right: list[Text], left_width: int, height: int) -> list[Text]:
    """Two blocks next to each other, as `height` lines."""
    both = ([*block, *[Text()] * (height - len(block))] for block in (left, right))
    return [figures.fit(line, left_width).append_text(beside) for line, beside in zip(*both, strict=True)]


def _upper(picture: ScreenState, width: int, height: int) -> list[Text]:
    """The figures, and the map where it fits, as `height` lines."""
    zone = picture.zone
    if zone is None:
        return _figures(picture, width, height)
    if _has_map_beside(width) and height >= _MAP_HEIGHT:
        ideal, _ = cells_for(zone.width, zone.height, 10_000, height - 2)
        left_width = min(_FIGURES_WIDTH_MAX, max(_FIGURES_WIDTH, width - 1 - (ideal + 2)))
        map_lines = crowd(zone, width - left_width - 1, height, picture.glyphs)
        return _beside(_figures(picture, left_width, height), map_lines, left_width + 1, height)
    if height >= _FIGURES_HEIGHT + _MAP_HEIGHT:
        return [
            *_figures(picture, width, _FIGURES_HEIGHT),
            *crowd(zone, width, height - _FIGURES_HEIGHT, picture.glyphs),
        ]
    return _figures(picture, width, height)


def _figures(picture: ScreenState, width: int, height: int) -> list[Text]:
    recent = [sample for sample in picture.samples if sample.at >= picture.now - picture.window]
    about = recent or picture.samples[-1:], picture.now, picture.window, width
    lines = panels.choose(panels.sections(*about, picture.glyphs), height)
    if height - len(lines) >= panels.CHART_ROWS + 2:
        lines = panels.choose(panels.sections(*about, picture.glyphs, sparkline=False), height)
        lines += panels.charts(*about, height - len(lines), picture.glyphs)
    return lines + [Text()] * (height - len(lines))
