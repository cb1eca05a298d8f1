"""From what a swarm saw to what a person, or a program, wants to know."""

from __future__ import annotations

import errno
import io
import json
import sys
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tools.swarm.conductor import Outcome
from tools.swarm.verdict import judge
from zoneserver.metrics import Histogram
from zoneserver.process import discard_output

__all__ = ["passed", "render", "show", "summary"]

# Beyond these the figures say more about the swarm than about the server.
_BUSY_PERCENT = 85.0
_LATE_MICROSECONDS = 25_000
# Beyond any line of the report: where nobody reads it on a terminal, nothing is wrapped.
_WIDTH_MAX = 1_000
_UNKNOWN = "not measured"


def summary(outcome: Outcome, control: Outcome | None = None) -> dict[str, Any]:
    """The report as plain values, schema `zone-swarm/1`. Percent are of one core; what was not measured is None.

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
    return {
        "schema": "zone-swarm/1",
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
        "bytes_in_per_bot_per_s": _ratio(tally.bytes_measured, seconds * tally.joined),
        "bytes_per_delivered_action": _ratio(tally.bytes_measured, tally.deliveries_measured),
        "cpu_percent": {
            "swarm": _ratio(100 * tally.cpu_seconds, seconds),
            "server": None if outcome.cpu_percent_server is None else round(outcome.cpu_percent_server, 1),
        },
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
        "errors": dict(tally.errors.most_common()),
        "hostile": judge(outcome.hostile, outcome.closed_server, tally.closed, outcome.interrupted),
        "control": _control(outcome, control),
        "plan": {
            "rate": outcome.plan.rate,
            "mix": outcome.plan.mix,
            "seed": outcome.plan.seed,
            "hz": outcome.hz,
        },
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
    """Whether all honest bots got everything, with the hostile ones and without; and those what they should."""
    verdicts = [role["ok"] for role in report["hostile"].values()]
    return got_everything(report) and all(verdicts) and (report["control"] is None or report["control"]["passed"])


def got_everything(report: dict[str, Any]) -> bool:
    """Whether all honest bots did."""
    actions, frames, bots = report["actions"], report["frames"], report["bots"]
    faults: int = (
        actions["lost"]
        + actions["duplicated"]
        + actions["reordered"]
        + abs(actions["unaccounted"])
        + frames["mismatched"]
        + frames["gaps"]
        + report["state_hash"]["diverged"]
        + bots["failed"]
        + report["closed_early"]
        + report["broken"]
    )
    # An interrupted ramp leaves bots that never tried: that is no failure of anybody.
    everybody_in: bool = report["interrupted"] or bots["joined"] == bots["requested"]
    return faults == 0 and everybody_in


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    points = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}
    if not histogram.total:
        return dict.fromkeys(points)
    return {name: round(histogram.percentile(percent) / 1000, 3) for name, percent in points.items()}


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


def show(report: dict[str, Any], as_json: bool = False) -> None:
    """Prints the report, for a person or for a program; says nothing when nobody is left to read it."""
    try:
        if as_json:
            print(json.dumps(report), flush=True)
        elif sys.stdout.isatty():
            Console(highlight=False).print(render(report))
        else:
            wide = Console(highlight=False, width=_WIDTH_MAX, file=(text := io.StringIO()))
            wide.print(render(report))
            # A table fills its lines up with spaces.
            print("\n".join(line.rstrip() for line in text.getvalue().splitlines()), flush=True)
    except OSError as error:
        # A pipe that was closed, or a terminal.
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        discard_output()


def render(report: dict[str, Any]) -> RenderableType:
    """The report for a person: did everyone get everything, how late, at what cost."""
    good = got_everything(report)
    bots, actions, frames = report["bots"], report["actions"], report["frames"]
    words = "everybody got everything" if good else "NOT everybody got everything"
    if good and bots["joined"] < bots["requested"]:
        words = f"the {bots['joined']:,} of {bots['requested']:,} who had joined got everything"
    verdict = Text(words, "bold")
    verdict.stylize("green" if passed(report) else "red")
    if report["hostile"]:
        right = all(role["ok"] for role in report["hostile"].values())
        verdict.append(", hostile bots what they should" if right else ", hostile bots NOT what they should")
    if report["interrupted"]:
        verdict.append("  (interrupted)", "yellow")

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    refused = ", ".join(f"{count:,} {code}" for code, count in actions["refused"].items()) or "0"
    joined = f"{bots['joined']:,} of {bots['requested']:,} joined"
    if bots["joined"]:
        joined += f" within {report['join_seconds']:.1f} s"
    table.add_row("bots", f"{joined}, {bots['failed']:,} failed")
    table.add_row(
        "actions",
        f"{actions['sent']:,} sent, {actions['delivered']:,} delivered, {actions['superseded']:,} superseded",
    )
    table.add_row("", f"refused: {refused}")
    table.add_row("", _faults(actions, "lost", "duplicated", "reordered"))
    table.add_row("frames", f"{frames['received']:,} received, {frames['caught_up_by_snapshot']:,} catch-ups")
    table.add_row("", _faults(frames, "mismatched", "gaps"))
    table.add_row(
        "state",
        Text(f"{report['state_hash']['checked']:,} hashes checked, ") + _faults(report["state_hash"], "diverged"),
    )
    for name, key, since in (("latency ms", "latency_ms", "due"), ("", "latency_uncorrected_ms", "sent")):
        figures = [f"{point} {value:,.1f}" for point, value in report[key].items() if value is not None]
        text = f"{'   '.join(figures)}   (from {since})" if figures else _UNKNOWN
        table.add_row(name, Text(text, "" if name else "dim"))
    per_bot, per_action = report["bytes_in_per_bot_per_s"], report["bytes_per_delivered_action"]
    if per_bot is None or per_action is None:
        table.add_row("traffic", _UNKNOWN)
    else:
        table.add_row("traffic", f"{per_bot / 1000:,.1f} kB/s per bot, {per_action:,.2f} bytes per delivered action")
    cpu = report["cpu_percent"]
    # Who told its tick rate has an admin port.
    no_server = "unknown: no admin port" if report["plan"]["hz"] is None else _UNKNOWN
    server, swarm = (
        missing if value is None else f"{value:.0f} % of a core"
        for value, missing in ((cpu["server"], no_server), (cpu["swarm"], _UNKNOWN))
    )
    table.add_row("cpu", f"server {server}, swarm {swarm}")
    closed = ", ".join(f"{count:,} {reason}" for reason, count in report["closed"].items()) or "none"
    table.add_row("closed", closed)
    for error, count in list(report["errors"].items())[:5]:
        table.add_row("", Text(f"{count:,} x {error}", "red"))
    for reason in report["swarm"]["why_limited"]:
        table.add_row("note", Text(f"limited by the swarm: {reason}", "yellow"))
    parts: list[RenderableType] = [verdict, table]
    if report["hostile"]:
        parts.append(_render_hostile(report["hostile"]))
    if report["control"] is not None:
        parts.append(_render_control(report))
    return Group(*parts)


def _render_hostile(roles: dict[str, dict[str, Any]]) -> RenderableType:
    """Each hostile role: what it should get, and what it got; dim, how that is known and what came before."""
    table = Table("hostile", "bots", "expected", "got", "ok", box=SIMPLE)
    for name, role in roles.items():
        got = Text("\n").join(Text(f"{count:,} {code}") for code, count in role["got"].items())
        if role["unread"]:
            got.append(f"\n{role['unread']:,} by the server's count", "dim")
        if role["note"]:
            got.append(f"\n{role['note']}", "dim")
        for code, count in role["refused"].items():
            got.append(f"\nrefused {count:,} {code}", "dim")
        ok = Text("yes", "green") if role["ok"] else Text("NO: " + "; ".join(role["why"]), "bold red")
        table.add_row(name, f"{role['bots']:,}", "\n".join(role["expected"]), got, ok)
    return table


def _render_control(report: dict[str, Any]) -> Text:
    """How late everything was for the honest bots, beside a run without the hostile ones."""
    control = report["control"]
    p99, without = report["latency_ms"]["p99"], control["latency_ms"]["p99"]
    line = Text("honest bots' p99: ")
    if p99 is None or without is None:
        line.append(f"{_UNKNOWN} beside the hostile ones and without them")
    else:
        line.append(f"{p99:.1f} ms, without the hostile ones {without:.1f} ms: x {control['p99_ratio']:.3f}")
    if report["limited_by_swarm"] or control["limited_by_swarm"]:
        line.append("; limited by the swarm, which was late itself", "yellow")
    if not control["passed"]:
        line.append("; NOT everybody got everything without them", "bold red")
    return line


def _faults(counts: dict[str, int], *names: str) -> Text:
    parts = [Text(f"{counts[name]:,} {name}", "bold red" if counts[name] else "green") for name in names]
    return Text(", ").join(parts)
