"""The counter of instructions."""

from __future__ import annotations

import pytest
from zonetools.bench.counter import HARDWARE, SOFTWARE, TASK_CLOCK, open_counter


def test_counter_counts_or_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (HARDWARE, SOFTWARE):
        read = open_counter(kind, TASK_CLOCK)
        if read is not None:
            before = read()
            sum(range(100_000))
            assert read() > before
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    assert open_counter() is None
