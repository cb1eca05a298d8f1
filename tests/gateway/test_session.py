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
from helpers.raw_client import Client, Connect
from helpers.session_fixture import Recorder, SessionFixture
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.gateway.listeners import tcp
from zoneserver.gateway.session import _DISCARDED_BYTES_MAX, Session
from zoneserver.gateway.state import State
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import frame

FINISHED = ["opened", "ended", "gone"]


def broken(_session: Session) -> None:
    raise ZeroDivisionError("the owner failed")


# --- The seven faults of the lesson ---------------------------------------------------------------


def test_fault_1_an_exception_in_the_send_completion_leaves_no_session_that_never_sends_again() -> None:
    bench = SessionFixture(room=0)
    bench.owner.on_drained = broken
    bench.session.send(b"first")
    bench.session.send(b"second")
    bench.transport.take(5)
    bench.transport.take(1000)
    assert bench.session.reason is CloseReason.INTERNAL_ERROR
    assert bench.transport.kernel == b"firstsecond" + bench.goodbye
    bench.loop.run()
    assert bench.transport.at_eof
    assert bench.session.waiting_bytes == 0


def test_fault_2_an_exception_in_the_receive_completion_leaves_no_zombie() -> None:
    bench = SessionFixture()
    bench.owner.on_received = broken
    bench.transport.deliver(frame(b"one") + frame(b"two"))
    assert bench.owner.received == [b"one"]
    assert bench.session.reason is CloseReason.INTERNAL_ERROR
    assert bench.transport.kernel == bench.goodbye
    bench.loop.run()
    assert bench.transport.at_eof


def test_fault_3_the_send_queue_has_a_bound() -> None:
    bench = SessionFixture(Limits(send_hard_bytes=100), room=0)
    assert bench.session.send(b"a" * 60), "in flight"
    assert bench.session.send(b"b" * 40)
    assert bench.session.send(b"c" * 60), "exactly at the bound is within it"
    assert bench.session.waiting_bytes == 160
    assert not bench.session.send(b"d")
    assert bench.session.reason is CloseReason.SLOW_CONSUMER


def test_fault_3_the_bound_counts_what_is_queued_without_a_send_too() -> None:
    bench = SessionFixture(Limits(send_hard_bytes=100))
    assert bench.session.enqueue(b"a" * 100)
    assert not bench.session.enqueue(b"b")
    assert bench.session.reason is CloseReason.SLOW_CONSUMER
    assert bench.transport.kernel == b"a" * 100 + bench.goodbye


def test_fault_4_sends_that_complete_at_once_do_not_recurse() -> None:
    bench = SessionFixture(room=0)
    depths = set()

    def send_again(session: Session) -> None:
        depths.add(len(inspect.stack(0)))
        session.send(b"x")

    bench.owner.on_drained = send_again
    bench.session.send(b"x")
    for _ in range(100):
        bench.transport.take(1)
    assert len(bench.transport.kernel) == 100
    assert len(depths) == 1


def test_fault_5_the_end_of_a_connection_that_was_reset_is_an_ordinary_end() -> None:
    bench = SessionFixture(room=0)
    bench.session.send(b"in flight")
    bench.session.send(b"queued")
    bench.transport.fail(ConnectionResetError("reset by peer"))
    bench.loop.run()
    assert bench.session.reason is CloseReason.CONNECTION_LOST
    assert "reset by peer" in bench.session.reason_text
    assert bench.session.waiting_bytes == 0
    assert bench.session.dropped_bytes == len(b"in flightqueued")
    # From here on nothing touches the transport, which would complain.
    assert not bench.session.send(b"late")
    assert not bench.session.enqueue(b"late")
    bench.session.flush()
    bench.session.end(CloseReason.SERVER_STOPPING)
    bench.session.abort()
    assert bench.owner.told == ["opened", "stalled", "ended", "gone"]


def test_fault_6_bytes_sent_are_compared_with_bytes_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = SessionFixture(room=0)
    bench.session.send(b"four")
    # A transport that says it is done, and that it holds a byte yet.
    monkeypatch.setattr(bench.transport, "get_write_buffer_size", lambda: 1)
    bench.transport.take(4)
    assert bench.session.reason is CloseReason.INTERNAL_ERROR


def test_fault_6_every_byte_accepted_is_sent_or_waits_or_was_dropped() -> None:
    bench = SessionFixture(room=7)

    def balanced() -> bool:
        session = bench.session
        return (
            session.sent_bytes == len(bench.transport.kernel)
            and session.accepted_bytes == session.sent_bytes + session.waiting_bytes + session.dropped_bytes
        )

    for count in (3, 4, 5, 6):
        bench.session.send(b"x" * count)
        assert balanced()
    assert (bench.session.sent_bytes, bench.session.in_flight_bytes, bench.session.waiting_bytes) == (7, 5, 11)
    for _ in range(11):
        bench.transport.take(1)
        assert balanced()
    bench.session.send(b"lost")
    bench.transport.fail(None)
    bench.loop.run()
    assert balanced()
    assert bench.session.dropped_bytes == 4


@pytest.mark.parametrize("step", [1, 2, 5, 1024])
def test_fault_7_a_read_is_not_a_message(step: int) -> None:
    bench = SessionFixture(Limits(client_frame_bytes=3000))
    texts = ["안녕하세요", "가" * 700, "x"]
    stream = b"".join(frame(text.encode()) for text in texts)
    for start in range(0, len(stream), step):
        bench.transport.deliver(stream[start : start + step])
    assert [payload.decode() for payload in bench.owner.received] == texts


# --- Sending --------------------------------------------------------------------------------------


def test_what_queued_up_is_handed_over_whole_in_one_gather_send() -> None:
    bench = SessionFixture(room=0)
    for data in (b"one", b"two", b"three"):
        bench.session.send(data)
    bench.transport.take(3)
    assert bench.transport.sends == [b"one", b"twothree"]
    bench.transport.take(8)
    assert bench.transport.kernel == b"onetwothree"
    assert bench.owner.told == ["opened", "stalled", "drained", "stalled", "drained"]


def test_what_is_enqueued_leaves_with_the_next_send_and_before_it() -> None:
    bench = SessionFixture()
    bench.session.enqueue(b"refusal ")
    assert not bench.transport.sends
    bench.session.send(b"frame")
    assert bench.transport.sends == [b"refusal frame"]


def test_one_send_is_in_flight_at_a_time_however_much_is_flushed() -> None:
    bench = SessionFixture(room=0)
    for number in range(20):
        bench.session.send(b"%d " % number)
        bench.session.flush()
    assert len(bench.transport.sends) == 1
    assert bench.session.in_flight
    bench.transport.take(1000)
    assert len(bench.transport.sends) == 2
    assert not bench.session.in_flight
    assert bench.transport.kernel.split() == [b"%d" % number for number in range(20)]


def test_what_the_owner_queues_when_a_send_drains_leaves_in_the_same_gather_send() -> None:
    bench = SessionFixture(room=0)
    bench.owner.on_drained = lambda session: session.answer(b"caught up")
    bench.session.send(b"frame")
    bench.session.send(b"pong")
    bench.transport.take(5)
    assert bench.transport.sends[1] == b"pongcaught up"


def test_answers_to_what_arrived_together_leave_in_one_gather_send() -> None:
    bench = SessionFixture()
    bench.owner.on_received = lambda session: session.answer(b"pong")
    ping = frame(b"ping")
    bench.transport.deliver(ping * 3 + ping[:2])
    assert bench.transport.sends == [b"pongpongpong"]
    bench.transport.deliver(ping[2:])
    assert bench.transport.sends == [b"pongpongpong", b"pong"]


def test_a_transport_that_raises_ends_the_session() -> None:
    for use in (Session.send, Session.enqueue):
        bench = SessionFixture()
        bench.transport.at_eof = True  # from here on the fake raises
        use(bench.session, b"data")
        bench.session.flush()
        assert bench.session.reason is CloseReason.INTERNAL_ERROR
        assert not bench.session.send(b"more")


# --- The end --------------------------------------------------------------------------------------


def test_the_goodbye_comes_last_and_the_end_of_the_stream_behind_it() -> None:
    bench = SessionFixture(room=0)
    bench.session.send(b"frame")
    bench.session.send(b"queued")
    bench.session.end(CloseReason.SERVER_STOPPING)
    assert not bench.transport.at_eof
    bench.transport.take(1000)
    assert bench.transport.kernel == b"framequeued" + bench.goodbye
    bench.loop.run()
    assert bench.transport.at_eof
    bench.transport.deliver_eof()
    bench.loop.run()
    assert bench.owner.told == ["opened", "stalled", "ended", "gone"]
    assert bench.loop.timers == 0


def test_nothing_is_accepted_after_the_end() -> None:
    bench = SessionFixture()
    bench.session.end(CloseReason.CLIENT_LEFT)
    accepted = bench.session.accepted_bytes
    assert not bench.session.send(b"late")
    assert not bench.session.enqueue(b"late")
    bench.session.flush()
    assert bench.session.accepted_bytes == accepted
    assert bench.transport.kernel == bench.goodbye


def test_nothing_is_received_after_the_end() -> None:
    bench = SessionFixture()
    bench.owner.on_received = lambda session: session.end(CloseReason.CLIENT_LEFT)
    bench.transport.deliver(frame(b"goodbye") + frame(b"same read"))
    bench.transport.deliver(frame(b"next read"))
    assert bench.owner.received == [b"goodbye"]


def test_the_first_reason_wins_and_the_owner_is_told_once() -> None:
    bench = SessionFixture(room=0)
    bench.owner.on_ended = lambda session: session.end(CloseReason.INTERNAL_ERROR)
    bench.session.end(CloseReason.REPLACED, "by another")
    bench.session.end(CloseReason.SERVER_STOPPING)
    bench.transport.fail(ConnectionResetError())
    bench.loop.run()
    assert (bench.session.reason, bench.session.reason_text) == (CloseReason.REPLACED, "by another")
    assert bench.owner.told == FINISHED


@pytest.mark.parametrize("seconds", [0.9, 1.0])
def test_a_peer_that_takes_too_long_over_its_goodbye_is_dropped(seconds: float) -> None:
    bench = SessionFixture(Limits(linger_seconds=1.0), room=0)
    bench.session.end(CloseReason.SLOW_CONSUMER)
    bench.loop.pass_time(seconds)
    assert (bench.session.state is State.CLOSED) == (seconds >= 1.0)
    assert bench.transport.broken == (seconds >= 1.0)


def test_an_owner_that_fails_at_the_end_is_still_told_that_the_connection_is_gone() -> None:
    bench = SessionFixture()
    bench.owner.on_ended = broken
    bench.session.end(CloseReason.CLIENT_LEFT)
    bench.loop.run()
    assert bench.owner.told == FINISHED
    lost = SessionFixture()
    lost.owner.on_ended = broken
    lost.transport.fail(None)
    lost.loop.run()
    assert lost.owner.told == FINISHED


def test_a_peer_that_hangs_up_has_left_and_is_told_goodbye_all_the_same() -> None:
    bench = SessionFixture()
    bench.transport.deliver_eof()
    assert bench.session.reason is CloseReason.CONNECTION_LOST
    assert bench.transport.kernel == bench.goodbye
    bench.loop.run()
    assert bench.owner.told == FINISHED


def test_a_peer_that_hangs_up_while_a_send_is_in_flight_is_closed_when_it_has_drained() -> None:
    bench = SessionFixture(room=0)
    bench.session.send(b"frame")
    bench.transport.deliver_eof()
    bench.transport.take(1000)
    bench.loop.run()
    assert bench.transport.kernel == b"frame" + bench.goodbye
    assert bench.owner.told == ["opened", "stalled", "ended", "gone"]


def test_a_framing_error_ends_the_session() -> None:
    for header in (bytes(4), (1025).to_bytes(4)):
        bench = SessionFixture()
        bench.transport.deliver(header)
        assert bench.session.reason is CloseReason.PROTOCOL_ERROR
    bench = SessionFixture()
    bench.transport.deliver(frame(b"x" * 1024))
    assert bench.owner.received == [b"x" * 1024]


@pytest.mark.parametrize("at", [7, 9, 11])
def test_what_came_before_a_framing_error_is_served_however_the_stream_was_split(at: int) -> None:
    bench = SessionFixture()
    stream = frame(b"act") + bytes(4)
    bench.transport.deliver(stream[:at])
    bench.transport.deliver(stream[at:])
    assert bench.owner.received == [b"act"]
    assert bench.session.reason is CloseReason.PROTOCOL_ERROR


LEGAL = {
    (State.NEW, State.HANDSHAKE),
    (State.NEW, State.CLOSING),
    (State.HANDSHAKE, State.JOINING),
    (State.HANDSHAKE, State.CLOSING),
    (State.JOINING, State.PLAYING),
    (State.JOINING, State.CLOSING),
    (State.PLAYING, State.CLOSING),
    (State.CLOSING, State.CLOSED),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_legal_transitions_of_the_state_are_possible(before: State, after: State) -> None:
    session = SessionFixture().session
    session.state = before
    if (before, after) in LEGAL:
        session.advance(after)
        assert session.state is after
    else:
        with pytest.raises(AssertionError):
            session.advance(after)
        assert session.state is before


def test_a_connection_that_never_stood_ends_once_and_is_gone() -> None:
    owner, loop = Recorder(), FakeLoop()
    session = Session(owner, Limits(), loop)
    assert session.accepted(("192.0.2.1", 5000))
    assert (session.host, session.address) == ("192.0.2.1", "192.0.2.1:5000")
    for _ in range(2):
        session.not_opened(CloseReason.HANDSHAKE_TIMEOUT, "no TLS handshake in time")
    assert owner.told == ["accepted", "ended", "gone"]
    assert (session.state, session.reason) == (State.CLOSED, CloseReason.HANDSHAKE_TIMEOUT)
    session.abort()
    assert not session.send(b"x")


def test_a_connection_that_stands_does_not_fail_to_open() -> None:
    bench = SessionFixture()
    bench.session.not_opened(CloseReason.HANDSHAKE_TIMEOUT)
    assert bench.session.state is State.PLAYING
    assert bench.owner.told == ["opened"]


def test_what_comes_after_the_end_is_thrown_away_within_bounds() -> None:
    bench = SessionFixture()
    bench.session.end(CloseReason.FLOOD)
    bench.transport.deliver(b"x" * _DISCARDED_BYTES_MAX)
    assert bench.transport.reading, "a goodbye is not overtaken by a reset for what was on its way"
    bench.transport.deliver(b"x")
    assert not bench.transport.reading
    assert bench.owner.received == []
    assert bench.session._deframer.receive(b"", 1) == []
    bench.loop.pass_time(1.0)
    bench.loop.run()
    assert bench.session.state is State.CLOSED


# --- One turn of the loop takes so many frames ----------------------------------------------------


def test_frames_beyond_the_budget_wait_for_the_next_turn() -> None:
    bench = SessionFixture()
    payloads = [b"%d" % number for number in range(200)]
    bench.transport.deliver(b"".join(map(frame, payloads)))
    for served in (64, 128, 192):
        assert bench.owner.received == payloads[:served]
        assert not bench.transport.reading
        bench.loop.turn()
    assert bench.owner.received == payloads
    assert bench.transport.reading
    assert not bench.loop.turn(), "nothing goes on turning"
    bench.transport.deliver(frame(b"next"))
    assert bench.owner.received[-1] == b"next"


@pytest.mark.parametrize(("frames", "reading"), [(63, True), (64, False)])
def test_reading_rests_from_exactly_the_budget_on(frames: int, reading: bool) -> None:
    bench = SessionFixture()
    bench.transport.deliver(frame(b"x") * frames)
    assert bench.transport.reading == reading
    bench.loop.run()
    assert bench.transport.reading
    assert len(bench.owner.received) == frames


def test_a_session_that_ends_with_frames_left_serves_none_of_them_and_reads_on() -> None:
    bench = SessionFixture(room=0)
    bench.transport.deliver(frame(b"x") * 200)
    bench.session.end(CloseReason.SERVER_STOPPING)
    assert bench.transport.reading, "unread bytes in a socket that closes would reset it"
    bench.loop.run()
    assert len(bench.owner.received) == 64


# --- The same on real sockets ---------------------------------------------------------------------


class Line:
    """A session and its peer, with a real connection between them."""

    def __init__(self, owner: Recorder, session: Session, client: Client) -> None:
        self.owner = owner
        self.session = session
        self.client = client

    def stall(self) -> bytes:
        """Sends more than the kernel will take before the peer reads; returns what was sent."""
        sent = b"".join(number.to_bytes(4) for number in range(65_536))
        assert self.session.send(sent)
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
        session.advance(State.JOINING)
        session.advance(State.PLAYING)
        return Line(owner, session, client)

    return open_line


async def read_all(client: Client) -> bytes:
    """Everything up to the end of the stream, as it came."""
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(client.sock, 65536):
        parts.append(part)
    return b"".join(parts)


async def test_a_slow_peer_gets_every_byte_in_order_and_then_the_goodbye(open_line: OpenLine) -> None:
    line = await open_line()
    sent = line.stall()
    for number in range(100):
        assert line.session.send(b"%d" % number)
        sent += b"%d" % number
    assert line.session.sent_bytes + line.session.waiting_bytes == len(sent)
    line.session.end(CloseReason.SERVER_STOPPING, "that is all")
    received = await read_all(line.client)
    assert received.startswith(sent)
    assert b"SERVER_STOPPING" in received[len(sent) :]
    assert line.session.sent_bytes == line.session.accepted_bytes == len(received)


async def test_a_session_stalls_and_drains_again_and_again(open_line: OpenLine) -> None:
    line = await open_line()
    for _ in range(5):
        sent = line.stall()
        received = 0
        while line.session.in_flight:
            received += len(await asyncio.get_running_loop().sock_recv(line.client.sock, 65536))
        while received < len(sent):
            received += len(await asyncio.get_running_loop().sock_recv(line.client.sock, 65536))
        assert line.session.waiting_bytes == 0
    assert line.owner.told == ["opened", *["stalled", "drained"] * 5]


@pytest.mark.parametrize("frames", [100, 2000])
async def test_a_client_that_sends_a_lot_while_it_is_ended_still_reads_the_goodbye(
    open_line: OpenLine, frames: int
) -> None:
    line = await open_line(Limits(linger_seconds=10.0))
    line.owner.on_received = lambda session: session.end(CloseReason.PROTOCOL_ERROR, "enough")
    sending = asyncio.create_task(line.client.say_bytes(frame(b"x" * 1000) * frames))
    bye = await line.client.ended()
    assert (bye.code, bye.text) == ("PROTOCOL_ERROR", "enough")
    assert line.owner.received == [b"x" * 1000]
    # What is more than a session discards is not read: that the client is gone shows when its time is up.
    sending.cancel()
    line.session.abort()


async def test_a_stuck_peer_is_dropped_after_its_time_to_linger(open_line: OpenLine) -> None:
    line = await open_line(Limits(linger_seconds=0.05, socket_send_bytes=4096))
    sent = line.stall()
    line.session.end(CloseReason.SLOW_CONSUMER)
    await until(lambda: line.session.state is State.CLOSED)
    assert line.owner.told == ["opened", "stalled", "ended", "gone"]
    assert 0 < line.session.dropped_bytes <= line.session.accepted_bytes
    assert line.session.accepted_bytes > len(sent)


async def test_a_peer_that_hangs_up_for_sending_reads_the_goodbye(open_line: OpenLine) -> None:
    line = await open_line()
    line.client.sock.shutdown(socket.SHUT_WR)
    assert (await line.client.ended()).code == "CONNECTION_LOST"
    await until(lambda: line.owner.told == FINISHED)


async def test_a_peer_that_hangs_up_with_a_send_in_flight_gets_all_of_it(open_line: OpenLine) -> None:
    line = await open_line()
    sent = line.stall()
    line.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: line.session.is_over)
    received = await read_all(line.client)
    assert received.startswith(sent)
    await until(lambda: line.owner.told == ["opened", "stalled", "ended", "gone"])


async def test_a_reset_connection_ends_the_session_once(open_line: OpenLine) -> None:
    line = await open_line()
    line.stall()
    line.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.client.sock.close()
    await until(lambda: line.session.state is State.CLOSED)
    assert line.session.reason is CloseReason.CONNECTION_LOST
    assert line.owner.told == ["opened", "stalled", "ended", "gone"]


async def test_fault_5_ending_a_session_whose_peer_has_just_closed_is_no_failure(
    open_line: OpenLine, caplog: pytest.LogCaptureFixture
) -> None:
    line = await open_line()
    line.client.sock.close()
    # The loop has not noticed yet: the goodbye meets a reset, and so does the end of the stream.
    line.session.end(CloseReason.SERVER_STOPPING)
    await until(lambda: line.session.state is State.CLOSED)
    assert line.owner.told == FINISHED
    assert not caplog.records


async def test_a_failing_owner_costs_one_session_and_no_other(open_line: OpenLine) -> None:
    line, other = await open_line(), await open_line()
    line.owner.on_received = broken
    await line.client.say_bytes(frame(b"x"))
    assert (await line.client.ended()).code == "INTERNAL_ERROR"
    await other.client.say_bytes(frame(b"still here"))
    await until(lambda: other.owner.received)
    assert other.session.state is State.PLAYING


async def test_a_flood_of_small_frames_is_served_whole_and_in_order(open_line: OpenLine) -> None:
    line = await open_line()
    payloads = [b"%d" % number for number in range(20_000)]
    await line.client.say_bytes(b"".join(map(frame, payloads)))
    await until(lambda: len(line.owner.received) >= len(payloads))
    assert line.owner.received == payloads


async def test_frames_beyond_the_budget_are_served_before_the_end_of_the_stream(open_line: OpenLine) -> None:
    line = await open_line()
    await line.client.say_bytes(frame(b"x") * 500)
    line.client.sock.shutdown(socket.SHUT_WR)
    await until(lambda: line.session.is_over)
    assert len(line.owner.received) == 500
