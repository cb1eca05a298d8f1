"""One run of a comparison: a delivery strategy, a crowd, and the result."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from zonetools.common.server_process import ServerProcess
from zonetools.compare.process_load import ProcessLoad, observe
from zonetools.swarm.conductor import Conductor, Outcome, SwarmError
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

TICKS_HELD = 2
"""A crowd is held if 99 % of all actions reach their own player within this many ticks."""
# A player who waits longer than this for their own action gives up.
_LATENCY_MS_MAX = 2_000
# A server that reads a smaller share of the actions has a growing backlog.
_SHARE_TAKEN_MIN = 0.95
_SAMPLE_SECONDS = 1.0


class Verdict:
    """How well a strategy serves a crowd."""

    HELD = "held"
    LATE = "late"
    """Every player gets everything, but later than two ticks."""
    BEHIND = "cannot keep up"
    """Some player misses something, or the delay keeps growing. Larger crowds are not tried."""
    WRONG = "wrong"
    """Some player was sent something else than the others. This is a fault at any speed."""
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one strategy with one crowd. Rates are per second; None means unknown."""

    delivery: str
    players: int
    verdict: str
    why: list[str] = field(default_factory=list)
    """The reasons for the verdict, or why there was no run."""
    frames_per_s: float | None = None
    """Frames handed to sessions."""
    sends_per_s: float | None = None
    """Sends that carried those frames."""
    system_calls_per_s: float | None = None
    system_calls_unknown: str = ""
    """Why the system calls are unknown, if they are."""
    actions_per_s: float | None = None
    """Actions that the server read."""
    bytes_per_player_per_s: float | None = None
    bytes_per_delivered_action: float | None = None
    cpu_percent: float | None = None
    """CPU time of the server, in percent of one core."""
    waited_percent: float | None = None
    """The share of the time in which the server had work to do but no core to run on."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    """p50 and p99 of the time from the moment an action was due until its own player saw it."""
    tick_overruns: int | None = None
    limited_by_swarm: list[str] = field(default_factory=list)
    """Why the swarm itself may have been the limit; empty if it was not."""
    swarm: dict[str, Any] | None = None
    """The whole report of the swarm, schema `zone-swarm/2`."""


async def measure(delivery: str, plan: Plan, stop: asyncio.Event) -> Run:
    """Run the swarm against a new server with this strategy. `stop` ends the run early.

    Raises SpawnError if the server does not start.
    """
    arguments = ("--max-players", str(plan.bots), "--seed", str(plan.seed))
    async with ServerProcess(*arguments, program=("zonetools.compare.delivery", delivery)) as server:
        plan = dataclasses.replace(plan, port=server.port)
        conductor = Conductor(plan, server.stats_port)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _task: conductor.stop())
        observing = asyncio.create_task(_observe(conductor, server.pid))
        try:
            outcome = await conductor.run()
        except SwarmError as error:
            return Run(delivery, plan.bots, Verdict.BEHIND, [str(error)])
        finally:
            for task in (stopping, observing):
                task.cancel()
            await asyncio.wait([stopping, observing])
        load = ProcessLoad() if observing.cancelled() else observing.result()
    return run_of(delivery, outcome, load)


async def _observe(conductor: Conductor, pid: int) -> ProcessLoad:
    """Watch the server for a second, beginning after a quarter of the run."""
    seconds = conductor.plan.seconds
    while (conductor.progress.measuring_for or 0.0) < seconds / 4:
        await asyncio.sleep(0.05)
    return await observe(pid, min(_SAMPLE_SECONDS, seconds / 2))


def run_of(delivery: str, outcome: Outcome, load: ProcessLoad) -> Run:
    """The measurements of a run and the verdict on it. Pure."""
    result = report.summary(outcome)
    per_s: dict[str, float] = {}
    overruns = None
    if outcome.stats is not None:
        _, before, after = outcome.stats
        overruns, seconds = after.overruns_total - before.overruns_total, max(after.uptime_s - before.uptime_s, 1e-9)
        for name in ("frames_out_total", "sends_total", "actions_in_total"):
            per_s[name] = round((getattr(after, name) - getattr(before, name)) / seconds, 1)
    verdict, why = _judge(result, outcome, per_s.get("actions_in_total"))
    return Run(
        delivery=delivery,
        players=outcome.plan.bots,
        verdict=verdict,
        why=why,
        frames_per_s=per_s.get("frames_out_total"),
        sends_per_s=per_s.get("sends_total"),
        system_calls_per_s=load.system_calls_per_s,
        system_calls_unknown=load.system_calls_unknown,
        actions_per_s=per_s.get("actions_in_total"),
        bytes_per_player_per_s=result["bytes_in_per_bot_per_s"],
        bytes_per_delivered_action=result["bytes_per_delivered_action"],
        # A server that is too busy to answer provides no statistics.
        cpu_percent=load.cpu_percent if outcome.stats is None else result["cpu_percent"]["server"],
        waited_percent=load.waited_percent,
        latency_ms={
            name: value for name, value in result["latency_ms"].items() if name in {"p50", "p99"} and value is not None
        },
        tick_overruns=overruns,
        limited_by_swarm=result["swarm"]["why_limited"],
        swarm=result,
    )


def _judge(result: dict[str, Any], outcome: Outcome, taken_per_s: float | None) -> tuple[str, list[str]]:
    """The verdict on a run, and the reasons for it."""
    wrong = _faults(result)
    if wrong:
        return Verdict.WRONG, wrong
    if outcome.interrupted:
        return Verdict.INTERRUPTED, []
    bots, plan = result["bots"], outcome.plan
    why = []
    if bots["joined"] < bots["requested"]:
        why.append(f"only {bots['joined']:,} of {bots['requested']:,} joined")
    if result["closed_early"]:
        reasons = ", ".join(sorted(reason for reason in result["closed"] if reason != "CLIENT_LEFT"))
        why.append(f"{result['closed_early']:,} were disconnected: {reasons}")
    if result["actions"]["lost"]:
        why.append(f"{result['actions']['lost']:,} actions had no answer seconds after the end")
    if result["broken"]:
        # A bot finds itself in its replica, which stands still while the bot skips frames.
        why.append(f"{result['broken']:,} times a bot did not know where it is")
    p99 = result["latency_ms"]["p99"]
    if p99 is None:
        why.append("no latency was measured")
    elif p99 > _LATENCY_MS_MAX:
        why.append(f"the 99th percentile of the latency is {p99 / 1000:.1f} s")
    offered_per_s = plan.bots * plan.rate
    if taken_per_s is None:
        why.append("the server gives no statistics")
    elif taken_per_s < offered_per_s * _SHARE_TAKEN_MIN:
        why.append(f"the server read {taken_per_s:,.0f} of {offered_per_s:,.0f} actions a second: the backlog grows")
    if why:
        return Verdict.BEHIND, why
    held_ms = TICKS_HELD * 1000 / (outcome.hz or 20)
    if p99 > held_ms:
        return Verdict.LATE, [f"the 99th percentile of the latency is {p99:.0f} ms, beyond {held_ms:.0f}"]
    return Verdict.HELD, []


def _faults(result: dict[str, Any]) -> list[str]:
    """Faults that no overload excuses."""
    actions, frames = result["actions"], result["frames"]
    faults = {
        "frames mismatched": frames["mismatched"],
        "frames missing": frames["gaps"],
        "states diverged": result["state_hash"]["diverged"],
        "actions reordered": actions["reordered"],
        # A late answer to an action that was counted as lost looks like a duplicate.
        "actions duplicated": 0 if actions["lost"] else actions["duplicated"],
        "actions unaccounted for": abs(actions["unaccounted"]),
    }
    return [f"{count:,} {what}" for what, count in faults.items() if count]
