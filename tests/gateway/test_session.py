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
    raise ZeroDivisionError("the owner failed")


# --- The seven faults of the lesson ---------------------------------------------------------------


def test_exception_in_a_send_completion_ends_the_session() -> None:
    fixture = SessionFixture(room=0)
    fixture.handler.on_drained = broken
    fixture.send(b"first")
    fixture.send(b"second")
    fixture.transport.take(5)
    fixture.transport.take(1000)
    assert fixture.session.reason is CloseReason.INTERNAL_ERROR
    assert fixture.transport.kernel == b"firstsecond" + fixture.goodbye
    fixture.loop.run()
    assert fixture.transport.at_eof
    assert fixture.session.waiting_bytes == 0


def test_exception_in_receiving_ends_the_session() -> None:
    fixture = SessionFixture()
    fixture.handler.on_received = broken
    fixture.transport.deliver(frame(b"one") + frame(b"two"))
    assert fixture.handler.received == [b"one"]
    assert fixture.session.reason is CloseReason.INTERNAL_ERROR
    assert fixture.transport.kernel == fixture.goodbye
    fixture.loop.run()
    assert fixture.transport.at_eof


def test_send_queue_is_bounded_behind_a_send_in_flight() -> None:
    fixture = SessionFixture(Limits(send_hard_bytes=100), room=0)
    assert fixture.send(b"a" * 60), "in flight"
    assert fixture.send(b"b" * 40)
    assert fixture.send(b"c" * 60), "exactly at the bound is within it"
    assert fixture.session.waiting_bytes == 160
    assert not fixture.send(b"d")
    assert fixture.session.reason is CloseReason.SLOW_CONSUMER


def test_send_queue_is_bounded_without_a_send_in_flight() -> None:
    fixture = SessionFixture(Limits(send_hard_bytes=100))
    assert fixture.session.queue_bytes(b"a" * 100)
    assert not fixture.session.queue_bytes(b"b")
    assert fixture.session.reason is CloseReason.SLOW_CONSUMER
    assert fixture.transport.kernel == b"a" * 100 + fixture.goodbye


def test_sends_that_complete_at_once_do_not_recurse() -> None:
    fixture = SessionFixture(room=0)
    depths = set()

    def send_again(session: Session) -> None:
        depths.add(len(inspect.stack(0)))
        session.queue_bytes(b"x")

    fixture.handler.on_drained = send_again
    fixture.send(b"x")
    for _ in range(100):
        fixture.transport.take(1)
    assert len(fixture.transport.kernel) == 100
    assert len(depths) == 1


def test_reset_connection_ends_the_session_with_connection_lost() -> None:
    fixture = SessionFixture(room=0)
    fixture.send(b"in flight")
    fixture.send(b"queued")
    fixture.transport.fail(ConnectionResetError("reset by peer"))
    fixture.loop.run()
    assert fixture.session.reason is CloseReason.CONNECTION_LOST
    assert "reset by peer" in fixture.session.reason_text
    assert fixture.session.waiting_bytes == 0
    assert fixture.session.dropped_bytes == len(b"in flightqueued")
    # From here on nothing touches the transport, which would complain.
    assert not fixture.send(b"late")
    assert not fixture.session.queue_bytes(b"late")
    fixture.session.flush()
    fixture.session.end(CloseReason.SERVER_STOPPING)
    fixture.session.abort()
    assert fixture.handler.told == ["opened", "stalled", "ended", "gone"]


def test_send_completion_with_unsent_bytes_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = SessionFixture(room=0)
    fixture.send(b"four")
    # A transport that says it is done, and that it holds a byte yet.
    monkeypatch.setattr(fixture.transport, "get_write_buffer_size", lambda: 1)
    fixture.transport.take(4)
    assert fixture.session.reason is CloseReason.INTERNAL_ERROR


def test_accepted_bytes_are_sent_waiting_or_dropped() -> None:
    fixture = SessionFixture(room=7)

    def balanced() -> bool:
        session = fixture.session
        return (
            session.sent_bytes == len(fixture.transport.kernel)
            and session.accepted_bytes == session.sent_bytes + session.waiting_bytes + session.dropped_bytes
        )

    for count in (3, 4, 5, 6):
        fixture.send(b"x" * count)
        assert balanced()
    assert (fixture.session.sent_bytes, fixture.session.waiting_bytes) == (7, 11)
    for _ in range(11):
        fixture.transport.take(1)
        assert balanced()
    fixture.send(b"lost")
    fixture.transport.fail(None)
    fixture.loop.run()
    assert balanced()
    assert fixture.session.dropped_bytes == 4


@pytest.mark.parametrize("step", [1, 2, 5, 1024])
def test_payloads_are_whole_however_the_stream_was_split(step: int) -> None:
    fixture = SessionFixture(Limits(client_frame_bytes=3000))
    texts = ["안녕하세요", "가" * 700, "x"]
    stream = b"".join(frame(text.encode()) for text in texts)
    for start in range(0, len(stream), step):
        fixture.transport.deliver(stream[start : start + step])
    assert [payload.decode() for payload in fixture.handler.received] == texts


# --- Sending --------------------------------------------------------------------------------------


def test_whole_queue_leaves_in_one_gather_send() -> None:
    fixture = SessionFixture(room=0)
    for data in (b"one", b"two", b"three"):
        fixture.send(data)
    fixture.transport.take(3)
    assert fixture.transport.sends == [b"one", b"twothree"]
    fixture.transport.take(8)
    assert fixture.transport.kernel == b"onetwothree"
    assert fixture.handler.told == ["opened", "stalled", "drained", "stalled", "drained"]


def test_queued_bytes_leave_with_the_next_send_and_before_it() -> None:
    fixture = SessionFixture()
    fixture.session.queue_bytes(b"refusal ")
    assert not fixture.transport.sends
    fixture.send(b"frame")
    assert fixture.transport.sends == [b"refusal frame"]


def test_flush_keeps_one_send_in_flight() -> None:
    fixture = SessionFixture(room=0)
    for number in range(20):
        fixture.send(b"%d " % number)
        fixture.session.flush()
    assert len(fixture.transport.sends) == 1
    assert fixture.session.in_flight
    fixture.transport.take(1000)
    assert len(fixture.transport.sends) == 2
    assert not fixture.session.in_flight
    assert fixture.transport.kernel.split() == [b"%d" % number for number in range(20)]


def test_bytes_queued_by_the_handler_in_drained_leave_in_the_next_gather_send() -> None:
    fixture = SessionFixture(room=0)
    fixture.handler.on_drained = lambda session: session.answer(b"caught up")
    fixture.send(b"frame")
    fixture.send(b"pong")
    fixture.transport.take(5)
    assert fixture.transport.sends[1] == b"pong" + frame(b"caught up")


def test_answers_to_payloads_that_arrived_together_leave_in_one_gather_send() -> None:
    fixture = SessionFixture()
    fixture.handler.on_received = lambda session: session.answer(b"pong")
    ping = frame(b"ping")
    fixture.transport.deliver(ping * 3 + ping[:2])
    assert fixture.transport.sends == [frame(b"pong") * 3]
    fixture.transport.deliver(ping[2:])
    assert fixture.transport.sends == [frame(b"pong") * 3, frame(b"pong")]


def test_transport_that_raises_ends_the_session() -> None:
    for use in (Session.queue, Session.queue_bytes):
        fixture = SessionFixture()
        fixture.transport.at_eof = True  # from here on the fake raises
        use(fixture.session, b"data")
        fixture.session.flush()
        assert fixture.session.reason is CloseReason.INTERNAL_ERROR
        assert not fixture.send(b"more")


# --- The end --------------------------------------------------------------------------------------


def test_goodbye_comes_last_before_the_end_of_the_stream() -> None:
    fixture = SessionFixture(room=0)
    fixture.send(b"frame")
    fixture.send(b"queued")
    fixture.session.end(CloseReason.SERVER_STOPPING)
    assert not fixture.transport.at_eof
    fixture.transport.take(1000)
    assert fixture.transport.kernel == b"framequeued" + fixture.goodbye
    fixture.loop.run()
    assert fixture.transport.at_eof
    fixture.transport.deliver_eof()
    fixture.loop.run()
    assert fixture.handler.told == ["opened", "stalled", "ended", "gone"]
    assert fixture.loop.timers == 0


def test_session_accepts_no_bytes_after_the_end() -> None:
    fixture = SessionFixture()
    fixture.session.end(CloseReason.CLIENT_LEFT)
    accepted = fixture.session.accepted_bytes
    assert not fixture.send(b"late")
    assert not fixture.session.queue_bytes(b"late")
    fixture.session.flush()
    assert fixture.session.accepted_bytes == accepted
    assert fixture.transport.kernel == fixture.goodbye


def test_session_receives_no_payloads_after_the_end() -> None:
    fixture = SessionFixture()
    fixture.handler.on_received = lambda session: session.end(CloseReason.CLIENT_LEFT)
    fixture.transport.deliver(frame(b"goodbye") + frame(b"same read"))
    fixture.transport.deliver(frame(b"next read"))
    assert fixture.handler.received == [b"goodbye"]


def test_first_reason_wins_and_the_handler_is_told_once() -> None:
    fixture = SessionFixture(room=0)
    fixture.handler.on_ended = lambda session: session.end(CloseReason.INTERNAL_ERROR)
    fixture.session.end(CloseReason.REPLACED, "by another")
    fixture.session.end(CloseReason.SERVER_STOPPING)
    fixture.transport.fail(ConnectionResetError())
    fixture.loop.run()
    assert (fixture.session.reason, fixture.session.reason_text) == (CloseReason.REPLACED, "by another")
    assert fixture.handler.told == FINISHED


@pytest.mark.parametrize("seconds", [0.9, 1.0])
def test_peer_that_takes_too_long_over_its_goodbye_is_dropped(seconds: float) -> None:
    fixture = SessionFixture(Limits(linger_seconds=1.0), room=0)
    fixture.session.end(CloseReason.SLOW_CONSUMER)
    fixture.loop.pass_time(seconds)
    assert (fixture.session.state is SessionState.CLOSED) == (seconds >= 1.0)
    assert fixture.transport.broken == (seconds >= 1.0)


def test_handler_that_raises_in_ended_is_still_told_gone() -> None:
    fixture = SessionFixture()
    fixture.handler.on_ended = broken
    fixture.session.end(CloseReason.CLIENT_LEFT)
    fixture.loop.run()
    assert fixture.handler.told == FINISHED
    lost = SessionFixture()
    lost.handler.on_ended = broken
    lost.transport.fail(None)
    lost.loop.run()
    assert lost.handler.told == FINISHED


def test_peer_that_closes_its_side_is_sent_the_goodbye() -> None:
    fixture = SessionFixture()
    fixture.transport.deliver_eof()
    assert fixture.session.reason is CloseReason.CONNECTION_LOST
    assert fixture.transport.kernel == fixture.goodbye
    fixture.loop.run()
    assert fixture.handler.told == FINISHED


def test_peer_that_closes_its_side_during_a_send_is_closed_after_it_drained() -> None:
    fixture = SessionFixture(room=0)
    fixture.send(b"frame")
    fixture.transport.deliver_eof()
    fixture.transport.take(1000)
    fixture.loop.run()
    assert fixture.transport.kernel == b"frame" + fixture.goodbye
    assert fixture.handler.told == ["opened", "stalled", "ended", "gone"]


def test_framing_error_ends_the_session() -> None:
    for header in (bytes(4), (1025).to_bytes(4)):
        fixture = SessionFixture()
        fixture.transport.deliver(header)
        assert fixture.session.reason is CloseReason.PROTOCOL_ERROR
    fixture = SessionFixture()
    fixture.transport.deliver(frame(b"x" * 1024))
    assert fixture.handler.received == [b"x" * 1024]


@pytest.mark.parametrize("at", [7, 9, 11])
def test_payloads_before_a_framing_error_are_served_however_the_stream_was_split(at: int) -> None:
    fixture = SessionFixture()
    stream = frame(b"act") + bytes(4)
    fixture.transport.deliver(stream[:at])
    fixture.transport.deliver(stream[at:])
    assert fixture.handler.received == [b"act"]
    assert fixture.session.reason is CloseReason.PROTOCOL_ERROR


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
    owner, loop = Recorder(), FakeLoop()
    session = Session(owner, Limits(), loop)
    assert session.accepted(("192.0.2.1", 5000))
    assert (session.host, session.address) == ("192.0.2.1", "192.0.2.1:5000")
    for _ in range(2):
        session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT, "no TLS handshake in time")
    assert owner.told == ["accepted", "ended", "gone"]
    assert (session.state, session.reason) == (SessionState.CLOSED, CloseReason.HANDSHAKE_TIMEOUT)
    session.abort()
    assert not session.queue_bytes(b"x")


def test_close_rejected_does_nothing_to_an_open_session() -> None:
    fixture = SessionFixture()
    fixture.session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT)
    assert fixture.session.state is SessionState.OPEN
    assert fixture.handler.told == ["opened"]


def test_bytes_after_the_end_are_discarded_up_to_a_bound() -> None:
    fixture = SessionFixture()
    fixture.session.end(CloseReason.FLOOD)
    fixture.transport.deliver(b"x" * _DISCARDED_BYTES_MAX)
    assert fixture.transport.reading, "a goodbye is not overtaken by a reset for what was on its way"
    fixture.transport.deliver(b"x")
    assert not fixture.transport.reading
    assert fixture.handler.received == []
    assert fixture.session._reader.receive(b"", 1) == []
    fixture.loop.pass_time(1.0)
    fixture.loop.run()
    assert fixture.session.state is SessionState.CLOSED


# --- One turn of the loop takes so many frames ----------------------------------------------------


def test_payloads_beyond_the_limit_per_callback_wait_for_the_next_turn() -> None:
    fixture = SessionFixture()
    payloads = [b"%d" % number for number in range(200)]
    fixture.transport.deliver(b"".join(map(frame, payloads)))
    for served in (64, 128, 192):
        assert fixture.handler.received == payloads[:served]
        assert not fixture.transport.reading
        fixture.loop.turn()
    assert fixture.handler.received == payloads
    assert fixture.transport.reading
    assert not fixture.loop.turn(), "nothing goes on turning"
    fixture.transport.deliver(frame(b"next"))
    assert fixture.handler.received[-1] == b"next"


@pytest.mark.parametrize(("frames", "reading"), [(63, True), (64, False)])
def test_reading_pauses_at_exactly_the_limit_per_callback(frames: int, reading: bool) -> None:
    fixture = SessionFixture()
    fixture.transport.deliver(frame(b"x") * frames)
    assert fixture.transport.reading == reading
    fixture.loop.run()
    assert fixture.transport.reading
    assert len(fixture.handler.received) == frames


def test_session_that_ends_drops_deferred_payloads_and_reads_on() -> None:
    fixture = SessionFixture(room=0)
    fixture.transport.deliver(frame(b"x") * 200)
    fixture.session.end(CloseReason.SERVER_STOPPING)
    assert fixture.transport.reading, "unread bytes in a socket that closes would reset it"
    fixture.loop.run()
    assert len(fixture.handler.received) == 64


# --- The same on real sockets ---------------------------------------------------------------------


class Line:
    """A session and its peer, with a real connection between them."""

    def __init__(self, owner: Recorder, session: Session, client: Client) -> None:
        self.handler = owner
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


OpenLine = Callable[..., Awaitable[Line]]


@pytest.fixture
def open_line(cleanup: AsyncExitStack, connect: Connect) -> OpenLine:
    """Sessions that play: `await open_line(Limits(...))`."""

    async def open_line(limits: Limits | None = None, owner: Recorder | None = None) -> Line:
        limits = limits or Limits(socket_send_bytes=4096)
        owner = owner or Recorder()
        loop = asyncio.get_running_loop()
        sock = tcp.bind("127.0.0.1", 0, limits)
        port = sock.getsockname()[1]
        server = tcp.Listener(sock, lambda sock: Session(owner, limits, loop, sock.send))
        cleanup.push_async_callback(server.wait_closed)
        cleanup.push_async_callback(until, lambda: owner.told[-1:] == ["gone"])
        cleanup.callback(server.close)
        client = await connect(port, 4096)
        await until(lambda: owner.sessions)
        session = owner.sessions[0]
        return Line(owner, session, client)

    return open_line


async def read_all(client: Client) -> bytes:
    """Everything up to the end of the stream, as it came."""
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(client.sock, 65536):
        parts.append(part)
    return b"".join(parts)


async def test_slow_peer_gets_every_byte_in_order_and_then_the_goodbye(open_line: OpenLine) -> None:
    line = await open_line()
    sent = line.stall()
    for number in range(100):
        assert line.send(b"%d" % number)
        sent += b"%d" % number
    assert line.session.sent_bytes + line.session.waiting_bytes == len(sent)
    line.session.end(CloseReason.SERVER_STOPPING, "that is all")
    received = await read_all(line.client)
    assert received.startswith(sent)
    assert b"SERVER_STOPPING" in received[len(sent) :]
    assert line.session.sent_bytes == line.session.accepted_bytes == len(received)


async def test_session_stalls_and_drains_repeatedly(open_line: OpenLine) -> None:
    line = await open_line()
    for _ in range(5):
        sent = line.stall()
        received = 0
        while line.session.in_flight:
            received += len(await asyncio.get_running_loop().sock_recv(line.client.sock, 65536))
        while received < len(sent):
            received += len(await asyncio.get_running_loop().sock_recv(line.client.sock, 65536))
        assert line.session.waiting_bytes == 0
    assert line.handler.told == ["opened", *["stalled", "drained"] * 5]


@pytest.mark.parametrize("frames", [100, 2000])
async def test_client_that_sends_while_it_is_ended_still_reads_the_goodbye(open_line: OpenLine, frames: int) -> None:
    line = await open_line(Limits(linger_seconds=10.0))
    line.handler.on_received = lambda session: session.end(CloseReason.PROTOCOL_ERROR, "enough")
    sending = asyncio.create_task(line.client.say_bytes(frame(b"x" * 1000) * frames))
    bye = await line.client.ended()
    assert (bye.code, bye.text) == ("PROTOCOL_ERROR", "enough")
    assert line.handler.received == [b"x" * 1000]
    # What is more than a session discards is not read: that the client is gone shows when its time is up.
    sending.cancel()
    line.session.abort()


async def test_stuck_peer_is_dropped_after_the_linger_time(open_line: OpenLine) -> None:
    line = await open_line(Limits(linger_seconds=0.05, socket_send_bytes=4096))
    sent = line.stall()
    line.session.end(CloseReason.SLOW_CONSUMER)
    await until(lambda: line.session.state is SessionState.CLOSED)
    assert line.handler.told == ["opened", "stalled", "ended", "gone"]
    assert 0 < line.session.dropped_bytes <= line.session.accepted_bytes
    assert line.session.accepted_bytes > len(sent)


async def test_peer_that_shuts_down_its_sending_side_reads_the_goodbye(open_line: OpenLine) -> None:
    line = await open_line()
    line.client.sock.shutdown(socket.SHUT_WR)
    assert (await line.client.ended()).code == "CONNECTION_LOST"
    await until(lambda: line.handler.told == FINISHED)


async def test_peer_that_shuts_down_its_sending_side_gets_the_send_in_flight(open_line: OpenLine) -> None:
    line = await open_line()
    sent = line.stall()
    line.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: line.session.is_over)
    received = await read_all(line.client)
    assert received.startswith(sent)
    await until(lambda: line.handler.told == ["opened", "stalled", "ended", "gone"])


async def test_connection_reset_by_the_peer_ends_the_session_once(open_line: OpenLine) -> None:
    line = await open_line()
    line.stall()
    line.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.client.sock.close()
    await until(lambda: line.session.state is SessionState.CLOSED)
    assert line.session.reason is CloseReason.CONNECTION_LOST
    assert line.handler.told == ["opened", "stalled", "ended", "gone"]


async def test_end_of_a_session_whose_peer_just_closed_logs_nothing(
    open_line: OpenLine, caplog: pytest.LogCaptureFixture
) -> None:
    line = await open_line()
    line.client.sock.close()
    # The loop has not noticed yet: the goodbye meets a reset, and so does the end of the stream.
    line.session.end(CloseReason.SERVER_STOPPING)
    await until(lambda: line.session.state is SessionState.CLOSED)
    assert line.handler.told == FINISHED
    assert not caplog.records


async def test_handler_that_raises_ends_only_one_session(open_line: OpenLine) -> None:
    line, other = await open_line(), await open_line()
    line.handler.on_received = broken
    await line.client.say_bytes(frame(b"x"))
    assert (await line.client.ended()).code == "INTERNAL_ERROR"
    await other.client.say_bytes(frame(b"still here"))
    await until(lambda: other.handler.received)
    assert other.session.state is SessionState.OPEN


async def test_flood_of_small_payloads_is_served_whole_and_in_order(open_line: OpenLine) -> None:
    line = await open_line()
    payloads = [b"%d" % number for number in range(20_000)]
    await line.client.say_bytes(b"".join(map(frame, payloads)))
    await until(lambda: len(line.handler.received) >= len(payloads))
    assert line.handler.received == payloads


async def test_deferred_payloads_are_served_before_the_end_of_the_stream(open_line: OpenLine) -> None:
    line = await open_line()
    await line.client.say_bytes(frame(b"x") * 500)
    line.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: line.session.is_over)
    assert len(line.handler.received) == 500


# --- Another framing ------------------------------------------------------------------------------


def test_session_speaks_the_framing_that_it_is_given() -> None:
    fixture = SessionFixture(framing=LINES)
    fixture.handler.on_received = lambda session: session.answer(b"pong")
    line = LINES.wrap(b"ping")
    fixture.transport.deliver(line[:3])
    fixture.transport.deliver(line[3:] + line)
    assert fixture.handler.received == [b"ping", b"ping"]
    assert fixture.transport.kernel == LINES.wrap(b"pong") * 2
    assert fixture.session.queue(b"more") == len(LINES.wrap(b"more"))
    fixture.session.end(CloseReason.SERVER_STOPPING)
    assert fixture.transport.kernel == LINES.wrap(b"pong") * 2 + LINES.wrap(b"more") + fixture.goodbye


def test_session_ends_with_the_error_of_its_framing() -> None:
    fixture = SessionFixture(framing=LINES)
    fixture.transport.deliver(b"not hexadecimal\n")
    assert fixture.session.reason is CloseReason.PROTOCOL_ERROR
    assert fixture.session.reason_text == "not a line of hexadecimal digits"
