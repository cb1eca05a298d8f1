"""Too much of what may be sent, and too many who connect."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Bye, Ping, Refusal
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Finding, Lab, stats, until_stats
from zonetools.soak.peers import RawClient, act
from zonetools.soak.tasks import beside

__all__ = ["connection_flood", "flood", "tiny_frames"]

Endless = Callable[[], "itertools.count[int]"]


@dataclass(slots=True)
class _Flooder:
    """What one of them was told, and how long it lasted."""

    told: list[str] = field(default_factory=list)
    seconds: float = 0.0


def _pings(first: int) -> bytes:
    return b"".join(frame(Ping(first + i).encode()) for i in range(64))


def _emotes(first: int) -> bytes:
    return b"".join(act(1 + 16 * (first + i), *[("emote", 1)] * 16) for i in range(8))


async def _flood(lab: Lab, server: ServerProcess, name: str, batch: Callable[[int], bytes]) -> _Flooder:
    """Joins, and sends valid frames until it is thrown out."""
    flooder, client = _Flooder(), await lab.raw(server)

    async def send() -> None:
        with contextlib.suppress(OSError):
            for first in itertools.count(0, 64):
                await client.send(batch(first))
                await asyncio.sleep(0.005)

    try:
        await client.join(name)
        began = time.monotonic()
        async with beside(send()):
            for message in await client.messages(5.0):
                if (isinstance(message, Refusal) and not message.seq) or isinstance(message, Bye):
                    flooder.told.append(message.code)
            flooder.seconds = time.monotonic() - began
    finally:
        client.close()
    return flooder


async def flood(lab: Lab) -> Finding:
    """Row 4: valid and meaningless, as fast as one can send it, from ever new addresses."""
    flooders: list[_Flooder] = []
    numbers = itertools.count()

    async def keep_flooding(server: ServerProcess, batch: Callable[[int], bytes]) -> None:
        while True:
            flooders.append(await _flood(lab, server, f"flooder-{next(numbers)}", batch))

    bots = lab.pick(500, 200)
    async with lab.server() as server:
        comparison = await lab.compare(
            server,
            bots,
            lambda: beside(keep_flooding(server, _pings), keep_flooding(server, _emotes)),
            seconds=lab.pick(6.0, 2.0),
        )
    checks = Checks()
    comparison.check(checks)
    ladder = [RefusalCode.WARNED, RefusalCode.MUTED, CloseReason.FLOOD]
    for flooder in flooders:
        checks.expect(flooder.told == ladder, f"a flooder is told {flooder.told}")
        checks.expect(flooder.seconds <= 1.0, "a flooder stays longer than 1 s")
    checks.expect(len(flooders) > 1, "nobody flooded")
    slowest = max((flooder.seconds for flooder in flooders), default=0.0)
    return checks.finding(
        f"{len(flooders)} flooders warned, muted, out after {slowest * 1000:.0f} ms at the most; {comparison}"
    )


async def tiny_frames(lab: Lab) -> Finding:
    """Row 6: 256 KB of the smallest frames in one go; how much later than otherwise is somebody else answered?"""
    checks, tokens = Checks(), itertools.count()
    alone: list[float] = []
    held: list[float] = []
    tiny = frame(Ping(1).encode())
    count = 256 * 1024 // len(tiny)

    async def send(client: RawClient) -> None:
        with contextlib.suppress(OSError):
            await client.send(tiny * count)

    async with lab.server() as server, lab.witness(server, "prober") as prober:
        for round_ in range(lab.pick(40, 12)):
            client = await lab.raw(server)
            await client.join(f"tiny-{round_}")
            # Just after a tick, so that none falls into the measurement.
            await prober.ticks(1)
            alone.append(await prober.round_trip(next(tokens)))
            async with beside(send(client)):
                await asyncio.sleep(0)
                held.append(max([await prober.round_trip(next(tokens)) for _ in range(4)]))
                said = await client.bye()
            client.close()
            checks.expect(said is not None and said.code == CloseReason.FLOOD, f"it ends with {said}")
        seen = await stats(server)
    extra_ms = 1000 * (statistics.median(held) - statistics.median(alone))
    checks.expect(extra_ms <= 5.0, "the loop is held for longer than 5 ms")
    read = seen.packets_in_total / max(1, len(held))
    checks.expect(read < 1_000, "far more frames are read than the guard allows")
    return checks.finding(
        f"somebody else's answer is {extra_ms:.1f} ms later (median of {len(held)} bursts, worst "
        f"{1000 * (max(held) - statistics.median(alone)):.1f} ms); {read:.0f} of {count:,} frames "
        "are read before FLOOD"
    )


async def connection_flood(lab: Lab) -> Finding:
    """Row 15: one address that connects as fast as it can, and many addresses that do so once."""
    checks, limit = Checks(), 32
    count = lab.pick(2_000, 400)
    address = lab.address()
    async with lab.server() as server, lab.witness(server, "witness") as witness:
        held: list[RawClient] = []
        try:
            held += [await RawClient.connect(server.port, address) for _ in range(limit)]
            before = await until_stats(server, lambda now: now.handshaking == limit)
            checks.expect(not before.closes, f"the first {limit} connections are refused: {before.closes}")
            one_more = await RawClient.connect(server.port, address)
            said = await one_more.bye()
            one_more.close()
            code = None if said is None else said.code
            checks.expect(code == CloseReason.TOO_MANY_CONNECTIONS, f"connection {limit + 1} ends with {code}")
            began = time.monotonic()
            for _ in range(count):
                (await RawClient.connect(server.port, address)).close()
            elsewhere = await lab.raw(server)
            asked = time.monotonic()
            await elsewhere.join("elsewhere")
            joined = time.monotonic() - asked
            elsewhere.close()
            rate = count / (asked - began)
            refused = (await until_stats(server, lambda now: now.connections <= limit + 1)).closes
        finally:
            for client in held:
                client.close()
        counted = refused.get(CloseReason.TOO_MANY_CONNECTIONS, 0)
        # Those it had held are closed after two seconds; then it is within its rights, now and then.
        within = 64 + 16 * (time.monotonic() - began) if asked - began > 1.9 else 0.0
        checks.expect(counted > count - within, f"of {count + 1} too many only {counted} are counted")
        many = lab.pick(20_000, 1_000)
        most = 0
        for number in range(many):
            (await lab.raw(server)).close()
            if number % 500 == 499:
                most = max(most, (await stats(server)).addresses)
        checks.expect(most <= 16_384 + 64, "the table of addresses grows without bound")
        await witness.ticks(1)
    return checks.finding(
        f"{counted:,} refused and counted at {rate:,.0f}/s, another address joins in {joined * 1000:.0f} ms; "
        f"{many:,} addresses: {most:,} remembered at the most"
    )
