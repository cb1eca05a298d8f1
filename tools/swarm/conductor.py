"""Runs the processes of a swarm together: starts them, gives the orders, adds up what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.source import AwayError, Source
from tools.swarm.plan import Plan
from tools.swarm.tally import Tally
from zoneserver.metrics import Stats

__all__ = ["Conductor", "Outcome", "Progress", "SwarmError"]

# A worker's last line is its tally, with three histograms in it.
_LINE_BYTES_MAX = 16 * 1024 * 1024
# A worker waits for outstanding answers and for goodbyes; it needs no longer than this.
_END_SECONDS = 15.0
# A server that is overloaded answers late, and that is when its figures matter.
_STATS_SECONDS = 10.0
# How far one process may be behind another in the frames they compare, in ticks.
_DIGESTS_KEPT = 2_400


class SwarmError(Exception):
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
    server: tuple[Stats, Stats] | None = None
    """The server's statistics when measuring began and when it ended."""


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    progress: dict[str, Any] = field(default_factory=dict)
    tally: Tally | None = None


class Conductor:
    """One run of a plan. `stop` ends it early, in good order."""

    def __init__(self, plan: Plan, stats_port: int | None) -> None:
        self.plan = plan
        self.progress = Progress()
        self._stats_port = stats_port
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._workers: list[_Worker] = []
        self._digests: dict[int, int] = {}
        self._digests_mismatched = 0

    def stop(self) -> None:
        """Ends the run now; what was measured so far is reported."""
        self._stop.set()

    async def run(self, on_progress: Callable[[Progress], None]) -> Outcome:
        """Runs the plan. Raises SwarmError when a process of the swarm breaks."""
        before = await self._stats()
        began = ended = None
        self._workers = [await self._start(process) for process in range(self.plan.processes)]
        listeners = [asyncio.create_task(self._listen(worker)) for worker in self._workers]
        drawing = asyncio.create_task(self._draw(on_progress))
        try:
            await self._until(self._all_in)
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
            await asyncio.gather(*(self._end(worker) for worker in self._workers))
        after = await self._stats()
        return self._outcome(interrupted, before, began, ended, after)

    def _is_over(self, started: float) -> bool:
        elapsed = time.monotonic() - started
        nobody_left = elapsed > 1 and not any(worker.progress.get("open") for worker in self._workers)
        return nobody_left or 0 < self.plan.seconds <= elapsed

    def _outcome(self, interrupted: bool, *stats: Stats | None) -> Outcome:
        before, began, ended, after = stats
        tallies = [worker.tally for worker in self._workers if worker.tally is not None]
        if len(tallies) < len(self._workers):
            raise SwarmError("a process of the swarm ended without a report")
        server = None
        if began is not None and ended is not None:
            elapsed = ended.uptime_s - began.uptime_s
            server = 100 * (ended.cpu_seconds_total - began.cpu_seconds_total) / max(elapsed, 1e-9)
        superseded = None
        if before is not None and after is not None and before.pid == after.pid:
            superseded = after.superseded_total - before.superseded_total
        return Outcome(
            plan=self.plan,
            tally=sum(tallies, Tally()),
            interrupted=interrupted,
            cpu_percent_busiest=max(100 * t.cpu_seconds / max(t.seconds_measured, 1e-9) for t in tallies),
            cpu_percent_server=server,
            superseded_server=superseded,
            hz=before.hz if before is not None else None,
            digests_mismatched=self._digests_mismatched,
            server=(began, ended) if began is not None and ended is not None else None,
        )

    # --- The processes ----------------------------------------------------------------------------

    async def _start(self, process: int) -> _Worker:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tools.swarm.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        worker = _Worker(started)
        self._say(worker, {"plan": self.plan.to_json(), "process": process})
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
        for worker in self._workers:
            if worker.process.returncode is None:
                self._say(worker, {"order": order})

    async def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        while line := await worker.process.stdout.readline():
            message = json.loads(line)
            if "tally" in message:
                worker.tally = Tally.from_json(message["tally"])
            else:
                self._compare(message.pop("digests"))
                worker.progress = message
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
