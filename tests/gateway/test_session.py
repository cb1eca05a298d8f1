"""The session: the seven faults of the lesson it grew from, and what else it promises."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from helpers.fake_loop import FakeLoop
from helpers.framings import LINES
from helpers.raw_client import Client, Connect
from helpers.session_fixture import Recorder, SessionFixture
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.gateway.listeners import tcp
from zoneserver.gateway.session import _DISCARDED_BYTES_MAX, Session
from zoneserver.gateway.state import MAY_FOLLOW, SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import frame

FINISHED = ["opened", "ended", "gone"]


def broken(_session: Session) -> None:
    raise ZeroDivisionError("the handler failed")


# --- The seven faults of the lesson ---------------------------------------------------------------


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
    connection.transport.deliver(frame(b"one") + frame(b"two"))
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
    # From here on nothing touches the transport, which would complain.
    assert not connection.send(b"late")
    assert not connection.session.queue_bytes(b"late")
    connection.session.flush()
    connection.session.end(CloseReason.SERVER_STOPPING)
    connection.session.abort()
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]


def test_send_completion_with_unsent_bytes_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SessionFixture(room=0)
    connection.send(b"four")
    # A transport that says it is done, and that it holds a byte yet.
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


@pytest.mark.parametrize("step", [1, 2, 5, 1024])
def test_payloads_are_whole_however_the_stream_was_split(step: int) -> None:
    connection = SessionFixture(Limits(client_frame_bytes=3000))
    texts = ["안녕하세요", "가" * 700, "x"]
    stream = b"".join(frame(text.encode()) for text in texts)
    for start in range(0, len(stream), step):
        connection.transport.deliver(stream[start : start + step])
    assert [payload.decode() for payload in connection.handler.received] == texts


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
    assert connection.transport.sends[1] == b"pong" + frame(b"caught up")


def test_answers_to_payloads_that_arrived_together_leave_in_one_gather_send() -> None:
    connection = SessionFixture()
    connection.handler.on_received = lambda session: session.answer(b"pong")
    ping = frame(b"ping")
    connection.transport.deliver(ping * 3 + ping[:2])
    assert connection.transport.sends == [frame(b"pong") * 3]
    connection.transport.deliver(ping[2:])
    assert connection.transport.sends == [frame(b"pong") * 3, frame(b"pong")]


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
    connection.transport.deliver(frame(b"goodbye") + frame(b"same read"))
    connection.transport.deliver(frame(b"next read"))
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


def test_framing_error_ends_the_session() -> None:
    for header in (bytes(4), (1025).to_bytes(4)):
        connection = SessionFixture()
        connection.transport.deliver(header)
        assert connection.session.reason is CloseReason.PROTOCOL_ERROR
    connection = SessionFixture()
    connection.transport.deliver(frame(b"x" * 1024))
    assert connection.handler.received == [b"x" * 1024]


@pytest.mark.parametrize("at", [7, 9, 11])
def test_payloads_before_a_framing_error_are_served_however_the_stream_was_split(at: int) -> None:
    connection = SessionFixture()
    stream = frame(b"act") + bytes(4)
    connection.transport.deliver(stream[:at])
    connection.transport.deliver(stream[at:])
    assert connection.handler.received == [b"act"]
    assert connection.session.reason is CloseReason.PROTOCOL_ERROR


@pytest.mark.parametrize(("before", "after"), list(itertools.product(SessionState, SessionState)))
def test_state_follows_only_where_the_table_says_so(before: SessionState, after: SessionState) -> None:
    session = SessionFixture().session
    session.state = before
    if after in MAY_FOLLOW[before]:
        session._advance(after)
        assert session.state is after
    else:
        with pytest.raises(AssertionError):
            session._advance(after)
        assert session.state is before


def test_state_of_an_open_session_leads_to_closed_by_way_of_closing() -> None:
    assert MAY_FOLLOW[SessionState.OPEN] == {SessionState.CLOSING}
    assert MAY_FOLLOW[SessionState.CLOSING] == {SessionState.CLOSED}
    assert MAY_FOLLOW[SessionState.CLOSED] == set()


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


def test_bytes_after_the_end_are_discarded_up_to_a_bound() -> None:
    connection = SessionFixture()
    connection.session.end(CloseReason.FLOOD)
    connection.transport.deliver(b"x" * _DISCARDED_BYTES_MAX)
    assert connection.transport.reading, "a goodbye is not overtaken by a reset for what was on its way"
    connection.transport.deliver(b"x")
    assert not connection.transport.reading
    assert connection.handler.received == []
    assert connection.session._reader.receive(b"", 1) == []
    connection.loop.pass_time(1.0)
    connection.loop.run()
    assert connection.session.state is SessionState.CLOSED


# --- One turn of the loop takes so many frames ----------------------------------------------------


def test_payloads_beyond_the_limit_per_callback_wait_for_the_next_turn() -> None:
    connection = SessionFixture()
    payloads = [b"%d" % number for number in range(200)]
    connection.transport.deliver(b"".join(map(frame, payloads)))
    for served in (64, 128, 192):
        assert connection.handler.received == payloads[:served]
        assert not connection.transport.reading
        connection.loop.turn()
    assert connection.handler.received == payloads
    assert connection.transport.reading
    assert not connection.loop.turn(), "nothing goes on turning"
    connection.transport.deliver(frame(b"next"))
    assert connection.handler.received[-1] == b"next"


@pytest.mark.parametrize(("frames", "reading"), [(63, True), (64, False)])
def test_reading_pauses_at_exactly_the_limit_per_callback(frames: int, reading: bool) -> None:
    connection = SessionFixture()
    connection.transport.deliver(frame(b"x") * frames)
    assert connection.transport.reading == reading
    connection.loop.run()
    assert connection.transport.reading
    assert len(connection.handler.received) == frames


def test_session_that_ends_drops_deferred_payloads_and_reads_on() -> None:
    connection = SessionFixture(room=0)
    connection.transport.deliver(frame(b"x") * 200)
    connection.session.end(CloseReason.SERVER_STOPPING)
    assert connection.transport.reading, "unread bytes in a socket that closes would reset it"
    connection.loop.run()
    assert len(connection.handler.received) == 64


# --- The same on real sockets ---------------------------------------------------------------------


class SocketConnection:
    """A session and its peer, with real sockets between them."""

    def __init__(self, handler: Recorder, session: Session, client: Client) -> None:
        self.handler = handler
        self.session = session
        self.client = client

    def send(self, data: bytes) -> bool:
        queued = self.session.queue_bytes(data)
        self.session.flush()
        return bool(queued)

    def stall(self) -> bytes:
        """Sends more than the kernel will take before the peer reads; returns what was sent."""
        sent = b"".join(number.to_bytes(4) for number in range(65_536))
        assert self.send(sent)
        assert self.session.in_flight
        return sent


OpenConnection = Callable[..., Awaitable[SocketConnection]]


@pytest.fixture
def open_connection(cleanup: AsyncExitStack, connect: Connect) -> OpenConnection:
    """Opens sessions on real sockets: `await open_connection(Limits(...))`."""

    async def open_connection(limits: Limits | None = None, handler: Recorder | None = None) -> SocketConnection:
        limits = limits or Limits(socket_send_bytes=4096)
        handler = handler or Recorder()
        loop = asyncio.get_running_loop()
        sock = tcp.bind("127.0.0.1", 0, limits)
        port = sock.getsockname()[1]
        server = tcp.Listener(sock, lambda sock: Session(handler, limits, loop, sock.send))
        cleanup.push_async_callback(server.wait_closed)
        cleanup.push_async_callback(until, lambda: handler.told[-1:] == ["gone"])
        cleanup.callback(server.close)
        client = await connect(port, 4096)
        await until(lambda: handler.sessions)
        session = handler.sessions[0]
        return SocketConnection(handler, session, client)

    return open_connection


async def read_all(client: Client) -> bytes:
    """Everything up to the end of the stream, as it came."""
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(client.sock, 65536):
        parts.append(part)
    return b"".join(parts)


async def test_slow_peer_gets_every_byte_in_order_and_then_the_goodbye(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    sent = connection.stall()
    for number in range(100):
        assert connection.send(b"%d" % number)
        sent += b"%d" % number
    assert connection.session.sent_bytes + connection.session.waiting_bytes == len(sent)
    connection.session.end(CloseReason.SERVER_STOPPING, "that is all")
    received = await read_all(connection.client)
    assert received.startswith(sent)
    assert b"SERVER_STOPPING" in received[len(sent) :]
    assert connection.session.sent_bytes == connection.session.accepted_bytes == len(received)


async def test_session_stalls_and_drains_repeatedly(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    for _ in range(5):
        sent = connection.stall()
        received = 0
        while connection.session.in_flight:
            received += len(await asyncio.get_running_loop().sock_recv(connection.client.sock, 65536))
        while received < len(sent):
            received += len(await asyncio.get_running_loop().sock_recv(connection.client.sock, 65536))
        assert connection.session.waiting_bytes == 0
    assert connection.handler.told == ["opened", *["stalled", "drained"] * 5]


@pytest.mark.parametrize("frames", [100, 2000])
async def test_client_that_sends_while_it_is_ended_still_reads_the_goodbye(
    open_connection: OpenConnection, frames: int
) -> None:
    connection = await open_connection(Limits(linger_seconds=10.0))
    connection.handler.on_received = lambda session: session.end(CloseReason.PROTOCOL_ERROR, "enough")
    sending = asyncio.create_task(connection.client.say_bytes(frame(b"x" * 1000) * frames))
    bye = await connection.client.ended()
    assert (bye.code, bye.text) == ("PROTOCOL_ERROR", "enough")
    assert connection.handler.received == [b"x" * 1000]
    # What is more than a session discards is not read: that the client is gone shows when its time is up.
    sending.cancel()
    connection.session.abort()


async def test_stuck_peer_is_dropped_after_the_linger_time(open_connection: OpenConnection) -> None:
    connection = await open_connection(Limits(linger_seconds=0.05, socket_send_bytes=4096))
    sent = connection.stall()
    connection.session.end(CloseReason.SLOW_CONSUMER)
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]
    assert 0 < connection.session.dropped_bytes <= connection.session.accepted_bytes
    assert connection.session.accepted_bytes > len(sent)


async def test_peer_that_shuts_down_its_sending_side_reads_the_goodbye(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    connection.client.sock.shutdown(socket.SHUT_WR)
    assert (await connection.client.ended()).code == "CONNECTION_LOST"
    await until(lambda: connection.handler.told == FINISHED)


async def test_peer_that_shuts_down_its_sending_side_gets_the_send_in_flight(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    sent = connection.stall()
    connection.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: connection.session.is_over)
    received = await read_all(connection.client)
    assert received.startswith(sent)
    await until(lambda: connection.handler.told == ["opened", "stalled", "ended", "gone"])


async def test_connection_reset_by_the_peer_ends_the_session_once(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    connection.stall()
    connection.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.client.sock.close()
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.session.reason is CloseReason.CONNECTION_LOST
    assert connection.handler.told == ["opened", "stalled", "ended", "gone"]


async def test_end_of_a_session_whose_peer_just_closed_logs_nothing(
    open_connection: OpenConnection, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await open_connection()
    connection.client.sock.close()
    # The loop has not noticed yet: the goodbye meets a reset, and so does the end of the stream.
    connection.session.end(CloseReason.SERVER_STOPPING)
    await until(lambda: connection.session.state is SessionState.CLOSED)
    assert connection.handler.told == FINISHED
    assert not caplog.records


async def test_handler_that_raises_ends_only_one_session(open_connection: OpenConnection) -> None:
    connection, other = await open_connection(), await open_connection()
    connection.handler.on_received = broken
    await connection.client.say_bytes(frame(b"x"))
    assert (await connection.client.ended()).code == "INTERNAL_ERROR"
    await other.client.say_bytes(frame(b"still here"))
    await until(lambda: other.handler.received)
    assert other.session.state is SessionState.OPEN


async def test_flood_of_small_payloads_is_served_whole_and_in_order(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    payloads = [b"%d" % number for number in range(20_000)]
    await connection.client.say_bytes(b"".join(map(frame, payloads)))
    await until(lambda: len(connection.handler.received) >= len(payloads))
    assert connection.handler.received == payloads


async def test_deferred_payloads_are_served_before_the_end_of_the_stream(open_connection: OpenConnection) -> None:
    connection = await open_connection()
    await connection.client.say_bytes(frame(b"x") * 500)
    connection.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: connection.session.is_over)
    assert len(connection.handler.received) == 500


# --- Another framing ------------------------------------------------------------------------------


def test_session_speaks_the_framing_that_it_is_given() -> None:
    connection = SessionFixture(framing=LINES)
    connection.handler.on_received = lambda session: session.answer(b"pong")
    line = LINES.wrap(b"ping")
    connection.transport.deliver(line[:3])
    connection.transport.deliver(line[3:] + line)
    assert connection.handler.received == [b"ping", b"ping"]
    assert connection.transport.kernel == LINES.wrap(b"pong") * 2
    assert connection.session.queue(b"more") == len(LINES.wrap(b"more"))
    connection.session.end(CloseReason.SERVER_STOPPING)
    assert connection.transport.kernel == LINES.wrap(b"pong") * 2 + LINES.wrap(b"more") + connection.goodbye


def test_session_ends_with_the_error_of_its_framing() -> None:
    connection = SessionFixture(framing=LINES)
    connection.transport.deliver(b"not hexadecimal\n")
    assert connection.session.reason is CloseReason.PROTOCOL_ERROR
    assert connection.session.reason_text == "not a line of hexadecimal digits"
