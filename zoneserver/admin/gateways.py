"""The figures of a zone and its gateways in other processes as one. Pure.

Once a second each gateway sends `gateway_figures` to the zone, which makes a row of them (`gateway_row`) and adds them
to its own (`GatewayTotals`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.stats import METRICS, Stats

__all__ = ["GatewayTotals", "added", "gateway_figures", "gateway_row"]

_ADDED = tuple(name for name, metric in METRICS.items() if metric.adds)
_IN_ROW = tuple(
    field.name for field in dataclasses.fields(GatewayStats) if field.default is not dataclasses.MISSING
)  # A figure that the zone knows by itself, such as `resent_total`, is given by name.
_SENT = tuple(dict.fromkeys(("uptime_s", "pid", *_ADDED, *(name for name in _IN_ROW if name in METRICS))))
# The names of gateways whose counters are remembered. A name may have the number of a process in it.
_NAMES_MAX = 1_000
# What tells one process that counts from another one of the same name.
_PROCESS = ("host", "pid", "begun_unix_ms")


def gateway_figures(stats: Stats) -> dict[str, Any]:
    """The statistics of a gateway, reduced to what its zone wants to know: plain values, about a kilobyte."""
    return {name: getattr(stats, name) for name in _SENT}


def gateway_row(figures: Mapping[str, Any], **known: Any) -> GatewayStats:
    """The record of a gateway: from the figures that it sent last, which may be none yet, and the fields that the zone
    knows by itself."""
    sent = {name: value for name, value in _checked(figures).items() if name in _IN_ROW}
    return GatewayStats(**(sent | known))


def added(own: Stats, gauges: Iterable[Mapping[str, Any]], counters: Iterable[Mapping[str, Any]]) -> Stats:
    """Adds figures of gateways to a process's own: the present of `gauges`, and what `counters` counted."""
    parts = {False: list(gauges), True: list(counters)}
    changes: dict[str, Any] = {}
    for name in _ADDED:
        metric, value = METRICS[name], getattr(own, name)
        more = [part[name] for part in parts[metric.kind == "counter"] if name in part]
        if metric.adds == "max":
            changes[name] = max([value, *more])
        elif isinstance(value, Mapping):
            changes[name] = dict(sum(map(Counter, more), Counter(value)))
        else:
            changes[name] = sum(more, value)
    return dataclasses.replace(own, **changes)


class GatewayTotals:
    """What the gateways in other processes have and have counted, since this start of the zone.

    A total only grows: it keeps what a gateway counted that is gone, and leaves out what an older gateway had counted
    before this zone started.
    """

    def __init__(self) -> None:
        # The process and the newest figures by the name of a gateway.
        self._newest: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {}
        self._counted: dict[str, Any] = {}
        self._players_peak = 0

    def take(self, name: str, figures: Mapping[str, Any], uptime_s: float, players: int) -> None:
        """Takes what a gateway has sent. `uptime_s` is that of the zone, which has so many players."""
        self._players_peak = max(self._players_peak, players)
        process, figures = [figures.get(each) for each in _PROCESS], _checked(figures)
        known, before = self._newest.get(name, (process, {}))
        if known != process:
            before = {}  # Another process has the name now. It counts from zero.
        elif before and before["uptime_s"] > figures["uptime_s"]:
            return  # A batch that was sent again is older than what the gateway said when it attached.
        elif not before and figures["uptime_s"] > uptime_s:
            before = figures
        for field in _ADDED:
            if METRICS[field].kind == "counter":
                self._count(field, figures[field], before.get(field))
        self._newest.pop(name, None)
        self._newest[name] = process, figures
        if len(self._newest) > _NAMES_MAX:
            del self._newest[next(iter(self._newest))]

    def _count(self, field: str, value: Any, before: Any) -> None:
        if isinstance(value, Mapping):
            codes = self._counted.setdefault(field, Counter())
            codes.update(value)
            codes.subtract(before or {})
        else:
            self._counted[field] = self._counted.get(field, 0) + value - (before or 0)

    def add_to(self, own: Stats, gateways: Sequence[GatewayStats], players: int, silent: Collection[str] = ()) -> Stats:
        """The statistics of the zone with these gateways, of which only those that are here have players. One that is
        `silent`, by name, is perhaps dead, and its players back elsewhere. The zone has so many `players`."""
        if not gateways and not self._counted:
            return own
        here = [each.name for each in gateways if each.is_here and each.name not in silent]
        present = [self._newest[name][1] for name in here if name in self._newest]
        whole = added(own, present, [self._counted])
        # Players who go from one gateway to another are in the figures of both. The zone counts them once.
        self._players_peak = max(own.players_peak, self._players_peak, players)
        return dataclasses.replace(whole, players_peak=self._players_peak, gateways=list(gateways))


def _checked(figures: Mapping[str, Any]) -> dict[str, Any]:
    """All figures that a gateway sends: what is missing or of another type is zero, as with another version."""
    checked: dict[str, Any] = {}
    for name in _SENT:
        value, is_table = figures.get(name), METRICS[name].label == "code"
        if is_table:
            table = value if isinstance(value, Mapping) else {}
            checked[name] = {str(code): number for code, number in table.items() if _is_number(number)}
        else:
            checked[name] = value if _is_number(value) else 0
    return checked


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
