"""Attacks on the admin port, as a program of this machine or a page in the operator's browser can make them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from contextlib import AbstractAsyncContextManager

from zonetools.common.server_process import ServerProcess
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats
from zonetools.soak.tasks import beside

_HOST = b"Host: 127.0.0.1\r\n"
_GET = b"GET /sessions?sort=rtt&limit=200&number=%d HTTP/1.1\r\n" + _HOST + b"\r\n"
_BODIES = {
    "chunks": b"POST /stats HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
    "bodies": b"POST /stats HTTP/1.1\r\n" + _HOST + b"Content-Length: 50000000\r\n\r\n" + bytes(1_000_000),
}
# The port has 16 connections. A page has six at a time, and one place is left for the operator.
_ASKERS, _POSTERS = 13, 6
# Attackers that connect without a pause would measure how fast this machine opens connections.
_PAUSE_SECONDS = 0.05


async def _ask(port: int, number: int, answers: list[int]) -> None:
    """Ask for the most costly document again and again, and drop what comes. Each asker has a document of its own."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                writer.write(_GET % number)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                answers.append(length)
        writer.transport.abort()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _post(port: int, request: bytes, refused: list[bytes]) -> None:
    """Send a body for as long as the server takes it, again and again."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(request)
            refused.append((await reader.readuntil(b"\r\n"))[9:12])
        writer.transport.abort()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _watch(server: ServerProcess, seconds: list[float]) -> None:
    """Ask as an operator does, and note how long each answer takes."""
    while True:
        began = time.monotonic()
        await stats(server)
        seconds.append(time.monotonic() - began)
        await asyncio.sleep(0.1)


async def admin_port(lab: Lab) -> Finding:
    """Ask for documents without end, and send bodies that are costly to read."""
    checks, findings = Checks(), list[str]()
    bots, seconds = lab.pick(500, 100), lab.pick(6.0, 1.0)
    waited: list[float] = []
    answers: list[int] = []
    refused: list[bytes] = []
    async with lab.server("--max-players", "2000") as server:
        port = server.stats_port

        def attack(name: str) -> AbstractAsyncContextManager[object]:
            if name == "documents":
                attackers = [_ask(port, number, answers) for number in range(_ASKERS)]
            else:
                attackers = [_post(port, _BODIES[name], refused) for _ in range(_POSTERS)]
            return beside(_watch(server, waited), *attackers)

        for name in ("documents", *_BODIES):
            comparison = await lab.compare(server, bots, functools.partial(attack, name), seconds)
            comparison.check(checks)
            findings.append(f"{name}: {comparison}")
    checks.expect(len(answers) > 1, "no document was sent")
    checks.expect(set(refused) <= {b"413"} and len(refused) > 1, f"bodies are answered with {set(refused)}")
    checks.expect(bool(waited), "the operator got no answer")
    slowest = max(waited, default=0.0)
    checks.expect(slowest <= 2.0, "the operator waits for longer than 2 s")
    findings.append(f"{len(refused)} bodies refused; the operator is answered after at most {slowest * 1000:.0f} ms")
    return checks.finding("; ".join(findings))
