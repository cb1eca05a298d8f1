"""Many clients at once: joining, leaving, silent, resetting, or more than fit."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Welcome
from zoneserver.support.histogram import quantile
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, hello
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, open_files, stats, wait_for_stats
from zonetools.soak.tasks import beside, together

_PERIOD = 1 / 20
_RUNS_MAX = 3


async def slow_handshake(lab: Lab) -> Finding:
    """Send HELLO a byte at a time from many addresses, while normal players join."""
    count, checks = lab.pick(1_000, 200), Checks()
    joins: list[float] = []
    ends: list[tuple[float, str]] = []

    async def trickle(server: ServerProcess, number: int) -> None:
        data = hello(f"trickle-{number}".ljust(24, "x"))

        async def send() -> None:
            with contextlib.suppress(OSError):
                for byte in data[:-1]:
                    await client.send(bytes((byte,)))
                    await asyncio.sleep(0.25)

        with contextlib.closing(await lab.raw(server)) as client:
            began = time.monotonic()
            async with beside(send()):
                bye = await client.bye(6.0)
                ends.append((time.monotonic() - began, bye.code))

    async with lab.server() as server:
        everywhere = together(*(trickle(server, number) for number in range(count)))
        async with beside(everywhere) as (trickling,):
            for number in itertools.count():
                await asyncio.sleep(0.02)
                if trickling.done():
                    break
                client = await lab.raw(server)
                began = time.monotonic()
                await client.join(f"normal-{number}")
                joins.append(time.monotonic() - began)
                client.close()
    codes = {code for _, code in ends}
    first, last = min(ends)[0], max(ends)[0]
    p99 = 1000 * quantile(sorted(joins), 0.99)
    checks.expect(codes == {CloseReason.HANDSHAKE_TIMEOUT}, f"slow handshakes end with {codes}")
    checks.expect(first >= 1.9, f"one is closed too early, after {first:.2f} s")
    checks.expect(last <= 2.5, f"one is closed too late, after {last:.2f} s")
    checks.expect(p99 <= 200, "a normal join takes longer than 200 ms")
    return checks.finding(
        f"{count:,} slow handshakes: closed after {first:.2f} to {last:.2f} s; "
        f"p99 of {len(joins)} normal joins {p99:.0f} ms"
    )


async def mass_join(lab: Lab) -> Finding:
    """Let all players join a busy zone at once, as seen by a player in it. Repeat if the machine may be to blame."""
    count, busy, checks = lab.pick(1_000, 200), lab.pick(200, 100), Checks()
    runs: list[tuple[float, float]] = []
    while not runs or (len(runs) < _RUNS_MAX and not _joined_in_time(runs)):
        async with (
            lab.server() as server,
            Crowd(server, lab.plan(busy, mix={"chatty": 1})) as present,
            lab.recorder(server, "recorder") as recorder,
        ):
            began = time.monotonic()
            async with Crowd(server, lab.plan(count, ramp=1e6, rate=1, mix={"walker": 1})) as crowd:
                await asyncio.sleep(1.0)
                ended = time.monotonic()
        joins = [(moment, len(tick.joins)) for moment, tick in recorder.frames if tick.joins and moment > began]
        checks.expect(sum(number for _, number in joins) == count, "not every player joined")
        checks.expect(crowd.is_served and present.is_served, "a player missed something")
        seconds = joins[-1][0] - joins[0][0] + _PERIOD if joins else float("inf")
        runs.append((seconds, 1000 * quantile(sorted(recorder.intervals(began, ended)), 0.99)))
    seconds, p99 = (statistics.median(values) for values in zip(*runs, strict=True))
    checks.expect(_joined_in_time(runs), "the joins take longer than 2 s, or the tick interval exceeds 1.2 periods")
    repeated = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    return checks.finding(
        f"{count:,} joined within {seconds:.2f} s, beside {busy} others; tick interval p99 {p99:.1f} ms of 50{repeated}"
    )


def _joined_in_time(runs: list[tuple[float, float]]) -> bool:
    seconds = statistics.median(seconds for seconds, _ in runs)
    return seconds <= 2.0 and statistics.median(p99 for _, p99 in runs) <= 1000 * 1.2 * _PERIOD


@contextlib.asynccontextmanager
async def _idle_clients(server: ServerProcess, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """This many idle players in a process that can be killed; all have joined."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "zonetools.soak.idle_clients", str(server.port), str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def mass_leave(lab: Lab) -> Finding:
    """Kill the process of all players right after a tick."""
    count, checks = lab.pick(1_000, 200), Checks()
    async with (
        lab.server() as server,
        lab.recorder(server, "recorder") as recorder,
        _idle_clients(server, count) as idle,
    ):
        await wait_for_stats(server, lambda now: now.players == count + 1)
        await recorder.ticks(2)
        began = time.monotonic()
        idle.kill()
        await idle.wait()
        killed = time.monotonic()
        await recorder.until(lambda: recorder.replica is not None and len(recorder.replica.players) == 1)
        gone = [(moment, len(tick.leaves)) for moment, tick in recorder.frames if tick.leaves]
        after = await wait_for_stats(server, lambda now: now.connections == 1)
    ticks = (gone[-1][0] - killed) / _PERIOD
    checks.expect(ticks <= 2.0, "the leaves take longer than two ticks")
    # The system closes the connections one by one; each tick that passes meanwhile has its own list.
    checks.expect(len(gone) <= 1 + (killed - began) / _PERIOD, f"the leaves are spread over {len(gone)} frames")
    checks.expect(after.closes == {CloseReason.CONNECTION_LOST: count}, f"the sessions end with {after.closes}")
    checks.expect_no_traceback(server)
    lists = " + ".join(f"{number:,}" for _, number in gone)
    return checks.finding(
        f"{lists} leaves in {len(gone)} frame(s), the last {max(0.0, ticks):.1f} ticks after the process ended"
    )


async def resets(lab: Lab) -> Finding:
    """Let half of the crowd reset its connections during a broadcast, again and again."""
    half, repetitions, checks = lab.pick(500, 100), lab.pick(10, 4), Checks()
    async with lab.server() as server, Crowd(server, lab.plan(half)) as crowd:
        before = await stats(server)
        held = await open_files(server)
        for repetition in range(repetitions):
            clients = [await lab.raw(server) for _ in range(half)]
            for number, client in enumerate(clients):
                await client.hello(f"reset-{repetition}-{number}")
            await wait_for_stats(server, lambda now: now.players == 2 * half and now.handshaking == 0)
            for client in clients:
                client.reset()
            await wait_for_stats(server, lambda now: now.connections == half)
        after = await stats(server)
        left = await open_files(server)
    checks.expect(after.players == before.players, f"players: {before.players} before, {after.players} after")
    checks.expect(left == held, f"descriptors: {held} before, {left} after")
    ends = after.closes.get(CloseReason.CONNECTION_LOST, 0)
    checks.expect(ends == half * repetitions, f"{half * repetitions} resets, {ends} counted")
    checks.expect(crowd.is_served, "a healthy player missed something")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"{repetitions} x {half} resets beside {half} healthy: {after.connections} connections, {left} descriptors, "
        "as before"
    )


async def out_of_files(lab: Lab) -> Finding:
    """Limit the server to 256 open files, which allows 112 connections: the 113th is told SERVER_FULL."""
    room, healthy, checks = 112, 100, Checks()
    limited = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    async with lab.server(prefix=limited) as server, Crowd(server, lab.plan(healthy)) as crowd:
        codes: list[str] = []
        clients: list[RawClient] = []
        try:
            for number in range(lab.pick(400, 100)):
                client = await lab.raw(server)
                clients.append(client)
                with contextlib.suppress(OSError):
                    await client.hello(f"late-{number}")
                async with asyncio.timeout(5):
                    answer = await client.answer()
                codes.append("joined" if isinstance(answer, Welcome) else answer.code)
            now = await stats(server)
        finally:
            for client in clients:
                client.close()
        await asyncio.sleep(0.5)
    admitted, refused = codes.count("joined"), codes.count(CloseReason.SERVER_FULL)
    checks.expect(codes[: room - healthy] == ["joined"] * (room - healthy), "the last free places are refused")
    checks.expect(set(codes[room - healthy :]) == {CloseReason.SERVER_FULL}, f"further players get {set(codes)}")
    checks.expect(now.closes.get(CloseReason.SERVER_FULL) == refused, f"the counts are {now.closes}")
    checks.expect(crowd.is_served, "a healthy player is lost")
    checks.expect_no_traceback(server)
    return checks.finding(
        f"256 open files: {healthy + admitted} joined, {refused} got SERVER_FULL and were counted, 0 of {healthy} lost"
    )
