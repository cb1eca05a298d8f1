"""The session on a fake transport: sending, and the end."""

from __future__ import annotations

import inspect

import pytest
from helpers.fake_loop import FakeLoop
from helpers.session_fixture import FINISHED, Recorder, SessionFixture, broken

from zoneserver.config import Limits
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed

# --- Faults in callbacks, and bounds --------------------------------------------------------------


def test_exception_in_a_send_completion_ends_the_session() -> None:
    connection = SessionFixture(room=0)
    connection.handler.on_drained = broken
    connection.send(b"first")
    connection.send(b"second")
    connection.transport.take(5)
    connection.transport.take(1000)
    assert connection.session.reason is CloseReason.INTERNAL_ERROR
    assert connection.transport.kernel == b"firstsecond" + connection.goodbye
    connection.loop.run()
    assert connection.transport.at_eof
    assert connection.session.waiting_bytes == 0


def test_exception_in_receiving_ends_the_session() -> None:
    connection = SessionFixture()
    connection.handler.on_received = broken
    connection.transport.deliver(length_prefixed(b"one") + length_prefixed(b"two"))
    assert connection.handler.received == [b"one"]
    assert connection.session.reason is CloseReason.INTERNAL_ERROR
    assert connection.transport.kernel == connection.goodbye
    connection.loop.run()
    assert connection.transport.at_eof


def test_send_queue_is_bounded_behind_a_send_in_flight() -> None:
    connection = SessionFixture(Limits(send_hard_bytes=100), room=0)
    assert connection.send(b"a" * 60), "in flight"
    assert connection.send(b"b" * 40)
    assert connection.send(b"c" * 60), "exactly at the bound is within it"
    assert connection.session.waiting_bytes == 160
    assert not connection.send(b"d")
    assert connection.session.reason is CloseReason.SLOW_CONSUMER


def test_send_queue_is_bounded_without_a_send_in_flight() -> None:
    connection = SessionFixture(Limits(send_hard_bytes=100))
    assert connection.session.queue_bytes(b"a" * 100)
    assert not connection.session.queue_bytes(b"b")
    assert connection.session.reason is CloseReason.SLOW_CONSUMER
    assert connection.transport.kernel == b"a" * 100 + connection.goodbye


def test_sends_that_complete_at_once_do_not_recurse() -> None:
    connection = SessionFixture(room=0)
    depths = set()

    def send_again(session: Session) -> None:
        depths.add(len(inspect.stack(0)))
        session.queue_bytes(b"x")

    connection.handler.on_drained = send_again
    connection.send(b"x")
    for _ in range(100):
        connection.transport.take(1)
    assert len(connection.transport.kernel) == 100
    assert len(depths) == 1


def test_reset_connection_ends_the_session_with_connection_lost() -> None:
    connection = SessionFixture(room=0)
    connection.send(b"in flight")
    connection.send(b"queued")
    connection.transport.fail(ConnectionResetError("reset by peer"))
    connection.loop.run()
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert "reset by peer" in connection.session.reason_text
    assert connection.session.waiting_bytes == 0
    assert connection.session.dropped_bytes == len(b"in flightqueued")
    # Nothing touches the transport any more, which would fail the test.
    assert not connection.send(b"late")
    assert not connection.session.queue_bytes(b"late")
    connection.session.flush()
    connection.session.end(CloseReason.SERVER_STOPPING)
    connection.session.abort()
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]


def test_send_completion_with_unsent_bytes_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SessionFixture(room=0)
    connection.send(b"four")
    # The transport reports a completed send, and that it still holds a byte.
    monkeypatch.setattr(connection.transport, "get_write_buffer_size", lambda: 1)
    connection.transport.take(4)
    assert connection.session.reason is CloseReason.INTERNAL_ERROR


def test_accepted_bytes_are_sent_waiting_or_dropped() -> None:
    connection = SessionFixture(room=7)

    def balanced() -> bool:
        session = connection.session
        return (
            session.sent_bytes == len(connection.transport.kernel)
            and session.accepted_bytes == session.sent_bytes + session.waiting_bytes + session.dropped_bytes
        )

    for count in (3, 4, 5, 6):
        connection.send(b"x" * count)
        assert balanced()
    assert (connection.session.sent_bytes, connection.session.waiting_bytes) == (7, 11)
    for _ in range(11):
        connection.transport.take(1)
        assert balanced()
    connection.send(b"lost")
    connection.transport.fail(None)
    connection.loop.run()
    assert balanced()
    assert connection.session.dropped_bytes == 4


# --- Sending --------------------------------------------------------------------------------------


def test_whole_queue_leaves_in_one_gather_send() -> None:
    connection = SessionFixture(room=0)
    for data in (b"one", b"two", b"three"):
        connection.send(data)
    connection.transport.take(3)
    assert connection.transport.sends == [b"one", b"twothree"]
    connection.transport.take(8)
    assert connection.transport.kernel == b"onetwothree"
    assert connection.handler.told == ["opened", "stalled", "drained", "stalled", "drained"]


def test_queued_bytes_leave_with_the_next_send_and_before_it() -> None:
    connection = SessionFixture()
    connection.session.queue_bytes(b"refusal ")
    assert not connection.transport.sends
    connection.send(b"frame")
    assert connection.transport.sends == [b"refusal frame"]


def test_flush_keeps_one_send_in_flight() -> None:
    connection = SessionFixture(room=0)
    for number in range(20):
        connection.send(b"%d " % number)
        connection.session.flush()
    assert len(connection.transport.sends) == 1
    assert connection.session.in_flight
    connection.transport.take(1000)
    assert len(connection.transport.sends) == 2
    assert not connection.session.in_flight
    assert connection.transport.kernel.split() == [b"%d" % number for number in range(20)]


def test_bytes_queued_by_the_handler_in_drained_leave_in_the_next_gather_send() -> None:
    connection = SessionFixture(room=0)
    connection.handler.on_drained = lambda session: session.answer(b"caught up")
    connection.send(b"frame")
    connection.send(b"pong")
    connection.transport.take(5)
    assert connection.transport.sends[1] == b"pong" + length_prefixed(b"caught up")


def test_answers_to_payloads_that_arrived_together_leave_in_one_gather_send() -> None:
    connection = SessionFixture()
    connection.handler.on_received = lambda session: session.answer(b"pong")
    ping = length_prefixed(b"ping")
    connection.transport.deliver(ping * 3 + ping[:2])
    assert connection.transport.sends == [length_prefixed(b"pong") * 3]
    connection.transport.deliver(ping[2:])
    assert connection.transport.sends == [length_prefixed(b"pong") * 3, length_prefixed(b"pong")]


def test_transport_that_raises_ends_the_session() -> None:
    for use in (Session.queue, Session.queue_bytes):
        connection = SessionFixture()
        connection.transport.at_eof = True  # from here on the fake raises
        use(connection.session, b"data")
        connection.session.flush()
        assert connection.session.reason is CloseReason.INTERNAL_ERROR
        assert not connection.send(b"more")


# --- The end --------------------------------------------------------------------------------------


def test_goodbye_comes_last_before_the_end_of_the_stream() -> None:
    connection = SessionFixture(room=0)
    connection.send(b"frame")
    connection.send(b"queued")
    connection.session.end(CloseReason.SERVER_STOPPING)
    assert not connection.transport.at_eof
    connection.transport.take(1000)
    assert connection.transport.kernel == b"framequeued" + connection.goodbye
    connection.loop.run()
    assert connection.transport.at_eof
    connection.transport.deliver_eof()
    connection.loop.run()
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]
    assert connection.loop.timers == 0


def test_session_accepts_no_bytes_after_the_end() -> None:
    connection = SessionFixture()
    connection.session.end(CloseReason.CLIENT_LEFT)
    accepted = connection.session.accepted_bytes
    assert not connection.send(b"late")
    assert not connection.session.queue_bytes(b"late")
    connection.session.flush()
    assert connection.session.accepted_bytes == accepted
    assert connection.transport.kernel == connection.goodbye


def test_session_receives_no_payloads_after_the_end() -> None:
    connection = SessionFixture()
    connection.handler.on_received = lambda session: session.end(CloseReason.CLIENT_LEFT)
    connection.transport.deliver(length_prefixed(b"goodbye") + length_prefixed(b"same read"))
    connection.transport.deliver(length_prefixed(b"next read"))
    assert connection.handler.received == [b"goodbye"]


def test_first_reason_wins_and_the_handler_is_told_once() -> None:
    connection = SessionFixture(room=0)
    connection.handler.on_ended = lambda session: session.end(CloseReason.INTERNAL_ERROR)
    connection.session.end(CloseReason.REPLACED, "by another")
    connection.session.end(CloseReason.SERVER_STOPPING)
    connection.transport.fail(ConnectionResetError())
    connection.loop.run()
    assert (connection.session.reason, connection.session.reason_text) == (CloseReason.REPLACED, "by another")
    assert connection.handler.told == FINISHED


@pytest.mark.parametrize("seconds", [0.9, 1.0])
def test_peer_that_takes_too_long_over_its_goodbye_is_dropped(seconds: float) -> None:
    connection = SessionFixture(Limits(linger_seconds=1.0), room=0)
    connection.session.end(CloseReason.SLOW_CONSUMER)
    connection.loop.pass_time(seconds)
    assert (connection.session.state is SessionState.CLOSED) == (seconds >= 1.0)
    assert connection.transport.broken == (seconds >= 1.0)


def test_handler_that_raises_in_ended_is_still_told_gone() -> None:
    connection = SessionFixture()
    connection.handler.on_ended = broken
    connection.session.end(CloseReason.CLIENT_LEFT)
    connection.loop.run()
    assert connection.handler.told == FINISHED
    lost = SessionFixture()
    lost.handler.on_ended = broken
    lost.transport.fail(None)
    lost.loop.run()
    assert lost.handler.told == FINISHED


def test_peer_that_closes_its_side_is_sent_the_goodbye() -> None:
    connection = SessionFixture()
    connection.transport.deliver_eof()
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert connection.transport.kernel == connection.goodbye
    connection.loop.run()
    assert connection.handler.told == FINISHED


def test_peer_that_closes_its_side_during_a_send_is_closed_after_it_drained() -> None:
    connection = SessionFixture(room=0)
    connection.send(b"frame")
    connection.transport.deliver_eof()
    connection.transport.take(1000)
    connection.loop.run()
    assert connection.transport.kernel == b"frame" + connection.goodbye
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]


def test_rejected_connection_ends_once_and_is_gone() -> None:
    handler, loop = Recorder(), FakeLoop()
    session = Session(handler, Limits(), loop)
    assert session.accepted(("192.0.2.1", 5000))
    assert (session.host, session.address) == ("192.0.2.1", "192.0.2.1:5000")
    for _ in range(2):
        session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT, "no TLS handshake in time")
    assert handler.told == ["accepted", "ended", "gone"]
    assert (session.state, session.reason) == (SessionState.CLOSED, CloseReason.HANDSHAKE_TIMEOUT)
    session.abort()
    assert not session.queue_bytes(b"x")


def test_close_rejected_does_nothing_to_an_open_session() -> None:
    connection = SessionFixture()
    connection.session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT)
    assert connection.session.state is SessionState.OPEN
    assert connection.handler.told == ["opened"]
