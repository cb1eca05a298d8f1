"""The whole screen: a pure function of what is known and of the size of the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from zoneserver.admin.stats import SessionStats
from zoneserver.support.format import format_duration
from zonetools.dashboard.data.monitor import ServerState
from zonetools.dashboard.screen import panels, processes, replay, tables
from zonetools.dashboard.screen.braille import cells_for
from zonetools.dashboard.screen.glyphs import UNICODE, Glyphs, fit
from zonetools.dashboard.screen.help import help_lines
from zonetools.dashboard.screen.zone_map import zone_map

WIDTH_MIN, HEIGHT_MIN = 60, 15
_PANELS_WIDTH = 40
_PANELS_WIDTH_MAX = 122
# Panels in one column need this many lines; a map below them gets the lines that are left.
_PANELS_HEIGHT = 24
# The smallest map, with its frame.
_MAP_WIDTH, _MAP_HEIGHT = 22, 10
# With this many lines beside a map, the panels leave out nothing important.
_UPPER_HEIGHT = 22
# From this width on, both lists stand side by side.
_WIDE = 120
_SESSIONS_WIDTH, _SESSIONS_SHARE = 70, 0.55
_LISTS_HEIGHT = 10
_GAP = 2
# From this width on, the line at the bottom names every key.
_ALL_KEYS_WIDTH = 80

_KEYS = (
    ("q", "quit"),
    ("?", "help"),
    ("space", "pause"),
    ("tab", "view"),
    ("< >", "sort"),
    ("+ -", "window"),
    ("r", "reset"),
)

# The keys while a session is selected.
_SESSION_KEYS = (("enter", "details"), ("k", "kick"), ("q", "quit"), ("?", "help"))


@dataclass(frozen=True, slots=True)
class ScreenState:
    """Everything that a screen shows: what is known about a server, and what the user has set."""

    server: ServerState
    window: float = 60.0
    """The time that sparklines and charts cover, in seconds."""
    paused: bool = False
    help: bool = False
    panel: str = ""
    """The list that the user has selected: `sessions`, `closes` or none."""
    glyphs: Glyphs = UNICODE
    selected: str | None = None
    """The name of the session that the user has selected."""
    details: bool = False
    """Whether the details of the selected session are shown."""
    notice: str = ""
    """A question or an answer in place of the keys at the bottom."""
    is_group: bool = False
    """Whether there are several admin ports, of which a key shows one alone."""

    @property
    def replay(self) -> Mapping[str, float]:
        """The figures of a replay; empty for a game."""
        return self.server.samples[-1].stats.replay if self.server.samples else {}

    def session(self) -> SessionStats | None:
        """The selected session, while it is in the list."""
        listed = self.server.sessions
        return next((each for each in listed.sessions if each.name == self.selected), None) if listed else None


def render(state: ScreenState, width: int, height: int, footer: bool = True) -> Text:
    """Exactly `height` lines of at most `width` cells."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        words = ["too small", f"{width}x{height}, needs at least", f"{WIDTH_MIN}x{HEIGHT_MIN}", "q quits"]
        return _joined([Text(line[:width]) for line in words[:height]])
    edges = _edges(state, width)
    body_height = height - len(edges) - footer
    if state.help:
        body = help_lines(state.server)
    elif not state.server.samples:
        body = _waiting(state, width, body_height)
    elif state.details and (session := state.session()) is not None:
        body = tables.details(session, width)
    else:
        body = _body(state, width, body_height, _lists_of(state, width, height))
    body = [fit(line, width) for line in body[:body_height]]
    if state.server.outage and state.server.samples:
        body = [Text(line.plain, "dim") for line in body]
    body += [Text()] * (body_height - len(body))
    lines = [*edges, *body]
    if footer:
        lines.append(_footer(state, width, height))
    return _joined(lines)


def summary(state: ScreenState, width: int) -> Text:
    """The panels alone, on as many lines as they need."""
    width = max(_PANELS_WIDTH, min(width, 80))
    of_gateways, server = processes.section(state.server, width, state.glyphs), state.server
    parts = panels.sections(server.samples, server.now, state.window, width, state.glyphs, processes=of_gateways)
    return _joined([*_edges(state, width), *panels.choose(parts, 100)])


# --- Which lists fit ------------------------------------------------------------------------------------


def lists_shown(panel: str, width: int, height: int, has_gateways: bool = False) -> tuple[str, ...]:
    """The lists that a screen of this size shows when `panel` is selected: `sessions`, `closes`, both, `gateways`, or
    none."""
    views = _views(width, height, has_gateways)
    return next((view for view in views if panel in view), views[0])


def next_panel(panel: str, width: int, height: int, has_gateways: bool = False) -> str:
    """The panel that the tab key selects after this one, on a screen of this size."""
    views = _views(width, height, has_gateways)
    view = views[(views.index(lists_shown(panel, width, height, has_gateways)) + 1) % len(views)]
    return view[0] if view else ""


def _lists_of(state: ScreenState, width: int, height: int) -> tuple[str, ...]:
    has_gateways = bool(processes.rows_of(state.server))
    return lists_shown(state.panel, width, height - bool(state.replay), has_gateways)


def _views(width: int, height: int, has_gateways: bool) -> list[tuple[str, ...]]:
    """The choices of what stands below the panels and the map; the tab key goes from one to the next."""
    lists: list[tuple[str, ...]] = [("sessions", "closes")] if width >= _WIDE else [("sessions",), ("closes",)]
    if has_gateways:
        lists.append(("gateways",))
    return lists if height - 2 >= _upper_least(width) + _LISTS_HEIGHT else [(), *lists]


def _upper_least(width: int) -> int:
    """The lines that panels and map must have before a list may stand below them."""
    return _UPPER_HEIGHT if _fits_map_beside(width) else _PANELS_HEIGHT + _MAP_HEIGHT


def _fits_map_beside(width: int) -> bool:
    return width >= _PANELS_WIDTH + 1 + _MAP_WIDTH


# --- The edges ----------------------------------------------------------------------------------------


def _joined(lines: Sequence[Text]) -> Text:
    # Lines never wrap: each is already cut to its width.
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)


def _waiting(state: ScreenState, width: int, height: int) -> list[Text]:
    lines = [f"waiting for a server at {state.server.address}"]
    if state.server.outage:
        lines += [f"{state.server.outage.reason}; has been retrying for {format_duration(state.server.outage.seconds)}"]
    lines += ["", "start one with:  zoneserver run"]
    return [Text()] * max(0, height // 2 - 3) + [Text(line[:width].center(width), "dim") for line in lines]


def _edges(state: ScreenState, width: int) -> list[Text]:
    """The lines at the top."""
    header = _header(state, width)
    return [header, replay.replay_bar(state.replay, width, state.glyphs)] if state.replay else [header]


def _header(state: ScreenState, width: int) -> Text:
    server = state.server
    live = "replay" if state.replay else "live"
    if server.outage and server.samples:
        # Everything below is grey, but this bar stays bright: it has the news.
        outage = server.outage
        status, style = (
            f"no answer since {outage.clock} ({format_duration(outage.seconds)}): {outage.reason}, retrying",
            "red",
        )
    elif state.paused:
        status, style = "paused", "yellow"
    elif not server.samples:
        status, style = "waiting", "green"
    elif silent := server.samples[-1].stats.zone_silent_s:
        status, style = f"zone silent {silent:.1f} s", "red"
    elif (dilation := server.samples[-1].stats.dilation) < 1:
        status, style = f"{live}, dilated to {100 * dilation:.0f}%", "yellow"
    else:
        status, style = live, "green"
    if server.reset_clock is not None:
        status = f"since reset {server.reset_clock}  {status}"
    parts = [f" {server.address}"]
    if server.samples:
        stats = server.samples[-1].stats
        parts = [
            f" {stats.gateway} of {stats.game}" if stats.gateway and not server.ports else f" {stats.game}",
            *([f"page {stats.page}"] if stats.page else []),
            f"statistics {server.address}",
            f"up {format_duration(stats.uptime_s)}",
        ]
        parts += [f"tick {stats.tick:,}", stats.loop, *([] if server.ports else [f"pid {stats.pid}"])]
    # Parts that do not fit beside the status are left out, the last one first.
    while len(parts) > 1 and len("  ".join(parts)) + len(status) + 3 > width:
        parts.pop()
    line = Text("  ".join(parts))
    line = fit(line, max(0, width - len(status) - 1)).append(status, f"bold {style}").append(" ")
    line = fit(line, width)
    line.stylize("reverse")
    return line


def _footer(state: ScreenState, width: int, height: int) -> Text:
    """The notice, else the keys that have an effect, spread over the width."""
    if state.notice:
        return fit(Text(f" {state.notice}", "bold yellow"), width)
    if state.session() is not None and not state.help:
        return fit(Text(" ").append_text(_keys(_SESSION_KEYS, 3)), width)
    keys = [(key, meaning) for key, meaning in _KEYS if key != "tab" or _has_views(state, width, height)]
    if state.replay:
        # The help names these as well.
        keys = [each for each in keys if each[0] not in ("space", "< >", "r")]
        keys[2:2] = replay.keys(state.glyphs)
    elif state.is_group:
        # A narrow screen has no room for all.
        keys = [each for each in keys if each[0] != "< >" or width >= _ALL_KEYS_WIDTH]
        keys[2:2] = [("0-9", "one")]
    for gap in (3, 2, 1):
        text = Text(" ").append_text(_keys(keys, gap))
        if text.cell_len <= width:
            break
    else:
        text = _keys([(key.replace(" ", ""), meaning) for key, meaning in keys], 1)
    name = panels.window_name(state.window)
    if text.cell_len + len(name) + 4 <= width:
        text.append(f"   {name}", "bright_black")
    return fit(text, width)


def _has_views(state: ScreenState, width: int, height: int) -> bool:
    return len(_views(width, height, bool(processes.rows_of(state.server)))) > 1


def _keys(keys: Sequence[tuple[str, str]], gap: int) -> Text:
    return Text(" " * gap).join([Text().append(key, "bold reverse").append(f" {meaning}") for key, meaning in keys])


# --- The body -----------------------------------------------------------------------------------------


def _body(state: ScreenState, width: int, height: int, lists: tuple[str, ...]) -> list[Text]:
    if not lists:
        return _upper(state, width, height)
    spare = height - _upper_least(width)
    below = min(spare, max(_LISTS_HEIGHT, height // 3)) if spare >= _LISTS_HEIGHT else height // 2
    return [*_upper(state, width, height - below), *_lists(state, width, below, lists)]


def _lists(state: ScreenState, width: int, height: int, lists: tuple[str, ...]) -> list[Text]:
    listed, glyphs = state.server.sessions, state.glyphs
    nobody = _nobody(state.server)
    if lists == ("gateways",):
        return processes.listed(state.server, width, height, glyphs)
    if lists == ("sessions",):
        return tables.sessions(listed, width, height, glyphs, state.selected, nobody)
    if lists == ("closes",):
        return tables.closes(listed, width, height, glyphs)
    left_width = max(_SESSIONS_WIDTH, round(width * _SESSIONS_SHARE))
    left = tables.sessions(listed, left_width, height, glyphs, state.selected, nobody)
    right = tables.closes(listed, width - left_width - _GAP, height, glyphs)
    return _beside(left, right, left_width + _GAP, height)


def _nobody(server: ServerState) -> str:
    """What is said of an empty list of sessions: those of gateways are at their own ports."""
    gateways = [] if server.ports or not server.samples else server.samples[-1].stats.gateways
    ports = [each.stats for each in gateways if each.stats]
    return f"at the gateways: zone-dash {' '.join([server.address, *ports])}" if ports else "none"


def _beside(left: list[Text], right: list[Text], left_width: int, height: int) -> list[Text]:
    """Two blocks next to each other, as `height` lines."""
    both = ([*block, *[Text()] * (height - len(block))] for block in (left, right))
    return [fit(line, left_width).append_text(beside) for line, beside in zip(*both, strict=True)]


def _upper(state: ScreenState, width: int, height: int) -> list[Text]:
    """The panels, and the map if it fits, as `height` lines."""
    zone = state.server.zone
    if zone is None:
        return _panels(state, width, height)
    if _fits_map_beside(width) and height >= _MAP_HEIGHT:
        ideal, _ = cells_for(zone.width, zone.height, 10_000, height - 2)
        left_width = min(_PANELS_WIDTH_MAX, max(_PANELS_WIDTH, width - 1 - (ideal + 2)))
        map_lines = zone_map(zone, width - left_width - 1, height, state.glyphs)
        return _beside(_panels(state, left_width, height), map_lines, left_width + 1, height)
    if height >= _PANELS_HEIGHT + _MAP_HEIGHT:
        return [*_panels(state, width, _PANELS_HEIGHT), *zone_map(zone, width, height - _PANELS_HEIGHT, state.glyphs)]
    return _panels(state, width, height)


def _panels(state: ScreenState, width: int, height: int) -> list[Text]:
    samples, now = state.server.samples, state.server.now
    recent = [sample for sample in samples if sample.at >= now - state.window]
    span_shown = recent or samples[-1:], now, state.window, width
    # The list of the gateways below has the same rows.
    of_gateways = None if state.panel == "gateways" else processes.section(state.server, width, state.glyphs)
    lines = panels.choose(panels.sections(*span_shown, state.glyphs, processes=of_gateways), height)
    if height - len(lines) >= panels.CHART_ROWS + 2:
        lines = panels.choose(panels.sections(*span_shown, state.glyphs, False, of_gateways), height)
        lines += panels.charts(*span_shown, height - len(lines), state.glyphs)
    return lines + [Text()] * (height - len(lines))
