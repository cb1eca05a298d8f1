"""Many at once: who come, who go, who say nothing, who break off, and who find no room."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Bye, Welcome
from zoneserver.support.histogram import quantile
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Crowd, Finding, Lab, files, stats, until_stats
from zonetools.soak.peers import RawClient, hello
from zonetools.soak.tasks import beside, together

__all__ = ["mass_join", "mass_leave", "out_of_files", "resets", "slow_handshake"]

_PERIOD = 1 / 20
_RUNS_MAX = 3


async def slow_handshake(lab: Lab) -> Finding:
    """Row 8: a HELLO that comes a byte at a time, from everywhere at once; somebody normal comes in meanwhile."""
    count, checks = lab.pick(1_000, 200), Checks()
    joins: list[float] = []
    ends: list[tuple[float, str]] = []

    async def trickle(server: ServerProcess, number: int) -> None:
        client = await lab.raw(server)
        began, data = time.monotonic(), hello(f"trickle-{number}".ljust(24, "x"))

        async def send() -> None:
            with contextlib.suppress(OSError):
                for byte in data[:-1]:
                    await client.send(bytes((byte,)))
                    await asyncio.sleep(0.25)

        try:
            async with beside(send()):
                said = await client.bye(6.0)
                ends.append((time.monotonic() - began, "nothing" if said is None else said.code))
        finally:
            client.close()

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
    checks.expect(codes == {CloseReason.HANDSHAKE_TIMEOUT}, f"they end with {codes}")
    checks.expect(first >= 1.9, f"one is closed after {first:.2f} s already")
    checks.expect(last <= 2.5, f"one is closed after {last:.2f} s only")
    checks.expect(p99 <= 200, "a normal join takes longer than 200 ms")
    return checks.finding(
        f"{count:,} trickling: closed after {first:.2f} to {last:.2f} s; normal join p99 {p99:.0f} ms of {len(joins)}"
    )


async def mass_join(lab: Lab) -> Finding:
    """Row 11: all at once into a zone that is busy already, seen by somebody who is in; repeated where something
    else may be to blame."""
    count, busy, checks = lab.pick(1_000, 200), lab.pick(200, 100), Checks()
    runs: list[tuple[float, float]] = []
    while not runs or (len(runs) < _RUNS_MAX and not _joined_in_time(runs)):
        async with (
            lab.server() as server,
            Crowd(server, busy, mix="chatty=1", seed=lab.seed) as present,
            lab.witness(server, "witness") as witness,
        ):
            began = time.monotonic()
            async with Crowd(server, count, ramp=1e6, rate=1, mix="walker=1", seed=lab.seed) as crowd:
                await asyncio.sleep(1.0)
                ended = time.monotonic()
        joins = [(moment, len(tick.joins)) for moment, tick in witness.frames if tick.joins and moment > began]
        checks.expect(sum(number for _, number in joins) == count, "not everybody came in")
        checks.expect(crowd.is_served and present.is_served, "one of them missed something")
        seconds = joins[-1][0] - joins[0][0] + _PERIOD if joins else float("inf")
        runs.append((seconds, 1000 * quantile(sorted(witness.intervals(began, ended)), 0.99)))
    seconds, p99 = (statistics.median(figures) for figures in zip(*runs, strict=True))
    checks.expect(_joined_in_time(runs), "it takes longer than 2 s, or the tick interval exceeds 1.2 periods")
    repeated = f", median of {len(runs)} runs" if len(runs) > 1 else ""
    return checks.finding(
        f"{count:,} in within {seconds:.2f} s, beside {busy}; tick interval p99 {p99:.1f} ms of 50{repeated}"
    )


def _joined_in_time(runs: list[tuple[float, float]]) -> bool:
    seconds = statistics.median(seconds for seconds, _ in runs)
    return seconds <= 2.0 and statistics.median(p99 for _, p99 in runs) <= 1000 * 1.2 * _PERIOD


@contextlib.asynccontextmanager
async def _herd(server: ServerProcess, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """So many players, all in, in a process that may be killed."""
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
    """Row 12: the process that all of them live in is killed just after a tick."""
    count, checks = lab.pick(1_000, 200), Checks()
    async with (
        lab.server() as server,
        lab.witness(server, "witness") as witness,
        _herd(server, count) as herd,
    ):
        await until_stats(server, lambda now: now.players == count + 1)
        await witness.ticks(2)
        began = time.monotonic()
        herd.kill()
        await herd.wait()
        killed = time.monotonic()
        await witness.until(lambda: witness.replica is not None and len(witness.replica.players) == 1)
        gone = [(moment, len(tick.leaves)) for moment, tick in witness.frames if tick.leaves]
        after = await until_stats(server, lambda now: now.connections == 1)
    ticks = (gone[-1][0] - killed) / _PERIOD
    checks.expect(ticks <= 2.0, "it takes longer than two ticks")
    # The system closes its connections one by one; each tick that passes meanwhile has a list.
    checks.expect(len(gone) <= 1 + (killed - began) / _PERIOD, f"their leaves are spread over {len(gone)} frames")
    checks.expect(after.closes == {CloseReason.CONNECTION_LOST: count}, f"they end with {after.closes}")
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    lists = " + ".join(f"{number:,}" for _, number in gone)
    return checks.finding(f"{lists} leaves in {len(gone)} frame(s), the last {max(0.0, ticks):.1f} ticks after the end")


async def resets(lab: Lab) -> Finding:
    """Row 13: half of the crowd resets its connections in the middle of a broadcast, again and again."""
    half, rounds, checks = lab.pick(500, 100), lab.pick(10, 4), Checks()
    async with lab.server() as server, Crowd(server, half, seed=lab.seed) as crowd:
        before = await stats(server)
        held = await files(server)
        for round_ in range(rounds):
            clients = [await lab.raw(server) for _ in range(half)]
            for number, client in enumerate(clients):
                await client.hello(f"reset-{round_}-{number}")
            await until_stats(server, lambda now: now.players == 2 * half and now.handshaking == 0)
            for client in clients:
                client.reset()
            await until_stats(server, lambda now: now.connections == half)
        after = await stats(server)
        left = await files(server)
    checks.expect(after.players == before.players, f"players: {before.players} before, {after.players} after")
    checks.expect(left == held, f"descriptors: {held} before, {left} after")
    ends = after.closes.get(CloseReason.CONNECTION_LOST, 0)
    checks.expect(ends == half * rounds, f"{half * rounds} resets, {ends} counted")
    checks.expect(crowd.is_served, "a healthy player missed something")
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    return checks.finding(
        f"{rounds} x {half} resets beside {half} healthy: {after.connections} connections, {left} descriptors, "
        "as before"
    )


async def out_of_files(lab: Lab) -> Finding:
    """Row 14: a limit of 256 open files leaves room for 128 connections: the 128th comes in, the 129th is told."""
    room, healthy, checks = 128, 100, Checks()
    limited = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    async with lab.server(prefix=limited) as server, Crowd(server, healthy, seed=lab.seed) as crowd:
        codes: list[str] = []
        clients: list[RawClient] = []
        try:
            for number in range(lab.pick(400, 100)):
                client = await lab.raw(server)
                clients.append(client)
                with contextlib.suppress(OSError):
                    await client.hello(f"late-{number}")
                codes.append(await _answer(client))
            now = await stats(server)
        finally:
            for client in clients:
                client.close()
        await asyncio.sleep(0.5)
    admitted, refused = codes.count("WELCOME"), codes.count(CloseReason.SERVER_FULL)
    checks.expect(codes[: room - healthy] == ["WELCOME"] * (room - healthy), "the last places are not given away")
    checks.expect(set(codes[room - healthy :]) == {CloseReason.SERVER_FULL}, f"others are told {set(codes)}")
    checks.expect(now.closes.get(CloseReason.SERVER_FULL) == refused, f"counted are {now.closes}")
    checks.expect(crowd.is_served, "a healthy player is lost")
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    return checks.finding(
        f"256 open files: {healthy + admitted} in, {refused} told SERVER_FULL and counted, nobody of {healthy} lost"
    )


async def _answer(client: RawClient) -> str:
    async with asyncio.timeout(5):
        while (message := await client.receive()) is not None:
            if isinstance(message, Welcome):
                return "WELCOME"
            if isinstance(message, Bye):
                return message.code
    return "nothing"
