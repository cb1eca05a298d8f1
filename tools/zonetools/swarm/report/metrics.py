"""The figures of a report by name: what `--fail-if` asks for, `--compare` compares and `--csv` lists. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

__all__ = ["FIGURES", "Figure", "Unit"]


class Unit(enum.Enum):
    """What a figure counts, by the unit that it is given in."""

    COUNT = ""
    MILLISECONDS = "ms"
    SECONDS = "s"
    PERCENT = "%"
    BYTES = "B"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report."""

    name: str
    path: str
    """Where it stands in the report; of a table, all its values together."""
    unit: Unit
    says: str
    better: int = 0
    """-1 where less is better, 1 where more is, 0 where neither is."""

    def of(self, report: dict[str, Any]) -> float | None:
        """What it is in this report; None when it was not measured.

        >>> FIGURES["p99"].of({"latency_ms": {"p99": 48.5}}), FIGURES["p99"].of({})
        (48.5, None)
        >>> FIGURES["refused"].of({"actions": {"refused": {"COOLDOWN": 2, "DEAD": 3}}})
        5
        """
        value: Any = report
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = sum(value.values())
        return value if isinstance(value, int | float) else None

    def text(self, value: float | None) -> str:
        """A value of it for people.

        >>> FIGURES["p99"].text(48.512), FIGURES["sent"].text(5_000), FIGURES["p99"].text(None)
        ('48.5 ms', '5,000', 'not measured')
        >>> FIGURES["bytes_per_action"].text(4.9392), FIGURES["memory_server"].text(32_600_064)
        ('4.939 B', '32.6 MB')
        """
        if value is None:
            return "not measured"
        unit = self.unit.value
        if self.unit is Unit.BYTES and value >= 1e4:
            value, unit = (value / 1e6, "MB") if value >= 1e6 else (value / 1e3, "kB")
        if isinstance(value, int):
            return f"{value:,} {unit}".rstrip()
        digits = 3 if abs(value) < 10 and self.unit is not Unit.PERCENT else 1
        return f"{value:,.{digits}f} {unit}".rstrip()


def _latency(name: str, path: str, says: str) -> Figure:
    return Figure(name, path, Unit.MILLISECONDS, says, better=-1)


def _fault(name: str, path: str, says: str) -> Figure:
    return Figure(name, path, Unit.COUNT, says, better=-1)


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("joined", "bots.joined", Unit.COUNT, "bots that came in", better=1),
        Figure("join_seconds", "join_seconds", Unit.SECONDS, "until the last of them was in", better=-1),
        Figure("sent", "actions.sent", Unit.COUNT, "actions sent"),
        Figure("delivered", "actions.delivered", Unit.COUNT, "actions that their own players saw"),
        Figure("superseded", "actions.superseded", Unit.COUNT, "motions that a later one within the tick made void"),
        Figure("refused", "actions.refused", Unit.COUNT, "actions refused, by whatever code"),
        _fault("lost", "actions.lost", "actions without an answer"),
        _fault("duplicated", "actions.duplicated", "actions seen twice"),
        _fault("reordered", "actions.reordered", "actions seen after later ones"),
        _fault("mismatched", "frames.mismatched", "frames of other bytes than everybody else's"),
        _fault("gaps", "frames.gaps", "frames missing"),
        _fault("diverged", "state_hash.diverged", "state hashes that were not the replica's"),
        _fault("failed", "bots.failed", "bots that did not come in"),
        _fault("closed_early", "closed_early", "bots that were thrown out, or lost their connection"),
        _fault("broken", "broken", "times a bot did not know what to do"),
        _fault("faults", "faults", "all of these together"),
        Figure("catch_ups", "frames.caught_up_by_snapshot", Unit.COUNT, "snapshots in place of frames", better=-1),
        _latency("p50", "latency_ms.p50", "latency from when an action was due, median"),
        _latency("p90", "latency_ms.p90", "the same, 90th percentile"),
        _latency("p99", "latency_ms.p99", "the same, 99th percentile"),
        _latency("p999", "latency_ms.p999", "the same, 99.9th percentile"),
        _latency("max", "latency_ms.max", "the same, the longest"),
        _latency("mean", "latency_ms.mean", "the same, mean"),
        _latency("uncorrected_p50", "latency_uncorrected_ms.p50", "latency from when it was sent, median"),
        _latency("uncorrected_p99", "latency_uncorrected_ms.p99", "the same, 99th percentile"),
        _latency(
            "client_to_server_p50", "latency_split_ms.client_to_server.p50", "half of a PING's round trip, median"
        ),
        _latency("client_to_server_p99", "latency_split_ms.client_to_server.p99", "the same, 99th percentile"),
        _latency("wait_for_tick_mean", "latency_split_ms.wait_for_tick.mean", "from there to the tick, mean"),
        _latency("wait_for_tick_p99", "latency_split_ms.wait_for_tick.p99", "the same, 99th percentile"),
        _latency(
            "tick_to_client_p50", "latency_split_ms.tick_to_client.p50", "from the tick to its own player, median"
        ),
        _latency("tick_to_client_p99", "latency_split_ms.tick_to_client.p99", "the same, 99th percentile"),
        Figure("cpu_server", "cpu_percent.server", Unit.PERCENT, "CPU of the server, of one core", better=-1),
        Figure("cpu_swarm", "cpu_percent.swarm", Unit.PERCENT, "CPU of the swarm, of one core", better=-1),
        Figure("deliveries_per_s", "deliveries_per_s", Unit.COUNT, "actions delivered, times who got them, per second"),
        Figure("bytes_per_bot", "bytes_in_per_bot_per_s", Unit.BYTES, "that each bot got, per second", better=-1),
        Figure("bytes_per_action", "bytes_per_delivered_action", Unit.BYTES, "for each action delivered", better=-1),
        _fault("overruns", "server.overruns", "ticks that took longer than their period, or came late by more"),
        _fault("ticks_skipped", "server.ticks_skipped", "ticks left out since the one before took too long"),
        _latency("tick_p99", "server.tick_p99_ms", "how long a tick takes, 99th percentile of the last 10 s"),
        Figure("memory_server", "server.rss_bytes", Unit.BYTES, "memory of the server at the end", better=-1),
        _latency("loop_lag_p99", "swarm.loop_lag_ms.p99", "how late the swarm itself was, 99th percentile"),
        _latency("send_delay_p99", "swarm.send_delay_ms.p99", "how late actions left, 99th percentile"),
    )
}
"""All of them by name, in the order in which they are shown."""
