"""A worker of a store whose jobs a test runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FakeWorker:
    """Runs a job when the test says so, and hands over its result when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
        self.results: list[tuple[Callable[[Any], None], Any]] = []

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        assert not self.jobs, "one job at a time"
        assert not self.results
        self.jobs.append((job, done))

    def end(self) -> None:
        pass

    def work(self) -> None:
        """Runs the job, as the thread does."""
        for job, done in self.jobs:
            self.results.append((done, job()))
        self.jobs.clear()

    def deliver(self) -> None:
        """Hands the result over, as the loop does."""
        results, self.results = self.results, []
        for done, result in results:
            done(result)

    def run(self) -> None:
        """Runs jobs until there is none."""
        while self.jobs or self.results:
            self.work()
            self.deliver()
