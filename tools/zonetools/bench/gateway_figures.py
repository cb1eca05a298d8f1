"""What the bench of gateways measured, what is computed from it, and tables of both."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from zonetools.bench.arrangement import SINGLE
from zonetools.bench.gateway_load import Crowd, Load

__all__ = ["SCHEMA", "Figures", "gateway_cores"]

SCHEMA = "zone-gateways/1"
# A gateway is planned to use this share of a core at most, so that its sends end well before the next tick.
_BUSY_MAX = 0.7
# For so many players at so many ticks per second the cores are computed.
_PLANNED = (4_000, 20), (10_000, 10), (10_000, 20), (20_000, 20)


@dataclass
class Figures:
    """All runs. Everything else is computed from them."""

    sockets: list[tuple[Crowd, Load]] = dataclasses.field(default_factory=list)
    sends: list[dict[str, Load]] = dataclasses.field(default_factory=list)
    """Each round of SINGLE and a gateway."""
    latency: list[dict[str, Load]] = dataclasses.field(default_factory=list)
    """Each round of SINGLE and a gateway over each link."""

    failures: list[str] = dataclasses.field(default_factory=list)
    """What could not be measured, and why."""

    def loads(self) -> list[Load]:
        return [load for _, load in self.sockets] + [
            load for measured in (*self.sends, *self.latency) for load in measured.values()
        ]

    def send_ratios(self) -> list[float]:
        """CPU per send of a gateway by that of one process, in each round."""
        return [each["unix"].cpu_us_per_send / each[SINGLE].cpu_us_per_send for each in self.sends]

    def added_ms(self, link: str, figure: str) -> float:
        """The median over the rounds of the milliseconds that a link adds to a figure of the latency."""
        added = (getattr(each[link], figure) - getattr(each[SINGLE], figure) for each in self.latency)
        return float(statistics.median(added))

    def document(self) -> dict[str, Any]:
        """All runs and what is computed, as plain values."""
        return {
            "schema": SCHEMA,
            "sockets": [dataclasses.asdict(crowd) | dataclasses.asdict(load) for crowd, load in self.sockets],
            "sends": [{link: dataclasses.asdict(load) for link, load in each.items()} for each in self.sends],
            "latency": [{link: dataclasses.asdict(load) for link, load in each.items()} for each in self.latency],
            "failures": self.failures,
            "send_ratios": [round(ratio, 3) for ratio in self.send_ratios()],
            "added_ms": {
                link: {figure: round(self.added_ms(link, f"latency_{figure}_ms"), 2) for figure in ("p50", "p99")}
                for link in (self.latency[0] if self.latency else ())
                if link != SINGLE
            },
        }

    def tables(self) -> list[Table]:
        tables = []
        if self.sockets:
            tables.append(_sockets_table(self.sockets))
        if self.sends:
            tables.append(_sends_table(self))
        if self.latency:
            tables.append(_latency_table(self))
        # The few players of `latency` are told the little that few players do.
        crowds = [load for _, load in self.sockets] + [each["unix"] for each in self.sends]
        if loads := [load for load in crowds if load.gateways]:
            tables.append(_cores_table(loads))
        return tables


def gateway_cores(players: int, hz: int, us_per_send: float, busy: float = _BUSY_MAX) -> int:
    """The cores that gateways need for so many players, one process on each.

    >>> gateway_cores(20_000, 20, 5.0), gateway_cores(1_000, 20, 5.0)
    (3, 1)
    """
    return math.ceil(players * hz * us_per_send / 1e6 / busy)


def _sockets_table(runs: list[tuple[Crowd, Load]]) -> Table:
    """CPU in percent of a core, latencies in milliseconds."""
    title = "the same crowd over more gateways (unix), measured: CPU in %, latency in ms"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("players, Hz, actions", no_wrap=True)
    for heading in ("gateways", "zone", "gateways", "us/send", "sends/s", "p50", "p99", "skipped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for crowd, load in runs:
        table.add_row(
            f"{crowd.players:,} {crowd.hz} {crowd.rate:g}/s",
            str(load.gateways or "none"),
            f"{load.zone_cpu_percent:.1f}",
            f"{load.gateway_cpu_percent:.1f}",
            f"{load.cpu_us_per_send:.2f}",
            f"{load.sends_per_s:,.0f}",
            f"{load.latency_p50_ms:.0f}",
            f"{load.latency_p99_ms:.0f}",
            f"{load.frames_skipped:,}",
        )
    return table


def _sends_table(found: Figures) -> Table:
    table = Table(title="CPU per send, measured in turn", title_justify="left")
    for heading in ("", "one process", "gateway", "ratio", "zone and gateway"):
        table.add_column(heading, justify="right" if heading else "left")
    for number, (each, ratio) in enumerate(zip(found.sends, found.send_ratios(), strict=True), 1):
        single, gateway = each[SINGLE], each["unix"]
        values = (single.cpu_us_per_send, gateway.cpu_us_per_send), gateway.cpu_us_per_send_in_all
        one, other = (f"{value:.2f} us" for value in values[0])
        table.add_row(f"round {number}", one, other, f"{ratio:.2f}", f"{values[1]:.2f} us")
    table.add_row("median", "", "", f"{statistics.median(found.send_ratios()):.2f}", "")
    return table


def _latency_table(found: Figures) -> Table:
    table = Table(title="from an action to its player, measured in turn, medians", title_justify="left")
    for heading in ("", "p50", "p99", "adds at p50", "adds at p99"):
        table.add_column(heading, justify="right" if heading else "left")
    for link in found.latency[0]:
        p50, p99 = (
            statistics.median(getattr(each[link], figure) for each in found.latency)
            for figure in ("latency_p50_ms", "latency_p99_ms")
        )
        added = [
            "" if link == SINGLE else f"{found.added_ms(link, figure):+.1f} ms"
            for figure in ("latency_p50_ms", "latency_p99_ms")
        ]
        table.add_row(link, f"{p50:.1f} ms", f"{p99:.1f} ms", *added)
    return table


def _cores_table(loads: Sequence[Load]) -> Table:
    """Computed from the highest CPU per send of any run: sends times that, and a bound for the share of a core."""
    us_per_send = max(load.cpu_us_per_send for load in loads)
    title = f"cores for gateways, computed from {us_per_send:.2f} us per send, at most {100 * _BUSY_MAX:.0f} % of each"
    table = Table(title=title, title_justify="left")
    for heading in ("players", "ticks per second", "gateways, one core each"):
        table.add_column(heading, justify="right")
    for players, hz in _PLANNED:
        table.add_row(f"{players:,}", str(hz), str(gateway_cores(players, hz, us_per_send)))
    return table
