"""What the operating system knows about a process: how long it ran and waited, and its system calls."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass

from zonetools.common.program import run_program

_EVENT = "raw_syscalls:sys_enter"


@dataclass(frozen=True, slots=True)
class ProcessLoad:
    """Measured from outside the process; None if the system does not provide it."""

    cpu_percent: float | None = None
    """In percent of one core."""
    waited_percent: float | None = None
    """The share of the time in which the process had work to do but no core to run on."""
    system_calls_per_s: float | None = None
    system_calls_unknown: str = "the run was too short"
    """Why the system calls are unknown; empty if they are known."""


async def observe(pid: int, seconds: float) -> ProcessLoad:
    """Watch a process for this many seconds.

    The kernel's own tracepoint counts the system calls, through `perf`, which usually needs root. This costs
    the process almost nothing, while a tracer would change what it measures.
    """
    loop = asyncio.get_running_loop()
    before, began = _seconds(pid), loop.time()
    if perf := shutil.which("perf"):
        command = (perf, "stat", "-x", ",", "-e", _EVENT, "-p", str(pid), "--", "sleep", f"{seconds:.3f}")
        calls, unknown = parse_count((await run_program(*command))[2], seconds)
    else:
        await asyncio.sleep(seconds)
        calls, unknown = None, "perf is not installed"
    after, elapsed = _seconds(pid), loop.time() - began
    if before is None or after is None:
        return ProcessLoad(None, None, calls, unknown)
    ran, waited = (round(100 * (late - early) / elapsed, 1) for early, late in zip(before, after, strict=True))
    return ProcessLoad(ran, waited, calls, unknown)


def _seconds(pid: int) -> tuple[float, float] | None:
    """How long the main thread has run, and how long it has waited for a core.

    None if the system does not provide this; Linux does.
    """
    try:
        with open(f"/proc/{pid}/schedstat") as schedstat:
            ran, waited, _ = map(int, schedstat.read().split())
    except (OSError, ValueError):
        return None
    return ran / 1e9, waited / 1e9


def parse_count(output: str, seconds: float) -> tuple[float | None, str]:
    """The rate in the output of `perf stat -x ,`; without one, None and the reason.

    >>> parse_count("108600,,raw_syscalls:sys_enter,487858007,100.00,,", 2.0)
    (54300.0, '')
    """
    for line in output.splitlines():
        count, *fields = line.split(",")
        if _EVENT in fields and count.isdigit():
            return int(count) / seconds, ""
    reason = next((line.strip() for line in output.splitlines() if line.strip()), "perf printed nothing")
    return None, f"perf cannot count them here: {reason:.100}"
