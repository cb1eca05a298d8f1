"""A zone and gateways on machines of their own, with cables that can be pulled."""

from __future__ import annotations

from typing import Any

from zonetools.soak.cables import DELAY_MS
from zonetools.soak.fault_lab import Checks, Finding, Lab
from zonetools.soak.machines import NotPossible, run_in_namespace

# The players of the other gateway may not notice: between two frames are 50 ms, and the machine may be busy.
_SILENCE_SECONDS_MAX = 0.5


async def bad_network(lab: Lab) -> Finding:
    """Pull the cable between a gateway and the zone, make it slow, and make it long (`cables`)."""
    try:
        found = await run_in_namespace("zonetools.soak.cables", *(("quick",) if lab.quick else ()))
    except NotPossible as error:
        return Finding(None, f"not measurable here: {error:.200}")
    checks, report, parts = Checks(), found["report"], []
    for fault, (own, other) in found["silences"].items():
        checks.expect(
            other <= _SILENCE_SECONDS_MAX, f"{fault}: players of the other gateway hear nothing for {other} s"
        )
        parts.append(f"{fault}: its players hear nothing for {own:.1f} s, those of the other for {other:.2f} s")
    _check_served(checks, report)
    for log in found["logs"]:
        checks.expect("Traceback" not in log, "a process logs a traceback")
    if (distance := found["distance"]) is not None:
        _check_served(checks, distance["report"])
        far, near = (each["latency_ms"]["p50"] for each in distance["report"]["targets"])
        parts.append(f"{DELAY_MS} ms away ({distance['means']}): p50 {far:.0f} ms, and {near:.0f} ms nearby")
    actions = report["actions"]
    return checks.finding(
        f"tcp: with TLS and a token between three namespaces; cable {'; '.join(parts)}; {report['resume']['drops']} "
        f"disconnected, of {actions['sent']:,} actions {actions['lost']} lost, {actions['duplicated']} twice, refused "
        f"{actions['refused'] or 'none'}"
    )


def _check_served(checks: Checks, report: dict[str, Any]) -> None:
    """Check that each player kept the connection and got everything."""
    drops = report["resume"]["drops"]
    checks.expect(not drops, f"{drops} players are disconnected")
    errors = [error for error in report["errors"] if error["kind"] != "refusal"]
    checks.expect(not report["faults"], f"a player missed something: {errors!s:.200}")
