"""Who has been behind for too long: both sides of each limit."""

from hypothesis import given
from hypothesis import strategies as st

from zoneserver.gateway.lag_tracker import LagTracker, largest_beyond

SOFT, PATIENCE = 1000, 5.0


def verdict(lag: LagTracker, now: float, sent_bytes: int, waiting_bytes: int) -> str | None:
    return lag.check(now, sent_bytes, waiting_bytes, SOFT, PATIENCE)


def test_receiver_without_progress_is_ended_after_its_patience() -> None:
    lag = LagTracker(tick=1, now=10.0, sent_bytes=50)
    assert verdict(lag, 15.0, 50, 10) is None
    assert verdict(lag, 15.1, 50, 10) == "10 bytes wait, none was taken for 5.1 s"


def test_progress_restarts_the_patience() -> None:
    lag = LagTracker(tick=1, now=0.0, sent_bytes=0)
    for second in range(1, 100):
        assert verdict(lag, float(second), second // 4, 10) is None


def test_receiver_over_the_soft_limit_for_too_long_is_ended_despite_progress() -> None:
    lag = LagTracker(tick=1, now=0.0, sent_bytes=0)
    for second in range(1, 7):
        assert verdict(lag, float(second), second, SOFT + 1) is None
    assert verdict(lag, 6.1, 7, SOFT + 1) == "more than 1000 bytes waited for 5.1 s, 1001 now"


def test_moment_at_the_soft_limit_restarts_the_patience() -> None:
    lag = LagTracker(tick=1, now=0.0, sent_bytes=0)
    for second in range(1, 50):
        assert verdict(lag, float(second), second, SOFT + (second % 5 != 0)) is None


def test_paused_receiver_with_nothing_waiting_is_not_slow() -> None:
    lag = LagTracker(tick=1, now=0.0, sent_bytes=7)
    assert verdict(lag, 100.0, 7, 0) is None
    assert verdict(lag, 104.0, 7, 10) is None, "its time counts from when there was something to take"
    assert verdict(lag, 105.1, 7, 10)


@given(st.lists(st.integers(0, 1000)), st.integers(0, 10_000))
def test_largest_beyond_takes_the_largest_first_and_as_few_as_needed(sizes: list[int], total: int) -> None:
    waiting = list(enumerate(sizes))
    gone = set(largest_beyond(total, waiting))
    kept = [size for number, size in waiting if number not in gone]
    assert sum(kept) <= total or not kept
    lost = [size for number, size in waiting if number in gone]
    if lost:
        assert sum(kept) + min(lost) > total
        assert max(kept, default=0) <= min(lost)
