"""Runs the processes of a swarm together: starts them, gives the orders, adds up what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.source import AwayError, Source
from tools.swarm.plan import Plan
from tools.swarm.tally import Tally
from tools.swarm.verdict import RoleTally
from zoneserver.exits import CannotStartError
from zoneserver.metrics import Stats

__all__ = ["Conductor", "Outcome", "Progress", "SwarmError"]

# A worker's last line is its tally, with three histograms in it.
_LINE_BYTES_MAX = 16 * 1024 * 1024
# A worker waits for outstanding answers and for goodbyes; it needs no longer than this.
_END_SECONDS = 15.0
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
    measuring_for: float | None = None
    """Seconds since everybody is in; None while ramping."""


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


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    progress: dict[str, Any] = field(default_factory=dict)
    tally: dict[str, Any] | None = None


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
        self._workers: list[_Worker] = []
        self._hostile: _Worker | None = None
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
        self._workers = [await self._start("worker", honest, process) for process in range(honest.processes)]
        if hostile:
            self._hostile = await self._start("hostile_worker", self.plan, 0)
        listeners = [asyncio.create_task(self._listen(worker)) for worker in self._everybody()]
        drawing = asyncio.create_task(self._draw(on_progress))
        try:
            await self._until(self._all_in)
            await self._pause(self._settle_seconds)
            if not self._stop.is_set():
                began = await self._stats()
                self._order("measure")
                started = time.monotonic()
                self.progress.measuring_for = 0.0
                while not self._stop.is_set() and not self._is_over(started):
                    self.progress.measuring_for = time.monotonic() - started
                    await self._pause(0.1)
                ended = await self._stats()
            interrupted = self._stop.is_set()
            self._order("stop")
            async with asyncio.timeout(2 * _END_SECONDS):
                await asyncio.gather(*listeners)
        except TimeoutError:
            raise SwarmError("a process of the swarm does not end") from None
        finally:
            drawing.cancel()
            await asyncio.gather(*(self._end(worker) for worker in self._everybody()))
        if self._nobody_listens:
            raise SwarmError(f"cannot start: nobody listens on {self.plan.address}; start one with: zoneserver run")
        after = await self._stats()
        return self._outcome(interrupted, before, began, ended, after)

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
        if any(worker.tally is None for worker in self._everybody()):
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
        )

    # --- The processes ----------------------------------------------------------------------------

    def _everybody(self) -> list[_Worker]:
        return [*self._workers, self._hostile] if self._hostile is not None else self._workers

    async def _start(self, module: str, plan: Plan, process: int) -> _Worker:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"tools.swarm.{module}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        worker = _Worker(started)
        self._say(worker, {"plan": plan.to_json(), "process": process})
        return worker

    async def _end(self, worker: _Worker) -> None:
        """Waits for a process that has been told to stop; without its stdin it stops by itself."""
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await worker.process.wait()
        except TimeoutError:
            worker.process.kill()
            await worker.process.wait()

    def _say(self, worker: _Worker, message: dict[str, Any]) -> None:
        assert worker.process.stdin is not None
        worker.process.stdin.write(json.dumps(message).encode() + b"\n")

    def _order(self, order: str) -> None:
        for worker in self._everybody():
            if worker.process.returncode is None:
                self._say(worker, {"order": order})

    async def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        while line := await worker.process.stdout.readline():
            message = json.loads(line)
            if "tally" in message:
                worker.tally = message["tally"]
            else:
                self._compare(message.pop("digests", {}))
                worker.progress = message
                if message.get("nobody_listens"):
                    self._nobody_listens = True
                    self._stop.set()
            self._changed.set()
        if worker.tally is None:
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

    async def _draw(self, on_progress: Callable[[Progress], None]) -> None:
        while True:
            for name in ("joined", "failed", "sent", "delivered", "frames"):
                setattr(self.progress, name, sum(worker.progress.get(name, 0) for worker in self._workers))
            on_progress(self.progress)
            await asyncio.sleep(0.25)

    async def _stats(self) -> Stats | None:
        """The server's statistics, or None when its admin port does not answer."""
        if self._stats_port is None:
            return None
        try:
            with contextlib.closing(Source(self.plan.host, self._stats_port, _STATS_SECONDS)) as source:
                return await source.stats()
        except AwayError:
            return None
