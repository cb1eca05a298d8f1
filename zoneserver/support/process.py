"""What a process of ours asks of the system: descriptors, memory, CPU time, an event loop."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from zoneserver.support.errors import CannotStartError

__all__ = [
    "LOOPS",
    "MissingExtraError",
    "address_text",
    "discard_output",
    "freeze_growth",
    "loop_factory",
    "on_stop_signals",
    "own_environment",
    "port_holder",
    "raise_open_files",
    "rss_bytes",
    "stop_signals",
]

LOOPS = ("auto", "asyncio", "uvloop")


class MissingExtraError(CannotStartError):
    """An optional package is asked for and not installed; the text has the pip line."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'zoneserver[{extra}]'")


def loop_factory(kind: str) -> tuple[str, Callable[[], asyncio.AbstractEventLoop] | None]:
    """The event loop to run on, as (name, factory for asyncio.Runner).

    `auto` is uvloop where it is installed. Raises MissingExtraError when `uvloop` is not.
    """
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    if kind == "uvloop" and not has_uvloop:
        raise MissingExtraError("uvloop", "speed")
    if kind == "asyncio" or not has_uvloop:
        return "asyncio", None
    uvloop: Any = importlib.import_module("uvloop")
    return "uvloop", uvloop.new_event_loop


def address_text(host: str, port: int) -> str:
    """A host and a port for people to read.

    >>> address_text("127.0.0.1", 7777), address_text("::1", 7777)
    ('127.0.0.1:7777', '[::1]:7777')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a program to end: Ctrl-C, a supervisor's, and the terminal's that is closed,
    unless whoever started us does not want us to hear that one (`nohup`)."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def on_stop_signals(callback: Callable[[], object]) -> None:
    """The stop signals call this on the running loop from now on, in place of what they did before."""
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, callback)
        except NotImplementedError:  # Windows: the loop takes no signals.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))


def own_environment() -> dict[str, str]:
    """The environment for a command of ours that we start: what is set for us by ZONE_* variables, as a port or
    a secret, is not meant for it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ZONE_")}


def discard_output() -> None:
    """For a BrokenPipeError: whoever read our standard output has seen enough. What is printed from here
    on, and what the interpreter flushes at its end, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def raise_open_files(wanted: int) -> int:
    """Raises this process's open-file limit as far as needed and possible; returns what it is then."""
    try:
        import resource
    except ImportError:  # Windows has no such limit to ask for.
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        except (ValueError, OSError):
            return soft
        return target
    return soft


def rss_bytes() -> int:
    """The memory this process holds; its peak where the system does not tell the present figure."""
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
    """Has the collector of garbage pass over all there is, whenever a size has reached a new peak; never returns.

    It would look through everything each time there is a quarter more: a tenth of a second, for ten thousand
    sessions. What ends is freed without it; only what was frozen and is garbage in a circle stays, and that is
    bounded by the peak.
    """
    peak = 0
    while True:
        await asyncio.sleep(every_seconds)
        if size() > peak:
            peak = size()
            gc.freeze()


def port_holder(port: int) -> str | None:
    """Who listens on a TCP port, as `name (pid N)`, where the system tells (Linux, and our own user)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        # Columns: local address as HEX:HEXPORT at 1, state at 3 (0A listens), inode at 9.
        inodes |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    if not inodes:
        return None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(link.path) in inodes for link in os.scandir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm") as name:
                    return f"{name.read().strip()} (pid {pid})"
        except OSError:
            continue  # Another user's process, or one that just ended.
    return "another process"
