"""Receivers that cannot keep up, and honest players that only look like them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from zoneclient.replica import Replica

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Act, Ping, Snapshot, Tick
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, RecordingClient
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, stats, wait_for_stats
from zonetools.soak.relay import Relay
from zonetools.soak.tasks import beside, together

_MB = 1024 * 1024
_BULKY = "zonetools.soak.games:Bulky"


async def stuck_crowd(lab: Lab) -> Finding:
    """Let 5 % of the crowd never read."""
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
            checks.expect(seen >= stuck, f"only {seen} players were stuck")

    async with lab.server() as server:
        # Stuck players are disconnected after five seconds; a run is shorter, so they are present all the time.
        comparison = await lab.compare(server, players - stuck, attack, seconds=lab.pick(3.5, 2.0))
    comparison.check(checks)
    return checks.finding(f"{stuck} of {players:,} never read: {comparison}")


async def slow_reader(lab: Lab) -> Finding:
    """Take every step from skipped frames to SLOW_CONSUMER, on both sides of each limit."""
    checks = Checks()
    results = await together(
        _caught_up(lab, checks), _kicked_stuck(lab, checks), _soft_limit(lab, checks), _large_frame(lab, checks)
    )
    return checks.finding("; ".join(results))


async def _caught_up(lab: Lab, checks: Checks) -> str:
    """A reader slows to a trickle, skips frames, reads fast again, and catches up."""
    seconds = 6.0
    async with lab.server() as server, Crowd(server, lab.plan(60, rate=10)):
        slow = await lab.raw(server, receive_bytes=4096)
        replica = Replica(await slow.join("slow"))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.5)
            await slow.read(512)
        during = await stats(server)
        # `behind` would prove nothing: the reader may have caught up a moment ago.
        checks.expect(during.frames_skipped_total > 0, "a slow reader skips no frames")
        checks.expect(not during.closes, f"a slow reader that makes progress is disconnected: {during.closes}")
        snapshots, hashes = 0, 0
        async with asyncio.timeout(10):
            while replica.tick < during.tick + 40 or replica.hashes_checked < hashes + 2:
                message = await slow.receive()
                match message:
                    case Snapshot():
                        replica.restore(message)
                        snapshots, hashes = snapshots + 1, replica.hashes_checked
                    case Tick():
                        replica.apply(message)  # Raises if the state or the order is wrong.
                    case None:
                        raise ConnectionError("the slow reader was disconnected")
        after = await stats(server)
        slow.close()
    checks.expect(after.catch_ups_total > 0, "the slow reader never caught up")
    checks.expect(snapshots > 1, "the slow reader never got a snapshot instead of frames")
    return f"skipped {after.frames_skipped_total} frames, caught up after {snapshots - 1} snapshots"


async def _kicked_stuck(lab: Lab, checks: Checks) -> str:
    """A reader that reads nothing is disconnected after five seconds."""
    async with lab.server(_BULKY) as server, lab.recorder(server, "recorder") as recorder, lab.stuck(server, 1):
        await wait_for_stats(server, lambda now: now.players == 2)
        since = before = asked = time.monotonic()
        # More than the two kernels buffer, so that some of it must wait; less than the soft limit.
        recorder.act("bulk", 250_000)
        waiting, now = 0, await stats(server)
        while not now.closes:
            # The number changes when data begins to wait, and when the kernels accept a few bytes more. Either
            # happened after the previous question.
            if now.queued_bytes != waiting:
                waiting, since = now.queued_bytes, before
            await asyncio.sleep(0.02)
            before, asked = asked, time.monotonic()
            now = await stats(server)
        seconds = time.monotonic() - since
    _check_slow_consumer(checks, now.closes, "a stuck reader")
    checks.expect(5.0 <= seconds <= 6.0, "a stuck reader is disconnected too early or too late")
    checks.expect("none was taken for" in server.log, "the log does not say why a stuck reader was disconnected")
    return f"stuck: disconnected {seconds:.1f} s after its last progress"


async def _soft_limit(lab: Lab, checks: Checks) -> str:
    """For a reader that makes progress, more than 256 KB may wait for five seconds, and less for any time."""
    over, under = await together(_slowly(lab, 600_000), _slowly(lab, 200_000))
    seconds, closes, log = over
    _check_slow_consumer(checks, closes, "a reader over the soft limit")
    checks.expect(5.0 <= seconds <= 6.0, "a reader over the soft limit is disconnected too early or too late")
    checks.expect("bytes waited for" in log, "the log does not say why a reader over the soft limit was disconnected")
    checks.expect(not under[1], f"a reader below the soft limit is disconnected: {under[1]}")
    return f"600 KB waiting: disconnected after {seconds:.1f} s; 200 KB waiting: still connected after {under[0]:.0f} s"


async def _slowly(lab: Lab, size: int) -> tuple[float, dict[str, int], str]:
    """Send one frame of this size to a reader of 20 KB/s. Returns the duration, the closes and the log."""
    async with lab.server(_BULKY) as server, lab.recorder(server, "recorder") as recorder:

        async def read() -> None:
            while await reader.read(2_048):
                await asyncio.sleep(0.1)

        with contextlib.closing(await lab.raw(server, receive_bytes=16_384)) as reader:
            await reader.join("reader")
            began = time.monotonic()
            recorder.act("bulk", size)
            async with beside(read()):
                await wait_for_stats(server, lambda now: now.behind == 1)
                with contextlib.suppress(TimeoutError):
                    await wait_for_stats(server, lambda now: bool(now.closes), 7.0)
                closes = (await stats(server)).closes
                seconds = time.monotonic() - began
    return seconds, closes, server.log


async def _large_frame(lab: Lab, checks: Checks) -> str:
    """A frame beyond the hard limit: a player that reads it stays, a stuck one is disconnected after five seconds."""
    # The events of one tick are bounded to 1 MiB, which is the hard limit by default.
    limits = ("--limits", "send_hard_bytes=500000")
    async with lab.server(_BULKY, *limits) as server, lab.recorder(server, "recorder") as recorder:
        reader, stuck = await lab.raw(server, receive_bytes=4_096), await lab.raw(server, receive_bytes=4_096)
        await reader.join("reader")
        await stuck.join("stuck")
        began = time.monotonic()
        recorder.act("bulk", 1_000_000)
        await wait_for_stats(server, lambda now: now.behind == 2)
        for one in (reader, stuck):
            await one.send(length_prefixed(Ping(1).encode()))

        async def read() -> None:
            while await reader.read(65_536):
                await asyncio.sleep(0.001)

        try:
            async with beside(read()):
                closes = (await wait_for_stats(server, lambda now: bool(now.closes))).closes
                seconds = time.monotonic() - began
                players = (await stats(server)).players
        finally:
            reader.close()
            stuck.close()
    _check_slow_consumer(checks, closes, "a reader stuck in a large frame")
    checks.expect(seconds >= 5.0, "a reader stuck in a large frame is disconnected too early")
    checks.expect(players == 2, f"{players} players are left and not two, the recorder and the reader")
    return f"a frame of 1 MB, twice the hard limit: its reader stays, a stuck one is disconnected after {seconds:.1f} s"


def _check_slow_consumer(checks: Checks, closes: dict[str, int], reader: str) -> None:
    checks.expect(closes == {CloseReason.SLOW_CONSUMER: 1}, f"{reader} ends with {closes or 'nothing'}")


async def stuck_memory(lab: Lab) -> Finding:
    """Measure the memory that stuck readers cost while they are connected, and afterwards."""
    count = 200
    async with lab.server() as server, Crowd(server, lab.plan(100)):
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
        last = await wait_for_stats(server, lambda now: now.connections == 100)
    checks = Checks()
    checks.expect(last.closes == {CloseReason.SLOW_CONSUMER: count}, f"the stuck readers end with {last.closes}")
    checks.expect(peak - start <= 8 * _MB, "stuck readers cost more than 8 MB")
    checks.expect(last.rss_bytes - start <= 5 * _MB, "more than 5 MB remain")
    cost, left = (peak - start) / _MB, (last.rss_bytes - start) / _MB
    return checks.finding(f"{count} stuck: at most +{cost:.1f} MB, {left:+.1f} MB after they are disconnected")


# --- Honest players -------------------------------------------------------------------------------


async def false_kicks(lab: Lab) -> Finding:
    """Burst, stall for five seconds, have a round trip of 300 ms, and reconnect; none of it is a violation."""
    repetitions = lab.pick(4, 1)
    async with (
        lab.server() as server,
        Relay(server.port, delay_seconds=0.15) as far,
        Relay(server.port) as stalling,
        Crowd(server, lab.plan(40, port=far.port, mix={"fighter": 3, "chatty": 1})) as distant,
        Crowd(server, lab.plan(40, port=stalling.port, rate=20, mix={"walker": 1})) as stalled,
        lab.recorder(server, "bursting") as recorder,
    ):
        await together(
            _come_and_go(lab, server, 10, 5 * repetitions), _stall_and_burst(stalling, recorder, repetitions)
        )
        seen = await stats(server)
    checks = Checks()
    # A player that reconnects before the server notices the loss replaces their own session.
    ordinary = {CloseReason.CLIENT_LEFT, CloseReason.CONNECTION_LOST, CloseReason.REPLACED}
    disconnected = {code: count for code, count in seen.closes.items() if code not in ordinary}
    checks.expect(not disconnected, f"honest players are disconnected: {disconnected}")
    checks.expect(not seen.restraints, f"honest players are warned: {seen.restraints}")
    checks.expect(distant.is_served, "a distant player missed something")
    checks.expect(stalled.is_served, "a player who stalled missed something")
    told = sum(tick_event[0] == recorder.slot for _, tick in recorder.frames for tick_event in tick.events)
    checks.expect(told == 100 * repetitions, f"of {100 * repetitions} actions in bursts {told} are delivered")
    p50 = distant.report["latency_ms"]["p50"]
    return checks.finding(
        f"{sum(disconnected.values())} disconnected: 40 players 300 ms away (p50 {p50:.0f} ms), 40 stalled "
        f"{repetitions} x 5 s at 20 actions/s, {repetitions} x 100 packets at once, {10 * 5 * repetitions} reconnects"
    )


async def _stall_and_burst(stalling: Relay, recorder: RecordingClient, repetitions: int) -> None:
    """Stall the relay for five seconds, release it, and send the actions of 100 ticks at once. Repeat."""
    for number in range(repetitions):
        await asyncio.sleep(0.5)
        stalling.hold()
        await asyncio.sleep(5.0)
        stalling.release()
        for i in range(100):
            recorder.send(Act(1 + 100 * number + i, (("emote", 1),)).encode())
        await recorder.ticks(20)


async def _come_and_go(lab: Lab, server: ServerProcess, players: int, times: int) -> None:
    """Players that lose their connection every half second and rejoin under their name."""

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
