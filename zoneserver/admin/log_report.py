"""Reports to the log: a line of statistics at intervals, and the phases of a tick that took too long."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from zoneserver.admin.rates import Rates, counted_since, rates_between
from zoneserver.admin.stats import Stats
from zoneserver.config import Config
from zoneserver.protocol.codes import ORDINARY_CLOSES
from zoneserver.support.format import format_count, format_milliseconds, format_size
from zoneserver.support.logs import fields

__all__ = ["Reporter", "blame", "by_count", "kicks_in", "stats_line"]

log = logging.getLogger(__name__)


class Reporter:
    """Logs a line of statistics every `config.stats_interval_seconds`; 0 turns the lines off.

    A line is left out when the statistics were requested since the last one, and while the zone is empty and idle.
    """

    def __init__(self, config: Config, stats: Callable[[], Stats], loop: asyncio.AbstractEventLoop) -> None:
        self.is_watched = False
        """Set when the statistics are requested, since an operator who watches needs no line in the log."""
        self._interval_seconds = config.stats_interval_seconds
        self._period_ms = 1000 / config.hz
        self._stats = stats
        self._loop = loop
        self._before: Stats
        self._timer: asyncio.TimerHandle | None = None
        # When an overrun was last logged.
        self._overrun_logged = -math.inf

    def start(self) -> None:
        """Begins to log lines."""
        if self._interval_seconds:
            self._before = self._stats()
            self._timer = self._loop.call_later(self._interval_seconds, self._report)

    def stop(self) -> None:
        """Logs no further line. It may be called before `start`."""
        if self._timer is not None:
            self._timer.cancel()

    def overran(
        self,
        tick: int,
        tick_ms: float,
        skipped: int,
        phases_ms: Mapping[str, float],
        slowest: tuple[str, float],
        overruns_total: int,
    ) -> None:
        """Logs a tick that took too long or came too late, at most once a second.

        `slowest` is the rule that took most of the phase of the rules, and its milliseconds.
        """
        now = self._loop.time()
        if now - self._overrun_logged < 1.0:
            return
        self._overrun_logged = now
        phase, why = blame(tick_ms, phases_ms, self._period_ms)
        rule, rule_ms = slowest if phase == "rules" else (None, None)
        if rule is not None:
            why += f", of which {rule} took {rule_ms:.1f}"
        if tick_ms > self._period_ms:
            what = f"tick {tick} took {tick_ms:.1f} ms of {self._period_ms:.1f}"
        else:
            what = f"tick {tick} came late, {skipped} skipped"
        told = fields(
            tick=tick,
            tick_ms=round(tick_ms, 3),
            period_ms=self._period_ms,
            ticks_skipped=skipped,
            phase=phase,
            phases_ms=phases_ms,
            rule=rule,
            rule_ms=None if rule_ms is None else round(rule_ms, 3),
            overruns_total=overruns_total,
        )
        log.warning("%s: %s; %d overruns so far", what, why, overruns_total, extra=told)

    def _report(self) -> None:
        before, after = self._before, self._stats()
        rates, since = rates_between(before, after), counted_since(before, after)
        if rates is not None and not self.is_watched and _is_worth_it(since):
            log.info("%s", stats_line(before, after, rates), extra=fields(**_fields(since, rates)))
        self._before, self.is_watched = after, False
        self._timer = self._loop.call_later(self._interval_seconds, self._report)


def blame(tick_ms: float, phases_ms: Mapping[str, float], period_ms: float) -> tuple[str | None, str]:
    """The phase that caused an overrun, with a text for people; None when no phase did.

    >>> blame(60.0, {"ingest": 70.0, "rules": 48.0, "encode": 2.0, "fan_out": 8.0}, period_ms=50.0)
    ('rules', 'most of it rules (48.0 ms)')
    """
    within = {phase: ms for phase, ms in phases_ms.items() if phase != "ingest"}
    # Packets are decoded as the tick begins. The other part of ingest came before the tick.
    within["ingest"] = tick_ms - sum(within.values())
    if tick_ms > period_ms:
        phase, ms = max(within.items(), key=lambda item: item[1])
        return phase, f"most of it {phase.replace('_', '-')} ({ms:.1f} ms)"
    if phases_ms["ingest"] > period_ms / 2:
        return "ingest", f"ingest took {phases_ms['ingest']:.1f} ms of CPU before it"
    return None, "no phase took long: the machine is busy, or the process was stopped"


def _is_worth_it(since: Stats) -> bool:
    """Whether there are connections, or events since the last line."""
    events = since.connections_total, since.closes, since.overruns_total, since.rule_failures_total
    failures = since.store_failures_total, since.gateways_lost_total
    return bool(since.connections or any(events) or any(failures))


def stats_line(before: Stats, after: Stats, rates: Rates) -> str:
    """The figures, and then the events, the worst first, since a line of the log may be cut at its end."""
    since = counted_since(before, after)
    kicks = kicks_in(since.closes)
    events = (
        (since.rule_failures_total, "rules failed"),
        (since.store_failures_total, "store failures"),
        (since.store_unsaved if since.store_failures_total else 0, "unsaved"),
        (since.gateways_lost_total, "gateways lost"),
        (since.overruns_total, "overruns"),
        (sum(kicks.values()), f"kicked ({by_count(kicks)})"),
        (since.behind, "behind"),
        (sum(since.refusals.values()), "refused"),
        (since.joins_total, "joined"),
        # Players who were here or joined, and are not here now.
        (before.players + since.joins_total - after.players, "gone"),
    )
    return ", ".join(
        [
            f"{after.players:,} player{'' if after.players == 1 else 's'}{_where(after)}",
            f"tick p99 {format_milliseconds(after.tick_ms['p99'])} of {1000 / after.hz:.0f} ms",
            f"in {format_count(rates.actions_in_per_s)} actions/s {format_size(rates.bytes_in_per_s)}/s",
            f"out {format_count(rates.deliveries_out_per_s)}/s {format_size(rates.bytes_out_per_s)}/s",
            f"cpu {after.cpu_percent:.0f} %",
            format_size(after.rss_bytes),
            *(f"{format_count(number)} {what}" for number, what in events if number > 0),
        ]
    )


def _where(stats: Stats) -> str:
    """Over how many gateways in other processes the players are spread; empty without any."""
    count = sum(gateway.is_here for gateway in stats.gateways)
    return f" over {count} gateway{'' if count == 1 else 's'}" if stats.gateways else ""


def kicks_in(closes: Mapping[str, int]) -> dict[str, int]:
    """Those of the closes by which the server disconnected a client for a reason of its own."""
    return {reason: number for reason, number in closes.items() if reason not in ORDINARY_CLOSES}


def by_count(numbers: Mapping[str, int]) -> str:
    """Writes numbers with their names, the largest first.

    >>> by_count({"CLIENT_LEFT": 2, "FLOOD": 1_000})
    '1,000 FLOOD, 2 CLIENT_LEFT'
    """
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {what}" for what, number in ordered)


def _fields(since: Stats, rates: Rates) -> dict[str, Any]:
    """The fields of the line, for programs that read the log."""
    return {
        "players": since.players,
        "tick": since.tick,
        "tick_ms": since.tick_ms,
        "phases_ms": since.phases_ms,
        "dilation": since.dilation,
        "behind": since.behind,
        "queued_bytes": since.queued_bytes,
        "cpu_percent": since.cpu_percent,
        "rss_bytes": since.rss_bytes,
        **rates.to_json(),
        "overruns_total": since.overruns_total,
        "rule_failures_total": since.rule_failures_total,
        "closes": since.closes,
        "refusals": since.refusals,
        **({"gateways": [gateway.name for gateway in since.gateways]} if since.gateways else {}),
    }
