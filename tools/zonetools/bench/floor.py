"""The floor: what it costs to send one buffer to many sockets, and nothing else.

A process of its own sends in a bare loop over raw non-blocking sockets, set up as the server's are;
another beside it (`drain`) reads and throws away. What counts is the CPU time of the sending
process, as it does for the server. The floor reads nothing: that, too, is the server's own expense.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from zoneserver.config import Limits
from zoneserver.support.errors import CannotStartError
from zoneserver.support.process import raise_open_files

__all__ = ["FloorError", "FloorPlan", "FloorRound", "run_floor"]

_BACKLOG = 4096
_WARM_UP_SECONDS = 0.5
# How long everything but the sending may take: two interpreters, and thousands of connections.
_PATIENCE_SECONDS = 30.0


class FloorError(CannotStartError):
    """The floor could not be measured; the text is what its process said."""


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """What the floor is to send: as much as the server sent, to as many, as often."""

    sockets: int
    frame_bytes: int
    hz: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FloorRound:
    """What the floor sent and cost. Percent are of one core."""

    cpu_percent: float
    cpu_us_per_send: float
    ticks: int
    ticks_skipped: int
    """Those that were late by a whole period or more: the floor itself did not fit."""
    sends: int
    """Buffers that the kernel took, while measuring."""
    blocked: int
    """Buffers that it did not take, since a socket was full."""
    bytes_sent: int
    """In all, those of the warm-up too."""
    bytes_drained: int
    """What the other side read."""


async def run_floor(plan: FloorPlan) -> FloorRound:
    """Runs the processes of the floor. Raises FloorError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "zonetools.bench.floor",
        json.dumps(dataclasses.asdict(plan)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(plan.seconds + 2 * _PATIENCE_SECONDS):
            said, complaint = await process.communicate()
    except TimeoutError:
        raise FloorError("the floor does not end") from None
    finally:
        # Without its sender the drainer is at the end of every connection, and ends as well.
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise FloorError(f"the floor broke: {lines[-1] if lines else process.returncode}")
    return FloorRound(**json.loads(said))


# --- The sending process --------------------------------------------------------------------------


def measure(plan: FloorPlan) -> FloorRound:
    """Connects, warms up, sends for as long as planned, and waits until all of it has been read."""
    data = os.urandom(plan.frame_bytes)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen())
        command = (sys.executable, "-m", "zonetools.bench.drain", str(listener.getsockname()[1]), str(plan.sockets))
        drainer = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        # Closed before the drainer is waited for.
        with contextlib.ExitStack() as connections:
            sends = [connections.enter_context(_accept(listener)).send for _ in range(plan.sockets)]
            warm_up = send_at_rate(sends, data, plan.hz, _WARM_UP_SECONDS)
            began, cpu_began = time.monotonic(), time.process_time()
            sent = send_at_rate(sends, data, plan.hz, plan.seconds)
            cpu_seconds, seconds = time.process_time() - cpu_began, time.monotonic() - began
        drained, _ = drainer.communicate(timeout=_PATIENCE_SECONDS)
    return FloorRound(
        cpu_percent=round(100 * cpu_seconds / seconds, 2),
        cpu_us_per_send=round(1e6 * cpu_seconds / max(1, sent.sends), 3),
        ticks=sent.ticks,
        ticks_skipped=sent.ticks_skipped,
        sends=sent.sends,
        blocked=sent.blocked,
        bytes_sent=warm_up.bytes + sent.bytes,
        bytes_drained=int(drained),
    )


class Sent(NamedTuple):
    """What went out."""

    ticks: int
    ticks_skipped: int
    sends: int
    blocked: int
    bytes: int


def send_at_rate(sends: Sequence[Callable[[bytes], int]], data: bytes, hz: int, seconds: float) -> Sent:
    """Calls each of `sends` with the buffer, `hz` times a second. A late tick is skipped, as the server's is."""
    start, period = time.monotonic(), 1.0 / hz
    ticks = blocked = sent_bytes = passed = 0
    while time.monotonic() - start < seconds:
        for send in sends:
            try:
                sent_bytes += send(data)
            except BlockingIOError:
                blocked += 1
        ticks += 1
        passed = int((time.monotonic() - start) / period) + 1
        time.sleep(max(0.0, start + passed * period - time.monotonic()))
    return Sent(ticks, passed - ticks, ticks * len(sends) - blocked, blocked, sent_bytes)


def _listen() -> socket.socket:
    """As the server listens: its connections inherit the size of the send buffer."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, Limits().socket_send_bytes)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    listener.settimeout(_PATIENCE_SECONDS)
    return listener


def _accept(listener: socket.socket) -> socket.socket:
    sock, _ = listener.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def main() -> None:
    """Runs the process: a FloorPlan as JSON comes in, a FloorRound as JSON goes out."""
    plan = FloorPlan(**json.loads(sys.argv[1]))
    raise_open_files(plan.sockets + 64)
    print(json.dumps(dataclasses.asdict(measure(plan))))


if __name__ == "__main__":
    main()
