"""What happened between two moments of a running zone, per second. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.stats import Stats

__all__ = ["Rates", "counted_since", "rates_between"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two samples of one run of a server, per second of the server's own clock."""

    seconds: float
    """How far apart the two samples are."""
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
    amplification: float | None
    """Deliveries out per action in; None when no action came in."""
    encodes_per_tick: float | None
    """1.0 is what the whole design is about; None when no tick passed."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, rounded to what is worth reading."""
        return {
            name: None if value is None else round(value, 3)
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }


def rates_between(before: Stats, after: Stats) -> Rates | None:
    """The rates from one sample to a later one of the same run; None when no time passed."""
    # The server's own clock: what the answers waited for on their way does not bend the rates.
    seconds = after.uptime_s - before.uptime_s
    if seconds <= 0:
        return None
    actions = after.actions_in_total - before.actions_in_total
    deliveries = after.deliveries_out_total - before.deliveries_out_total
    ticks = after.ticks_total - before.ticks_total
    return Rates(
        seconds=seconds,
        ticks_per_s=ticks / seconds,
        joins_per_s=(after.joins_total - before.joins_total) / seconds,
        packets_in_per_s=(after.packets_in_total - before.packets_in_total) / seconds,
        actions_in_per_s=actions / seconds,
        bytes_in_per_s=(after.bytes_in_total - before.bytes_in_total) / seconds,
        sends_per_s=(after.sends_total - before.sends_total) / seconds,
        deliveries_out_per_s=deliveries / seconds,
        bytes_out_per_s=(after.bytes_out_total - before.bytes_out_total) / seconds,
        frames_skipped_per_s=(after.frames_skipped_total - before.frames_skipped_total) / seconds,
        catch_ups_per_s=(after.catch_ups_total - before.catch_ups_total) / seconds,
        overruns_per_s=(after.overruns_total - before.overruns_total) / seconds,
        refusals_per_s=(sum(after.refusals.values()) - sum(before.refusals.values())) / seconds,
        closes_per_s=(sum(after.closes.values()) - sum(before.closes.values())) / seconds,
        amplification=deliveries / actions if actions else None,
        encodes_per_tick=(after.encodes_total - before.encodes_total) / ticks if ticks else None,
    )


def counted_since(before: Stats, after: Stats) -> Stats:
    """The later of two samples of one run, with what was counted between them in place of all its totals."""
    changes: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(Stats)):
        new, old = getattr(after, name), getattr(before, name)
        if name.endswith("_total"):
            changes[name] = new - old
        elif name in ("refusals", "restraints", "closes"):
            more = {code: number - old.get(code, 0) for code, number in new.items()}
            changes[name] = {code: number for code, number in more.items() if number}
    return dataclasses.replace(after, **changes)
