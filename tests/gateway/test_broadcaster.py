"""The broadcaster on fake transports: frames, players who are behind, catching up, and bounds."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.framings import BARE, LINES
from helpers.session_fixture import SessionFixture

from zoneserver.config import Config, Limits
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.frame_history import Form, History

FRAME = b"f" * 100


class BroadcastFixture:
    """A broadcaster with a snapshot of some size, and sessions that tell it when they stall."""

    direct = True
    """Whether frames go to the kernel directly."""

    def __init__(self, snapshot_bytes: int = 1000, **settings: object) -> None:
        self.config = Config(**settings)  # type: ignore[arg-type]
        self.history = History(256, lambda: b"s" * snapshot_bytes)
        self.counters = GatewayCounters()
        self.broadcaster = Broadcaster(self.history, self.config, self.counters)
        self.now = 0.0

    def join(self, room: int | None = None) -> SessionFixture:
        connection = SessionFixture(self.config.limits, direct=self.direct, framing=BARE)
        connection.attach(self.broadcaster, lambda: self.now)
        self.broadcaster.join(connection.session, Form(BARE), self.now)
        connection.session.flush()
        connection.transport.kernel.clear()
        connection.transport.room = room
        return connection

    def tick(self, seconds: float = 0.05) -> None:
        self.now += seconds
        self.history.append(self.history.tick + 1, FRAME)
        self.broadcaster.send(1, self.now)
        self.broadcaster.expire(self.now)


@pytest.fixture(autouse=True, params=[True, False], ids=["direct", "by transport"])
def _every_way_to_the_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BroadcastFixture, "direct", request.param)


def frames(connection: SessionFixture) -> int:
    """How many whole frames the kernel has taken since the last call. It must have taken nothing else."""
    count, rest = divmod(len(connection.transport.kernel), len(FRAME))
    assert rest == 0
    assert bytes(connection.transport.kernel) == FRAME * count
    connection.transport.kernel.clear()
    return count


def test_players_with_room_get_every_frame() -> None:
    broadcast = BroadcastFixture()
    fixtures = [broadcast.join() for _ in range(3)]
    for _ in range(500):
        broadcast.tick(0.0)
    assert [frames(connection) for connection in fixtures] == [500] * 3
    assert broadcast.broadcaster.behind == 0


def test_player_without_room_skips_frames_and_gets_them_in_one_send() -> None:
    broadcast = BroadcastFixture()
    healthy, slow = broadcast.join(), broadcast.join(room=50)
    for _ in range(5):
        broadcast.tick()
    assert broadcast.broadcaster.behind == 1
    assert broadcast.counters.frames_skipped_total == 5
    slow.transport.sends.clear()
    slow.transport.take(10_000)
    assert slow.transport.sends == [FRAME * 4]
    assert (frames(healthy), frames(slow)) == (5, 5)
    assert broadcast.broadcaster.behind == 0
    broadcast.tick()
    assert frames(slow) == 1


def test_player_who_missed_more_than_a_snapshot_gets_the_snapshot() -> None:
    broadcast = BroadcastFixture(snapshot_bytes=1000)
    slow = broadcast.join(room=0)
    for _ in range(12):
        broadcast.tick()
    slow.transport.take(100)
    slow.transport.take(10_000)
    assert bytes(slow.transport.kernel) == FRAME + b"s" * 1000


def test_tick_without_a_frame_is_bridged_by_a_snapshot_for_every_player() -> None:
    broadcast = BroadcastFixture(snapshot_bytes=1000)
    healthy, slow = broadcast.join(), broadcast.join(room=0)
    broadcast.tick()
    # Ticks 2 and 3 fail: they have no frame.
    broadcast.history.tick += 2
    broadcast.tick()
    broadcast.tick()
    assert bytes(healthy.transport.kernel) == FRAME + b"s" * 1000 + FRAME
    assert broadcast.broadcaster.behind == 1
    slow.transport.take(10_000)
    assert bytes(slow.transport.kernel) == FRAME + b"s" * 1000
    for connection in (healthy, slow):
        connection.transport.kernel.clear()
    slow.transport.room = None
    broadcast.tick()
    assert (frames(healthy), frames(slow)) == (1, 1)


def test_player_over_the_soft_limit_for_too_long_is_ended_with_the_figures() -> None:
    limits = Limits(send_soft_bytes=1500, stall_seconds=5.0)
    broadcast = BroadcastFixture(snapshot_bytes=4000, limits=limits)
    slow = broadcast.join(room=0)
    broadcast.tick()
    for _ in range(40):
        broadcast.history.append(broadcast.history.tick + 1, FRAME)
    broadcast.broadcaster.tick = broadcast.history.tick
    slow.transport.take(100)
    # Now four thousand bytes wait. The player takes some all the time, and is ended nevertheless.
    for _ in range(50):
        assert slow.session.reason is None
        broadcast.tick(0.1)
        slow.transport.take(1)
    broadcast.tick(0.2)
    assert slow.session.reason is CloseReason.SLOW_CONSUMER
    assert "more than 1500 bytes waited for 5." in slow.session.reason_text
    assert "ticks behind" in slow.session.reason_text


def test_largest_queue_is_ended_when_memory_does_not_suffice() -> None:
    broadcast = BroadcastFixture(send_memory_bytes=1000, limits=Limits())
    small, large, healthy = broadcast.join(room=50), broadcast.join(room=0), broadcast.join()
    large.session.queue_bytes(b"x" * 850)
    broadcast.tick()
    # 50 and 950 bytes wait, which is exactly the bound.
    assert not small.session.is_over
    assert not large.session.is_over
    small.session.queue_bytes(b"y")
    broadcast.tick()
    assert large.session.reason is CloseReason.SLOW_CONSUMER
    assert "the most of all" in large.session.reason_text
    assert not small.session.is_over
    assert not healthy.session.is_over


# --- A bound on the rate --------------------------------------------------------------------------


def total(connection: SessionFixture) -> int:
    return len(connection.transport.kernel)


@pytest.mark.parametrize("rate", [500.0, 1500.0, 1999.0])
def test_send_rate_bounds_the_bytes_in_every_window(rate: float) -> None:
    """The zone makes 2,000 bytes a second. In each window one budget and one snapshot may come on top."""
    broadcast = BroadcastFixture(snapshot_bytes=300, send_rate=rate)
    connection = broadcast.join()
    taken = []
    for _ in range(400):
        broadcast.tick()
        taken.append(total(connection))
    for start in range(0, 400, 7):
        for end in range(start + 1, 400, 11):
            sent = taken[end] - taken[start]
            assert sent <= rate * (end - start) * 0.05 + rate + 300 + len(FRAME)
    assert taken[-1] >= rate * 20 * 0.8, "the player gets most of its rate"
    assert not connection.session.is_over


def test_send_rate_above_the_output_skips_no_frame() -> None:
    broadcast = BroadcastFixture(send_rate=2500.0)
    connection = broadcast.join()
    for _ in range(400):
        broadcast.tick()
    # The snapshot of a thousand bytes at the start fits the budget of a window.
    assert frames(connection) == 400
    assert broadcast.counters.catch_ups_total == 0


def test_paused_session_that_stalls_resumes_when_it_has_drained() -> None:
    broadcast = BroadcastFixture(snapshot_bytes=300, send_rate=500.0)
    connection = broadcast.join()
    while not broadcast.broadcaster.behind:
        broadcast.tick()
    connection.transport.room = 0
    connection.send(b"p" * 10)
    for _ in range(40):
        broadcast.tick()
    assert broadcast.broadcaster.behind == 1
    connection.transport.kernel.clear()
    connection.transport.take(10_000)
    assert bytes(connection.transport.kernel) == b"p" * 10 + b"s" * 300


def test_paused_session_that_ends_is_forgotten() -> None:
    broadcast = BroadcastFixture(snapshot_bytes=300, send_rate=500.0)
    connection = broadcast.join()
    while not broadcast.broadcaster.behind:
        broadcast.tick()
    connection.session.end(CloseReason.CLIENT_LEFT)
    for _ in range(100):
        broadcast.tick()
    assert (broadcast.broadcaster.behind, broadcast.broadcaster._subscriptions, broadcast.broadcaster._pauses) == (
        0,
        {},
        [],
    )


def test_user_timeout_is_long_only_while_a_session_is_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float] = []
    monkeypatch.setattr("zoneserver.gateway.broadcaster.set_user_timeout", lambda _sock, seconds: told.append(seconds))
    broadcast = BroadcastFixture(limits=dataclasses.replace(Limits(), tcp_user_timeout_seconds=5.0))
    slow = broadcast.join(room=0)
    assert told == []
    broadcast.tick()
    assert told == [60.0]
    slow.transport.take(10_000)
    assert told == [60.0, 5.0]


def silent_for(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Makes the kernel report that no peer has answered for so long."""
    monkeypatch.setattr("zoneserver.gateway.broadcaster.unanswered_seconds", lambda _sock: seconds)


def test_peer_that_acknowledges_nothing_is_lost_rather_than_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    silent_for(monkeypatch, 1.1)
    broadcast = BroadcastFixture()
    gone = broadcast.join(room=0)
    for _ in range(52):
        broadcast.tick(0.1)
    assert gone.session.reason is CloseReason.CONNECTION_LOST
    assert gone.session.reason_text == "nothing was acknowledged for 1.1 s"


@pytest.mark.parametrize(("seconds", "lost"), [(5.0, False), (5.1, True)])
def test_silence_counts_from_its_beginning_and_not_from_the_stall(
    monkeypatch: pytest.MonkeyPatch, seconds: float, lost: bool
) -> None:
    silent_for(monkeypatch, seconds)
    broadcast = BroadcastFixture()
    gone = broadcast.join(room=0)
    for _ in range(15):
        broadcast.tick(0.1)
    assert (gone.session.reason is CloseReason.CONNECTION_LOST) is lost


def test_peer_that_was_sent_bytes_just_now_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # After the process was stopped, the last answer is old, and the next one is on its way.
    silent_for(monkeypatch, 60.0)
    broadcast = BroadcastFixture()
    slow = broadcast.join(room=0)
    for _ in range(100):
        broadcast.tick(0.1)
        slow.transport.take(1)
    assert slow.session.reason is None


def test_peer_that_acknowledges_without_room_is_a_slow_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    silent_for(monkeypatch, 0.9)
    broadcast = BroadcastFixture()
    slow = broadcast.join(room=0)
    for _ in range(52):
        broadcast.tick(0.1)
    assert slow.session.reason is CloseReason.SLOW_CONSUMER


def test_frame_is_wrapped_once_for_each_framing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrapped: list[bytes] = []
    wrap = LINES.wrap
    monkeypatch.setattr(LINES, "wrap", lambda payload: wrapped.append(payload) or wrap(payload))
    broadcast = BroadcastFixture()
    bare = broadcast.join()
    lines = [SessionFixture(broadcast.config.limits, framing=LINES) for _ in range(3)]
    for connection in lines:
        connection.attach(broadcast.broadcaster, lambda: broadcast.now)
        broadcast.broadcaster.join(connection.session, Form(LINES), broadcast.now)
        connection.session.flush()
        connection.transport.kernel.clear()
    wrapped.clear()
    broadcast.tick()
    assert frames(bare) == 1
    assert wrapped == [FRAME]
    assert [bytes(connection.transport.kernel) for connection in lines] == [wrap(FRAME)] * 3
    assert broadcast.counters.frames_out_total == 4
