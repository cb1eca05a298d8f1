"""Rates per second between two samples of the statistics. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.stats import METRICS, Stats

__all__ = ["Rates", "counted_since", "rates_between"]


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates between two samples of one run of a server, per second of the server's clock."""

    seconds: float
    """The time between the two samples."""
    ticks_per_s: float
    joins_per_s: float
    packets_in_per_s: float
    actions_in_per_s: float
    bytes_in_per_s: float
    sends_per_s: float
    deliveries_out_per_s: float
    bytes_out_per_s: float
    frames_skipped_per_s: float
    catch_ups_per_s: float
    overruns_per_s: float
    refusals_per_s: float
    closes_per_s: float
    journal_bytes_per_s: float
    journal_slow_writes_per_s: float
    amplification: float | None
    """Deliveries out per action in; None when no action came in."""
    encodes_per_tick: float | None
    """1.0 unless frames are encoded more than once, which would be an error; None when no tick passed."""

    def to_json(self) -> dict[str, Any]:
        """The rates as plain values, rounded to three decimals."""
        return {
            name: None if value is None else round(value, 3)
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }


def rates_between(before: Stats, after: Stats) -> Rates | None:
    """The rates from one sample to a later one of one run; None when no time passed."""
    # By the server's clock, so that the time an answer spent on its way does not change the rates.
    seconds = after.uptime_s - before.uptime_s
    if seconds <= 0:
        return None
    since = counted_since(before, after)
    per_second = {
        field.name: _number(since, field.name.removesuffix("_per_s")) / seconds
        for field in dataclasses.fields(Rates)
        if field.name.endswith("_per_s")
    }
    return Rates(
        seconds=seconds,
        **per_second,
        amplification=since.deliveries_out_total / since.actions_in_total if since.actions_in_total else None,
        encodes_per_tick=since.encodes_total / since.ticks_total if since.ticks_total else None,
    )


def _number(since: Stats, name: str) -> float:
    """The value of a counter, or its sum over all codes."""
    value = getattr(since, name, None)
    total: float = sum(value.values()) if isinstance(value, Mapping) else getattr(since, f"{name}_total")
    return total


def counted_since(before: Stats, after: Stats) -> Stats:
    """The later of two samples of one run, with every counter reduced by its value in the earlier one."""
    changes: dict[str, Any] = {}
    for name, metric in METRICS.items():
        if metric.kind == "counter":
            new, old = getattr(after, name), getattr(before, name)
            if isinstance(new, Mapping):
                more = {code: number - old.get(code, 0) for code, number in new.items()}
                changes[name] = {code: number for code, number in more.items() if number}
            else:
                changes[name] = new - old
    return dataclasses.replace(after, **changes)
