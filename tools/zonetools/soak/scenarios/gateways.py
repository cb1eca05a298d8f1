"""Faults of one gateway among several: it is killed, stopped, slow, or told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.errors import Exit
from zonetools.common.admin_client import ServerUnreachable
from zonetools.common.cheap_crowd import CheapCrowd
from zonetools.common.server_process import ServerProcess
from zonetools.soak.fault_lab import Checks, Comparison, Crowd, Finding, Lab, stats
from zonetools.soak.lives import Talker, check_lines, check_told, read_ticks
from zonetools.soak.site import BOOKKEEPERS, Site, check_served, crowd_in_words
from zonetools.soak.tasks import beside, together

# A comparison that fails is repeated with new processes: the machine may have been busy.
_RUNS_MAX = 3
# The gateway with the fault, the one whose players must not notice, and the one to which the players of the first come
# back: it shares the port of the first.
_FAULTY, _OTHER, _SPARE = "faulty", "other", "spare"

_Fault = Callable[[Site, float], Coroutine[Any, Any, None]]
"""Happens to the gateway _FAULTY of a site, and takes at most so many seconds."""


@dataclass
class _Seen:
    """What the players of two gateways saw while one of them had a fault."""

    comparison: Comparison
    own: Crowd
    """The players of the gateway with the fault."""
    others: Crowd
    lines: int
    """How many lines the journal has of players of that gateway, each once."""

    def __str__(self) -> str:
        ended = self.others.report["closed_early"]
        return (
            f"players of another gateway: {self.comparison}, {ended} disconnected; its own {crowd_in_words(self.own)}; "
            f"{self.lines} numbered lines of theirs in the journal, each once"
        )


async def _compare(lab: Lab, checks: Checks, fault: _Fault, seconds: float) -> _Seen:
    """Measure the players of one gateway without a fault and with a fault of another gateway, in one run."""
    seen = await _compare_once(lab, checks, fault, seconds)
    for _ in range(_RUNS_MAX - 1):
        if not seen.comparison.holds:
            seen = await _compare_once(lab, checks, fault, seconds)
    seen.comparison.check(checks)
    check_served(checks, seen.own, "a player of the gateway with the fault")
    left = {CloseReason.CLIENT_LEFT: seen.others.report["bots"]["joined"]}
    checks.expect(seen.others.report["closed"] == left, "a player of another gateway is disconnected")
    return seen


async def _compare_once(lab: Lab, checks: Checks, fault: _Fault, seconds: float) -> _Seen:
    own_plan = lab.plan(lab.pick(100, 30), mix=BOOKKEEPERS, resume=True)
    other_plan = lab.plan(lab.pick(200, 60))
    talkers, over = [Talker(f"talker-{number}") for number in range(lab.pick(10, 3))], asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Site(lab, folder, journal=True) as site:
            faulty = await site.gateway(_FAULTY)
            await site.gateway(_OTHER)
            talks = (talker.talk(faulty.port, over, rate=10.0) for talker in talkers)
            async with site.crowd(own_plan, _FAULTY) as own, beside(*talks) as talking:
                async with asyncio.timeout(10):
                    await together(*(talker.is_in.wait() for talker in talkers))
                await site.gateway(_SPARE, port=faulty.port)
                for name in _OTHER, _SPARE:
                    await site.observe(name)
                async with site.crowd(other_plan, _OTHER) as control:
                    await asyncio.sleep(seconds)
                async with site.crowd(other_plan, _OTHER) as others:
                    await together(asyncio.sleep(seconds), fault(site, seconds))
                over.set()
                async with asyncio.timeout(20):
                    await asyncio.wait(talking)
        ticks = read_ticks(site.journal)
    check_told(checks, ticks, site.frames, site.conflicts)
    lines = check_lines(checks, ticks, talkers)
    site.check_logs(checks)
    served = control.is_served and others.is_served
    return _Seen(Comparison(control.p99_ms, others.p99_ms, 1, served), own, others, lines)


def _check_all_back(checks: Checks, own: Crowd) -> None:
    """Check that each player of a crowd was disconnected once, and came back."""
    back, joined = own.report["resume"], own.report["bots"]["joined"]
    checks.expect(back["drops"] == joined, f"{back['drops']} of {joined} players were disconnected")
    checks.expect(back["resumed"] == joined, f"{back['resumed']} of {joined} players came back")


# --- The faults -----------------------------------------------------------------------------------


async def gateway_killed(lab: Lab) -> Finding:
    """Kill a gateway; its players come back at another one that has the same port."""

    async def kill(site: Site, _seconds: float) -> None:
        site.gateways[_FAULTY].send_signal(signal.SIGKILL)

    checks = Checks()
    seen = await _compare(lab, checks, kill, lab.pick(8.0, 2.0))
    _check_all_back(checks, seen.own)
    return checks.finding(str(seen))


async def gateway_stopped(lab: Lab) -> Finding:
    """Stop a gateway by SIGSTOP for longer than its lease, and let it go on. A player who may not come back leaves the
    zone meanwhile, and is told."""
    checks, seconds = Checks(), lab.pick(8.5, 5.5)

    async def stop(site: Site, seconds: float) -> None:
        gateway = site.gateways[_FAULTY]
        # A player whose client cannot come back. The spare gateway has the same port, and may get the connection.
        async with contextlib.AsyncExitStack() as stack:
            visitors = [await stack.enter_async_context(lab.recorder(gateway, f"visitor-{each}")) for each in range(4)]
            with _stopped(gateway):
                await asyncio.sleep(seconds - 2.5)
            await asyncio.sleep(1.5)
            for visitor in visitors:
                is_in = visitor.replica is not None and visitor.replica.name(visitor.slot) == visitor.name
                checks.expect(is_in or visitor.bye is not None, "a player who has left the zone keeps the connection")

    seen = await _compare(lab, checks, stop, seconds)
    back = seen.own.report["resume"]
    checks.expect(back["drops"] == back["resumed"], f"{back['drops'] - back['resumed']} players did not come back")
    return checks.finding(f"stopped for {seconds - 2.5:g} s: {seen}")


@contextlib.contextmanager
def _stopped(process: ServerProcess) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def _starve(site: Site, seconds: float, on_seconds: float = 0.02) -> None:
    """Let the gateway have the processor for this part of each 0.1 s."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                with _stopped(site.gateways[_FAULTY]):
                    await asyncio.sleep(0.1 - on_seconds)
                await asyncio.sleep(on_seconds)


async def gateway_slow(lab: Lab) -> Finding:
    """Let a gateway have the processor for a fifth of the time."""

    checks = Checks()
    seen = await _compare(lab, checks, _starve, lab.pick(8.0, 2.0))
    drops = seen.own.report["resume"]["drops"]
    checks.expect(not drops, f"{drops} players of the slow gateway are disconnected")
    return checks.finding(f"a fifth of the processor (its own players' p99 {seen.own.p99_ms:.0f} ms): {seen}")


async def gateway_starved(lab: Lab) -> Finding:
    """Let a gateway with a crowd have a seventh of the processor, which is too little for its sends."""
    checks, players = Checks(), lab.pick(1_500, 1_000)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Site(lab, folder) as site:
            gateway = await site.gateway(_FAULTY)
            async with CheapCrowd(gateway.port, players, rate=2.0) as crowd:
                await site.wait(lambda now: now.players == players, 20.0)
                crowd.act()
                await _starve(site, lab.pick(20.0, 6.0), on_seconds=0.015)
                seconds = await _catch_up_seconds(site, gateway)
                seen = await stats(gateway)
    checks.expect(seconds <= 2.0, "it takes longer than 2 s")
    checks.expect(seen.players == players and not seen.closes, f"{seen.players} are left: {seen.closes}")
    site.check_logs(checks)
    return checks.finding(
        f"{players:,} players, a seventh of the processor: {sum(seen.closes.values())} disconnected, the newest tick "
        f"{seconds:.1f} s after it has all of it again"
    )


async def _catch_up_seconds(site: Site, gateway: ServerProcess) -> float:
    """The seconds until a gateway has a tick that is at most two ticks old; at most 10."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        with contextlib.suppress(ServerUnreachable):
            zone, seen = await stats(site.zone), await stats(gateway)
            if zone.tick - seen.tick <= 2:
                break
    return time.monotonic() - began


async def gateway_ends(lab: Lab) -> Finding:
    """Stop a gateway by Ctrl-C; its players come back at another one that has the same port."""
    codes: list[int] = []

    async def interrupt(site: Site, _seconds: float) -> None:
        site.gateways[_FAULTY].send_signal(signal.SIGINT)
        codes.append(await site.gateways[_FAULTY].wait())

    checks = Checks()
    seen = await _compare(lab, checks, interrupt, lab.pick(8.0, 2.0))
    _check_all_back(checks, seen.own)
    told = seen.own.report["closed"].get(CloseReason.SERVER_RESTARTING, 0)
    checks.expect(told == seen.own.report["resume"]["drops"], f"only {told} players are told SERVER_RESTARTING")
    checks.expect(set(codes) == {Exit.OK}, f"it ends with exit code {codes}")
    return checks.finding(str(seen))
