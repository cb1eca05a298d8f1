"""Faults of the zone and of the broker behind gateways. The players keep their connections."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from zoneserver.protocol.codes import CloseReason
from zoneserver.support.errors import Exit
from zonetools.common.broker import MISSING, Broker, find_broker
from zonetools.common.program import run_program
from zonetools.common.server_process import SpawnError
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, stats
from zonetools.soak.lives import Talker, check_lines, check_told, read_ticks
from zonetools.soak.site import BOOKKEEPERS, Site, check_served
from zonetools.soak.tasks import beside

_GATEWAYS = "north", "south"
_CTL = (sys.executable, "-m", "zoneserver", "ctl", "--ctl")
# A zone that is told to stop needs no longer, with what a busy machine adds.
_STOP_SECONDS_MAX = 6.0


@dataclass
class _Outage:
    """What the players of all gateways saw of the outages of a zone or a broker."""

    crowd: Crowd
    silences: list[float]
    """The seconds from each fault to the next frame, at each gateway."""
    lines: int
    ticks: int

    def __str__(self) -> str:
        report, actions = self.crowd.report, self.crowd.report["actions"]
        return (
            f"{report['closed_early']} of {report['bots']['joined']} players disconnected; "
            f"the next frame after {statistics.median(self.silences):.2f} s (longest {max(self.silences):.2f} s); "
            f"{self.ticks:,} ticks without a gap, {actions['sent']:,} actions, {actions['lost']} lost, "
            f"{actions['duplicated']} twice, refused {actions['refused'] or 'none'}; "
            f"{self.lines} numbered lines in the journal, each once"
        )


async def _ride_out(lab: Lab, checks: Checks, site: Site, fault: Callable[[], Awaitable[None]], times: int) -> _Outage:
    """Let the fault happen some times under players who talk, ask and earn at each gateway. None of them comes back
    after a lost connection: losing one is a failure."""
    talkers, over = [Talker(f"talker-{number}", resume=False) for number in range(lab.pick(10, 4))], asyncio.Event()
    silences = []
    async with contextlib.AsyncExitStack() as stack:
        for name in _GATEWAYS:
            await site.gateway(name)
            await site.observe(name)
        plan = lab.plan(lab.pick(300, 60), mix=BOOKKEEPERS)
        crowd = await stack.enter_async_context(site.crowd(plan, *_GATEWAYS))
        ports = [site.gateways[name].port for name in _GATEWAYS]
        talks = [talker.talk(ports[number % len(ports)], over, rate=10.0) for number, talker in enumerate(talkers)]
        talking = await stack.enter_async_context(beside(*talks))
        for _ in range(times):
            await asyncio.sleep(lab.pick(1.5, 0.5))
            began = time.monotonic()
            await fault()
            for name in _GATEWAYS:
                await site.next_frame(name)
                silences.append(time.monotonic() - began)
        await asyncio.sleep(lab.pick(2.0, 0.5))
        over.set()
        async with asyncio.timeout(30):
            await asyncio.wait(talking)
    await site.stop()
    ticks = read_ticks(site.journal)
    check_told(checks, ticks, site.frames, site.conflicts)
    lines = check_lines(checks, ticks, talkers)
    checks.expect(not any(talker.resumed for talker in talkers), "a player was disconnected")
    left, ends = {CloseReason.CLIENT_LEFT: plan.bots}, crowd.report["closed"]
    checks.expect(ends == left, f"sessions end with {ends}")
    check_served(checks, crowd, "a player")
    checks.expect(not crowd.report["frames"]["caught_up_by_snapshot"], "a player is told a snapshot for frames")
    site.check_logs(checks)
    return _Outage(crowd, silences, lines, len(ticks))


async def zone_killed(lab: Lab) -> Finding:
    """Kill the zone behind two gateways, and start it again with its journal."""
    checks, times = Checks(), lab.pick(10, 1)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Site(lab, folder, journal=True) as site:

            async def kill() -> None:
                await site.kill_zone()
                await site.start_zone()

            outage = await _ride_out(lab, checks, site, kill, times)
    return checks.finding(f"{times} kills: {outage}")


async def zone_restarts(lab: Lab) -> Finding:
    """Restart the zone behind two gateways by `zoneserver ctl restart`, as after a new version of the game."""
    checks, times = Checks(), lab.pick(5, 1)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        control = f"{folder}/ctl.sock"
        async with Site(lab, folder, "--ctl", control, journal=True) as site:

            async def restart() -> None:
                code, out, err = await run_program(*_CTL, control, "restart", seconds=20)
                checks.expect(code == Exit.OK, f"ctl restart fails: {out or err:.100}")

            outage = await _ride_out(lab, checks, site, restart, times)
    return checks.finding(f"{times} restarts: {outage}")


async def zone_ends(lab: Lab) -> Finding:
    """Stop the zone behind two gateways by Ctrl-C, start it again, and let players join."""
    checks, plan = Checks(), lab.plan(lab.pick(200, 60), mix=BOOKKEEPERS)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Site(lab, folder, journal=True) as site:
            for name in _GATEWAYS:
                await site.gateway(name)
            async with site.crowd(plan, *_GATEWAYS) as crowd:
                site.zone.send_signal(signal.SIGINT)
                began = time.monotonic()
                code = await site.zone.wait()
                seconds = time.monotonic() - began
                await asyncio.sleep(0.5)
            await site.start_zone()
            await site.attached(len(_GATEWAYS))
            async with site.crowd(plan, *_GATEWAYS) as new:
                await asyncio.sleep(1.0)
        ends = crowd.report["closed"]
        site.check_logs(checks)
    checks.expect(code == Exit.OK and seconds <= _STOP_SECONDS_MAX, f"the zone ends with {code} after {seconds:.1f} s")
    checks.expect(ends == {CloseReason.SERVER_STOPPING: plan.bots}, f"sessions end with {ends}")
    check_served(checks, new, "a new player")
    return checks.finding(
        f"SIGINT: exit {code} after {seconds:.1f} s, all {plan.bots} players are told SERVER_STOPPING; "
        "started again, as many join at the same gateways"
    )


# --- The broker -----------------------------------------------------------------------------------


async def broker_restarts(lab: Lab) -> Finding:
    """Kill the broker between the zone and two gateways, and start it again after a second."""
    if find_broker() is None:
        return Finding(None, MISSING)
    checks, times = Checks(), lab.pick(10, 1)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Broker(folder) as broker, Site(lab, folder, link=f"{broker.url}/lab", journal=True) as site:

            async def kill() -> None:
                await broker.kill()
                await asyncio.sleep(1.0)
                await broker.start()

            outage = await _ride_out(lab, checks, site, kill, times)
    return checks.finding(f"{times} kills: {outage}")


async def two_zones(lab: Lab) -> Finding:
    """Start a zone of a name that has one: at a broker the older one stops, at a socket the newer one is refused."""
    if find_broker() is None:
        return Finding(None, MISSING)
    checks, plan = Checks(), lab.plan(lab.pick(200, 60), mix=BOOKKEEPERS)
    with tempfile.TemporaryDirectory(prefix="zone-") as folder:
        async with Broker(folder) as broker, Site(lab, folder, link=f"{broker.url}/lab") as site:
            for name in _GATEWAYS:
                await site.gateway(name)
            async with site.crowd(plan, *_GATEWAYS) as crowd:
                older, began = site.zone, time.monotonic()
                newer = await site.start_zone()
                async with asyncio.timeout(10):
                    code = await older.wait()
                seconds = time.monotonic() - began
                await site.attached(len(_GATEWAYS))
            ends = crowd.report["closed"]
            async with site.crowd(plan, *_GATEWAYS) as new:
                await asyncio.sleep(1.0)
            follow = len((await stats(newer)).gateways)
        checks.expect(follow == len(_GATEWAYS), f"{follow} gateways follow the newer zone")
        site.check_logs(checks)
        checks.expect_no_traceback(older)
        said = [line for line in older.log.splitlines() if "another zone" in line]
        checks.expect(bool(said), f"the older zone does not say why it stops: {older.log[-200:]}")
        async with Site(lab, folder):
            try:
                async with Site(lab, folder):
                    refusal = ""
            except SpawnError as error:
                refusal = str(error).splitlines()[-1]
        checks.expect(bool(refusal), "two zones at one socket")
    check_served(checks, new, "a player of the newer zone")
    return checks.finding(
        f"at a broker the older zone stops after {seconds:.1f} s (exit {code}), its players end with "
        f"{ends} and may join the newer one at the same gateways; at a socket: {refusal:.120}"
    )
