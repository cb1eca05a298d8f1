"""The store reads and writes saved players in a thread of its own. No tick waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Protocol, Self, TypeVar

from zoneserver.store.backend import Backend, open_backend, shown_target
from zoneserver.store.counters import StoreCounters
from zoneserver.store.thread import JobThread
from zoneserver.support.errors import CannotStartError
from zoneserver.support.logs import fields

__all__ = ["Found", "Store", "Worker"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Found = str | Exception | None
"""The JSON text of a player, None for a new player, or the error of a read that failed."""

# The bounds of one job. They are low, so that a read never waits long for the job before it.
_NAMES_PER_JOB = 64
_PLAYERS_PER_JOB = 500
_CHARACTERS_PER_JOB = 4 * 2**20
# The time from a failed write to the next attempt; it doubles with each failure in a row.
_RETRY_SECONDS_MIN, _RETRY_SECONDS_MAX = 0.1, 5.0
# At a stop: the time between two looks at the store, and the time that it has to close.
_POLL_SECONDS = 0.02
_CLOSE_SECONDS = 1.0


class Worker(Protocol):
    """Runs jobs elsewhere, one at a time: a `JobThread`."""

    def submit(self, job: Callable[[], Result], done: Callable[[Result], None]) -> None: ...

    def end(self) -> None: ...


class Store:
    """Saved players, by name, as JSON texts.

    Its methods are called in the loop, and return at once. There is at most one job in the worker; of the reads and
    writes that wait, a read goes first, and a write after one job of reads at the latest. A write that fails is tried
    again. A saved text stays in `pending` until it is on disk, so a caller looks there before it reads. A text that was
    saved during a read is still pending when the read is over.
    """

    def __init__(self, backend: Backend, worker: Worker, now: Callable[[], float]) -> None:
        self.counters = StoreCounters()
        self.pending: dict[str, str] = {}
        """The saved texts that are not known to be on disk, by name: the oldest first."""
        self.pending_characters = 0
        # The tick that saved each of these texts.
        self._ticks: dict[str, int] = {}
        self._backend = backend
        self._worker = worker
        self._now = now
        # Names to read in the order of their arrival, with the callback for the result.
        self._reads: dict[str, Callable[[Found], None]] = {}
        # True from the submit of a job until its result is here.
        self._is_busy = False
        # True if the last job was one of reads.
        self._has_read = False
        self._retry_at = 0.0
        self._retry_seconds = _RETRY_SECONDS_MIN
        # The number of failed writes in a row.
        self._failures = 0

    @classmethod
    async def open(cls, target: str | Backend) -> Self:
        """Opens the store of this name. Raises CannotStartError with one line."""
        loop = asyncio.get_running_loop()
        worker = JobThread(loop, "store")
        opened: asyncio.Future[Backend | Exception] = loop.create_future()

        def take(result: Backend | Exception) -> None:
            if not opened.done():
                opened.set_result(result)

        worker.submit(functools.partial(_open, target), take)
        result = await opened
        if isinstance(result, Exception):
            worker.end()
            if isinstance(result, CannotStartError):
                raise result
            raise CannotStartError(f"cannot open the store {shown_target(target)}: {_one_line(result)}") from result
        return cls(result, worker, loop.time)

    def save(self, saved: Mapping[str, str], tick: int = 0) -> None:
        """Keeps the text of each name, which this tick has saved, and writes it soon."""
        for name, text in saved.items():
            self.pending_characters += len(text) - len(self.pending.get(name, ""))
            self.pending[name] = text
            self._ticks[name] = tick
        self.poll()

    def saved_up_to(self, tick: int) -> int:
        """The newest tick up to which no text waits: each one is on disk, or a later tick has replaced it. `tick` is
        the last one that may have saved anything."""
        return min(self._ticks.values(), default=tick + 1) - 1

    def read(self, name: str, take: Callable[[Found], None]) -> None:
        """Reads the text of a name, and hands it to `take` in a later turn of the loop."""
        self._reads[name] = take
        self.poll()

    def forget(self, name: str) -> None:
        """Takes back a read that has not begun."""
        self._reads.pop(name, None)

    def poll(self) -> None:
        """Begins the next job if one is due. Call it regularly, because a failed write becomes due by time alone."""
        if self._is_busy:
            return
        is_write_due = bool(self.pending) and self._now() >= self._retry_at
        if self._reads and not (self._has_read and is_write_due):
            self._has_read = True
            names = list(islice(self._reads, _NAMES_PER_JOB))
            reads = {name: self._reads.pop(name) for name in names}
            self._submit(functools.partial(self._load, names), lambda found: self._loaded(reads, found))
        elif is_write_due:
            self._has_read = False
            batch = self._batch()
            self._submit(functools.partial(self._write, batch), lambda error: self._written(batch, error))

    def _submit(self, job: Callable[[], Result], done: Callable[[Result], None]) -> None:
        def finished(result: Result) -> None:
            self._is_busy = False
            done(result)
            self.poll()

        self._is_busy = True
        self._worker.submit(job, finished)

    # --- Reads ------------------------------------------------------------------------------------

    def _load(self, names: list[str]) -> dict[str, Found]:
        """Reads names, in the worker. After a failure it does not try the names that are left."""
        found: dict[str, Found] = {}
        for name in names:
            try:
                found[name] = self._backend.load(name)
            except Exception as error:
                return found | dict.fromkeys(names[len(found) :], error)
        return found

    def _loaded(self, reads: Mapping[str, Callable[[Found], None]], found: Mapping[str, Found]) -> None:
        errors = [result for result in found.values() if isinstance(result, Exception)]
        self.counters.store_reads_total += len(found) - len(errors)
        if errors:
            self.counters.store_failures_total += 1
            told = fields(error=_one_line(errors[0]), players=len(errors))
            log.error(
                "the store could not be read, so %d players cannot join: %s",
                len(errors),
                _one_line(errors[0]),
                extra=told,
            )
        for name, take in reads.items():
            take(found[name])

    # --- Writes -----------------------------------------------------------------------------------

    def _batch(self) -> dict[str, str]:
        """The texts that the next job writes: the oldest of those that are pending."""
        batch: dict[str, str] = {}
        characters = 0
        for name, text in islice(self.pending.items(), _PLAYERS_PER_JOB):
            characters += len(text)
            if batch and characters > _CHARACTERS_PER_JOB:
                break
            batch[name] = text
        return batch

    def _write(self, batch: Mapping[str, str]) -> Exception | None:
        """Writes a batch, in the worker. Returns the error, if there is one."""
        try:
            self._backend.save(batch)
        except Exception as error:
            return error
        return None

    def _written(self, batch: Mapping[str, str], error: Exception | None) -> None:
        if error is not None:
            self._write_failed(error)
            return
        self.counters.store_writes_total += len(batch)
        for name, text in batch.items():
            # A newer text may have been saved while this one was written.
            if self.pending[name] == text:
                del self.pending[name], self._ticks[name]
                self.pending_characters -= len(text)
        self._retry_seconds = _RETRY_SECONDS_MIN
        if self._failures:
            log.warning("the store can be written again, after %d failures", self._failures)
            self._failures = 0

    def _write_failed(self, error: Exception) -> None:
        self.counters.store_failures_total += 1
        self._retry_at = self._now() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _RETRY_SECONDS_MAX)
        if not self._failures:
            why, players = _one_line(error), len(self.pending)
            text = "the store could not be written: %d players stay in memory, and the write is tried again: %s"
            log.error(text, players, why, extra=fields(error=why, players=players))
        self._failures += 1

    # --- The end ----------------------------------------------------------------------------------

    async def close(self, seconds: float) -> dict[str, str]:
        """Writes what is pending, for this many seconds at most, and closes the store. Returns the unwritten texts."""
        self._reads.clear()
        self._retry_at, self._retry_seconds = 0.0, _RETRY_SECONDS_MIN
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.pending or self._is_busy:
                    self.poll()
                    await asyncio.sleep(_POLL_SECONDS)
        unsaved = dict(self.pending)
        # A job that hangs is left alone. The process can still end.
        if not self._is_busy:
            closed = asyncio.Event()
            self._worker.submit(self._close_backend, lambda _: closed.set())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closed.wait(), _CLOSE_SECONDS)
        self._is_busy = True  # No further job begins.
        self._worker.end()
        return unsaved

    def abandon(self) -> None:
        """Closes a store that was not used."""
        self._worker.submit(self._close_backend, lambda _: None)
        self._worker.end()

    def _close_backend(self) -> None:
        with contextlib.suppress(Exception):
            self._backend.close()


def _open(target: str | Backend) -> Backend | Exception:
    try:
        return open_backend(target) if isinstance(target, str) else target
    except Exception as error:
        return error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
