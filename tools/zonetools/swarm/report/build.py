"""What a swarm saw, as plain values: the report that all who show it, or compare it, read. Pure.

Its shape, schema `zone-swarm/2`, stands in docs/swarm-report.md.
"""

from __future__ import annotations

import datetime
from typing import Any

from zoneserver.support.histogram import Histogram
from zonetools.swarm.conductor import Outcome
from zonetools.swarm.hostile.verdict import judge
from zonetools.swarm.measure.tally import Tally

__all__ = ["SCHEMA", "faults", "got_everything", "limits", "passed", "summary", "verdict"]

SCHEMA = "zone-swarm/2"

# Beyond these the figures say more about the swarm than about the server.
_BUSY_PERCENT = 85.0
_LATE_MICROSECONDS = 25_000


def summary(outcome: Outcome, control: Outcome | None = None) -> dict[str, Any]:
    """The report. Percent are of one core; what was not measured is None.

    `control` is a run of the same honest bots without the hostile ones. Everything but `hostile`,
    `control` and `closed_server` is about the honest bots alone.
    """
    tally = outcome.tally
    seconds = tally.seconds_measured
    # A motion that no frame holds was superseded or lost. The server counts the former: what is
    # beyond its count is lost.
    unexplained = 0
    if outcome.superseded_server is not None:
        unexplained = max(0, tally.superseded - outcome.superseded_server)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "started": datetime.datetime.fromtimestamp(outcome.started_unix_s, datetime.UTC).isoformat(timespec="seconds"),
        "target": outcome.plan.address,
        "plan": _plan(outcome),
        "machine": outcome.machine,
        "interrupted": outcome.interrupted,
        "seconds": round(seconds, 3),
        "bots": {"requested": outcome.plan.honest.bots, "joined": tally.joined, "failed": tally.failed},
        "join_seconds": round(tally.join_seconds, 3),
        "actions": {
            "sent": tally.sent,
            "delivered": tally.delivered,
            "superseded": tally.superseded - unexplained,
            "refused": dict(sorted(tally.refused.items())),
            "lost": tally.lost + unexplained,
            "duplicated": tally.duplicated,
            "reordered": tally.reordered,
            "unaccounted": tally.sent - tally.delivered - tally.superseded - tally.lost - tally.refused.total(),
        },
        "frames": {
            "received": tally.frames,
            "mismatched": tally.mismatched + outcome.digests_mismatched,
            "gaps": tally.gaps,
            "caught_up_by_snapshot": tally.catch_ups,
        },
        "state_hash": {"checked": tally.hashes_checked, "diverged": tally.diverged},
        "latency_ms": _percentiles(tally.latency),
        "latency_uncorrected_ms": _percentiles(tally.latency_uncorrected),
        "latency_split_ms": _split(tally, outcome.hz),
        "deliveries_per_s": _ratio(tally.deliveries_measured, seconds),
        "bytes_in_per_bot_per_s": _ratio(tally.bytes_measured, seconds * tally.joined),
        "bytes_per_delivered_action": _ratio(tally.bytes_measured, tally.deliveries_measured),
        "cpu_percent": {
            "swarm": _ratio(100 * tally.cpu_seconds, seconds),
            "server": None if outcome.cpu_percent_server is None else round(outcome.cpu_percent_server, 1),
        },
        "server": _server(outcome),
        "limited_by_swarm": bool(limits(outcome)),
        "swarm": {
            "processes": outcome.plan.processes,
            "cpu_percent_busiest": round(outcome.cpu_percent_busiest, 1),
            "cpu_percent_hostile": round(outcome.cpu_percent_hostile, 1),
            "loop_lag_ms": _percentiles(tally.loop_lag),
            "send_delay_ms": _percentiles(tally.send_delay),
            "why_limited": limits(outcome),
        },
        "closed": dict(sorted(tally.closed.items())),
        "closed_server": None if outcome.closed_server is None else dict(sorted(outcome.closed_server.items())),
        "closed_early": tally.closed_early,
        "broken": tally.broken,
        "errors": [group.plain(outcome.began) for group in tally.errors.groups()],
        "hostile": judge(outcome.hostile, outcome.closed_server, tally.closed, outcome.interrupted),
        "control": _control(outcome, control),
        "conditions": [],
        "compared": None,
        "series": [row.plain() for row in outcome.rows],
    }
    return {**report, "faults": faults(report)}


def _plan(outcome: Outcome) -> dict[str, Any]:
    plan, stats = outcome.plan, outcome.stats
    return {
        "bots": plan.bots,
        "ramp": plan.ramp,
        "seconds": plan.seconds,
        "rate": plan.rate,
        "seed": plan.seed,
        "processes": plan.processes,
        "mix": plan.mix,
        "hz": outcome.hz,
        "game": None if stats is None else stats[0].game,
    }


def _split(tally: Tally, hz: int | None) -> dict[str, dict[str, float | None]] | None:
    """Where the latency comes from: see docs/swarm-report.md for what of it is measured, and what inferred."""
    if hz is None or not tally.to_tick.total or not tally.round_trip.total:
        return None
    way = tally.round_trip.percentile(50) / 2
    to_tick, from_tick = tally.to_tick, tally.from_tick
    return {
        "client_to_server": {f"p{p}": _ms(tally.round_trip.percentile(p) / 2) for p in (50, 99)},
        "wait_for_tick": {
            "mean": _ms(max(0.0, to_tick.mean() - way)),
            **{f"p{p}": _ms(max(0.0, to_tick.percentile(p) - way)) for p in (50, 99)},
        },
        "tick_to_client": {
            "mean": _ms(from_tick.mean()),
            **{f"p{p}": _ms(from_tick.percentile(p)) for p in (50, 99)},
        },
        "floor": {"mean": _ms(5e5 / hz), "max": _ms(1e6 / hz)},
    }


def _server(outcome: Outcome) -> dict[str, Any] | None:
    """What the server counted while it was measured."""
    if outcome.stats is None:
        return None
    _, began, ended = outcome.stats
    return {
        "ticks": ended.ticks_total - began.ticks_total,
        "overruns": ended.overruns_total - began.overruns_total,
        "ticks_skipped": ended.ticks_skipped_total - began.ticks_skipped_total,
        "frames_skipped": ended.frames_skipped_total - began.frames_skipped_total,
        "tick_p99_ms": ended.tick_ms["p99"],
        "rss_bytes": ended.rss_bytes,
    }


def _control(outcome: Outcome, control: Outcome | None) -> dict[str, Any] | None:
    """How late everything was without the hostile bots, and how much later it was with them."""
    if control is None:
        return None
    with_them, without = outcome.tally.latency, control.tally.latency
    return {
        "latency_ms": _percentiles(without),
        "p99_ratio": _ratio(with_them.percentile(99), without.percentile(99)) if with_them.total else None,
        "limited_by_swarm": bool(limits(control)),
        "passed": passed(summary(control)),
    }


def limits(outcome: Outcome) -> list[str]:
    """Why the swarm itself may have been what limited the figures."""
    tally, reasons = outcome.tally, []
    if outcome.cpu_percent_busiest > _BUSY_PERCENT:
        reasons.append(f"a process of the swarm used {outcome.cpu_percent_busiest:.0f} % of a core: try --processes")
    for what, histogram in (("its loop was late", tally.loop_lag), ("actions left late", tally.send_delay)):
        late = histogram.percentile(99)
        if late > _LATE_MICROSECONDS:
            reasons.append(f"{what}, by {late / 1000:.0f} ms at the 99th percentile")
    return reasons


def passed(report: dict[str, Any]) -> bool:
    """Whether all honest bots got everything, with the hostile ones and without; those what they should; and
    no condition under which the run was to fail holds."""
    verdicts = [role["ok"] for role in report["hostile"].values()]
    verdicts += [not condition["failed"] for condition in report["conditions"]]
    return got_everything(report) and all(verdicts) and (report["control"] is None or report["control"]["passed"])


def verdict(report: dict[str, Any]) -> str:
    """The same in words."""
    good, bots = got_everything(report), report["bots"]
    words = "everybody got everything" if good else "NOT everybody got everything"
    if good and bots["joined"] < bots["requested"]:
        words = f"the {bots['joined']:,} of {bots['requested']:,} who had joined got everything"
    if report["hostile"]:
        right = all(role["ok"] for role in report["hostile"].values())
        words += ", hostile bots what they should" if right else ", hostile bots NOT what they should"
    failed = sum(condition["failed"] for condition in report["conditions"])
    return f"{words}; {failed} of {len(report['conditions'])} conditions FAILED" if failed else words


def faults(report: dict[str, Any]) -> int:
    """How many things went wrong for honest bots that never should."""
    actions, frames = report["actions"], report["frames"]
    total: int = (
        actions["lost"]
        + actions["duplicated"]
        + actions["reordered"]
        + abs(actions["unaccounted"])
        + frames["mismatched"]
        + frames["gaps"]
        + report["state_hash"]["diverged"]
        + report["bots"]["failed"]
        + report["closed_early"]
        + report["broken"]
    )
    return total


def got_everything(report: dict[str, Any]) -> bool:
    """Whether all honest bots did."""
    bots = report["bots"]
    # An interrupted ramp leaves bots that never tried: that is no failure of anybody.
    everybody_in: bool = report["interrupted"] or bots["joined"] == bots["requested"]
    return faults(report) == 0 and everybody_in


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    points = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}
    if not histogram.total:
        return dict.fromkeys([*points, "mean"])
    values = {name: _ms(histogram.percentile(percent)) for name, percent in points.items()}
    return {**values, "mean": _ms(histogram.mean())}


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 3)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None
