"""The metrics of a report, by name: `--fail-if` tests them, `--compare` compares them, `--csv` lists them. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from zoneserver.support.format import format_decimal

NOT_MEASURED = "not measured"


class Unit(enum.Enum):
    """The unit of a metric."""

    COUNT = ""
    MILLISECONDS = "ms"
    SECONDS = "s"
    PERCENT = "%"
    BYTES = "B"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report."""

    name: str
    path: str
    """Its path in the report. If the path leads to an object, the metric is the sum of its values."""
    unit: Unit
    description: str
    better: int = 0
    """-1 if less is better, 1 if more is better, 0 if neither."""

    def of(self, report: dict[str, Any]) -> float | None:
        """Return its value in a report; None if it was not measured.

        >>> METRICS["p99"].of({"latency_ms": {"p99": 48.5}}), METRICS["p99"].of({})
        (48.5, None)
        >>> METRICS["refused"].of({"actions": {"refused": {"COOLDOWN": 2, "DEAD": 3}}})
        5
        """
        value: Any = report
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = sum(value.values())
        return value if isinstance(value, int | float) else None

    def value_text(self, value: float | None) -> str:
        """Return a value of this metric with its unit.

        >>> METRICS["p99"].value_text(48.512), METRICS["sent"].value_text(5_000), METRICS["p99"].value_text(None)
        ('48.5 ms', '5,000', 'not measured')
        >>> METRICS["bytes_per_action"].value_text(4.9392), METRICS["memory_server"].value_text(32_600_064)
        ('4.939 B', '32.6 MB')
        """
        if value is None:
            return NOT_MEASURED
        unit = self.unit.value
        if self.unit is Unit.BYTES and value >= 1e4:
            value, unit = (value / 1e6, "MB") if value >= 1e6 else (value / 1e3, "kB")
        digits = 0 if isinstance(value, int) else 3 if abs(value) < 10 and self.unit is not Unit.PERCENT else 1
        return f"{format_decimal(value, digits)} {unit}".rstrip()

    def text(self, report: dict[str, Any]) -> str:
        """Return its value in a report with its unit."""
        return self.value_text(self.of(report))


def _latency(name: str, path: str, description: str) -> Metric:
    return Metric(name, path, Unit.MILLISECONDS, description, better=-1)


def _unwanted(name: str, path: str, description: str) -> Metric:
    return Metric(name, path, Unit.COUNT, description, better=-1)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("joined", "bots.joined", Unit.COUNT, "bots that joined", better=1),
        Metric("join_seconds", "join_seconds", Unit.SECONDS, "time until the last bot had joined", better=-1),
        Metric("sent", "actions.sent", Unit.COUNT, "actions sent"),
        Metric("delivered", "actions.delivered", Unit.COUNT, "actions that their own players saw"),
        Metric("answered", "actions.answered", Unit.COUNT, "private actions that happened"),
        Metric("superseded", "actions.superseded", Unit.COUNT, "motions replaced by a later motion within the tick"),
        _unwanted("unanswered", "actions.unanswered", "actions whose outcome was lost with a connection"),
        Metric("resent", "actions.resent", Unit.COUNT, "actions sent again after a lost connection"),
        Metric("refused", "actions.refused", Unit.COUNT, "refused actions, with any code"),
        _unwanted("lost", "actions.lost", "actions without an answer"),
        _unwanted("duplicated", "actions.duplicated", "actions seen twice"),
        _unwanted("reordered", "actions.reordered", "actions seen after later ones"),
        Metric("told_bytes", "told.bytes", Unit.BYTES, "bytes that the game told single bots"),
        _unwanted("mismatched", "frames.mismatched", "frames whose bytes differ from those of other bots"),
        _unwanted("gaps", "frames.gaps", "missing frames"),
        _unwanted("diverged", "state_hash.diverged", "state hashes that differ from the replica's"),
        _unwanted("failed", "bots.failed", "bots that did not join"),
        _unwanted("closed_early", "closed_early", "bots that were kicked or lost their connection"),
        _unwanted("broken", "broken", "failures of a bot's behaviour"),
        _unwanted("faults", "faults", "the sum of all faults"),
        Metric("drops", "resume.drops", Unit.COUNT, "lost connections of bots who come back", better=-1),
        Metric("resumed", "resume.resumed", Unit.COUNT, "bots that came back"),
        Metric("moved", "resume.moved", Unit.COUNT, "bots that came back at another address"),
        _unwanted("resumes_failed", "resume.failed", "bots that could not come back"),
        Metric("ticks_missed", "resume.ticks_missed", Unit.COUNT, "ticks missed by bots that were away", better=-1),
        _latency("away_p99", "resume.away_ms.p99", "time without a connection, 99th percentile"),
        _latency("away_max", "resume.away_ms.max", "time without a connection, maximum"),
        Metric("catch_ups", "frames.caught_up_by_snapshot", Unit.COUNT, "snapshots in place of frames", better=-1),
        _latency("p50", "latency_ms.p50", "latency from the time an action was due, median"),
        _latency("p90", "latency_ms.p90", "latency from the time an action was due, 90th percentile"),
        _latency("p99", "latency_ms.p99", "latency from the time an action was due, 99th percentile"),
        _latency("p999", "latency_ms.p999", "latency from the time an action was due, 99.9th percentile"),
        _latency("max", "latency_ms.max", "latency from the time an action was due, maximum"),
        _latency("mean", "latency_ms.mean", "latency from the time an action was due, mean"),
        _latency("uncorrected_p50", "latency_uncorrected_ms.p50", "latency from the time of sending, median"),
        _latency("uncorrected_p99", "latency_uncorrected_ms.p99", "latency from the time of sending, 99th percentile"),
        _latency("client_to_server_p50", "latency_split_ms.client_to_server.p50", "half a round trip, median"),
        _latency("client_to_server_p99", "latency_split_ms.client_to_server.p99", "half a round trip, 99th percentile"),
        _latency("wait_for_tick_mean", "latency_split_ms.wait_for_tick.mean", "wait for the tick, mean"),
        _latency("wait_for_tick_p99", "latency_split_ms.wait_for_tick.p99", "wait for the tick, 99th percentile"),
        _latency("tick_to_client_p50", "latency_split_ms.tick_to_client.p50", "from the tick to the player, median"),
        _latency(
            "tick_to_client_p99", "latency_split_ms.tick_to_client.p99", "from the tick to the player, 99th percentile"
        ),
        Metric("cpu_server", "cpu_percent.server", Unit.PERCENT, "CPU of the server, of one core", better=-1),
        Metric("cpu_swarm", "cpu_percent.swarm", Unit.PERCENT, "CPU of the swarm, of one core", better=-1),
        Metric("deliveries_per_s", "deliveries_per_s", Unit.COUNT, "delivered actions times receivers, per second"),
        Metric("bytes_per_bot", "bytes_in_per_bot_per_s", Unit.BYTES, "received by each bot per second", better=-1),
        Metric("bytes_per_action", "bytes_per_delivered_action", Unit.BYTES, "per action and receiver", better=-1),
        _unwanted("overruns", "server.overruns", "ticks that took longer than their period, or began a period late"),
        _unwanted("ticks_skipped", "server.ticks_skipped", "ticks skipped because the tick before took too long"),
        _latency("tick_p99", "server.tick_p99_ms", "duration of a tick, 99th percentile of the last 10 s"),
        Metric("memory_server", "server.rss_bytes", Unit.BYTES, "memory of the server at the end", better=-1),
        _latency("loop_lag_p99", "swarm.loop_lag_ms.p99", "lateness of the swarm's timers, 99th percentile"),
        _latency("send_delay_p99", "swarm.send_delay_ms.p99", "lateness of sent actions, 99th percentile"),
    )
}
"""All metrics by name, in the order in which they are shown."""
