"""Made-up statistics of a server."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.stats import Stats


def stats(**changes: Any) -> Stats:
    """Return statistics that are all zero or empty, except for the changes."""
    empty: dict[str, Any] = {"int": 0, "float": 0.0, "str": "", "list[GatewayStats]": []}
    values = {field.name: empty.get(str(field.type), {}) for field in dataclasses.fields(Stats)}
    values["tick_ms"] = {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return Stats(**values | changes)


def gateway_stats(name: str = "gw1", **changes: Any) -> GatewayStats:
    """Return the record of a gateway with 300 players, with these changes."""
    values: dict[str, Any] = {
        "name": name,
        "address": "127.0.0.1:7777",
        "stats": "127.0.0.1:7779",
        "pid": 201,
        "host": "one",
        "attached_s": 60.0,
        "is_lost": False,
        "is_stopped": False,
        "tick": 200,
        "behind_ticks": 0,
        "waited_ms": 3.1,
        "batches_total": 1200,
        "resent_total": 0,
        "age_s": 0.5,
        "lead_ms": 6.2,
        "players": 300,
        "connections": 301,
        "bytes_out_total": 9_000_000,
        "cpu_percent": 41.0,
        "rss_bytes": 50_000_000,
    }
    return GatewayStats(**values | changes)
