"""The schema of the admin port's documents. Names carry their units, and counters end in `_total`.

The server makes these documents; the dashboard, the swarm and the log read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.journal.counters import JournalCounters
from zoneserver.link.counters import GatewayLinkCounters, HubCounters
from zoneserver.store.counters import StoreCounters
from zoneserver.support.statistic import Metric, count, gauge, info, metric_of, seconds
from zoneserver.zone.counters import ZoneCounters

__all__ = [
    "METRICS",
    "SESSIONS_SCHEMA",
    "SESSION_SORTS",
    "STATS_SCHEMA",
    "ClosedSession",
    "SessionList",
    "SessionStats",
    "Stats",
]

STATS_SCHEMA = "zone-stats/1"
_MS = 0.001


@dataclass
class Stats(GatewayCounters, ZoneCounters, StoreCounters, JournalCounters, HubCounters, GatewayLinkCounters):
    """The state of a server at one moment: the answer to `GET /stats`.

    The counters of gateway, zone, store, journal and link are fields of it, by inheritance. A zone with gateways in
    other processes adds their figures to its own, as each field's `adds` says.
    """

    schema: str = info("The schema of this document.")
    pid: int = info("The number of the process.")
    game: str = info("The name of the game.")
    ctl: str = info("The path of the socket that takes commands; empty without one.")
    page: str = info("Where browsers find the page of the game; empty without one.")
    loop: str = info("The event loop: asyncio or uvloop.")
    time_unix_s: float = gauge("The server's clock, since 1970.", "zone_time_seconds")
    uptime_s: float = gauge("How long the server has run.", "zone_uptime_seconds")
    players: int = gauge("Players in the zone.", "zone_players", adds="sum")
    players_peak: int = gauge("The most players at once so far.", "zone_players_peak")
    players_max: int = gauge("The most players that may be in the zone.", "zone_players_max")
    parked: int = gauge("Players whose connection is lost and who may come back.", "zone_players_parked")
    watchers: int = gauge("Watchers, who see the zone and have no player in it.", "zone_watchers", adds="sum")
    connections: int = gauge(
        "Open connections, including those without a player and those that are closing.", "zone_connections", adds="sum"
    )
    web_sessions: int = gauge("Players and watchers who came by WebSocket.", "zone_web_sessions", adds="sum")
    handshaking: int = gauge("Connections that have not said HELLO yet.", "zone_connections_handshaking", adds="sum")
    behind: int = gauge(
        "Players who skip frames, because a send is in flight or their byte budget is spent.",
        "zone_players_behind",
        adds="sum",
    )
    queued_bytes: int = gauge("Bytes that wait for the kernel to take them.", "zone_queued_bytes", adds="sum")
    tick: int = gauge("The number of the last tick.", "zone_tick")
    epoch: int = gauge("Which start of the zone this is, from 1: a restart from a journal adds one.", "zone_epoch")
    tick_due_monotonic_s: float = gauge(
        "When the next tick is due, by CLOCK_MONOTONIC, which all processes of a machine share.",
        "zone_tick_due_monotonic_seconds",
    )
    hz: int = gauge("Ticks per second, as configured.", "zone_tick_rate_hertz")
    dilation: float = gauge("How fast the zone's time runs against the clock.", "zone_dilation_ratio")
    frame_bytes: int = gauge("The size of the newest frame, without framing.", "zone_frame_bytes", adds="max")
    addresses: int = gauge(
        "Addresses that the server remembers: they hold connections, or did recently.", "zone_addresses", adds="sum"
    )
    tick_ms: dict[str, float] = gauge(
        "Duration of a tick over the last ten seconds.",
        *("zone_tick_seconds",),
        kind="summary",
        scale=_MS,
        label="quantile",
    )
    phases_ms: dict[str, float] = gauge(
        "Mean duration of each phase of a tick over the last ten seconds; ingest in CPU time.",
        *("zone_phase_seconds",),
        scale=_MS,
        label="phase",
    )
    tick_durations_ms: dict[str, float] = gauge(
        "Durations of all ticks.", "zone_tick_duration_seconds", kind="histogram", scale=_MS
    )
    phase_durations_ms: dict[str, dict[str, float]] = gauge(
        "Durations of each phase of all ticks; ingest in CPU time.",
        *("zone_phase_duration_seconds",),
        kind="histogram",
        scale=_MS,
        label="phase",
    )
    cpu_percent: float = gauge("CPU time over the last second, as a share of one core.", "zone_cpu_ratio", scale=0.01)
    rss_bytes: int = gauge("Memory that the process holds.", "zone_resident_memory_bytes")
    store_unsaved: int = gauge("Players who wait to be written to the store.", "zone_store_unsaved")
    replay: dict[str, float] = gauge(
        "A replay's place, length, first and last tick, speed, and whether it is paused; empty for a game.",
        *("zone_replay",),
        label="figure",
    )
    gateway: str = info("The name of this gateway, if the process is one.", "zone_gateway_info", default="")
    link: str = info("The address at which this gateway reaches its zone.", "zone_gateway_info", default="")
    zone_silent_s: float = gauge(
        "Of a gateway: how long it has had no tick of its zone; 0 while they come.", "zone_silent_seconds", default=0.0
    )
    lead_ms: float = gauge(
        *("Of a gateway: how long before the tick its batches leave.", "zone_link_lead_seconds"),
        scale=_MS,
        default=0.0,
    )
    gateways: list[GatewayStats] = dataclasses.field(
        default_factory=list,
        metadata={"metric": Metric("Gateways in other processes that are attached and not lost.", "zone_gateways")},
        kw_only=True,
    )
    snapshots_total: int = count("Snapshots encoded.", "zone_snapshots_total", adds="sum")
    ticks_total: int = count("Ticks run.", "zone_ticks_total")
    ticks_skipped_total: int = count("Ticks skipped because an earlier one came too late.", "zone_ticks_skipped_total")
    ticks_failed_total: int = count("Ticks that failed, and were not sent.", "zone_failed_ticks_total")
    overruns_total: int = count(
        "Ticks that took longer than their period or came late by more than one period.", "zone_overruns_total"
    )
    log_lines_dropped_total: int = count("Lines of the log that stderr did not take.", "zone_log_lines_dropped_total")
    cpu_seconds_total: float = seconds("CPU time of the process.", "zone_cpu_seconds_total")

    def to_json(self) -> dict[str, Any]:
        """The document as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Stats:
        """Reads an answer to `GET /stats`, and ignores the fields of a newer server.

        Raises ValueError for any other document.
        """
        values = _known(cls, document, STATS_SCHEMA)
        values["gateways"] = [GatewayStats(**_known(GatewayStats, each)) for each in values["gateways"]]
        return cls(**values)


METRICS: dict[str, Metric] = {field.name: metric_of(field) for field in dataclasses.fields(Stats)}
"""The declaration of each field of `Stats`, by the field's name."""


# --- Single sessions ----------------------------------------------------------------------------------

SESSIONS_SCHEMA = "zone-sessions/1"

SESSION_SORTS = ("queued", "behind", "rtt", "out", "actions", "refused", "age")
"""The figures by which sessions may be sorted, the highest first."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """One player's session, now."""

    name: str
    slot: int | None
    """None until the zone has let the player in."""
    address: str
    via: str
    """How the client is connected: `tcp` or `web`, a WebSocket."""
    state: str
    """`joining`; `playing`; `behind` while a send is in flight; `resting` while its byte budget recovers."""
    standing: str
    """The penalty level: `FINE`, `WARNED` or `MUTED`."""
    connected_s: float
    behind_ticks: int
    """Frames that the session has not been handed yet."""
    queued_bytes: int
    """Bytes that wait for the kernel to take them."""
    rtt_ms: float | None
    """The round trip as the kernel sees it; None where the system does not tell."""
    bytes_out_total: int
    """Bytes that the kernel has taken."""
    actions_in_total: int
    """The sequence of the player's newest action, which counts refused actions too."""
    refusals_total: int
    refusals: dict[str, int]
    """The refusals by code."""
    why: str
    """Why the session is behind, in a sentence; empty for one that is not."""


@dataclass(frozen=True, slots=True)
class ClosedSession:
    """A session that has ended, and why."""

    name: str
    """Empty for a connection that never said HELLO."""
    address: str
    code: str
    text: str
    ago_s: float
    lived_s: float


@dataclass(frozen=True, slots=True)
class SessionList:
    """The first sessions by one figure, and those that closed last: the answer to `GET /sessions`."""

    schema: str
    tick: int
    players: int
    sort: str
    """One of SESSION_SORTS."""
    found: int
    """How many sessions fit the filter; all players without one."""
    sessions: list[SessionStats]
    closed: list[ClosedSession]
    """The newest first."""

    def to_json(self) -> dict[str, Any]:
        """The document as plain values."""
        # asdict() copies each value, and would take four times as long.
        records = {name: [_values(each) for each in getattr(self, name)] for name in ("sessions", "closed")}
        return _values(self) | records

    @classmethod
    def from_json(cls, document: Any) -> SessionList:
        """Reads an answer to `GET /sessions`, and ignores the fields of a newer server.

        Raises ValueError for any other document.
        """
        values = _known(cls, document, SESSIONS_SCHEMA)
        values["sessions"] = [SessionStats(**_known(SessionStats, each)) for each in values["sessions"]]
        values["closed"] = [ClosedSession(**_known(ClosedSession, each)) for each in values["closed"]]
        return cls(**values)


def _values(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _known(record: type[Any], document: Any, schema: str | None = None) -> dict[str, Any]:
    """The fields of `record` from a document, which must have them all."""
    if not isinstance(document, Mapping) or (schema is not None and document.get("schema") != schema):
        raise ValueError(f"the answer is not {schema or 'a JSON object where one is expected'}")
    names = [field.name for field in dataclasses.fields(record)]
    missing = [name for name in names if name not in document]
    if missing:
        raise ValueError(f"the answer has no {missing[0]}")
    return {name: document[name] for name in names}
