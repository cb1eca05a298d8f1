"""One zone with its gateways, each a process of its own, and a link between them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from zoneserver.admin.stats import Stats
from zoneserver.protocol.codes import CloseReason
from zonetools.common.server_process import ServerProcess
from zonetools.soak.fault_lab import Checks, Crowd, Lab, wait_for_stats
from zonetools.soak.lives import Observer
from zonetools.swarm.plan import Address, Plan

__all__ = ["BOOKKEEPERS", "LEDGER", "Site", "check_served", "crowd_in_words"]

LEDGER = "zonetools.soak.games:Ledger"
"""The game of a site unless it has another one."""
BOOKKEEPERS = {"zonetools.soak.reset_bots:Bookkeeper": 1}
"""Players who notice whatever is lost or comes twice, in the game LEDGER."""


class Site:
    """A zone without a port for players, and the gateways that are started for it.

    `link` is the address of the link. By default it is a socket in `folder`. The zone has a journal there if it is to
    be started again. An observer at each gateway keeps every frame that it gets.
    """

    def __init__(
        self,
        lab: Lab,
        folder: str,
        *options: str,
        link: str = "",
        target: str = LEDGER,
        journal: bool = False,
        gateway_options: tuple[str, ...] = (),
    ) -> None:
        self.zone: ServerProcess
        """The newest process of the zone."""
        self.gateways: dict[str, ServerProcess] = {}
        """By name."""
        self.frames: dict[int, bytes] = {}
        """Every frame that an observer got, by tick."""
        self.conflicts: list[int] = []
        """The ticks of which two observers, or one, got two frames."""
        self.observers: dict[str, Observer] = {}
        """The observer at each gateway."""
        self.journal = Path(folder) / "journal"
        self._lab = lab
        self._link = link or f"unix:{folder}/zone.sock"
        keep = ("--journal", str(self.journal), "--journal-keep", "all") if journal else ()
        self._zone_options = (target, "--link", self._link, "--port", "off", "--resume", "30s", *keep, *options)
        self._gateway_options = ("--link", self._link, *gateway_options)
        # The gateways end first, as long as there is a zone.
        self._zones, self._others = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start_zone()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop all processes, the gateways first. Then they have logs."""
        try:
            await self._others.aclose()
        finally:
            await self._zones.aclose()

    async def start_zone(self) -> ServerProcess:
        """Start the zone, or start it once more, perhaps while the one before still runs."""
        self.zone = await self._zones.enter_async_context(self._lab.server(*self._zone_options))
        return self.zone

    async def gateway(
        self, name: str, *options: str, port: int = 0, prefix: tuple[str, ...] = (), link: str = ""
    ) -> ServerProcess:
        """Start a gateway, and return when it is attached and accepts players. It may share the `port` of another one,
        and come to the zone by another `link`."""
        named = ("--name", name, "--port", str(port), "--log-level", "info")
        options = (*self._gateway_options, *named, *(("--link", link) if link else ()), *options)
        process = ServerProcess(*options, prefix=prefix, program=("zoneserver", "gateway"))
        self.gateways[name] = await self._others.enter_async_context(process)
        return process

    async def attached(self, count: int) -> None:
        """Wait until the zone has this many gateways. Raises TimeoutError."""
        await self.wait(lambda now: len(now.gateways) >= count)

    async def observe(self, name: str) -> Observer:
        """Let a watcher keep every frame that a gateway sends."""
        loop, gateway = asyncio.get_running_loop(), self.gateways[name]
        make = lambda: Observer(self.frames, self.conflicts)  # noqa: E731
        _, observer = await loop.create_connection(make, "127.0.0.1", gateway.port)
        self._others.callback(observer.abort)
        async with asyncio.timeout(10):
            await observer.has_frame.wait()
        self.observers[name] = observer
        return observer

    def crowd(self, plan: Plan, *names: str) -> Crowd:
        """Honest players at gateways, measured by the statistics of the zone."""
        first, *others = (Address("127.0.0.1", self.gateways[name].port) for name in names)
        return Crowd(self.zone, dataclasses.replace(plan, port=first.port, others=tuple(others)))

    async def wait(self, condition: Callable[[Stats], bool], seconds: float = 10.0) -> Stats:
        """The first statistics of the zone that fulfil the condition. Raises TimeoutError."""
        return await wait_for_stats(self.zone, condition, seconds)

    async def kill_zone(self) -> None:
        """Kill the zone, and return when it has ended."""
        self.zone.send_signal(signal.SIGKILL)
        await self.zone.wait()

    async def next_frame(self, name: str, seconds: float = 20.0) -> float:
        """The seconds until the observer at a gateway gets another frame. Raises TimeoutError."""
        began, observer = time.monotonic(), self.observers[name]
        observer.has_frame.clear()
        async with asyncio.timeout(seconds):
            await observer.has_frame.wait()
        return time.monotonic() - began

    def check_logs(self, checks: Checks) -> None:
        """Check the logs of all processes. They have ended."""
        for process in (self.zone, *self.gateways.values()):
            checks.expect_no_traceback(process)
        checks.expect("DIVERGED" not in self.zone.log, "a re-run diverged")
        checks.expect(not self.conflicts, f"{len(self.conflicts)} ticks were told twice, with other bytes")


def crowd_in_words(crowd: Crowd) -> str:
    """What became of the connections and the actions of a crowd."""
    report = crowd.report
    back, actions, away = report["resume"], report["actions"], report["resume"]["away_ms"]
    codes = sorted(code for code in report["closed"] if code != CloseReason.CLIENT_LEFT)
    words = f"{report['bots']['joined']}: {back['drops']} disconnected"
    if back["drops"]:
        words += f" ({', '.join(codes)}), {back['resumed']} resumed after {away['p50'] / 1000:.2f} s "
        words += f"(longest {away['max'] / 1000:.2f} s)"
    return words + (
        f", of {actions['sent']:,} actions {actions['lost']} lost, {actions['duplicated']} twice, "
        f"{actions['resent']} sent again"
    )


def check_served(checks: Checks, crowd: Crowd, whose: str) -> None:
    """Check that everybody in a crowd got everything, once."""
    report = crowd.report
    actions, frames = report["actions"], report["frames"]
    faults = {name: actions[name] for name in ("lost", "duplicated", "reordered", "unaccounted")}
    faults |= {name: frames[name] for name in ("mismatched", "gaps")}
    faults |= {
        "diverged": report["state_hash"]["diverged"],
        "closed": report["closed_early"],
        "broken": report["broken"],
    }
    found = {name: count for name, count in faults.items() if count}
    errors = [error["first"]["text"] for error in report["errors"] if error["kind"] != "refusal"]
    checks.expect(crowd.is_served, f"{whose} missed something, or got it twice: {found} {errors[:2]!s:.300}")
