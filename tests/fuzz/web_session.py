"""A fuzz target: a session that speaks WebSocket."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.session_fixture import SessionFixture
from websockets.frames import Frame
from websockets.protocol import OPEN, Protocol, Side

from fuzz.web_frames import HEAD_BYTES, PAYLOAD_BYTES_MAX, received, splits, web_stream
from zoneserver.config import Limits
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Goodbye
from zoneserver.protocol.websocket import WEBSOCKET, Opcode, WebSocketReader

__all__ = ["web_session"]

GOODBYE = Goodbye().encode()
RELEASES_MAX = 1000
"""The most times that a session may be held at one piece."""


def web_session(data: bytes) -> int:
    """A session over WebSocket receives, answers and ends equally, however its stream is split.

    Its handler sends each payload back, holds the session at some, and ends it at a GOODBYE. A frame counts once,
    although its stream is served with three splits.
    """
    first, second, limit, how = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")
    stream = web_stream(data[HEAD_BYTES:], is_client=False) if how & 2 else data[HEAD_BYTES:]
    reader = WebSocketReader(PAYLOAD_BYTES_MAX)
    heard = received(reader, stream, None)
    reason = None if reader.error is None else CloseReason.PROTOCOL_ERROR
    if reader.is_ended:
        reason = CloseReason.CONNECTION_LOST
    if GOODBYE in heard:
        heard, reason = heard[: heard.index(GOODBYE) + 1], CloseReason.CLIENT_LEFT
    pings = [frame.data for frame in frames_in(b"".join(reader.replies))]
    limits = Limits(client_frame_bytes=PAYLOAD_BYTES_MAX, frames_per_callback=1 + limit % 8)
    texts = {served(pieces, limits, heard, reason, pings) for pieces in splits(stream, first, second)}
    assert len(texts) == 1, f"each split has its own end: {texts}"
    return len(heard) + (reason is not None)


def served(
    pieces: Sequence[bytes], limits: Limits, heard: list[bytes], reason: CloseReason | None, pings: list[bytes]
) -> str:
    """Serves one session to its end and returns the reason."""
    connection = SessionFixture(limits, framing=WEBSOCKET)
    session, transport, handler = connection.session, connection.transport, connection.handler

    def answer(session: Session) -> None:
        payload = handler.received[-1]
        if payload == GOODBYE:
            session.end(CloseReason.CLIENT_LEFT)
        elif payload:
            session.answer(payload)
            if payload[0] % 4 == 0:
                session.hold()

    handler.on_received = answer
    for piece in pieces:
        if transport.reading:
            transport.deliver(piece)
            connection.loop.run()
        for _ in range(RELEASES_MAX):
            if transport.reading or transport.is_closing():
                break
            session.release()
            connection.loop.run()
        else:
            raise AssertionError("the session reads no more")
    assert handler.received == heard, "the handler received other payloads than were sent"
    assert session.reason is reason, f"{session.reason} where {reason} was due"
    text = session.reason_text
    if not transport.is_closing():
        transport.deliver_eof()
    connection.loop.pass_time(limits.linger_seconds)
    assert session.state is SessionState.CLOSED, session
    assert session.accepted_bytes == session.sent_bytes == len(transport.kernel)
    assert connection.loop.timers == 0, "a timer outlives its session"
    *sent, close = frames_in(bytes(transport.kernel))
    assert close.opcode == Opcode.CLOSE, "the session ended without a close frame"
    pongs = [frame.data for frame in sent if frame.opcode == Opcode.PONG]
    assert pongs == pings[: len(pongs)], "a pong is not that of its ping"
    assert len(pongs) == len(pings) or reason is CloseReason.CLIENT_LEFT, "a ping has no pong"
    said = [frame.data for frame in sent if frame.opcode != Opcode.PONG]
    is_told = session.reason is not CloseReason.CONNECTION_LOST or reason is None
    echo = [payload for payload in heard if payload not in (b"", GOODBYE)]
    assert len(said) == len(echo) + is_told and said[: len(echo)] == echo, "the session sent other bytes than the echo"
    return text


def frames_in(data: bytes) -> list[Frame]:
    """The frames that a client reads, by another library."""
    client = Protocol(Side.CLIENT, state=OPEN)
    client.receive_data(data)
    assert client.parser_exc is None, client.parser_exc
    return [event for event in client.events_received() if isinstance(event, Frame)]
