"""The lists of the dashboard: the sessions, and those that closed last. Everything here is pure.

Each column has a rank. If not all columns fit, those of the lowest ranks are shown, and always the one
that the list is sorted by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from rich.text import Text

from zoneserver.admin.log_report import by_count
from zoneserver.admin.stats import ClosedSession, SessionList, SessionStats
from zoneserver.support.format import format_count, format_duration, format_milliseconds, format_size
from zonetools.dashboard.data.whole import OwnedClose, OwnedSession
from zonetools.dashboard.screen.glyphs import Glyphs, clip, fit, heading

Row = TypeVar("Row")

_STATE_STYLES = {"playing": "green", "MUTED": "red"}
# Close reasons that are no sign of trouble.
_ORDINARY = ("CLIENT_LEFT", "CONNECTION_LOST", "SERVER_STOPPING")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a list. Numbers are aligned to the right, words to the left."""

    name: str
    width: int
    rank: int
    value: Callable[[Row], str]
    is_number: bool = True
    style: Callable[[Row], str] = lambda _row: ""
    width_max: int = 0
    """The greatest width if there is room; 0 for `width`."""
    is_optional: bool = False
    """Whether the column is left out while it is empty."""

    @property
    def sort(self) -> str:
        """The name by which the server sorts by this column."""
        return self.name.partition(" ")[0]


def sessions(
    listed: SessionList | None,
    width: int,
    height: int,
    glyphs: Glyphs,
    selected: str | None = None,
    nobody: str = "none",
) -> list[Text]:
    """The first sessions in the sort order, below a heading: at most `height` lines. The session with the name
    `selected` is among them, and marked. `nobody` is said of an empty list."""
    if listed is None:
        return [heading("sessions", "", width, glyphs)]
    note = f"of {format_count(listed.players)}, sorted by {listed.sort}"
    names, rows = [session.name for session in listed.sessions], max(1, height - 2)
    marked = names.index(selected) if selected in names else None
    first = 0 if marked is None else max(0, marked - rows + 1)
    rows_shown = table(_SESSIONS, listed.sessions[first:], width, height - 1, glyphs, listed.sort, nobody)
    if marked is not None and marked - first + 1 < len(rows_shown):
        rows_shown[marked - first + 1].stylize("reverse")
    return [heading("sessions", note, width, glyphs), *rows_shown]


def details(session: SessionStats, width: int) -> list[Text]:
    """Everything that is known about one session, a line for each field."""
    shown = [(field.name, getattr(session, field.name)) for field in fields(session)]
    lines = [Text(f"{name:<18}", "bold").append(_shown(value), "not bold") for name, value in shown]
    return [fit(line, width) for line in lines]


def _shown(value: Any) -> str:
    return by_count(value) if isinstance(value, dict) else "-" if value is None else str(value)


def closes(listed: SessionList | None, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The sessions that closed last, newest first, below a heading: at most `height` lines."""
    head = heading("recent closes", "newest first", width, glyphs)
    return [head] if listed is None else [head, *table(_CLOSES, listed.closed, width, height - 1, glyphs)]


def table(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    width: int,
    height: int,
    glyphs: Glyphs,
    sort: str = "",
    nobody: str = "none",
) -> list[Text]:
    """A line with the names of the columns, then as many rows as fit."""
    # A column without a word, such as that of the owners in the list of one server, is left out.
    columns = [column for column in columns if not column.is_optional or any(map(column.value, rows))]
    widths = _fitting(columns, width, sort)
    head = Text()
    for column, wide in widths:
        is_sorted = column.sort == sort
        name = column.name + (glyphs.sorted if is_sorted else "")
        head.append(
            f"{name:>{wide}}" if column.is_number else f"{name:<{wide}}", "bold" if is_sorted else "bright_black"
        )
        head.append(" ")
    lines = [head]
    for row in rows[: height - 1]:
        line = Text()
        for column, wide in widths:
            text = clip(column.value(row), wide, glyphs.more, at_right=column.is_number)
            style = "bold" if column.sort == sort else column.style(row)
            line.append(text, style).append(" ")
        lines.append(line)
    return lines if rows else [*lines, Text().append(nobody, "bright_black")]


def _fitting(columns: Sequence[Column[Row]], width: int, sort: str) -> list[tuple[Column[Row], int]]:
    """The columns that fit, each with its width. Columns share the spare width in the order of their ranks."""
    ranked = sorted(columns, key=lambda column: -1 if column.sort == sort else column.rank)
    widths: dict[str, int] = {}
    left = width + 1
    for column in ranked:
        if column.width + 1 <= left:
            widths[column.name] = column.width
            left -= column.width + 1
    for column in ranked:
        if column.name in widths and column.width_max > column.width:
            more = min(left, column.width_max - column.width)
            widths[column.name] += more
            left -= more
    return [(column, widths[column.name]) for column in columns if column.name in widths]


def _state(session: SessionStats) -> str:
    return session.state if session.standing == "FINE" else session.standing


def _at(record: SessionStats | ClosedSession) -> str:
    return record.at if isinstance(record, OwnedSession | OwnedClose) else ""


_SESSIONS: tuple[Column[SessionStats], ...] = (
    Column("name", 10, 0, lambda session: session.name, is_number=False, width_max=24),
    Column(
        "state",
        7,
        6,
        lambda session: _state(session).lower(),
        is_number=False,
        style=lambda session: _STATE_STYLES.get(_state(session), "yellow"),
    ),
    Column("queued", 8, 1, lambda session: format_size(session.queued_bytes)),
    Column("behind", 7, 2, lambda session: format_count(session.behind_ticks)),
    Column("rtt ms", 7, 3, lambda session: "-" if session.rtt_ms is None else format_milliseconds(session.rtt_ms)),
    Column("out", 8, 4, lambda session: format_size(session.bytes_out_total)),
    Column("actions", 8, 7, lambda session: format_count(session.actions_in_total)),
    Column("refused", 8, 5, lambda session: format_count(session.refusals_total)),
    Column("age", 7, 8, lambda session: format_duration(session.connected_s)),
    Column("address", 21, 9, lambda session: session.address, is_number=False),
    Column("at", 8, 1, _at, is_number=False, width_max=21, is_optional=True),
)

_CLOSES: tuple[Column[ClosedSession], ...] = (
    Column("ago", 6, 0, lambda closed: format_duration(closed.ago_s)),
    # A session that closed before its HELLO has no name, but it has an address.
    Column("name", 15, 1, lambda closed: closed.name or closed.address.rpartition(":")[0], is_number=False),
    Column(
        "reason",
        17,
        2,
        lambda closed: closed.code,
        is_number=False,
        style=lambda closed: "" if closed.code in _ORDINARY else "yellow",
    ),
    Column("lived", 6, 3, lambda closed: format_duration(closed.lived_s)),
    Column("address", 21, 5, lambda closed: closed.address, is_number=False),
    Column("at", 8, 3, _at, is_number=False, width_max=21, is_optional=True),
    Column("text", 24, 4, lambda closed: closed.text, is_number=False, width_max=200),
)
