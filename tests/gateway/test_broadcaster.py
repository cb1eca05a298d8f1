"""The round: who gets the frame, who rests, who comes back, and what all may cost together.

On fake transports: what stalls and when is the test's to say.
"""

from __future__ import annotations

import dataclasses

import pytest
from helpers.session_fixture import SessionFixture

from zoneserver.config import Config, Limits
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import Counters
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.history import History

FRAME = b"f" * 100


class BroadcastFixture:
    """A fan-out with a snapshot of some size, and sessions that tell it when they stall."""

    direct = True
    """Whether frames go to the kernel directly."""

    def __init__(self, snapshot_bytes: int = 1000, **settings: object) -> None:
        self.config = Config(**settings)  # type: ignore[arg-type]
        self.history = History(256, lambda: b"s" * snapshot_bytes)
        self.counters = Counters()
        self.broadcaster = Broadcaster(self.history, self.config, self.counters)
        self.now = 0.0

    def join(self, room: int | None = None) -> SessionFixture:
        bench = SessionFixture(self.config.limits, room=None, direct=self.direct)
        owner = bench.owner
        owner.session_stalled = lambda session: self.broadcaster.stalled(session, self.now)  # type: ignore[method-assign]
        owner.session_drained = lambda session: self.broadcaster.drained(session, self.now)  # type: ignore[method-assign]
        owner.session_ended = self.broadcaster.leave  # type: ignore[method-assign]
        self.broadcaster.join(bench.session, self.now)
        bench.session.flush()
        bench.transport.kernel.clear()
        bench.transport.room = room
        return bench

    def tick(self, seconds: float = 0.05) -> None:
        self.now += seconds
        self.history.append(self.history.tick + 1, FRAME)
        self.broadcaster.send(1, self.now)
        self.broadcaster.expire(self.now)


@pytest.fixture(autouse=True, params=[True, False], ids=["direct", "by transport"])
def _every_way_to_the_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BroadcastFixture, "direct", request.param)


def frames(bench: SessionFixture) -> int:
    """How many frames the kernel has taken, and nothing else, since this was last asked."""
    count, rest = divmod(len(bench.transport.kernel), len(FRAME))
    assert rest == 0
    assert bytes(bench.transport.kernel) == FRAME * count
    bench.transport.kernel.clear()
    return count


def test_without_a_bound_everybody_gets_every_frame() -> None:
    stage = BroadcastFixture()
    benches = [stage.join() for _ in range(3)]
    for _ in range(500):
        stage.tick(0.0)
    assert [frames(bench) for bench in benches] == [500] * 3
    assert stage.broadcaster.behind == 0


def test_who_has_no_room_skips_and_gets_what_it_missed_in_one_send() -> None:
    stage = BroadcastFixture()
    healthy, slow = stage.join(), stage.join(room=50)
    for _ in range(5):
        stage.tick()
    assert stage.broadcaster.behind == 1
    assert stage.counters.frames_skipped_total == 5
    slow.transport.sends.clear()
    slow.transport.take(10_000)
    assert slow.transport.sends == [FRAME * 4]
    assert (frames(healthy), frames(slow)) == (5, 5)
    assert stage.broadcaster.behind == 0
    stage.tick()
    assert frames(slow) == 1


def test_who_missed_more_than_a_snapshot_gets_the_snapshot() -> None:
    stage = BroadcastFixture(snapshot_bytes=1000)
    slow = stage.join(room=0)
    for _ in range(12):
        stage.tick()
    slow.transport.take(100)
    slow.transport.take(10_000)
    assert bytes(slow.transport.kernel) == FRAME + b"s" * 1000


def test_over_the_soft_limit_for_its_time_it_is_ended_with_the_figures() -> None:
    limits = Limits(send_soft_bytes=1500, stall_seconds=5.0)
    stage = BroadcastFixture(snapshot_bytes=4000, limits=limits)
    slow = stage.join(room=0)
    stage.tick()
    for _ in range(40):
        stage.history.append(stage.history.tick + 1, FRAME)
    stage.broadcaster.tick = stage.history.tick
    slow.transport.take(100)
    # Now four thousand bytes wait. It takes some all the time, and that does not help it.
    for _ in range(50):
        assert slow.session.reason is None
        stage.tick(0.1)
        slow.transport.take(1)
    stage.tick(0.2)
    assert slow.session.reason is CloseReason.SLOW_CONSUMER
    assert "more than 1500 bytes waited for 5." in slow.session.reason_text
    assert "ticks behind" in slow.session.reason_text


def test_when_memory_does_not_suffice_the_largest_goes_first() -> None:
    stage = BroadcastFixture(send_memory_bytes=1000, limits=Limits())
    small, large, healthy = stage.join(room=50), stage.join(room=0), stage.join()
    large.session.enqueue(b"x" * 850)
    stage.tick()
    # 50 and 950 bytes wait: exactly what there is.
    assert not small.session.is_over
    assert not large.session.is_over
    small.session.enqueue(b"y")
    stage.tick()
    assert large.session.reason is CloseReason.SLOW_CONSUMER
    assert "the most of all" in large.session.reason_text
    assert not small.session.is_over
    assert not healthy.session.is_over


# --- A bound on the rate --------------------------------------------------------------------------


def total(bench: SessionFixture) -> int:
    return len(bench.transport.kernel)


@pytest.mark.parametrize("rate", [500.0, 1500.0, 1999.0])
def test_nobody_is_sent_more_than_the_rate_in_any_window(rate: float) -> None:
    """The zone makes 2,000 bytes a second. A budget's worth and a snapshot may come on top, once a window."""
    stage = BroadcastFixture(snapshot_bytes=300, send_rate=rate)
    bench = stage.join()
    taken = []
    for _ in range(400):
        stage.tick()
        taken.append(total(bench))
    for start in range(0, 400, 7):
        for end in range(start + 1, 400, 11):
            sent = taken[end] - taken[start]
            assert sent <= rate * (end - start) * 0.05 + rate + 300 + len(FRAME)
    assert taken[-1] >= rate * 20 * 0.8, "what it may have, it gets"
    assert not bench.session.is_over


def test_a_rate_above_what_the_zone_makes_is_not_felt() -> None:
    stage = BroadcastFixture(send_rate=2500.0)
    bench = stage.join()
    for _ in range(400):
        stage.tick()
    # The snapshot at the start, of a thousand bytes, is within the budget of a window.
    assert frames(bench) == 400
    assert stage.counters.catch_ups_total == 0


def test_a_resting_session_that_stalls_meanwhile_goes_on_when_it_has_drained() -> None:
    stage = BroadcastFixture(snapshot_bytes=300, send_rate=500.0)
    bench = stage.join()
    while not stage.broadcaster.behind:
        stage.tick()
    bench.transport.room = 0
    bench.session.send(b"p" * 10)
    for _ in range(40):
        stage.tick()
    assert stage.broadcaster.behind == 1
    bench.transport.kernel.clear()
    bench.transport.take(10_000)
    assert bytes(bench.transport.kernel) == b"p" * 10 + b"s" * 300


def test_a_session_that_ends_while_it_rests_is_forgotten() -> None:
    stage = BroadcastFixture(snapshot_bytes=300, send_rate=500.0)
    bench = stage.join()
    while not stage.broadcaster.behind:
        stage.tick()
    bench.session.end(CloseReason.CLIENT_LEFT)
    for _ in range(100):
        stage.tick()
    assert (stage.broadcaster.behind, len(stage.broadcaster._plain), stage.broadcaster._rests) == (0, 0, [])


def test_the_kernel_is_patient_with_a_session_that_is_watched_here_and_only_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float] = []
    monkeypatch.setattr("zoneserver.gateway.broadcaster.set_user_timeout", lambda _sock, seconds: told.append(seconds))
    stage = BroadcastFixture(limits=dataclasses.replace(Limits(), tcp_user_timeout_seconds=5.0))
    slow = stage.join(room=0)
    assert told == []
    stage.tick()
    assert told == [60.0]
    slow.transport.take(10_000)
    assert told == [60.0, 5.0]


def silent_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The network says that no peer has answered for so long."""
    monkeypatch.setattr("zoneserver.gateway.broadcaster.unanswered_seconds", lambda _sock: seconds)


def test_a_peer_that_acknowledges_nothing_is_lost_rather_than_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    silent_for(monkeypatch, 1.1)
    stage = BroadcastFixture()
    gone = stage.join(room=0)
    for _ in range(52):
        stage.tick(0.1)
    assert gone.session.reason is CloseReason.CONNECTION_LOST
    assert gone.session.reason_text == "nothing was acknowledged for 1.1 s"


@pytest.mark.parametrize(("seconds", "lost"), [(5.0, False), (5.1, True)])
def test_silence_counts_from_its_beginning_rather_than_from_the_stall(
    monkeypatch: pytest.MonkeyPatch, seconds: float, lost: bool
) -> None:
    silent_for(monkeypatch, seconds)
    stage = BroadcastFixture()
    gone = stage.join(room=0)
    for _ in range(15):
        stage.tick(0.1)
    assert (gone.session.reason is CloseReason.CONNECTION_LOST) is lost


def test_who_was_sent_something_just_now_may_still_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    # After the process was stopped, the last answer is long ago, and the next is on its way.
    silent_for(monkeypatch, 60.0)
    stage = BroadcastFixture()
    slow = stage.join(room=0)
    for _ in range(100):
        stage.tick(0.1)
        slow.transport.take(1)
    assert slow.session.reason is None


def test_who_only_has_no_room_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    silent_for(monkeypatch, 0.9)
    stage = BroadcastFixture()
    slow = stage.join(room=0)
    for _ in range(52):
        stage.tick(0.1)
    assert slow.session.reason is CloseReason.SLOW_CONSUMER
