"""The figures of single parts of a server, by the names that they have in `Stats`."""

from __future__ import annotations

import os
import time
from itertools import chain
from typing import Any

from zoneserver.gateway.gateway import Gateway
from zoneserver.protocol.websocket import WEBSOCKET
from zoneserver.support.logs import lines_dropped
from zoneserver.support.process import rss_bytes

__all__ = ["counted", "of_gateway", "of_process"]


def counted(*counters: object) -> dict[str, Any]:
    """The values of all counters. Numbers by code are copied, since the originals go on counting."""
    values = chain(*(vars(each).items() for each in counters))
    return {name: dict(value) if isinstance(value, dict) else value for name, value in values}


def of_gateway(gateway: Gateway) -> dict[str, Any]:
    """The gateway's figures beside its counters."""
    return {
        "players": gateway.players_count,
        "players_peak": gateway.players_peak,
        "watchers": gateway.watchers_count,
        "connections": gateway.connections,
        "web_sessions": sum(
            count for form, count in gateway.broadcaster.sessions_by_form.items() if form.framing is WEBSOCKET
        ),
        "handshaking": len(gateway.pending),
        "behind": gateway.broadcaster.behind,
        "queued_bytes": gateway.broadcaster.queued_bytes,
        "snapshots_total": gateway.history.snapshots_total,
        "frame_bytes": gateway.broadcaster.frame_bytes,
        "addresses": len(gateway.pending.address_limits),
        "deflate_seconds_total": round(gateway.counters.deflate_seconds_total, 6),
    }


def of_process() -> dict[str, Any]:
    """The figures of this process."""
    return {
        "pid": os.getpid(),
        "time_unix_s": round(time.time(), 3),
        "cpu_seconds_total": round(time.process_time(), 3),
        "rss_bytes": rss_bytes(),
        "log_lines_dropped_total": lines_dropped(),
    }
