"""Receivers that cannot take what they are sent, and players of whom one might wrongly think so."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from zoneclient.replica import Replica

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Act, Ping, Snapshot, Tick
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Crowd, Finding, Lab, stats, until_stats
from zonetools.soak.peers import RawClient, RecordingClient
from zonetools.soak.relay import Relay
from zonetools.soak.tasks import beside, together

__all__ = ["false_kicks", "slow_reader", "stuck_crowd", "stuck_memory"]

_MB = 1024 * 1024
_BULKY = "zonetools.soak.games:Bulky"


async def stuck_crowd(lab: Lab) -> Finding:
    """Row 1: a twentieth of the crowd never reads."""
    players = lab.pick(1_000, 200)
    stuck = players // 20
    checks = Checks()

    @contextlib.asynccontextmanager
    async def attack() -> AsyncIterator[None]:
        before = (await stats(server)).closes.get(CloseReason.SLOW_CONSUMER, 0)
        async with lab.stuck(server, stuck):
            yield
            after = await stats(server)
            seen = after.behind + after.closes.get(CloseReason.SLOW_CONSUMER, 0) - before
            checks.expect(seen >= stuck, f"only {seen} were stuck")

    async with lab.server() as server:
        # They are kicked five seconds after they stalled: they are there all the time.
        comparison = await lab.compare(server, players - stuck, attack, seconds=lab.pick(3.5, 2.0))
    comparison.check(checks)
    return checks.finding(f"{stuck} of {players:,} never read: {comparison}")


async def slow_reader(lab: Lab) -> Finding:
    """Row 2: every step of the ladder, and both sides of each limit."""
    checks = Checks()
    figures = await together(
        _caught_up(lab, checks), _kicked_stuck(lab, checks), _soft_limit(lab, checks), _large_frame(lab, checks)
    )
    return checks.finding("; ".join(figures))


async def _caught_up(lab: Lab, checks: Checks) -> str:
    """It reads a trickle, skips frames, reads again, and is right again."""
    seconds = 6.0
    async with lab.server() as server, Crowd(server, 60, rate=10, seed=lab.seed):
        slow = await lab.raw(server, receive_bytes=4096)
        replica = Replica(await slow.join("slow"))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.5)
            await slow.take(512)
        during = await stats(server)
        # Whether it is behind just now says nothing: what it read may have let it catch up a moment ago.
        checks.expect(during.frames_skipped_total > 0, "a slow reader is not spared frames")
        checks.expect(not during.closes, f"a slow reader that makes progress is kicked: {during.closes}")
        snapshots, hashes = 0, 0
        async with asyncio.timeout(10):
            while replica.tick < during.tick + 40 or replica.hashes_checked < hashes + 2:
                message = await slow.receive()
                match message:
                    case Snapshot():
                        replica.restore(message)
                        snapshots, hashes = snapshots + 1, replica.hashes_checked
                    case Tick():
                        replica.apply(message)  # Raises where the state or the order is wrong.
                    case None:
                        raise ConnectionError("the slow reader was thrown out")
        after = await stats(server)
        slow.close()
    checks.expect(after.catch_ups_total > 0, "it never caught up")
    checks.expect(snapshots > 1, "it never got a snapshot in place of frames")
    return f"skipped {after.frames_skipped_total} frames, right again after {snapshots - 1} snapshots"


async def _kicked_stuck(lab: Lab, checks: Checks) -> str:
    """It reads nothing at all: five seconds, neither less nor much more."""
    async with lab.server(_BULKY) as server, lab.witness(server, "witness") as witness, lab.stuck(server, 1):
        await until_stats(server, lambda now: now.players == 2)
        since = before = asked = time.monotonic()
        # More than the kernels take, so that some of it must wait; less than the soft limit.
        witness.act("bulk", 250_000)
        waiting, now = 0, await stats(server)
        while not now.closes:
            # It changes when something begins to wait, and when the kernels find room for a few bytes more: some
            # time after the question before.
            if now.queued_bytes != waiting:
                waiting, since = now.queued_bytes, before
            await asyncio.sleep(0.02)
            before, asked = asked, time.monotonic()
            now = await stats(server)
        seconds = time.monotonic() - since
    _check_slow_consumer(checks, now.closes, "a stuck reader")
    checks.expect(5.0 <= seconds <= 6.0, "a stuck reader is kicked too early or too late")
    checks.expect("none was taken for" in server.log, "the log does not say why a stuck reader was kicked")
    return f"stuck: kicked {seconds:.1f} s after it last took something"


async def _soft_limit(lab: Lab, checks: Checks) -> str:
    """It makes progress all the time: more than 256 KB may wait for five seconds, less for as long as it takes."""
    over, under = await together(_slowly(lab, 600_000), _slowly(lab, 200_000))
    seconds, closes, log = over
    _check_slow_consumer(checks, closes, "a reader over the soft limit")
    checks.expect(5.0 <= seconds <= 6.0, "a reader over the soft limit is kicked too early or too late")
    checks.expect("bytes waited for" in log, "the log does not say why a reader over the soft limit was kicked")
    checks.expect(not under[1], f"a reader below the soft limit is kicked: {under[1]}")
    return f"600 KB waiting: kicked after {seconds:.1f} s; 200 KB: not in {under[0]:.0f} s"


async def _slowly(lab: Lab, size: int) -> tuple[float, dict[str, int], str]:
    """One frame of so many bytes to somebody who reads 20 KB/s of it: how long that lasts, how it ends."""
    async with lab.server(_BULKY) as server, lab.witness(server, "witness") as witness:
        reader = await lab.raw(server, receive_bytes=16_384)
        await reader.join("reader")
        began = time.monotonic()
        witness.act("bulk", size)

        async def read() -> None:
            while await reader.take(2_048):
                await asyncio.sleep(0.1)

        try:
            async with beside(read()):
                closes = await _closes_within(server, patience=7.0)
                seconds = time.monotonic() - began
        finally:
            reader.close()
    return seconds, closes, server.log


async def _large_frame(lab: Lab, checks: Checks) -> str:
    """A frame beyond the hard limit is nobody's fault: who reads it stays, who does not has five seconds."""
    async with lab.server(_BULKY) as server, lab.witness(server, "witness") as witness:
        reader, stuck = await lab.raw(server, receive_bytes=4_096), await lab.raw(server, receive_bytes=4_096)
        await reader.join("reader")
        await stuck.join("stuck")
        began = time.monotonic()
        witness.act("bulk", 1_500_000)
        await until_stats(server, lambda now: now.behind == 2)
        for one in (reader, stuck):
            await one.send(frame(Ping(1).encode()))

        async def read() -> None:
            while await reader.take(65_536):
                await asyncio.sleep(0.001)

        try:
            async with beside(read()):
                closes = (await until_stats(server, lambda now: bool(now.closes))).closes
                seconds = time.monotonic() - began
                players = (await stats(server)).players
        finally:
            reader.close()
            stuck.close()
    _check_slow_consumer(checks, closes, "a reader stuck in a large frame")
    checks.expect(seconds >= 5.0, "a reader stuck in a large frame is kicked too early")
    checks.expect(players == 2, f"{players} players are left of witness and reader")
    return f"a frame of 1.5 MB: who reads it stays, who does not is kicked after {seconds:.1f} s"


async def _closes_within(server: ServerProcess, patience: float) -> dict[str, int]:
    """Waits until somebody is behind, then until a session ends, or until we do not want to wait any more."""
    await until_stats(server, lambda now: now.behind == 1)
    with contextlib.suppress(TimeoutError):
        await until_stats(server, lambda now: bool(now.closes), patience)
    return (await stats(server)).closes


def _check_slow_consumer(checks: Checks, closes: dict[str, int], who: str) -> None:
    checks.expect(closes == {CloseReason.SLOW_CONSUMER: 1}, f"{who} ends with {closes or 'nothing'}")


async def stuck_memory(lab: Lab) -> Finding:
    """Row 3: what those who never read cost while they are there, and what stays when they are gone."""
    count = 200
    async with lab.server() as server, Crowd(server, 100, seed=lab.seed):
        await asyncio.sleep(1.0)
        start = (await stats(server)).rss_bytes
        peak = start
        async with lab.stuck(server, count):
            until = time.monotonic() + 12.0
            while time.monotonic() < until:
                now = await stats(server)
                peak = max(peak, now.rss_bytes)
                if now.closes.get(CloseReason.SLOW_CONSUMER) == count:
                    break
                await asyncio.sleep(0.1)
        last = await until_stats(server, lambda now: now.connections == 100)
    checks = Checks()
    checks.expect(last.closes == {CloseReason.SLOW_CONSUMER: count}, f"they end with {last.closes}")
    checks.expect(peak - start <= 8 * _MB, "they cost more than 8 MB")
    checks.expect(last.rss_bytes - start <= 5 * _MB, "more than 5 MB stay")
    cost, rest = (peak - start) / _MB, (last.rss_bytes - start) / _MB
    return checks.finding(f"{count} stuck: +{cost:.1f} MB at the most, {rest:+.1f} MB after the kicks")


# --- Nobody who is honest -------------------------------------------------------------------------


async def false_kicks(lab: Lab) -> Finding:
    """Row 5: bursts, stalls of five seconds, 300 ms there and back, reconnects: none of it is a fault."""
    rounds = lab.pick(4, 1)
    async with (
        lab.server() as server,
        Relay(server.port, delay_seconds=0.15) as far,
        Relay(server.port) as stalling,
        Crowd(server, 40, port=far.port, mix="fighter=3,chatty=1", seed=lab.seed) as distant,
        Crowd(server, 40, port=stalling.port, rate=20, mix="walker=1", seed=lab.seed) as stalled,
        lab.witness(server, "bursting") as witness,
    ):
        await together(_come_and_go(lab, server, 10, 5 * rounds), _stall_and_burst(stalling, witness, rounds))
        seen = await stats(server)
    checks = Checks()
    # Whoever is back before the loss of the old connection is noticed takes its place.
    ordinary = {CloseReason.CLIENT_LEFT, CloseReason.CONNECTION_LOST, CloseReason.REPLACED}
    kicks = {code: count for code, count in seen.closes.items() if code not in ordinary}
    checks.expect(not kicks, f"honest players are kicked: {kicks}")
    checks.expect(not seen.restraints, f"honest players are warned: {seen.restraints}")
    checks.expect(distant.is_served, "a distant player missed something")
    checks.expect(stalled.is_served, "a player who stalled missed something")
    told = sum(tick_event[0] == witness.slot for _, tick in witness.frames for tick_event in tick.events)
    checks.expect(told == 100 * rounds, f"of {100 * rounds} actions in bursts {told} are told")
    p50 = distant.report["latency_ms"]["p50"]
    return checks.finding(
        f"0 kicks wanted, {sum(kicks.values())} seen: 40 players 300 ms away (p50 {p50:.0f} ms), 40 stalled "
        f"{rounds} x 5 s at 20 actions/s, {rounds} x 100 packets at once, {10 * 5 * rounds} reconnects"
    )


async def _stall_and_burst(stalling: Relay, witness: RecordingClient, rounds: int) -> None:
    """Nothing passes for five seconds, then all of it; and five seconds' worth, in one go, of somebody who acts
    at every tick."""
    for number in range(rounds):
        await asyncio.sleep(0.5)
        stalling.hold()
        await asyncio.sleep(5.0)
        stalling.release()
        for i in range(100):
            witness.send(Act(1 + 100 * number + i, (("emote", 1),)).encode())
        await witness.ticks(20)


async def _come_and_go(lab: Lab, server: ServerProcess, players: int, times: int) -> None:
    """Players who lose their connection once a second and come back under the same name."""

    async def one(number: int) -> None:
        address = lab.address()
        for _ in range(times):
            client = await RawClient.connect(server.port, address)
            try:
                await client.join(f"returning-{number}")
                await asyncio.sleep(0.5)
            finally:
                client.reset()

    await together(*(one(number) for number in range(players)))
