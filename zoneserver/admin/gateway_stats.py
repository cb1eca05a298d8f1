"""What a zone says of one gateway in another process: its own record in the statistics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from zoneserver.support.statistic import Metric, count, gauge, info, metric_of, seconds

__all__ = ["GATEWAY_METRICS", "GatewayStats"]

_MS = 0.001
_FACTS = "zone_gateway_attached_info"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStats:
    """One gateway that is attached to the zone, or was within the last minute.

    The zone knows the fields down to `resent_total` by itself. The gateway sends the others once a second; they are
    zero until it has, and those of a gateway that is lost or has stopped are its last.
    """

    name: str = info("The gateway's name.", _FACTS)
    address: str = info("Where players reach the gateway.", _FACTS)
    stats: str = info("The address of its admin port; empty without one.", _FACTS)
    pid: int = info("The number of its process.", _FACTS)
    host: str = info("The name of its machine.", _FACTS)
    attached_s: float = gauge("How long ago it attached.", "zone_gateway_attached_seconds")
    is_lost: bool = gauge("Whether the gateway is lost: no batch comes from it.", "zone_gateway_lost")
    is_stopped: bool = gauge("Whether the gateway has stopped by itself.", "zone_gateway_stopped")
    tick: int = gauge("The newest tick that it has.", "zone_gateway_tick")
    behind_ticks: int = gauge("Ticks of the zone that it does not have yet.", "zone_gateway_behind_ticks")
    waited_ms: float = gauge(
        "How long its newest batch waited for the tick.", "zone_gateway_batch_wait_seconds", scale=_MS
    )
    batches_total: int = count("Batches taken from it.", "zone_gateway_batches_total")
    resent_total: int = count("Ticks that it had missed and was sent again.", "zone_gateway_resent_total")
    age_s: float = gauge("How old the figures are that it sent.", "zone_gateway_figures_age_seconds")
    lead_ms: float = gauge(
        *("How long before the tick its batches leave.", "zone_gateway_lead_seconds"), scale=_MS, default=0.0
    )
    asks_total: int = count("Times that it asked for missing ticks.", "zone_gateway_asks_total")
    players: int = gauge("Players at the gateway.", "zone_gateway_players", default=0)
    watchers: int = gauge("Watchers at the gateway.", "zone_gateway_watchers", default=0)
    connections: int = gauge("Open connections of the gateway.", "zone_gateway_connections", default=0)
    behind: int = gauge("Players at the gateway who skip frames.", "zone_gateway_players_behind", default=0)
    queued_bytes: int = gauge("Bytes that wait for its kernel to take them.", "zone_gateway_queued_bytes", default=0)
    frames_out_total: int = count("Frames that it handed to sessions.", "zone_gateway_sent_frames_total")
    bytes_out_total: int = count("Bytes that it handed to sessions.", "zone_gateway_sent_bytes_total")
    packets_in_total: int = count("Packets that it received from clients.", "zone_gateway_received_packets_total")
    cpu_percent: float = gauge(
        *("CPU time of its process, as a share of one core.", "zone_gateway_cpu_ratio"), scale=0.01, default=0.0
    )
    rss_bytes: int = gauge("Memory that its process holds.", "zone_gateway_resident_memory_bytes", default=0)
    cpu_seconds_total: float = seconds("CPU time of its process.", "zone_gateway_cpu_seconds_total")

    @property
    def is_here(self) -> bool:
        """Whether the gateway is neither lost nor stopped."""
        return not (self.is_lost or self.is_stopped)


GATEWAY_METRICS: dict[str, Metric] = {field.name: metric_of(field) for field in dataclasses.fields(GatewayStats)}
"""The declaration of each field of `GatewayStats`, by the field's name."""
