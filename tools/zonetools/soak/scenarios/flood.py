"""Too many valid packets, and too many connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Callable

from zoneserver.protocol.codes import RESTRAINTS, CloseReason, RefusalCode
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye, Ping, Refusal
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, act
from zonetools.soak.fault_lab import Checks, Finding, Lab, stats, wait_for_stats
from zonetools.soak.tasks import beside

# How long the first bytes of a new connection may be on the way: until then it need not make room.
_GRACE_SECONDS = 0.6


def _pings(first: int) -> bytes:
    return b"".join(length_prefixed(Ping(first + i).encode()) for i in range(64))


def _emotes(first: int) -> bytes:
    return b"".join(act(1 + 16 * (first + i), *[("emote", 1)] * 16) for i in range(8))


async def _flood(lab: Lab, server: ServerProcess, name: str, batch: Callable[[int], bytes]) -> tuple[list[str], float]:
    """Send valid packets until the server ends the session. Returns what it told the flooder, and the seconds."""

    async def send() -> None:
        with contextlib.suppress(OSError):
            for first in itertools.count(0, 64):
                await client.send(batch(first))
                await asyncio.sleep(0.005)

    with contextlib.closing(await lab.raw(server)) as client:
        await client.join(name)
        began = time.monotonic()
        async with beside(send()):
            told = [
                message.code
                for message in await client.messages(5.0)
                if (isinstance(message, Refusal) and message.code in RESTRAINTS) or isinstance(message, Bye)
            ]
            seconds = time.monotonic() - began
    return told, seconds


async def flood(lab: Lab) -> Finding:
    """Flood the server with valid but meaningless packets from ever new addresses."""
    flooders: list[tuple[list[str], float]] = []
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
    for told, seconds in flooders:
        checks.expect(told == ladder, f"a flooder is told {told}")
        checks.expect(seconds <= 1.0, "a flooder stays longer than 1 s")
    checks.expect(len(flooders) > 1, "no flooder connected")
    slowest = max((seconds for _, seconds in flooders), default=0.0)
    return checks.finding(
        f"{len(flooders)} flooders warned, muted, disconnected after at most {slowest * 1000:.0f} ms; {comparison}"
    )


async def tiny_frames(lab: Lab) -> Finding:
    """Send 256 KB of the smallest packets at once, and measure how much later another player is answered."""
    checks, tokens = Checks(), itertools.count()
    alone: list[float] = []
    attacked: list[float] = []
    tiny = length_prefixed(Ping(1).encode())
    count = 256 * 1024 // len(tiny)

    async def send(client: RawClient) -> None:
        with contextlib.suppress(OSError):
            await client.send(tiny * count)

    async with lab.server() as server, lab.recorder(server, "prober") as prober:
        for burst in range(lab.pick(40, 12)):
            client = await lab.raw(server)
            await client.join(f"tiny-{burst}")
            # Start right after a tick, so that no tick falls into the measurement.
            await prober.ticks(1)
            alone.append(await prober.round_trip(next(tokens)))
            async with beside(send(client)):
                await asyncio.sleep(0)
                attacked.append(max([await prober.round_trip(next(tokens)) for _ in range(4)]))
                bye = await client.bye()
            client.close()
            checks.expect(bye.code == CloseReason.FLOOD, f"the burst ends with {bye}")
        seen = await stats(server)
    extra_ms = 1000 * (statistics.median(attacked) - statistics.median(alone))
    checks.expect(extra_ms <= 5.0, "the loop is delayed by more than 5 ms")
    read = seen.packets_in_total / max(1, len(attacked))
    checks.expect(read < 1_000, "far more packets are read than flood control allows")
    return checks.finding(
        f"the answer to another player is {extra_ms:.1f} ms later (median of {len(attacked)} bursts, worst "
        f"{1000 * (max(attacked) - statistics.median(alone)):.1f} ms); {read:.0f} of {count:,} packets "
        "are read before FLOOD"
    )


async def connection_flood(lab: Lab) -> Finding:
    """Connect as fast as possible from one address, then once from each of many addresses."""
    checks, limit = Checks(), 32
    count = lab.pick(2_000, 400)
    address = lab.address()
    async with lab.server() as server, lab.recorder(server, "recorder") as recorder:
        held: list[RawClient] = []
        try:
            held += [await RawClient.connect(server.port, address) for _ in range(limit)]
            before = await wait_for_stats(server, lambda now: now.handshaking == limit)
            checks.expect(not before.closes, f"the first {limit} connections are refused: {before.closes}")
            # One more connection takes the place of the one that has been silent for longest.
            await asyncio.sleep(_GRACE_SECONDS)
            held.append(await RawClient.connect(server.port, address))
            closes = (await wait_for_stats(server, lambda now: bool(now.closes))).closes
            checks.expect(closes == {CloseReason.HANDSHAKE_TIMEOUT: 1}, f"connection {limit + 1}: {closes}")
            began = time.monotonic()
            for _ in range(count):
                (await RawClient.connect(server.port, address)).close()
            elsewhere = await lab.raw(server)
            asked = time.monotonic()
            await elsewhere.join("elsewhere")
            joined = time.monotonic() - asked
            elsewhere.close()
            rate = count / (asked - began)
            refused = (await wait_for_stats(server, lambda now: now.connections <= limit + 1)).closes
        finally:
            for client in held:
                client.close()
        counted = refused.get(CloseReason.TOO_MANY_CONNECTIONS, 0)
        # The first of them were within the limits on new connections.
        allowed = 64 + 16 * (time.monotonic() - began)
        checks.expect(counted > count - allowed, f"of {count + 1} excess connections only {counted} are counted")
        many = lab.pick(20_000, 1_000)
        addresses_max = 0
        for number in range(many):
            (await lab.raw(server)).close()
            if number % 500 == 499:
                addresses_max = max(addresses_max, (await stats(server)).addresses)
        checks.expect(addresses_max <= 16_384 + 64, "the table of addresses grows without bound")
        await recorder.ticks(1)
    return checks.finding(
        f"{counted:,} rejected and counted at {rate:,.0f}/s, another address joins in {joined * 1000:.0f} ms; "
        f"{many:,} addresses: at most {addresses_max:,} remembered"
    )


async def bursts(lab: Lab) -> Finding:
    """Act as often as the limits allow from many addresses in one moment, again and again."""
    checks, per_address, actions = Checks(), 25, 127
    addresses, rounds = lab.pick(20, 4), lab.pick(3, 1)
    period_ms = 1000 / 20

    async with lab.server() as server, lab.recorder(server, "recorder") as recorder:
        crowd: list[RawClient] = []
        try:
            for number in range(addresses):
                address = lab.address()
                crowd += [await lab.raw(server, address=address) for _ in range(per_address)]
                for place, client in enumerate(crowd[-per_address:]):
                    await client.join(f"bot {number}-{place}")
            async with beside(*(client.read_all() for client in crowd)):
                for burst in range(rounds):
                    first = 1 + burst * actions
                    packets = [
                        act(seq, *[("emote", 1)] * min(16, first + actions - seq))
                        for seq in range(first, first + actions, 16)
                    ]
                    for client in crowd:
                        await client.send(b"".join(packets))
                    await recorder.ticks(5 * 20)
            seen = await stats(server)
            happened = sum(event[2] == "emote" for _, tick in recorder.frames for event in tick.events)
        finally:
            for client in crowd:
                client.close()
    sent = len(crowd) * actions * rounds
    slowest = seen.tick_ms["max"]
    checks.expect(slowest <= 2 * period_ms, "a tick takes longer than two periods")
    checks.expect(happened == sent, f"of {sent} actions {happened} happen")
    checks.expect(not seen.restraints and not seen.closes, f"players are penalized: {seen.restraints} {seen.closes}")
    return checks.finding(
        f"{rounds} times {len(crowd)} x {actions} actions in one moment: the longest tick takes {slowest:.0f} ms, "
        f"{happened:,} of {sent:,} actions happen, nobody is penalized"
    )
