"""The thread that tells the disk to keep what was written."""

from __future__ import annotations

import os
import threading

from zoneserver.journal.counters import JournalCounters

__all__ = ["SyncThread", "sync_data"]


def sync_data(descriptor: int) -> None:
    """Waits until the disk has what was written to a file. Raises OSError."""
    # Not every system can leave the time of the last change aside.
    getattr(os, "fdatasync", os.fsync)(descriptor)


class SyncThread:
    """Syncs a file once per interval, if something was written since the last time. It ends with the first failure."""

    def __init__(self, interval_seconds: float, counters: JournalCounters) -> None:
        self.failure: OSError | None = None
        """Why a sync failed; nobody knows then which of the bytes are on disk."""
        self.is_due = False
        """Whether something was written since the last sync began. The writer sets it after each write."""
        self._interval_seconds = interval_seconds
        self._counters = counters
        self._descriptor = -1
        # Held during a sync, so that the file stays open.
        self._is_in_use = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def use(self, descriptor: int) -> None:
        """Syncs another file from now on. Waits for the sync that runs."""
        with self._is_in_use:
            self._descriptor, self.is_due = descriptor, False
        if not self._thread.ident:
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread. Waits for the sync that runs."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._interval_seconds):
            with self._is_in_use:
                if not self.is_due:
                    continue
                self.is_due = False
                try:
                    sync_data(self._descriptor)
                except OSError as error:
                    self.failure = error
                    return
                self._counters.journal_syncs_total += 1
