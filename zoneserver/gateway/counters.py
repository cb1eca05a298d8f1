"""The counters of a gateway. A zone adds up those of all its gateways."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import codes, count, seconds

__all__ = ["GatewayCounters"]


@dataclass
class GatewayCounters:
    """Numbers that only grow."""

    connections_total: int = count("Connections accepted.", "zone_connections_total", adds="sum")
    joins_total: int = count("Players who came in.", "zone_joins_total", adds="sum")
    drops_total: int = count("Players whose connection was lost and who may come back.", "zone_drops_total", adds="sum")
    resumes_total: int = count("Players who came back.", "zone_resumes_total", adds="sum")
    packets_in_total: int = count("Packets received from clients.", "zone_received_packets_total", adds="sum")
    actions_in_total: int = count("Actions in the packets received.", "zone_received_actions_total", adds="sum")
    actions_away_total: int = count(
        "Actions refused because the zone did not answer.", "zone_away_actions_total", adds="sum"
    )
    bytes_in_total: int = count("Bytes of the packets received.", "zone_received_bytes_total", adds="sum")
    frames_out_total: int = count("Frames handed to sessions.", "zone_sent_frames_total", adds="sum")
    sends_total: int = count("Calls of the kernel that sent frames.", "zone_sends_total", adds="sum")
    frames_skipped_total: int = count(
        "Frames not sent to players who were behind.", "zone_skipped_frames_total", adds="sum"
    )
    catch_ups_total: int = count(
        "Players who were behind and were sent what they missed.", "zone_catch_ups_total", adds="sum"
    )
    deliveries_out_total: int = count(
        "Records delivered: the records of each frame, multiplied by its receivers.",
        "zone_deliveries_total",
        adds="sum",
    )
    bytes_out_total: int = count("Bytes handed to sessions.", "zone_sent_bytes_total", adds="sum")
    deflates_total: int = count("Frames and snapshots deflated, each once.", "zone_deflates_total", adds="sum")
    deflate_seconds_total: float = seconds("Time that deflating took.", "zone_deflate_seconds_total", adds="sum")
    frames_deflated_total: int = count(
        "Frames handed to sessions in deflated form.", "zone_sent_deflated_frames_total", adds="sum"
    )
    bytes_saved_total: int = count(
        "Bytes not sent because a message was deflated.", "zone_saved_bytes_total", adds="sum"
    )
    refusals: dict[str, int] = codes("Actions refused, by code.", "zone_refusals_total", adds="sum")
    restraints: dict[str, int] = codes(
        "Sessions warned or muted for what they sent, by code.", "zone_restraints_total", adds="sum"
    )
    closes: dict[str, int] = codes("Sessions ended, by reason.", "zone_closes_total", adds="sum")
