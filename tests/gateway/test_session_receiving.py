"""A session receives payloads whole and in order, a bounded number of them in one turn of the loop."""

from __future__ import annotations

import pytest
from helpers.framings import LINES
from helpers.session_fixture import SessionFixture

from zoneserver.config import Limits
from zoneserver.gateway.session import _DISCARDED_BYTES_MAX
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import length_prefixed


@pytest.mark.parametrize("step", [1, 2, 5, 1024])
def test_payloads_are_whole_however_the_stream_was_split(step: int) -> None:
    connection = SessionFixture(Limits(client_frame_bytes=3000))
    texts = ["안녕하세요", "가" * 700, "x"]
    stream = b"".join(length_prefixed(text.encode()) for text in texts)
    for start in range(0, len(stream), step):
        connection.transport.deliver(stream[start : start + step])
    assert [payload.decode() for payload in connection.handler.received] == texts


def test_framing_error_ends_the_session() -> None:
    for header in (bytes(4), (1025).to_bytes(4)):
        connection = SessionFixture()
        connection.transport.deliver(header)
        assert connection.session.reason is CloseReason.PROTOCOL_ERROR
    connection = SessionFixture()
    connection.transport.deliver(length_prefixed(b"x" * 1024))
    assert connection.handler.received == [b"x" * 1024]


@pytest.mark.parametrize("at", [7, 9, 11])
def test_payloads_before_a_framing_error_are_served_however_the_stream_was_split(at: int) -> None:
    connection = SessionFixture()
    stream = length_prefixed(b"act") + bytes(4)
    connection.transport.deliver(stream[:at])
    connection.transport.deliver(stream[at:])
    assert connection.handler.received == [b"act"]
    assert connection.session.reason is CloseReason.PROTOCOL_ERROR


def test_bytes_after_the_end_are_discarded_up_to_a_bound() -> None:
    connection = SessionFixture()
    connection.session.end(CloseReason.FLOOD)
    connection.transport.deliver(b"x" * _DISCARDED_BYTES_MAX)
    assert connection.transport.reading, (
        "bytes that were on their way must not cause a reset that overtakes the goodbye"
    )
    connection.transport.deliver(b"x")
    assert not connection.transport.reading
    assert connection.handler.received == []
    assert connection.session._reader.receive(b"", 1) == []
    connection.loop.pass_time(1.0)
    connection.loop.run()
    assert connection.session.state is SessionState.CLOSED


def test_payloads_beyond_the_limit_per_callback_wait_for_the_next_turn() -> None:
    connection = SessionFixture()
    payloads = [b"%d" % number for number in range(200)]
    connection.transport.deliver(b"".join(map(length_prefixed, payloads)))
    for served in (64, 128, 192):
        assert connection.handler.received == payloads[:served]
        assert not connection.transport.reading
        connection.loop.turn()
    assert connection.handler.received == payloads
    assert connection.transport.reading
    assert not connection.loop.turn(), "no callback is left"
    connection.transport.deliver(length_prefixed(b"next"))
    assert connection.handler.received[-1] == b"next"


@pytest.mark.parametrize(("frames", "reading"), [(63, True), (64, False)])
def test_reading_pauses_at_exactly_the_limit_per_callback(frames: int, reading: bool) -> None:
    connection = SessionFixture()
    connection.transport.deliver(length_prefixed(b"x") * frames)
    assert connection.transport.reading == reading
    connection.loop.run()
    assert connection.transport.reading
    assert len(connection.handler.received) == frames


def test_session_that_ends_drops_deferred_payloads_and_reads_on() -> None:
    connection = SessionFixture(room=0)
    connection.transport.deliver(length_prefixed(b"x") * 200)
    connection.session.end(CloseReason.SERVER_STOPPING)
    assert connection.transport.reading, "unread bytes would reset the connection when it closes"
    connection.loop.run()
    assert len(connection.handler.received) == 64


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
