"""The processes that hold players, as lines: the gateways of a zone, or several admin ports. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich.text import Text

from zoneserver.support.format import format_count, format_milliseconds, format_size
from zonetools.dashboard.data.monitor import ServerState
from zonetools.dashboard.data.rows import AWAY, FINE, LOST, STOPPED, ProcessRow, rows_of_zone
from zonetools.dashboard.screen.glyphs import Glyphs, heading
from zonetools.dashboard.screen.panels import Section
from zonetools.dashboard.screen.tables import Column, table

HELP = """\
gateways     hold players. late: lacks a second of ticks,
             silent: gets none, lost: sends none, away: no
             answer. lead, wait: of batches before a tick"""
"""What the words of the panel mean."""
PORTS_HELP = "0 to 9       one of several admin ports alone; 0: all"
"""What the keys do where there are several ports."""


def rows_of(server: ServerState) -> Sequence[ProcessRow]:
    """The rows of the panel; none for an ordinary server."""
    return server.ports or rows_of_zone(server.samples)


def section(server: ServerState, width: int, glyphs: Glyphs) -> Section | None:
    """The section of the gateways, or of the ports; None for an ordinary server."""
    rows = rows_of(server)
    if not rows:
        return None
    top, head, *lines = _lines(server, rows, width, glyphs)
    # What is wrong is left out last. The others give way to the figures below them, one after the other.
    ranks = [0 if row.state != FINE else 1 + index for index, row in enumerate(rows)]
    return Section(top, [(min(ranks), head), *zip(ranks, lines, strict=True)])


def listed(server: ServerState, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """All rows over the whole width, those that are not fine first: at most `height` lines."""
    rows = sorted(rows_of(server), key=lambda row: row.state == FINE)
    return _lines(server, rows, width, glyphs)[:height]


def _lines(server: ServerState, rows: Sequence[ProcessRow], width: int, glyphs: Glyphs) -> list[Text]:
    counts = Counter(row.state for row in rows if row.state != FINE)
    note = ", ".join([format_count(len(rows)), *(f"{count} {state}" for state, count in counts.items())])
    lines = table(PROCESSES, rows, width, len(rows) + 1, glyphs)
    for line, row in zip(lines[1:], rows, strict=True):
        if row.state in _STYLES:
            line.stylize(_STYLES[row.state])
    return [heading("admin ports" if server.ports else "gateways", note, width, glyphs), *lines]


def _number(value: float | None, form: Callable[[float], str] = format_count) -> str:
    return "-" if value is None else form(value)


# The colours of rows that are not fine; the word says the same.
_STYLES = {LOST: "bold red", AWAY: "bright_black", STOPPED: "bright_black"}

PROCESSES: tuple[Column[ProcessRow], ...] = (
    Column("key", 3, 1, lambda row: row.key, is_number=False, is_optional=True),
    Column("name", 10, 0, lambda row: row.name, is_number=False, width_max=24),
    Column(
        *("state", 7, 1, lambda row: row.state),
        is_number=False,
        style=lambda row: "green" if row.state == FINE else "bold yellow",
    ),
    Column("players", 7, 2, lambda row: _number(row.players)),
    Column("cpu %", 5, 3, lambda row: _number(row.cpu_percent, lambda value: f"{value:.0f}")),
    Column("behind", 6, 5, lambda row: _number(row.behind)),
    Column("out/s", 8, 4, lambda row: _number(row.out_per_s, format_size)),
    Column("lead ms", 7, 6, lambda row: _number(row.lead_ms, format_milliseconds)),
    Column("wait ms", 7, 7, lambda row: _number(row.wait_ms, format_milliseconds)),
    Column("lacks", 5, 8, lambda row: _number(row.late_ticks)),
    Column("memory", 8, 9, lambda row: _number(row.rss_bytes, format_size)),
    Column("address", 21, 10, lambda row: row.address, is_number=False),
)
