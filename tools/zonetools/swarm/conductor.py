"""Conducts a run: starts the worker processes, sends them commands, and adds up their tallies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zoneserver.admin.stats import Stats
from zoneserver.support.errors import CannotStartError, CommandError
from zonetools.common.machine import load_average, machine
from zonetools.swarm.commands import Command, Measure, Stop
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.measure.places import Places
from zonetools.swarm.measure.series import Row, Series
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.measure.tick_grid import TickGrid
from zonetools.swarm.plan import Plan
from zonetools.swarm.processes import END_SECONDS, WorkerProcess
from zonetools.swarm.server_observer import ServerObserver, is_one_start

# How much longer than planned a run may take, so that the server has ended a connection of every hostile bot.
_VERDICT_SECONDS = 20.0
# How many ticks one process may be behind another while their frame digests are compared.
_DIGESTS_KEPT = 2_400
_PROGRESS_SECONDS = 0.25
# The counts of all workers that the progress shows.
_COUNTS = ("joined", "failed", "sent", "delivered", "refused", "lost", "duplicated", "drops", "resumed")

# The longest time between two joins, beyond the pause that the ramp has. A worker gives up on a join after 30 s.
_JOIN_SECONDS_MAX = 60.0


class SwarmError(CannotStartError):
    """The swarm could not run."""


class WorkerError(CommandError):
    """A process of the swarm failed during the run."""


@dataclass(slots=True)
class Progress:
    """The progress of all workers together."""

    joined: int = 0
    failed: int = 0
    sent: int = 0
    delivered: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    drops: int = 0
    resumed: int = 0
    places: Places = field(default_factory=Places)
    """The counts by address."""
    ramping_for: float = 0.0
    """Seconds since the start of the ramp."""
    measuring_for: float | None = None
    """Seconds since measuring began; None during the ramp."""
    last: Row | None = None
    """The newest second that all workers have reported."""


@dataclass(slots=True)
class Outcome:
    """The outcome of a run."""

    plan: Plan
    tally: Tally
    """The sum of the tallies of all workers: the honest bots."""
    interrupted: bool
    cpu_percent_busiest: float
    """The CPU of the busiest worker while measuring, in percent of one core."""
    cpu_percent_server: float | None
    """The CPU of the server while measuring, in percent of one core; None if its admin port did not answer."""
    superseded_server: int | None
    """How many motions were superseded during the run by the count of the server; None if not known."""
    hz: int | None
    digests_mismatched: int
    """How many frames had different bytes in two workers."""
    closed_server: dict[str, int] | None
    """The ends of sessions during the run by the count of the server, by close code; None if not known."""
    stats: tuple[Stats, Stats, Stats] | None = None
    """The statistics of the server before the ramp, at the start and the end of measuring; None if one is missing."""
    hostile: dict[str, RoleTally] = field(default_factory=dict)
    """The tallies of the hostile bots, by role."""
    cpu_percent_hostile: float = 0.0
    """The CPU of the process of the hostile bots while measuring, in percent of one core."""
    began: float = 0.0
    """The start of the run, in seconds of `time.monotonic()`."""
    started_unix_s: float = 0.0
    """The start of the run, as a Unix time."""
    machine: dict[str, Any] = field(default_factory=dict)
    """The machine of the swarm."""
    rows: list[Row] = field(default_factory=list)
    """The run second by second."""


class Conductor:
    """One run of a plan. `stop` ends it early, and the outcome is still complete.

    Measuring begins `settle_seconds` after the last bot has joined, to leave out the cost of the joins. The admin port
    is on the host of the plan unless `stats_host` names another one.
    """

    def __init__(
        self,
        plan: Plan,
        stats_port: int | None,
        settle_seconds: float = 0.0,
        *,
        stats_host: str = "",
        stats_token: str = "",
    ) -> None:
        self.plan = plan
        self.progress = Progress()
        self._server = ServerObserver(stats_host or plan.host, stats_port, stats_token)
        self._settle_seconds = settle_seconds
        self._stop = asyncio.Event()
        # Set after every progress of a process, and whenever `_stop` is set.
        self._changed = asyncio.Event()
        # The workers run the honest bots and measure. One more process runs the hostile bots.
        self._workers: list[WorkerProcess] = []
        self._hostile: WorkerProcess | None = None
        self._began, self._started_unix_s, self._load_before = time.monotonic(), time.time(), load_average()
        self._series = Series(int(self._began), plan.processes)
        self._digests: dict[int, int] = {}
        self._digests_mismatched = 0
        self._nobody_listens = False

    def stop(self) -> None:
        """End the run now. The outcome contains what was measured so far."""
        self._stop.set()
        self._changed.set()

    async def run(self, on_progress: Callable[[Progress], object] = bool) -> Outcome:
        """Run the plan. Raises SwarmError when no server listens, WorkerError when a process of the swarm fails."""
        before = await self._server.read()
        began = ended = None
        honest, hostile = self.plan.honest, self.plan.hostile
        self._workers = [
            await WorkerProcess.start("worker", honest, number, f"worker {number}")
            for number in range(honest.processes)
        ]
        if hostile:
            self._hostile = await WorkerProcess.start("hostile.worker", self.plan, 0, "the process of the hostile bots")
        listeners = [asyncio.create_task(self._listen(process)) for process in self._processes()]
        watching = [
            asyncio.create_task(self._report_progress(on_progress)),
            asyncio.create_task(self._server.watch(self._series.add_server)),
            *(asyncio.create_task(process.watch()) for process in self._processes()),
        ]
        try:
            await self._wait_for_joins()
            await self._pause(self._settle_seconds)
            if not self._stop.is_set():
                began = await self._server.read()
                now, grid = time.monotonic(), None
                if began is not None:
                    grid = TickGrid.from_next_due(began.tick_due_monotonic_s, began.hz, now)
                self._send(Measure(grid))
                await self._measure()
                ended = await self._server.read()
            interrupted = self._stop.is_set()
            self._send(Stop())
            async with asyncio.timeout(2 * END_SECONDS):
                await asyncio.gather(*listeners)
        except TimeoutError:
            raise WorkerError("a process of the swarm did not end in time") from None
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*(process.end() for process in self._processes()))
            await asyncio.wait(watching)
        for process in self._processes():
            if process.failure is not None:
                raise WorkerError(f"{process.name} failed: {process.failure}")
        if self._nobody_listens:
            raise SwarmError(f"cannot start: nobody listens on {self.plan.address}; start one with: zoneserver run")
        after = await self._server.read()
        return self._outcome(interrupted, before, began, ended, after)

    async def _wait_for_joins(self) -> None:
        """Return when every bot has joined or failed, and when the run is stopped."""
        seconds = _JOIN_SECONDS_MAX + self.plan.processes / self.plan.ramp
        tried, deadline = -1, 0.0
        while not self._stop.is_set() and not all(worker.progress.get("done") for worker in self._workers):
            if tried != self._tried():
                tried, deadline = self._tried(), asyncio.get_running_loop().time() + seconds
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                bots = f"{tried:,} of {self.plan.honest.bots:,} bots"
                raise WorkerError(f"{bots} have joined or failed, and no more for {seconds:.0f} s") from None

    def _tried(self) -> int:
        return sum(worker.progress.get(name, 0) for worker in self._workers for name in ("joined", "failed"))

    async def _measure(self) -> None:
        started = self._series.measuring_from = time.monotonic()
        self.progress.measuring_for = 0.0
        while not self._stop.is_set() and not self._is_over(started):
            self.progress.measuring_for = time.monotonic() - started
            await self._pause(0.1)

    def _is_over(self, started: float) -> bool:
        elapsed = time.monotonic() - started
        if elapsed > 1 and not any(worker.progress.get("open") for worker in self._workers):
            return True  # All bots have lost their connections.
        if not 0 < self.plan.seconds <= elapsed:
            return False
        settled = self._hostile is None or self._hostile.progress.get("settled")
        return bool(settled) or elapsed >= self.plan.seconds + _VERDICT_SECONDS

    def _outcome(self, interrupted: bool, *stats: Stats | None) -> Outcome:
        before, began, ended, after = stats
        tallies: list[Tally] = [worker.tally for worker in self._workers]
        hostile = self._hostile.tally if self._hostile is not None else None
        server = None
        if began is not None and ended is not None and is_one_start(began, ended):
            elapsed = ended.uptime_s - began.uptime_s
            server = 100 * (ended.cpu_seconds_total - began.cpu_seconds_total) / max(elapsed, 1e-9)
        superseded = closed = None
        # The counters of another start of the server began at 0.
        if before is not None and after is not None and is_one_start(before, after):
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
            stats=(before, began, ended) if before and began and ended and is_one_start(before, ended) else None,
            closed_server=closed,
            hostile=hostile["roles"] if hostile else {},
            cpu_percent_hostile=100 * hostile["cpu_seconds"] / max(hostile["seconds"], 1e-9) if hostile else 0.0,
            began=self._began,
            started_unix_s=self._started_unix_s,
            machine=machine(self._load_before),
            rows=self._series.rows(),
        )

    # --- The processes ----------------------------------------------------------------------------

    def _processes(self) -> list[WorkerProcess]:
        return [*self._workers, self._hostile] if self._hostile is not None else self._workers

    def _send(self, command: Command) -> None:
        for process in self._processes():
            process.send(command)

    async def _listen(self, process: WorkerProcess) -> None:
        await process.listen(self._on_progress)
        if process.tally is None:
            self._stop.set()
        self._changed.set()

    def _on_progress(self, progress: dict[str, Any]) -> None:
        """Take the new digests and seconds out of the progress of a process; the rest of it stays there."""
        for tick, digest in progress.pop("digests", {}).items():
            if self._digests.setdefault(tick, digest) != digest:
                self._digests_mismatched += 1
        for old in list(self._digests)[: max(0, len(self._digests) - _DIGESTS_KEPT)]:
            del self._digests[old]
        for second in progress.pop("seconds", ()):
            self._series.add(second)
        if progress.get("nobody_listens"):
            self._nobody_listens = True
            self._stop.set()
        self._changed.set()

    # --- Waiting ----------------------------------------------------------------------------------

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    # --- Progress ---------------------------------------------------------------------------------

    async def _report_progress(self, on_progress: Callable[[Progress], object]) -> None:
        progress = self.progress
        while True:
            for name in _COUNTS:
                setattr(progress, name, sum(worker.progress.get(name, 0) for worker in self._workers))
            progress.places = sum((worker.progress.get("places", Places()) for worker in self._workers), Places())
            progress.ramping_for = max(worker.progress.get("ramping_for", 0.0) for worker in self._workers)
            progress.last = self._series.last
            on_progress(progress)
            await asyncio.sleep(_PROGRESS_SECONDS)
