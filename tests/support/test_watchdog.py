"""The watchdog names the code that stalls a thread."""

from __future__ import annotations

import threading
import time

from zoneserver.support.watchdog import Watchdog


def spin_until(is_over: threading.Event) -> None:
    while not is_over.is_set():
        time.sleep(0)


def test_stall_is_reported_with_its_place() -> None:
    reports: list[tuple[float, str]] = []
    is_over = threading.Event()

    def stalled(seconds: float, place: str) -> None:
        reports.append((round(seconds, 2), place))
        if len(reports) == 2:
            is_over.set()

    with Watchdog(stalled, interval_seconds=0.01):
        spin_until(is_over)
    assert [seconds for seconds, _ in reports] == [0.02, 0.2]
    assert all(place.startswith("spin_until (") and "test_watchdog.py:" in place for _, place in reports)


def test_beats_prevent_a_report() -> None:
    reports: list[str] = []
    watchdog = Watchdog(lambda _seconds, place: reports.append(place), interval_seconds=0.02)
    # The thread's own waits are counted, so that a busy machine cannot make a stall.
    waits = 0
    wait = watchdog._is_over.wait

    def counting_wait(timeout: float | None = None) -> bool:
        nonlocal waits
        waits += 1
        watchdog.beats += 1
        return wait(timeout)

    watchdog._is_over.wait = counting_wait  # type: ignore[method-assign]
    with watchdog:
        while waits < 20:
            time.sleep(0.001)
    assert reports == []


def test_watchdog_that_never_started_may_be_stopped() -> None:
    Watchdog(lambda _seconds, _place: None).stop()
