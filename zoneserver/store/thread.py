"""A thread that does one job after the other for an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

__all__ = ["JobThread"]

Result = TypeVar("Result")


class JobThread:
    """Runs jobs in order, and hands each result to the loop. A process can end while a job hangs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # At its end Python waits for other threads, but not for daemon threads.
        Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Callable[[], Result], done: Callable[[Result], None]) -> None:
        """Runs `job` in the thread, then `done` with its result in the loop. A job must not raise."""

        def run() -> None:
            result = job()
            # The loop may have been closed meanwhile. The result is then dropped.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(done, result)

        self._jobs.put(run)

    def end(self) -> None:
        """Ends the thread after the jobs that were submitted so far."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (run := self._jobs.get()) is not None:
            run()
