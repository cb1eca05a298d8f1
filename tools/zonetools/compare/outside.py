"""What the system tells about a process from outside: how long it ran and waited, and its system calls."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass

__all__ = ["Outside", "observe"]

_EVENT = "raw_syscalls:sys_enter"


@dataclass(frozen=True, slots=True)
class Outside:
    """None is what the system does not tell."""

    cpu_percent: float | None = None
    """Of one core."""
    waited_percent: float | None = None
    """Of the time: how long it had work to do and no core to do it on."""
    system_calls_per_s: float | None = None
    system_calls_unknown: str = "the run was too short"
    """Why they are not known; empty when they are."""


async def observe(pid: int, seconds: float) -> Outside:
    """Watches a process for so many seconds.

    System calls are counted by the kernel's own tracepoint through `perf`, which usually asks for root:
    that costs the process next to nothing, where a tracer would change what it measures.
    """
    loop = asyncio.get_running_loop()
    before, began = _seconds(pid), loop.time()
    calls, unknown = await _system_calls_per_s(pid, seconds)
    after, elapsed = _seconds(pid), loop.time() - began
    if before is None or after is None:
        return Outside(None, None, calls, unknown)
    ran, waited = (round(100 * (late - early) / elapsed, 1) for early, late in zip(before, after, strict=True))
    return Outside(ran, waited, calls, unknown)


def _seconds(pid: int) -> tuple[float, float] | None:
    """How long the main thread of a process has run and how long it has waited for a core; None where
    the system does not tell (Linux does)."""
    try:
        with open(f"/proc/{pid}/schedstat") as schedstat:
            ran, waited, _ = map(int, schedstat.read().split())
    except (OSError, ValueError):
        return None
    return ran / 1e9, waited / 1e9


async def _system_calls_per_s(pid: int, seconds: float) -> tuple[float | None, str]:
    perf = shutil.which("perf")
    if perf is None:
        await asyncio.sleep(seconds)
        return None, "perf is not installed"
    sampling = await asyncio.create_subprocess_exec(
        *(perf, "stat", "-x", ",", "-e", _EVENT, "-p", str(pid), "--", "sleep", f"{seconds:.3f}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = await sampling.communicate()
    finally:
        if sampling.returncode is None:
            sampling.terminate()
            await sampling.wait()
    return parse_count(said.decode(errors="replace"), seconds)


def parse_count(said: str, seconds: float) -> tuple[float | None, str]:
    """The rate in what `perf stat -x ,` wrote, and why there is none where there is none.

    >>> parse_count("108600,,raw_syscalls:sys_enter,487858007,100.00,,", 2.0)
    (54300.0, '')
    """
    for line in said.splitlines():
        count, *rest = line.split(",")
        if _EVENT in rest and count.isdigit():
            return int(count) / seconds, ""
    words = next((line.strip() for line in said.splitlines() if line.strip()), "perf said nothing")
    return None, f"perf cannot count them here: {words:.100}"
