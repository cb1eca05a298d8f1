"""The processes that hold players, a row for each: the gateways of a zone, or several admin ports. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.stats import Stats
from zonetools.dashboard.data.history import Sample

# A gateway tells its zone once a second what it sent: a rate over less time would jump.
_RATE_SECONDS = 3.0
# From this time on without a tick, something is wrong with the zone, or with the link to it.
_SILENT_SECONDS = 1.0

KEYS_MAX = 9
"""The ports that have a key of their own."""
FINE, LATE, SILENT, LOST, STOPPED, AWAY = "fine", "late", "silent", "lost", "stopped", "away"


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One process. A figure that is not known is None."""

    name: str
    address: str
    """Where players reach it, or its admin port."""
    state: str = FINE
    """`late`: it lacks the ticks of the last second. `silent`: it gets no ticks. `lost`: the zone gets nothing from it.
    `stopped`: it has ended by itself. `away`: its admin port does not answer."""
    players: int | None = None
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    out_per_s: float | None = None
    """Bytes to players."""
    behind: int | None = None
    """Players who skip frames."""
    late_ticks: int | None = None
    """Ticks of the zone that it does not have yet."""
    lead_ms: float | None = None
    """How long before the tick its batches leave."""
    wait_ms: float | None = None
    """How long its newest batch waited for the tick."""
    key: str = ""
    """The key that shows this port alone."""


def rows_of_zone(samples: Sequence[Sample]) -> list[ProcessRow]:
    """The gateways of a zone, by its newest sample."""
    if not samples or not samples[-1].stats.gateways:
        return []
    newest = samples[-1]
    recent = itertools.takewhile(lambda sample: sample.at >= newest.at - _RATE_SECONDS, reversed(samples))
    oldest = list(recent)[-1].stats
    before = {(each.name, each.pid): each for each in oldest.gateways}
    return [
        _row_of_gateway(each, newest.stats, _rate(before.get((each.name, each.pid)), each, newest.stats, oldest))
        for each in newest.stats.gateways
    ]


def _rate(before: GatewayStats | None, now: GatewayStats, newest: Stats, oldest: Stats) -> float | None:
    """Bytes out per second between two figures that a gateway sent."""
    if before is None:
        return None
    seconds = (newest.uptime_s - now.age_s) - (oldest.uptime_s - before.age_s)
    more = now.bytes_out_total - before.bytes_out_total
    return more / seconds if seconds > 0.1 and more >= 0 else None


def _row_of_gateway(gateway: GatewayStats, zone: Stats, out_per_s: float | None) -> ProcessRow:
    gone = LOST if gateway.is_lost else STOPPED
    state = gone if not gateway.is_here else LATE if gateway.behind_ticks > zone.hz else FINE
    row = ProcessRow(gateway.name, gateway.address, state, gateway.players, late_ticks=gateway.behind_ticks)
    if not gateway.is_here:
        return row  # Its other figures are those of a moment that is gone.
    return replace(
        row,
        cpu_percent=gateway.cpu_percent,
        rss_bytes=gateway.rss_bytes,
        out_per_s=out_per_s,
        behind=gateway.behind,
        lead_ms=gateway.lead_ms,
        wait_ms=gateway.waited_ms,
    )


def rows_of_ports(ports: Iterable[tuple[str, Sample | None, bool]]) -> list[ProcessRow]:
    """A row for each admin port, then one for each gateway of a zone among them that has no port among them.

    A port is its address, its newest sample, and whether it does not answer now.
    """
    ports = list(ports)
    told = {each.name: (each, stats) for _, stats in _zones(ports) for each in stats.gateways}
    rows = [
        replace(_row_of_port(address, sample, is_away, told), key=str(number) if number <= KEYS_MAX else "")
        for number, (address, sample, is_away) in enumerate(ports, 1)
    ]
    names = {sample.stats.gateway for _, sample, _ in ports if sample is not None}
    return rows + [_row_of_gateway(each, zone, None) for name, (each, zone) in told.items() if name not in names]


def _zones(ports: Iterable[tuple[str, Sample | None, bool]]) -> list[tuple[str, Stats]]:
    return [
        (address, sample.stats)
        for address, sample, is_away in ports
        if sample is not None and not is_away and not sample.stats.gateway
    ]


def _row_of_port(
    address: str, sample: Sample | None, is_away: bool, told: dict[str, tuple[GatewayStats, Stats]]
) -> ProcessRow:
    if sample is None:
        return ProcessRow(address, address, AWAY)
    stats = sample.stats
    # A zone counts the players of its gateways, which have rows of their own.
    elsewhere = [each for each in stats.gateways if each.is_here]
    players = max(0, stats.players - sum(each.players for each in elsewhere))
    row = ProcessRow(stats.gateway or stats.game, address, AWAY, players)
    if is_away:
        return row  # Its other figures are those of a moment that is gone.
    row = replace(
        row,
        state=SILENT if stats.zone_silent_s > _SILENT_SECONDS else FINE,
        cpu_percent=stats.cpu_percent,
        rss_bytes=stats.rss_bytes,
        out_per_s=None if elsewhere else sample.rate("bytes_out_per_s"),
        behind=max(0, stats.behind - sum(each.behind for each in elsewhere)),
    )
    if stats.gateway:
        row = replace(row, lead_ms=stats.lead_ms)
        if stats.gateway in told:
            gateway, zone = told[stats.gateway]
            seen = _row_of_gateway(gateway, zone, None)
            state = row.state if seen.state == FINE else seen.state
            row = replace(row, state=state, late_ticks=seen.late_ticks, wait_ms=seen.wait_ms)
    return row
