"""The writer of a journal."""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

from zoneserver.journal.bodies import encode_header, encode_input, encode_output, encode_state
from zoneserver.journal.counters import JournalCounters
from zoneserver.journal.directory import JournalDirectory, write_all
from zoneserver.journal.records import Kind, Salt, new_head, record_bytes, salt_of
from zoneserver.journal.retention import NEEDED_BYTES_MAX, excess
from zoneserver.journal.sync_thread import SyncThread, sync_data
from zoneserver.journal.values import Checkpoint, Header, JournalError
from zoneserver.notation import journal_kept, sync_seconds
from zoneserver.support.logs import fields
from zoneserver.zone.link import TickInput, TickOutput

__all__ = ["SEGMENT_BYTES", "Journal"]

SEGMENT_BYTES = 64 * 10**6
"""A segment that has become larger than this ends at the next checkpoint."""

_SLOW_SECONDS = 0.005
# `journal_longest_write_ms` is that of the present period of this length, and of the one before.
_PERIOD_SECONDS = 10.0
_FREE_BYTES_MIN = 256 * 10**6
_WARNING_SECONDS = 600.0

log = logging.getLogger(__name__)


class Journal:
    """Writes the journal of one zone. Its methods are called by one thread, in the order of ticks.

    After a JournalError nothing is written any more: each later call raises the error again, except `close`.
    """

    def __init__(self, directory: JournalDirectory, last_tick: int | None, sync: str, keep: str) -> None:
        self.counters = JournalCounters()
        self.last_tick = last_tick
        """The last tick that the journal has; None while there is no journal."""
        self.saved_tick = 0
        """The tick of the newest mark: what was saved up to it is in the store, or nobody has to hand it over."""
        self._directory = directory
        self._keep = journal_kept(keep)
        seconds = sync_seconds(sync)
        self._is_synced = seconds < math.inf
        self._is_synced_each_tick = seconds == 0
        self._thread = SyncThread(seconds, self.counters) if 0 < seconds < math.inf else None
        # The present segment; -1 before `begin` and after `close`.
        self._descriptor = -1
        self._segment_bytes = 0
        self._salt: Salt
        self._header: Header | None = None
        self._unix_seconds = 0.0
        # The ticks of the newest two checkpoints that a game can go on with.
        self._restart_ticks: deque[int] = deque(maxlen=2)
        self._failure = ""
        self._is_closed = False
        self._has_warned_of_loss = False
        self._warn_of_disk_at = 0.0
        # The end of the present period, and the longest write in it and in the one before, in seconds.
        self._period_end = 0.0
        self._longest = self._longest_before = 0.0

    @classmethod
    def open(cls, directory: str | Path, *, sync: str = "200ms", keep: str = "") -> Self:
        """Locks the directory, which is made if it does not exist, and cuts what is torn off the end of the journal.

        `sync` and `keep` are as in Config. Nothing new is written before `begin`. Raises JournalError if the directory
        cannot be used, if another process has it, and if the last segment is broken elsewhere than at its end.
        """
        locked = JournalDirectory(directory)
        try:
            last_tick, torn = locked.repair()
            for path, size in torn:
                text = (
                    "%d bytes at the end of the journal %s are no whole tick, as when a server is killed in a write, "
                    "and are cut off"
                )
                log.warning(text, size, path, extra=fields(file=str(path), bytes=size))
            return cls(locked, last_tick, sync, keep)
        except BaseException:
            locked.close()
            raise

    def begin(self, header: Header, checkpoint: Checkpoint, saved_tick: int | None = None) -> None:
        """Starts a segment, for a server that starts at the tick of this checkpoint: `last_tick`, if there is one.
        `saved_tick` is as for `mark_saved`; by default nothing waits for the store."""
        self._require_no_failure()
        if self.last_tick not in (None, checkpoint.tick):
            text = f"the journal ends at tick {self.last_tick}, and the zone goes on from tick {checkpoint.tick}"
            raise JournalError(f"{self._directory.path}: {text}")
        self.saved_tick = checkpoint.tick if saved_tick is None else saved_tick
        self._start_segment(header, checkpoint)

    def record(self, tick_input: TickInput, output: TickOutput) -> None:
        """Writes one tick. When it returns, a process that is killed loses nothing of the tick."""
        self._require_no_failure()
        tick = tick_input.tick
        assert self.last_tick is not None and tick > self.last_tick, f"tick {tick} after tick {self.last_tick}"
        taken = record_bytes(Kind.INPUT, tick, encode_input(tick_input, output), self._salt)
        told = record_bytes(Kind.OUTPUT, tick, encode_output(output), self._salt)
        self._write(tick, (*taken, *told))
        self.last_tick = tick
        self._unix_seconds = tick_input.unix_seconds

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes the state after the last tick. It begins a new segment if the present one is large, and deletes the
        segments that are not kept any longer."""
        self._require_no_failure()
        assert self._header is not None and checkpoint.tick == self.last_tick, f"a checkpoint of tick {checkpoint.tick}"
        if self._segment_bytes > SEGMENT_BYTES:
            self._start_segment(self._header._replace(unix_seconds=self._unix_seconds), checkpoint)
        else:
            self._write(checkpoint.tick, _records(checkpoint, self._salt))
            self._noted(checkpoint)

    def mark_saved(self, tick: int) -> None:
        """Marks that the store has everything that was saved up to this tick: no restart hands it over again. It does
        nothing for a tick that is marked already."""
        self._require_no_failure()
        if tick > self.saved_tick:
            self._write(tick, record_bytes(Kind.SAVED, tick, b"", self._salt))
            self.saved_tick = tick

    def close(self, saved_tick: int = 0) -> None:
        """Marks what the store has by now, syncs what is written, unless `sync` is never, and unlocks the directory. A
        second call does nothing.

        Raises JournalError if a sync fails, or has failed since the last call."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is not None:
            self._thread.stop()
        try:
            if not self._failure and self._descriptor >= 0:
                self.mark_saved(saved_tick)
                if self._is_synced:
                    self._sync()
        except OSError as error:
            self._fail("the journal could not be synced", error)
        finally:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1
            self._directory.close()

    # --- Writes -----------------------------------------------------------------------------------

    def _write(self, tick: int, parts: Sequence[bytes]) -> None:
        assert self._descriptor >= 0, "the journal is closed, or has not begun"
        began = time.perf_counter()
        self._failure = "a write was interrupted"
        try:
            written = write_all(self._descriptor, parts)
            if self._is_synced_each_tick:
                self._sync()
        except OSError as error:
            self._fail(f"tick {tick} could not be written", error)
        self._failure = ""
        self._segment_bytes += written
        if self._thread is not None:
            self._thread.is_due = True
        self._count(written, time.perf_counter() - began)

    def _start_segment(self, header: Header, checkpoint: Checkpoint) -> None:
        head = new_head()
        salt = salt_of(head)
        assert salt is not None
        first = record_bytes(Kind.HEADER, checkpoint.tick, encode_header(header), salt)
        saved = record_bytes(Kind.SAVED, self.saved_tick, b"", salt)
        parts = head, *first, *_records(checkpoint, salt), *saved
        began = time.perf_counter()
        former = self._descriptor
        try:
            # Whenever the power fails, the segments before the last one are whole.
            if former >= 0 and self._is_synced:
                self._sync()
            self._descriptor = self._directory.create(checkpoint.tick, parts, is_synced=self._is_synced)
        except OSError as error:
            self._fail(f"the segment of tick {checkpoint.tick} could not be made", error)
        if self._thread is not None:
            self._thread.use(self._descriptor)
        self.counters.journal_syncs_total += self._is_synced
        if former >= 0:
            os.close(former)
        self._salt, self._header, self.last_tick = salt, header, checkpoint.tick
        self._segment_bytes = sum(map(len, parts))
        self._count(self._segment_bytes, time.perf_counter() - began)
        self._noted(checkpoint)
        self._delete_old_segments()

    def _sync(self) -> None:
        sync_data(self._descriptor)
        self.counters.journal_syncs_total += 1

    def _count(self, written: int, seconds: float) -> None:
        counters = self.counters
        counters.journal_bytes_total += written
        counters.journal_slow_writes_total += seconds > _SLOW_SECONDS
        now = time.perf_counter()
        if now > self._period_end:
            self._period_end = now + _PERIOD_SECONDS
            self._longest, self._longest_before = 0.0, self._longest
        self._longest = max(self._longest, seconds)
        counters.journal_longest_write_ms = round(1000 * max(self._longest, self._longest_before), 3)

    # --- Failures ---------------------------------------------------------------------------------

    def _require_no_failure(self) -> None:
        if self._failure:
            raise JournalError(self._failure)
        if self._thread is not None and self._thread.failure is not None:
            self._fail("the journal could not be synced", self._thread.failure)

    def _fail(self, what: str, error: OSError) -> NoReturn:
        self._failure = f"{self._directory.path}: {what}: {error.strerror or error}"
        raise JournalError(self._failure) from error

    # --- After a checkpoint -----------------------------------------------------------------------

    def _noted(self, checkpoint: Checkpoint) -> None:
        self.counters.journal_checkpoints_total += 1
        if checkpoint.state.get("game") is not None:
            self._restart_ticks.append(checkpoint.tick)
        self._warn_of_a_full_disk()

    def _delete_old_segments(self) -> None:
        assert self._header is not None
        can_begin = len(self._restart_ticks) == self._restart_ticks.maxlen
        # What was saved and is not in the store stands in the journal alone.
        needed_from = min(self._restart_ticks[0], self.saved_tick) if can_begin else None
        try:
            count, is_needed = excess(self._directory.kept(), self._header.game.hz, needed_from, self._keep)
            self._directory.delete_oldest(count)
        except (OSError, JournalError) as error:
            log.warning("old segments of the journal could not be deleted: %s", error, extra=fields(error=str(error)))
            return
        if is_needed and not self._has_warned_of_loss:
            self._has_warned_of_loss = True
            lost = "a restart will have the world alone, and not what the game keeps beside it. A game with `save` and "
            lost += "`load` does not need the start"
            if can_begin:
                lost = "players whose saves have waited for the store since then are lost when the server is killed"
            text = "the journal %s has reached %d GB, and its start is deleted: %s"
            log.warning(text, self._directory.path, NEEDED_BYTES_MAX // 10**9, lost)

    def _warn_of_a_full_disk(self) -> None:
        now = time.monotonic()
        if now < self._warn_of_disk_at:
            return
        try:
            free_bytes = self._directory.free_bytes()
        except OSError:
            return
        if free_bytes < _FREE_BYTES_MIN:
            self._warn_of_disk_at = now + _WARNING_SECONDS
            text = "the disk of the journal %s has %d MB left: the server stops when it is full"
            log.warning(text, self._directory.path, free_bytes // 10**6, extra=fields(bytes_free=free_bytes))


def _records(checkpoint: Checkpoint, salt: Salt) -> tuple[bytes, ...]:
    tick = checkpoint.tick
    snapshot = record_bytes(Kind.SNAPSHOT, tick, checkpoint.snapshot, salt)
    return *snapshot, *record_bytes(Kind.STATE, tick, encode_state(checkpoint.state), salt)
