"""Builds the report of a run as plain values. The text, the page and the tables are made from it. Pure.

docs/swarm-report.md documents its schema `zone-swarm/2`.
"""

from __future__ import annotations

import datetime
from typing import Any

from zonetools.swarm.conductor import Outcome
from zonetools.swarm.hostile.verdict import judge_roles
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.report.milliseconds import milliseconds, percentiles
from zonetools.swarm.report.places import gateways, targets

SCHEMA = "zone-swarm/2"

# Above these limits the swarm itself may have limited the run.
_BUSY_PERCENT = 85.0
_LATE_MICROSECONDS = 25_000


def summary(outcome: Outcome, control: Outcome | None = None) -> dict[str, Any]:
    """Return the report. Percent are of one core; a value that was not measured is None.

    `control` is the outcome of a run without the hostile bots. Everything but `hostile`, `control` and
    `closed_server` is about the honest bots only.
    """
    tally, seconds = outcome.tally, outcome.tally.seconds_measured
    # A motion that appears in no frame was superseded or lost. The server counts the superseded ones, so a higher
    # count of the bots means lost motions.
    superseded = outcome.superseded_server
    unexplained = 0 if superseded is None else max(0, tally.superseded - superseded)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "started": datetime.datetime.fromtimestamp(outcome.started_unix_s, datetime.UTC).isoformat(timespec="seconds"),
        "target": ", ".join(map(str, outcome.plan.addresses)),
        "plan": _plan(outcome),
        "machine": outcome.machine,
        "interrupted": outcome.interrupted,
        "seconds": round(seconds, 3),
        "bots": {
            "requested": outcome.plan.honest.bots,
            "joined": tally.joined,
            "failed": tally.failed,
            "web": tally.joined_web,
        },
        "join_seconds": round(tally.join_seconds, 3),
        "targets": targets(outcome.plan.addresses, tally.places.each),
        "actions": _actions(tally, unexplained),
        "resume": _returns(tally),
        "told": {"messages": tally.told, "bytes": tally.told_bytes},
        "frames": {
            "received": tally.frames,
            "mismatched": tally.mismatched + outcome.digests_mismatched,
            "gaps": tally.gaps,
            "caught_up_by_snapshot": tally.catch_ups,
        },
        "state_hash": {"checked": tally.hashes_checked, "diverged": tally.diverged},
        "latency_ms": percentiles(tally.latency),
        "latency_uncorrected_ms": percentiles(tally.latency_uncorrected),
        "latency_split_ms": _split(tally, outcome.hz),
        "deliveries_per_s": _ratio(tally.deliveries_measured, seconds),
        "bytes_in_per_bot_per_s": _ratio(tally.bytes_measured, seconds * (tally.joined - tally.clients)),
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
            "loop_lag_ms": percentiles(tally.loop_lag),
            "send_delay_ms": percentiles(tally.send_delay),
            "why_limited": limits(outcome),
        },
        "closed": dict(sorted(tally.closed.items())),
        "closed_server": None if outcome.closed_server is None else dict(sorted(outcome.closed_server.items())),
        "closed_early": tally.closed_early,
        "broken": tally.broken,
        "errors": [group.plain(outcome.began) for group in tally.errors.groups()],
        "hostile": judge_roles(outcome.hostile, outcome.closed_server, tally.closed, outcome.interrupted),
        "control": _control(outcome, control),
        "conditions": [],
        "compared": None,
        "series": [row.plain() for row in outcome.rows],
    }
    return {**report, "faults": faults(report)}


def _actions(tally: Tally, unexplained: int) -> dict[str, Any]:
    """What became of the actions. `unexplained` superseded ones were none by the count of the server, and are lost."""
    settled = tally.delivered + tally.answered + tally.superseded + tally.lost + tally.refused.total()
    return {
        "sent": tally.sent,
        "delivered": tally.delivered,
        "answered": tally.answered,
        "superseded": tally.superseded - unexplained,
        "unanswered": tally.unanswered,
        "resent": tally.resent,
        "refused": dict(sorted(tally.refused.items())),
        "lost": tally.lost + unexplained,
        "duplicated": tally.duplicated,
        "reordered": tally.reordered,
        "unaccounted": tally.sent - settled - tally.unanswered,
    }


def _returns(tally: Tally) -> dict[str, Any]:
    """How often bots lost their connection and came back."""
    return {
        "drops": tally.drops,
        "resumed": tally.resumed,
        "moved": tally.moved,
        "failed": tally.resumes_failed,
        "ticks_missed": tally.ticks_missed,
        "away_ms": percentiles(tally.away),
    }


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
        "web": plan.web or None,
        "addresses": len(plan.addresses),
        "roam": plan.roam,
        "hz": outcome.hz,
        "game": None if stats is None else stats[0].game,
    }


def _split(tally: Tally, hz: int | None) -> dict[str, dict[str, float | None]] | None:
    """Split the latency into its parts. docs/swarm-report.md says which parts are measured and which are inferred."""
    if hz is None or not tally.to_tick.total or not tally.round_trip.total:
        return None
    to_server = tally.round_trip.percentile(50) / 2
    to_tick, from_tick = tally.to_tick, tally.from_tick
    return {
        "client_to_server": {f"p{p}": milliseconds(tally.round_trip.percentile(p) / 2) for p in (50, 99)},
        "wait_for_tick": {
            "mean": milliseconds(max(0.0, to_tick.mean() - to_server)),
            **{f"p{p}": milliseconds(max(0.0, to_tick.percentile(p) - to_server)) for p in (50, 99)},
        },
        "tick_to_client": {
            "mean": milliseconds(from_tick.mean()),
            **{f"p{p}": milliseconds(from_tick.percentile(p)) for p in (50, 99)},
        },
        "floor": {"mean": milliseconds(5e5 / hz), "max": milliseconds(1e6 / hz)},
    }


def _server(outcome: Outcome) -> dict[str, Any] | None:
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
        "gateways": gateways(began, ended),
    }


def _control(outcome: Outcome, control: Outcome | None) -> dict[str, Any] | None:
    """Return the latency without the hostile bots, and the ratio of the two runs."""
    if control is None:
        return None
    with_them, without = outcome.tally.latency, control.tally.latency
    return {
        "latency_ms": percentiles(without),
        "p99_ratio": _ratio(with_them.percentile(99), without.percentile(99)) if with_them.total else None,
        "limited_by_swarm": bool(limits(control)),
        "passed": passed(summary(control)),
    }


def limits(outcome: Outcome) -> list[str]:
    """Return the reasons why the swarm itself may have limited the run."""
    tally, reasons = outcome.tally, []
    if outcome.cpu_percent_busiest > _BUSY_PERCENT:
        reasons.append(
            f"a process of the swarm used {outcome.cpu_percent_busiest:.0f} % of a core: use more --processes"
        )
    for what, histogram in (("its timers were late", tally.loop_lag), ("actions were sent late", tally.send_delay)):
        late = histogram.percentile(99)
        if late > _LATE_MICROSECONDS:
            reasons.append(f"{what} by {late / 1000:.0f} ms at the 99th percentile")
    return reasons


def passed(report: dict[str, Any]) -> bool:
    """Whether the run passed, and its control run if there was one.

    A run passes if all honest bots got everything, each hostile role got its expected close codes, and no condition
    failed.
    """
    checks = [role["ok"] for role in report["hostile"].values()]
    checks += [not condition["failed"] for condition in report["conditions"]]
    return got_everything(report) and all(checks) and (report["control"] is None or report["control"]["passed"])


def verdict(report: dict[str, Any]) -> str:
    """Return the verdict in words."""
    good, bots = got_everything(report), report["bots"]
    words = "everybody got everything" if good else "NOT everybody got everything"
    if nothing_delivered(report):
        words += f": none of {report['actions']['sent']:,} actions was delivered"
    if good and bots["joined"] < bots["requested"]:
        words = f"the {bots['joined']:,} of {bots['requested']:,} bots that had joined got everything"
    if report["hostile"]:
        right = all(role["ok"] for role in report["hostile"].values())
        words += ", hostile bots the expected codes" if right else ", hostile bots NOT the expected codes"
    failed = sum(condition["failed"] for condition in report["conditions"])
    return f"{words}; {failed} of {len(report['conditions'])} conditions FAILED" if failed else words


def faults(report: dict[str, Any]) -> int:
    """Return the sum of all faults of the honest bots."""
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
    """Whether all honest bots joined and got everything."""
    bots = report["bots"]
    # After an interrupted ramp some bots never tried to join. That is no fault.
    all_joined: bool = report["interrupted"] or bots["joined"] == bots["requested"]
    return faults(report) == 0 and all_joined and not nothing_delivered(report)


def nothing_delivered(report: dict[str, Any]) -> bool:
    """Whether the bots acted and nothing came of it: such a run has tried out nothing."""
    actions = report["actions"]
    return not report["interrupted"] and actions["sent"] > 0 and not actions["delivered"] + actions["answered"]


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None
