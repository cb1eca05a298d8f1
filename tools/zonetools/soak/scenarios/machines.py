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
    checks, parts = Checks(), []
    north, south, distant = found["north"], found["south"], found.get("distant")
    for fault, seconds in north["silences"].items():
        other = south["silences"][fault]
        checks.expect(other <= _SILENCE_SECONDS_MAX, f"{fault}: players of the other gateway hear nothing for {other}")
        parts.append(f"{fault}: its players hear nothing for {seconds:.1f} s, those of the other for {other:.2f} s")
    for name in found.keys() - {"zone"}:
        _check_served(checks, name, found[name]["report"])
    for log in found["zone"], *(found[name]["log"] for name in found.keys() - {"zone"}):
        checks.expect("Traceback" not in log, "a process logs a traceback")
    if distant is not None:
        far, near = (each["report"]["latency_ms"]["p50"] for each in (distant, south))
        parts.append(f"{DELAY_MS} ms away ({distant['network']}): p50 {far:.0f} ms, and {near:.0f} ms nearby")
    return checks.finding("tcp: with TLS and a token between three namespaces; link " + "; ".join(parts))


def _check_served(checks: Checks, name: str, report: dict[str, Any]) -> None:
    """Check that each player of a gateway kept the connection and got everything."""
    drops = report["resume"]["drops"]
    checks.expect(not drops, f"{drops} players of {name} are disconnected")
    checks.expect(not report["faults"], f"a player of {name} missed something: {report['errors']!s:.200}")
