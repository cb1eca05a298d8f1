"""Numbers about a running zone: histograms, counters, and the one snapshot that everybody reads.

The admin port serves a `Stats`, the dashboard draws it, the swarm and the tests compare it: one
schema, units in the names, `*_total` for what only grows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "SESSION_SORTS",
    "ClosedSession",
    "SessionList",
    "SessionStats",
    "Stats",
]


STATS_SCHEMA = "zone-stats/1"


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything an operator sees of a server, at one moment: what `GET /stats` answers."""

    schema: str
    time_unix_s: float
    pid: int
    game: str
    loop: str
    uptime_s: float
    players: int
    players_peak: int
    players_max: int
    connections: int
    """Open connections, those that are still shaking hands or saying goodbye among them."""
    handshaking: int
    behind: int
    """Players who skip frames: the kernel has not taken their last send yet, or their budget is spent."""
    queued_bytes: int
    tick: int
    tick_due_monotonic_s: float
    """When the next tick is due, by CLOCK_MONOTONIC, which all processes of a machine share. Ticks lie on
    a grid of whole periods."""
    hz: int
    dilation: float
    ticks_total: int
    ticks_skipped_total: int
    encodes_total: int
    snapshots_total: int
    overruns_total: int
    """Ticks that took longer than their period or came late by more than one."""
    rule_failures_total: int
    superseded_total: int
    """Motions that another motion of the same player within the same tick made void."""
    connections_total: int
    joins_total: int
    packets_in_total: int
    actions_in_total: int
    bytes_in_total: int
    frames_out_total: int
    """Frames handed to sessions."""
    sends_total: int
    """Sends that took them there: as many, unless the sessions gather (`--delivery session`)."""
    frames_skipped_total: int
    catch_ups_total: int
    deliveries_out_total: int
    """Things told, times those who were told."""
    bytes_out_total: int
    deflates_total: int
    """Frames and snapshots deflated, each once, since somebody in the round had asked for it."""
    deflate_seconds_total: float
    """What that took."""
    frames_deflated_total: int
    """Frames handed to sessions deflated, of all that were."""
    bytes_saved_total: int
    """Bytes that sessions were not sent because what they got was deflated."""
    frame_bytes: int
    """The size of the newest frame, as it is."""
    refusals: dict[str, int]
    restraints: dict[str, int]
    """How often a session was WARNED or MUTED for what it sent."""
    addresses: int
    """Addresses that are remembered: they hold connections, or did a short while ago."""
    closes: dict[str, int]
    tick_ms: dict[str, float]
    """p50, p99 and max over the last ten seconds."""
    phases_ms: dict[str, float]
    """The mean of each phase over the last ten seconds."""
    cpu_percent: float
    """Of one core, over the last second."""
    cpu_seconds_total: float
    rss_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Stats:
        """The Stats in an answer to `GET /stats`; fields of a newer server are passed over.

        Raises ValueError when it is something else.
        """
        return cls(**_known(cls, document, STATS_SCHEMA))


# --- Single sessions ----------------------------------------------------------------------------------

SESSIONS_SCHEMA = "zone-sessions/1"

SESSION_SORTS = ("queued", "behind", "rtt", "out", "actions", "refused", "age")
"""What sessions may be sorted by, the highest figure first."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """One player's session, now."""

    name: str
    slot: int | None
    """None until the zone has taken it in."""
    address: str
    state: str
    """`joining`; `playing`; `behind` while a send is in flight; `resting` while its byte budget recovers."""
    standing: str
    """`FINE`, `WARNED` or `MUTED` for what it sent."""
    connected_s: float
    behind_ticks: int
    """Frames that it has not been handed yet."""
    queued_bytes: int
    """Bytes that wait for the kernel to take them."""
    rtt_ms: float | None
    """The round trip as the kernel sees it; None where the system does not tell."""
    bytes_out_total: int
    """Bytes that the kernel has taken."""
    actions_in_total: int
    """By the player's own count: the sequence of its newest action."""
    refusals_total: int


@dataclass(frozen=True, slots=True)
class ClosedSession:
    """A session that has ended, and why."""

    name: str
    """Empty for one that never said HELLO."""
    address: str
    code: str
    text: str
    ago_s: float
    lived_s: float


@dataclass(frozen=True, slots=True)
class SessionList:
    """The first few of all sessions by one figure, and those that closed last: what `GET /sessions` answers."""

    schema: str
    tick: int
    players: int
    sort: str
    """One of SESSION_SORTS."""
    sessions: list[SessionStats]
    closed: list[ClosedSession]
    """The newest first."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> SessionList:
        """The list in an answer to `GET /sessions`; fields of a newer server are passed over.

        Raises ValueError when it is something else.
        """
        values = _known(cls, document, SESSIONS_SCHEMA)
        values["sessions"] = [SessionStats(**_known(SessionStats, each)) for each in values["sessions"]]
        values["closed"] = [ClosedSession(**_known(ClosedSession, each)) for each in values["closed"]]
        return cls(**values)


def _known(record: type[Any], document: Any, schema: str | None = None) -> dict[str, Any]:
    """The fields of a record that a document has, all of which it must have."""
    if not isinstance(document, Mapping) or (schema is not None and document.get("schema") != schema):
        raise ValueError(f"the answer is not {schema or 'what it says it is'}")
    names = [field.name for field in dataclasses.fields(record)]
    missing = [name for name in names if name not in document]
    if missing:
        raise ValueError(f"the answer has no {missing[0]}")
    return {name: document[name] for name in names}
