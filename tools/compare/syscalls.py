"""How many system calls a process makes, where the system tells."""

from __future__ import annotations

import asyncio
import shutil

__all__ = ["system_calls_per_s"]

_EVENT = "raw_syscalls:sys_enter"


async def system_calls_per_s(pid: int, seconds: float) -> tuple[float | None, str]:
    """System calls per second of a process over so many seconds, and why that is None where it is.

    Counted by the kernel's own tracepoint through `perf`, which usually asks for root; counting costs
    the process next to nothing, where a tracer would change what it measures.
    """
    perf = shutil.which("perf")
    if perf is None:
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
    return parse_count(said.decode(errors="replace"), seconds)


def parse_count(said: str, seconds: float) -> tuple[float | None, str]:
    """The rate in what `perf stat -x ,` wrote, or why there is none.

    >>> parse_count("108600,,raw_syscalls:sys_enter,487858007,100.00,,", 2.0)
    (54300.0, '')
    """
    for line in said.splitlines():
        count, *rest = line.split(",")
        if _EVENT in rest and count.isdigit():
            return int(count) / seconds, ""
    words = next((line.strip() for line in said.splitlines() if line.strip()), "perf said nothing")
    return None, f"perf cannot count them here: {words:.100}"
