"""The counters of the two ends of a link."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import count

__all__ = ["GatewayLinkCounters", "HubCounters"]


@dataclass
class HubCounters:
    """What the zone's end counts, over all gateways."""

    gateways_attached_total: int = count("Gateways in other processes that attached.", "zone_gateways_attached_total")
    gateways_lost_total: int = count(
        "Times that a gateway in another process was lost, because no batch came from it.", "zone_gateways_lost_total"
    )
    link_resent_total: int = count("Ticks that a gateway had missed and was sent again.", "zone_link_resent_total")


@dataclass
class GatewayLinkCounters:
    """What the end of a gateway in a process of its own counts."""

    ticks_missed_total: int = count("Ticks that did not come by themselves.", "zone_link_missed_ticks_total")
    asks_total: int = count("Times that the gateway asked the zone for missing ticks.", "zone_link_asks_total")
    batches_resent_total: int = count(
        "Batches sent again, because the zone had not confirmed them.", "zone_link_resent_batches_total"
    )
