"""The statistics as Prometheus reads them: the one place that maps `Stats` to metrics.

Everything is made when it is asked for, of the same snapshot that `GET /stats` answers with: a metric
costs a tick nothing. Units are those that Prometheus asks for: seconds, bytes, ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from zoneserver.admin.stats import Stats
from zoneserver.support.process import MissingExtraError

__all__ = ["CONTENT_TYPE", "METRICS", "load_exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text format in which our names, being plain, are written."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What one field of `Stats` is to Prometheus."""

    name: str
    text: str
    kind: str = "gauge"
    scale: float = 1.0
    """From the field's unit to the metric's."""
    label: str = ""
    """What a key of a field with several values is the value of."""


def _counter(name: str, text: str, label: str = "") -> Metric:
    return Metric(name, text, "counter", label=label)


_INFO = Metric("zone_info", "What runs, as labels.", "info")
_MS = 0.001

METRICS = {
    "schema": _INFO,
    "pid": _INFO,
    "game": _INFO,
    "loop": _INFO,
    "time_unix_s": Metric("zone_time_seconds", "The server's clock, since 1970."),
    "uptime_s": Metric("zone_uptime_seconds", "How long it has run."),
    "players": Metric("zone_players", "Players admitted and not gone."),
    "players_peak": Metric("zone_players_peak", "The most there ever were at once."),
    "players_max": Metric("zone_players_max", "The most there may be."),
    "connections": Metric("zone_connections", "Open connections, those without a player among them."),
    "handshaking": Metric("zone_connections_handshaking", "Connections that have not said HELLO yet."),
    "behind": Metric("zone_players_behind", "Players who skip frames at present."),
    "queued_bytes": Metric("zone_queued_bytes", "Bytes that wait for the kernel to take them."),
    "tick": Metric("zone_tick", "The number of the last tick."),
    "tick_due_monotonic_s": Metric("zone_tick_due_monotonic_seconds", "When the next is due, by this machine's clock."),
    "hz": Metric("zone_tick_rate_hertz", "Ticks per second, as they should be."),
    "dilation": Metric("zone_dilation_ratio", "How fast the zone's time runs against the clock."),
    "ticks_total": _counter("zone_ticks_total", "Ticks run."),
    "ticks_skipped_total": _counter("zone_ticks_skipped_total", "Ticks skipped because one before came too late."),
    "encodes_total": _counter("zone_frames_encoded_total", "Frames encoded: one per tick."),
    "snapshots_total": _counter("zone_snapshots_total", "Snapshots encoded."),
    "overruns_total": _counter("zone_overruns_total", "Ticks that took longer than their period, or came late."),
    "rule_failures_total": _counter("zone_rule_failures_total", "Times that a rule of the game raised."),
    "superseded_total": _counter("zone_motions_superseded_total", "Motions made void by another within their tick."),
    "connections_total": _counter("zone_connections_total", "Connections accepted."),
    "joins_total": _counter("zone_joins_total", "Players who came in."),
    "packets_in_total": _counter("zone_received_packets_total", "Packets from clients."),
    "actions_in_total": _counter("zone_received_actions_total", "Actions in them."),
    "bytes_in_total": _counter("zone_received_bytes_total", "Bytes of them."),
    "frames_out_total": _counter("zone_sent_frames_total", "Frames handed to sessions."),
    "sends_total": _counter("zone_sends_total", "Sends that took them there."),
    "frames_skipped_total": _counter("zone_skipped_frames_total", "Frames spared to players who were behind."),
    "catch_ups_total": _counter("zone_catch_ups_total", "Times that one of them was caught up."),
    "deliveries_out_total": _counter("zone_deliveries_total", "Things told, times those who were told."),
    "bytes_out_total": _counter("zone_sent_bytes_total", "Bytes handed to sessions."),
    "deflates_total": _counter("zone_deflates_total", "Frames and snapshots deflated, each once."),
    "deflate_seconds_total": _counter("zone_deflate_seconds_total", "What that took."),
    "frames_deflated_total": _counter("zone_sent_deflated_frames_total", "Frames handed to sessions deflated."),
    "bytes_saved_total": _counter("zone_saved_bytes_total", "Bytes not sent because something was deflated."),
    "frame_bytes": Metric("zone_frame_bytes", "The size of the newest frame."),
    "refusals": _counter("zone_refusals_total", "Actions refused, by code.", "code"),
    "restraints": _counter("zone_restraints_total", "Sessions warned or muted for what they sent, by code.", "code"),
    "addresses": Metric("zone_addresses", "Addresses that are remembered."),
    "closes": _counter("zone_closes_total", "Sessions ended, by code.", "code"),
    "tick_ms": Metric("zone_tick_seconds", "Ticks of the last ten seconds.", "summary", _MS, "quantile"),
    "phases_ms": Metric("zone_phase_seconds", "Mean of each phase of them, ingest as CPU.", scale=_MS, label="phase"),
    "cpu_percent": Metric("zone_cpu_ratio", "Of one core, over the last second.", scale=0.01),
    "cpu_seconds_total": _counter("zone_cpu_seconds_total", "CPU time of the process."),
    "rss_bytes": Metric("zone_resident_memory_bytes", "Memory that the process holds."),
}
"""By field of `Stats`, all of them. Those that share a metric are its labels."""

_INFO_FIELDS = [field for field, metric in METRICS.items() if metric is _INFO]
_QUANTILES = {"p50": "0.5", "p99": "0.99", "max": "1"}


def load_exposition() -> Callable[[Stats], bytes]:
    """What writes statistics in Prometheus' text format. Raises MissingExtraError where the package that
    knows it is not installed."""
    try:
        from prometheus_client.exposition import generate_latest
        from prometheus_client.metrics_core import Metric as Family
        from prometheus_client.registry import Collector
    except ImportError:
        raise MissingExtraError("prometheus-client", "metrics") from None

    class Snapshot(Collector):
        def __init__(self, stats: Stats) -> None:
            self._stats = stats

        def collect(self) -> Iterable[Family]:
            yield family(_INFO, [({field: str(getattr(self._stats, field)) for field in _INFO_FIELDS}, 1.0)])
            for field, metric in METRICS.items():
                if metric is not _INFO:
                    yield family(metric, _samples(metric, getattr(self._stats, field)))

    def family(metric: Metric, samples: Iterable[tuple[dict[str, str], float]]) -> Family:
        made = Family(metric.name.removesuffix("_total").removesuffix("_info"), metric.text, metric.kind)
        for labels, value in samples:
            made.add_sample(metric.name, labels, value)
        return made

    return lambda stats: generate_latest(Snapshot(stats))


def _samples(metric: Metric, value: float | Mapping[str, float]) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of each value that a field has."""
    if not isinstance(value, Mapping):
        return [({}, value * metric.scale)]
    return [({metric.label: _QUANTILES.get(key, key)}, number * metric.scale) for key, number in value.items()]
