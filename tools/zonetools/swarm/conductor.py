"""Runs the processes of a swarm together: starts them, gives the orders, adds up what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zoneserver.admin.stats import Stats
from zoneserver.support.errors import CannotStartError
from zonetools.common.admin_client import AdminClient, ServerUnreachable
from zonetools.common.machine import load_average, machine
from zonetools.swarm.commands import Measure, Order, Stop
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.measure.meter import Second
from zonetools.swarm.measure.series import Row, Series
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.measure.tick_grid import TickGrid
from zonetools.swarm.plan import Plan
from zonetools.swarm.processes import END_SECONDS, WorkerProcess

__all__ = ["Conductor", "Outcome", "Progress", "SwarmError"]

# How much longer than planned a run may take, so that every hostile bot comes to its end.
_VERDICT_SECONDS = 20.0
# A server that is overloaded answers late, and that is when its figures matter.
_STATS_SECONDS = 10.0
# How far one process may be behind another in the frames they compare, in ticks.
_DIGESTS_KEPT = 2_400


class SwarmError(CannotStartError):
    """The swarm could not be run at all."""


@dataclass(slots=True)
class Progress:
    """How far all processes are, together."""

    joined: int = 0
    failed: int = 0
    sent: int = 0
    delivered: int = 0
    frames: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    ramping_for: float = 0.0
    """Seconds since the first was to connect."""
    measuring_for: float | None = None
    """Seconds since everybody is in; None while ramping."""
    last: Row | None = None
    """The newest second of which all is known."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    tally: Tally
    """Of the honest bots."""
    interrupted: bool
    cpu_percent_busiest: float
    """Of one core: the busiest process of the swarm, while measuring."""
    cpu_percent_server: float | None
    """None when the server's admin port was not to be reached."""
    superseded_server: int | None
    """Motions that the server says were superseded during the run."""
    hz: int | None
    digests_mismatched: int
    """Frames of which two processes of the swarm saw different bytes."""
    closed_server: dict[str, int] | None
    """How many sessions the server says it ended during the run, by close code."""
    stats: tuple[Stats, Stats, Stats] | None = None
    """The server's before the ramp, and as the measuring began and ended; None without one of them."""
    hostile: dict[str, RoleTally] = field(default_factory=dict)
    """What the hostile bots got, by role."""
    cpu_percent_hostile: float = 0.0
    """Of one core: the process of the hostile bots, while measuring."""
    began: float = 0.0
    """When the run began, in seconds of `time.monotonic()`."""
    started_unix_s: float = 0.0
    """The same by the calendar."""
    machine: dict[str, Any] = field(default_factory=dict)
    """What it ran on."""
    rows: list[Row] = field(default_factory=list)
    """The run second by second."""


class Conductor:
    """One run of a plan. `stop` ends it early, in good order.

    Measuring begins `settle_seconds` after everybody is in: for figures in which the joins have no part.
    """

    def __init__(self, plan: Plan, stats_port: int | None, settle_seconds: float = 0.0) -> None:
        self.plan = plan
        self.progress = Progress()
        self._stats_port = stats_port
        self._settle_seconds = settle_seconds
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        # Those who run the honest bots and measure, and the one beside them that runs the hostile bots.
        self._workers: list[WorkerProcess] = []
        self._hostile: WorkerProcess | None = None
        self._began, self._started_unix_s, self._load_before = time.monotonic(), time.time(), load_average()
        self._series = Series(int(self._began), plan.processes)
        self._digests: dict[int, int] = {}
        self._digests_mismatched = 0
        self._nobody_listens = False

    def stop(self) -> None:
        """Ends the run now; what was measured so far is reported."""
        self._stop.set()

    async def run(self, on_progress: Callable[[Progress], None]) -> Outcome:
        """Runs the plan. Raises SwarmError when nobody listens, or a process of the swarm breaks."""
        before = await self._stats()
        began = ended = None
        honest, hostile = self.plan.honest, self.plan.hostile
        self._workers = [await self._start("worker", honest, number) for number in range(honest.processes)]
        if hostile:
            self._hostile = await self._start("hostile.worker", self.plan, 0)
        listeners = [asyncio.create_task(self._listen(process)) for process in self._everybody()]
        watching = [asyncio.create_task(self._draw(on_progress)), asyncio.create_task(self._watch_server())]
        try:
            await self._until(self._all_in)
            await self._pause(self._settle_seconds)
            if not self._stop.is_set():
                began = await self._stats()
                now = time.monotonic()
                self._order(Measure(TickGrid.told(began.tick_due_monotonic_s, began.hz, now) if began else None))
                await self._measure()
                ended = await self._stats()
            interrupted = self._stop.is_set()
            self._order(Stop())
            async with asyncio.timeout(2 * END_SECONDS):
                await asyncio.gather(*listeners)
        except TimeoutError:
            raise SwarmError("a process of the swarm does not end") from None
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*(process.end() for process in self._everybody()))
            await asyncio.wait(watching)
        if self._nobody_listens:
            raise SwarmError(f"cannot start: nobody listens on {self.plan.address}; start one with: zoneserver run")
        after = await self._stats()
        return self._outcome(interrupted, before, began, ended, after)

    async def _measure(self) -> None:
        started = self._series.measuring_from = time.monotonic()
        self.progress.measuring_for = 0.0
        while not self._stop.is_set() and not self._is_over(started):
            self.progress.measuring_for = time.monotonic() - started
            await self._pause(0.1)

    def _is_over(self, started: float) -> bool:
        elapsed = time.monotonic() - started
        if elapsed > 1 and not any(worker.progress.get("open") for worker in self._workers):
            return True  # Nobody is left.
        if not 0 < self.plan.seconds <= elapsed:
            return False
        settled = self._hostile is None or self._hostile.progress.get("settled")
        return bool(settled) or elapsed >= self.plan.seconds + _VERDICT_SECONDS

    def _outcome(self, interrupted: bool, *stats: Stats | None) -> Outcome:
        before, began, ended, after = stats
        if any(process.tally is None for process in self._everybody()):
            raise SwarmError("a process of the swarm ended without a report")
        tallies = [Tally.from_json(worker.tally) for worker in self._workers if worker.tally is not None]
        hostile = self._hostile.tally if self._hostile is not None else None
        server = None
        if began is not None and ended is not None:
            elapsed = ended.uptime_s - began.uptime_s
            server = 100 * (ended.cpu_seconds_total - began.cpu_seconds_total) / max(elapsed, 1e-9)
        superseded = closed = None
        if before is not None and after is not None and before.pid == after.pid:
            superseded = after.superseded_total - before.superseded_total
            closed = dict(Counter(after.closes) - Counter(before.closes))
        return Outcome(
            plan=self.plan,
            tally=sum(tallies, Tally()),
            interrupted=interrupted,
            cpu_percent_busiest=max(100 * t.cpu_seconds / max(t.seconds_measured, 1e-9) for t in tallies),
            cpu_percent_server=server,
            superseded_server=superseded,
            hz=before.hz if before is not None else None,
            digests_mismatched=self._digests_mismatched,
            stats=(before, began, ended) if before and began and ended else None,
            closed_server=closed,
            hostile={role: RoleTally.from_json(form) for role, form in hostile["roles"].items()} if hostile else {},
            cpu_percent_hostile=100 * hostile["cpu_seconds"] / max(hostile["seconds"], 1e-9) if hostile else 0.0,
            began=self._began,
            started_unix_s=self._started_unix_s,
            machine=machine(self._load_before),
            rows=self._series.rows(),
        )

    # --- The processes ----------------------------------------------------------------------------

    def _everybody(self) -> list[WorkerProcess]:
        return [*self._workers, self._hostile] if self._hostile is not None else self._workers

    async def _start(self, module: str, plan: Plan, number: int) -> WorkerProcess:
        process = WorkerProcess()
        await process.start(module, plan, number)
        return process

    def _order(self, order: Order) -> None:
        for process in self._everybody():
            process.order(order)

    async def _listen(self, process: WorkerProcess) -> None:
        await process.listen(self._hear)
        if process.tally is None:
            self._stop.set()
        self._changed.set()

    def _hear(self, progress: dict[str, Any]) -> None:
        """What is new since a process was last heard is taken out of what it says."""
        self._compare(progress.pop("digests", {}))
        for form in progress.pop("seconds", ()):
            self._series.add(Second.from_json(form))
        if progress.get("nobody_listens"):
            self._nobody_listens = True
            self._stop.set()
        self._changed.set()

    def _compare(self, digests: dict[str, int]) -> None:
        """Frames of the same tick have the same bytes in every process."""
        for tick, digest in digests.items():
            if self._digests.setdefault(int(tick), digest) != digest:
                self._digests_mismatched += 1
        for old in list(self._digests)[: max(0, len(self._digests) - _DIGESTS_KEPT)]:
            del self._digests[old]

    # --- Waiting ----------------------------------------------------------------------------------

    def _all_in(self) -> bool:
        return all(worker.progress.get("done") for worker in self._workers)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self._stop.is_set():
            self._changed.clear()
            stopping = asyncio.create_task(self._stop.wait())
            changing = asyncio.create_task(self._changed.wait())
            _, waiting = await asyncio.wait({stopping, changing}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    # --- Watching ---------------------------------------------------------------------------------

    async def _draw(self, on_progress: Callable[[Progress], None]) -> None:
        progress = self.progress
        while True:
            for name in ("joined", "failed", "sent", "delivered", "frames", "refused", "lost", "duplicated"):
                setattr(progress, name, sum(worker.progress.get(name, 0) for worker in self._workers))
            progress.ramping_for = max(worker.progress.get("ramping_for", 0.0) for worker in self._workers)
            progress.last = self._series.last
            on_progress(progress)
            await asyncio.sleep(0.25)

    async def _watch_server(self) -> None:
        """Its statistics at each whole second of the clock, where the processes of the swarm cut theirs."""
        if self._stats_port is None:
            return
        with contextlib.closing(AdminClient(self.plan.host, self._stats_port)) as source:
            # The connection stands from here on: whoever counts the server's descriptors counts it too.
            with contextlib.suppress(ServerUnreachable):
                await source.stats()
            before, boundary = None, math.floor(time.monotonic()) + 1
            while True:
                await asyncio.sleep(boundary - time.monotonic())
                try:
                    after = await source.stats()
                except ServerUnreachable:
                    after = None
                if before is not None and after is not None:
                    self._series.add_server(boundary - 1, before, after)
                before, boundary = after, max(boundary + 1, math.ceil(time.monotonic()))

    async def _stats(self) -> Stats | None:
        """The server's statistics, or None when its admin port does not answer."""
        if self._stats_port is None:
            return None
        try:
            with contextlib.closing(AdminClient(self.plan.host, self._stats_port, _STATS_SECONDS)) as source:
                return await source.stats()
        except ServerUnreachable:
            return None
