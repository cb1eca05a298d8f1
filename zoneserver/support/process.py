"""What this process has and takes from the system: open files, memory, environment, standard output, ports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

__all__ = [
    "discard_output",
    "freeze_growth",
    "has_terminal",
    "is_writable",
    "own_environment",
    "port_holder",
    "print_output",
    "raise_open_files",
    "rss_bytes",
]


def own_environment() -> dict[str, str]:
    """The environment for another command of this package that this process starts.

    It lacks the ZONE_* variables: they are settings of this process, such as its port or its secret.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("ZONE_")}


def discard_output(stream: TextIO | None = None) -> None:
    """Sends standard output, or another stream, nowhere. Call it after an error of the stream: the interpreter would
    fail again when it flushes the stream at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, (stream or sys.stdout).fileno())
    os.close(nowhere)


def print_output(text: str) -> OSError | None:
    """Prints a text, if it is not empty, on standard output, and writes all that is left for it. Returns the error if
    that is not possible; nothing is left then. A closed pipe is no error, since its reader has seen enough."""
    try:
        print(text, end="" if text.endswith("\n") or not text else "\n", flush=True)
    except OSError as error:
        discard_output()
        return None if isinstance(error, BrokenPipeError) else error
    return None


def is_writable(stream: TextIO, seconds: float) -> bool:
    """Whether a stream takes output within some seconds. A full pipe and a stopped terminal do not."""
    try:
        return bool(select.select([], [stream], [], seconds)[1])
    except (OSError, ValueError, TypeError):
        return True  # It has no file, or the system cannot tell.


def has_terminal() -> bool:
    """Whether the process has a terminal, and the terminal is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def raise_open_files(wanted: int) -> int:
    """Raises this process's limit of open files as far as needed and possible; returns the new limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if target > soft:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            return target
    return soft


def rss_bytes() -> int:
    """The memory of this process; its peak where the system does not tell the present size, else 0."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def freeze_growth(size: Callable[[], int], every_seconds: float = 1.0) -> None:
    """Calls gc.freeze() whenever `size()` has reached a new maximum. Runs until it is cancelled.

    Full collections then do not scan the crowd, which takes 100 ms at 10,000 sessions. Reference counting still
    frees closed sessions. Only cycles among frozen objects leak, and the maximum bounds them.
    """
    peak = 0
    while True:
        await asyncio.sleep(every_seconds)
        if size() > peak:
            peak = size()
            gc.freeze()


def port_holder(port: int) -> str | None:
    """The process that listens on a TCP port, as `name (pid N)`; None if there is none or the system does not tell.

    Linux names the processes of the current user; any other process is "another process".
    """
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        # Columns: the local address as HEX:HEXPORT at 1, the state at 3 (0A is LISTEN), the inode at 9.
        inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    if not inodes:
        return None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with os.scandir(f"/proc/{pid}/fd") as links:
                is_holder = any(os.readlink(link.path) in inodes for link in links)
            if is_holder:
                with open(f"/proc/{pid}/comm") as name:
                    return f"{name.read().strip()} (pid {pid})"
        except OSError:
            continue  # It belongs to another user, or has just ended.
    return "another process"
