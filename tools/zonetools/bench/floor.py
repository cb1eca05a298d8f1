"""The floor: the CPU cost of sending one buffer to many sockets, and nothing else.

One process sends in a bare loop over non-blocking sockets with the server's socket options; another one reads and
discards the data. The result is the CPU time of the sending process, as for the server.
The floor reads nothing, so reading counts as a cost of the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
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
from zonetools.common.program import run_program

_BACKLOG = 4096
_WARM_UP_SECONDS = 0.5
# How long everything except sending may take: starting two interpreters, and thousands of connections.
_PATIENCE_SECONDS = 30.0
_READ_BYTES = 256 * 1024


class FloorError(CannotStartError):
    """The floor could not be measured. The text is what its process printed."""


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """What the floor sends: as many bytes as the server, to as many sockets, as often."""

    sockets: int
    frame_bytes: int
    hz: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FloorResult:
    """What the floor sent, and its cost. Percentages are of one core."""

    cpu_percent: float
    cpu_us_per_send: float
    ticks: int
    ticks_skipped: int
    """Ticks left out because the loop was late by at least a period: the floor did not fit."""
    sends: int
    """Buffers that the kernel accepted during the measurement."""
    blocked: int
    """Buffers that the kernel rejected because a socket was full."""
    bytes_sent: int
    """In total, including the warm-up."""
    bytes_drained: int
    """The bytes that the receiving process read."""


async def run_floor(plan: FloorPlan) -> FloorResult:
    """Run the processes of the floor. Raises FloorError."""
    command = (sys.executable, "-P", "-m", "zonetools.bench.floor", json.dumps(dataclasses.asdict(plan)))
    try:
        # The receiving process ends by itself once the sender is gone.
        code, out, err = await run_program(*command, seconds=plan.seconds + 2 * _PATIENCE_SECONDS)
    except TimeoutError:
        raise FloorError("the floor process did not end in time") from None
    if code:
        raise FloorError(f"the floor process failed: {err.strip().splitlines()[-1] if err.strip() else code}")
    return FloorResult(**json.loads(out))


# --- The sending process --------------------------------------------------------------------------


def measure(plan: FloorPlan) -> FloorResult:
    """Connect, warm up, send for the planned time, and wait until everything has been read."""
    data = os.urandom(plan.frame_bytes)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        # As in the server, connections inherit the size of the send buffer.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, Limits().socket_send_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        listener.settimeout(_PATIENCE_SECONDS)
        command = (
            sys.executable,
            "-P",
            "-m",
            "zonetools.bench.floor",
            str(listener.getsockname()[1]),
            str(plan.sockets),
        )
        receiver = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        # The connections must be closed before waiting for the receiving process.
        with contextlib.ExitStack() as connections:
            sends = []
            for _ in range(plan.sockets):
                sock = connections.enter_context(listener.accept()[0])
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sends.append(sock.send)
            warm_up = send_at_rate(sends, data, plan.hz, _WARM_UP_SECONDS)
            began, cpu_began = time.monotonic(), time.process_time()
            sent = send_at_rate(sends, data, plan.hz, plan.seconds)
            cpu_seconds, seconds = time.process_time() - cpu_began, time.monotonic() - began
        drained, _ = receiver.communicate(timeout=_PATIENCE_SECONDS)
    return FloorResult(
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
    """The counts of one sending loop."""

    ticks: int
    ticks_skipped: int
    sends: int
    blocked: int
    bytes: int


def send_at_rate(sends: Sequence[Callable[[bytes], int]], data: bytes, hz: int, seconds: float) -> Sent:
    """Call each of `sends` with the buffer `hz` times a second. Late ticks are skipped, as in the server."""
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
    # The last ticks may have been slept away.
    return Sent(ticks, max(passed, round(seconds * hz)) - ticks, ticks * len(sends) - blocked, blocked, sent_bytes)


# --- The receiving process ------------------------------------------------------------------------


def drain(port: int, count: int) -> int:
    """Read from `count` connections to a port of this machine until all end; return the number of bytes."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, sock)
    buffer, drained_bytes = bytearray(_READ_BYTES), 0
    while selector.get_map():
        for key, _ in selector.select():
            received = key.data.recv_into(buffer)
            drained_bytes += received
            if not received:
                selector.unregister(key.data)
                key.data.close()
    return drained_bytes


def main(*arguments: str) -> None:
    """Send, for a FloorPlan as JSON, and print a FloorResult; or drain, for a port and the number of connections."""
    if len(arguments) == 1:
        plan = FloorPlan(**json.loads(arguments[0]))
        raise_open_files(plan.sockets + 64)
        print(json.dumps(dataclasses.asdict(measure(plan))))
    else:
        port, count = map(int, arguments)
        raise_open_files(count + 64)
        print(drain(port, count))


if __name__ == "__main__":
    main(*sys.argv[1:])
