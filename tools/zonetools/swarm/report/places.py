"""The parts of a report about several addresses, and about the gateways of a zone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.stats import Stats
from zoneserver.support.format import format_count, format_decimal, format_size
from zonetools.swarm.measure.places import Place
from zonetools.swarm.plan import Address
from zonetools.swarm.report.milliseconds import percentiles

Rows = list[list[str]]

TARGET_COLUMNS = (
    *("address", "bots", "connected", "p50 ms", "p99 ms", "frames", "failures", "drops", "moved"),
    *("away p50 ms", "away max ms"),
)
GATEWAY_COLUMNS = ("process", "players", "CPU %", "frames out", "bytes out", "behind")


def targets(addresses: Sequence[Address], places: Sequence[Place]) -> list[dict[str, Any]]:
    """Return what the bots counted at each address."""
    return [
        {
            "address": str(address),
            "bots": place.bots,
            "joined": place.joined,
            "connected": place.connected,
            "latency_ms": percentiles(place.latency),
            "frames": place.frames,
            "failures": place.failed + place.closed_early,
            "drops": place.drops,
            "came_back": place.returned,
            "moved": place.moved,
            "away_ms": percentiles(place.away),
        }
        for address, place in zip(addresses, places, strict=False)
    ]


def gateways(began: Stats, ended: Stats) -> list[dict[str, Any]]:
    """Return what each gateway did between two statistics of its zone, and how it was at the end."""
    before, elapsed = {(each.name, each.pid): each for each in began.gateways}, ended.uptime_s - began.uptime_s
    # What was gone before is none of this run's.
    gone = {(each.name, each.pid) for each in began.gateways if not each.is_here}
    at_end = [each for each in ended.gateways if each.is_here or (each.name, each.pid) not in gone]
    found = [_gateway(before.pop((each.name, each.pid), None), each, elapsed) for each in at_end]
    return found + [_ended(each) for key, each in before.items() if key not in gone]


def _ended(began: GatewayStats) -> dict[str, Any]:
    """Return the entry of a gateway that the zone has forgotten, because it ended and none of its players is left."""
    unknown = dict.fromkeys(("cpu_percent", "frames_out", "bytes_out"))
    return {"name": began.name, "address": began.address, "players": 0, **unknown, "behind": 0, "is_lost": True}


def _gateway(began: GatewayStats | None, ended: GatewayStats, elapsed: float) -> dict[str, Any]:
    cpu, frames, sent = ended.cpu_percent, ended.frames_out_total, ended.bytes_out_total
    if began is not None:
        frames, sent = frames - began.frames_out_total, sent - began.bytes_out_total
        # The figures of a gateway are older than those of the zone.
        elapsed += began.age_s - ended.age_s
        if elapsed > 0:
            cpu = 100 * (ended.cpu_seconds_total - began.cpu_seconds_total) / elapsed
    return {
        "name": ended.name,
        "address": ended.address,
        "players": ended.players,
        "cpu_percent": round(cpu, 1),
        "frames_out": frames,
        "bytes_out": sent,
        "behind": ended.behind,
        "is_lost": not ended.is_here,
    }


def target_rows(report: dict[str, Any]) -> Rows:
    """Return the rows of a table by address; none if there is only one address."""
    if len(report["targets"]) < 2:
        return []
    return [
        [
            each["address"],
            *(f"{each[name]:,}" for name in ("bots", "connected")),
            *(format_decimal(each["latency_ms"][name], 1) for name in ("p50", "p99")),
            *(f"{each[name]:,}" for name in ("frames", "failures", "drops", "moved")),
            *(format_decimal(each["away_ms"][name]) for name in ("p50", "max")),
        ]
        for each in report["targets"]
    ]


def gateway_rows(report: dict[str, Any]) -> Rows:
    """Return the rows of a table of the zone and its gateways; none if the zone has no gateways."""
    found = report["server"]["gateways"] if report["server"] is not None else []
    if not found:
        return []
    return [["zone", "", format_decimal(report["cpu_percent"]["server"]), "", "", ""]] + [
        [
            f"{each['name']} at {each['address']}" + (", lost" if each["is_lost"] else ""),
            f"{each['players']:,}",
            format_decimal(each["cpu_percent"]),
            format_count(each["frames_out"]),
            format_size(each["bytes_out"]),
            f"{each['behind']:,}",
        ]
        for each in found
    ]
