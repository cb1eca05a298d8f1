"""The fuzz targets: functions that take arbitrary bytes and return how many frames they ran.

A target raises AssertionError when a promise is broken, and any other exception is a failure too. Equal bytes
always have equal effects, so that an input that failed once is kept as a test.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.session_fixture import SessionFixture
from helpers.worlds import zone_info
from zoneclient.errors import DivergedError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica

from fuzz.gateway_script import gateway
from fuzz.scripts import Script, payload_of
from fuzz.web_frames import web_frames
from fuzz.web_session import web_session
from zoneserver.config import Limits
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import WireError, decode_client, decode_server, inflate_message
from zoneserver.protocol.framing import HEADER_BYTES, LENGTH_PREFIX, Deframer, length_prefixed
from zoneserver.protocol.messages import (
    Act,
    ClientMessage,
    Deflated,
    Goodbye,
    Op,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
    op_of,
)
from zoneserver.zone.frame_history import Form, Message

__all__ = ["TARGETS", "client", "decoding", "framing", "gateway", "replica", "session", "web_frames", "web_session"]

PAYLOAD_BYTES_MAX = 64
"""A small limit, so that a short input reaches both sides of it."""
HEAD_BYTES = 4
"""How many bytes at the start of an input for framing or session say how its stream is served."""
MIXED = 128
"""Set in the third byte of an input whose stream is `mixed`."""
GOODBYE = Goodbye().encode()
RELEASES_MAX = 1000
"""The most times that a session may be held at one piece."""
WELCOME = Welcome(
    2,
    0,
    60,
    zone_info(10_000, 10_000, {"hp": 100, "kills": 0}, kinds={"coin": {"worth": 1}}, board={"match": 0, "leader": ""}),
    1024,
    16,
)


def framing(data: bytes) -> int:
    """Every split of a stream gives equal payloads, and an equal error after them.

    A frame counts once, although its stream is read with three splits.
    """
    (first, second, limit, _), stream = head_and_stream(data)
    payloads, is_broken, left_bytes = parsed(stream)
    errors = set()
    for pieces in splits(stream, first, second):
        deframer, found = Deframer(PAYLOAD_BYTES_MAX), list[bytes]()
        for piece in pieces:
            found += received(deframer, piece, limit % 8 or None)
            assert deframer.buffered_bytes < HEADER_BYTES + PAYLOAD_BYTES_MAX, "more is held back than one frame"
        assert found == payloads, "the payloads are not those of the stream"
        assert deframer.buffered_bytes == left_bytes, "the deframer holds back other bytes than the incomplete frame"
        errors.add(deframer.error)
    assert len(errors) == 1, f"each split has its own error: {errors}"
    assert errors != {None} if is_broken else errors == {None}, errors
    return len(payloads) + is_broken


def decoding(data: bytes) -> int:
    """Any bytes are a message or a WireError, and a decoded message survives encoding and decoding.

    A payload counts once, although both decoders read it.
    """
    payload = payload_of(data)
    for decode, kinds in ((decode_client, get_args(ClientMessage)), (decode_server, get_args(ServerMessage))):
        try:
            message = decode(payload)
        except WireError as error:
            assert len(str(error)) <= 120, "an error that would fill the log"
            continue
        assert type(message) in kinds, message
        if not is_sendable(message):
            continue
        if isinstance(message, Deflated):
            inflating(payload)
        try:
            encoded = message.encode()
        except ValueError as error:
            # A client unpacks more deeply nested values than a server sends, and msgpack more than it packs.
            assert "recursion limit" in str(error) or "nested more than" in str(error), error
            continue
        assert are_equal(decode(encoded), message), f"{encoded.hex()} changed in a round trip"
        if isinstance(message, Snapshot | Tick):
            (sent,) = Deframer(len(encoded)).receive(Message(encoded).form(Form(LENGTH_PREFIX, deflated=True)))
            assert (inflate_message(sent) if sent != encoded else sent) == encoded, (
                "the message changed by deflating and inflating"
            )
    return 1


def client(data: bytes) -> int:
    """A client hears equal messages deflated and plain. A client that did not ask for deflated messages leaves.

    The input is a sequence of messages: a byte that says whether and how the message is deflated, a byte with
    the length, and the payload.
    """
    script, payloads, plain = Script(data), list[bytes](), list[bytes]()
    while script.has_more:
        payloads.append(DEFLATED[script.byte() % len(DEFLATED)](payload_of(script.bytes())) or b"\0")
    for payload in payloads:
        try:
            plain.append(inflate_message(payload) if op_of(payload) == Op.DEFLATED else payload)
        except WireError:
            plain.append(NONSENSE)
            break
    first = next((place for place, payload in enumerate(payloads) if op_of(payload) == Op.DEFLATED), len(payloads))
    heard, code = listened(payloads, deflate=True)
    assert (heard, code) == listened(plain, deflate=False), "the client hears something else when messages are deflated"
    assert heard == listened(plain, deflate=True)[0], "the client hears something else although nothing is deflated"
    deaf_heard, deaf_code = listened(payloads, deflate=False)
    assert deaf_heard == listened(payloads[:first], deflate=False)[0], (
        "the client inflates messages that it did not ask for"
    )
    assert deaf_code is not None or first == len(payloads)
    return len(payloads)


def session(data: bytes) -> int:
    """A session receives, sends and ends equally, however its stream is split.

    Its handler sends each payload back, holds the session at some, and ends it at a GOODBYE. A frame counts once,
    although its stream is served four times: with three splits, and to a peer that reads slowly.
    """
    (first, second, limit, room), stream = head_and_stream(data)
    heard, is_broken, _ = parsed(stream)
    reason = CloseReason.PROTOCOL_ERROR if is_broken else None
    if GOODBYE in heard:
        heard, reason = heard[: heard.index(GOODBYE) + 1], CloseReason.CLIENT_LEFT
    echo = b"".join(length_prefixed(payload) for payload in heard if payload != GOODBYE)
    limits = Limits(client_frame_bytes=PAYLOAD_BYTES_MAX, frames_per_callback=1 + limit % 8)
    texts = set()
    for pieces in splits(stream, first, second):
        texts.add(served(pieces, limits, None, heard, reason, echo))
    texts.add(served(alternating(stream, first, second), limits, 1 + room, heard, reason, echo))
    assert len(texts) == 1, f"each split has its own end: {texts}"
    return len(heard) + (reason is CloseReason.PROTOCOL_ERROR)


def replica(data: bytes) -> int:
    """A replica applies any message of a server, or raises one of its documented errors.

    The input is a sequence of payloads, each after a byte with its length.
    """
    copy, script, frames = Replica(WELCOME), Script(data), 0
    while script.has_more:
        frames += 1
        try:
            message = decode_server(payload_of(script.bytes()))
            if isinstance(message, Snapshot):
                copy.restore(message)
            elif isinstance(message, Tick):
                # The frame then follows the present tick, so that the replica reads all of it.
                copy.world.tick = message.tick - 1
                copy.apply(message)
        except (ValueError, DivergedError):
            break  # The client closes the connection.
        for slot in copy.players:
            copy.position(slot)
        assert copy.world.snapshot().encode(), "a state that cannot be encoded"
    return frames


TARGETS: dict[str, Callable[[bytes], int]] = {
    "framing": framing,
    "web_frames": web_frames,
    "decoding": decoding,
    "replica": replica,
    "client": client,
    "session": session,
    "web_session": web_session,
    "gateway": gateway,
}


# --- Streams --------------------------------------------------------------------------------------


def head_and_stream(data: bytes) -> tuple[bytes, bytes]:
    """Splits an input into head and stream. The stream is unchanged, or `mixed` if the head says so."""
    head, rest = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
    return head, mixed(rest) if head[2] & MIXED else rest


def mixed(data: bytes) -> bytes:
    """A stream that consists mostly of whole frames, however a fuzzer changes the data.

    A byte gives the length of the next payload (1 to 16 bytes, or about PAYLOAD_BYTES_MAX), or of unframed bytes.
    """
    stream, place = list[bytes](), 0
    while place < len(data):
        what, place = data[place], place + 1
        length = what & 15 if what >= 0xF0 else PAYLOAD_BYTES_MAX - 8 + (what & 15) if what >= 0xE0 else 1 + what % 16
        piece, place = data[place : place + length], place + length
        stream.append(piece if what >= 0xF0 else length_prefixed(piece))
    return b"".join(stream)


def splits(stream: bytes, first: int, second: int) -> Iterator[Sequence[bytes]]:
    """The stream in one piece, byte by byte, and in pieces of two lengths in turn."""
    yield [stream]
    yield [stream[place : place + 1] for place in range(len(stream))]
    yield alternating(stream, first, second)


def alternating(stream: bytes, first: int, second: int) -> list[bytes]:
    pieces, place = [], 0
    while place < len(stream):
        length = 1 + (second if len(pieces) % 2 else first)
        pieces.append(stream[place : place + length])
        place += length
    return pieces


def parsed(stream: bytes) -> tuple[list[bytes], bool, int]:
    """Parses a stream as PROTOCOL.md defines it: payloads, whether an error follows, and how many bytes are left."""
    payloads = []
    while len(stream) >= HEADER_BYTES:
        length = int.from_bytes(stream[:HEADER_BYTES])
        if not 0 < length <= PAYLOAD_BYTES_MAX:
            return payloads, True, 0
        if len(stream) < HEADER_BYTES + length:
            break
        payloads.append(stream[HEADER_BYTES : HEADER_BYTES + length])
        stream = stream[HEADER_BYTES + length :]
    return payloads, False, len(stream)


def received(deframer: Deframer, piece: bytes, limit: int | None) -> list[bytes]:
    """All payloads that a piece completes, read at most `limit` at a time."""
    payloads = some = deframer.receive(piece, limit)
    while limit is not None and some:
        assert len(some) <= limit, "receive returned more payloads than its limit"
        some = deframer.receive(b"", limit)
        payloads = payloads + some
    return payloads


def is_sendable(message: ClientMessage | ServerMessage) -> bool:
    """Whether a message may be encoded.

    An action with an array within an array is decoded, for the game to refuse it. Encoding it raises TypeError.
    """
    lists = [arg for action in message.actions for arg in action if type(arg) is tuple] if type(message) is Act else []
    if not any(type(item) is tuple for items in lists for item in items):
        return True
    try:
        message.encode()
    except TypeError:
        return False
    raise AssertionError(f"an action was encoded that could not be sent: {message.actions!r:.300}")


def are_equal(one: ClientMessage | ServerMessage, other: ClientMessage | ServerMessage) -> bool:
    """Compares messages as text, where a NaN equals itself and 1 differs from True; too deep ones as bytes."""
    try:
        return repr(one) == repr(other)
    except RecursionError:
        return one.encode() == other.encode()


# --- A client -------------------------------------------------------------------------------------


NONSENSE = b"\xc1"
"""A payload that every client rejects."""
DEFLATED: list[Callable[[bytes], bytes]] = [
    lambda payload: payload,
    lambda payload: Deflated(deflate(payload)).encode(),
    lambda payload: Deflated(payload).encode(),
    lambda payload: Deflated(deflate(payload[1:])[:-1] + payload[:1]).encode(),
    lambda payload: Deflated(deflate(payload * 100)).encode(),
    lambda payload: Deflated(deflate(payload) + payload[:2]).encode(),
]
"""Ways to send a payload: plain, deflated, unchanged as DEFLATED, damaged, repeated 100 times, with extra bytes."""


def inflating(payload: bytes) -> None:
    """Checks that a DEFLATED payload inflates to a snapshot or a tick, as zlib does, or raises WireError."""
    try:
        inflated = inflate_message(payload)
    except WireError as error:
        assert len(str(error)) <= 120, "an error that would fill the log"
        return
    assert op_of(inflated) in (Op.SNAPSHOT, Op.TICK)
    deflated = decode_server(payload)
    assert isinstance(deflated, Deflated)
    assert zlib.decompress(deflated.data, -15) == inflated


class Listener(ClientProtocol):
    """A client that records what it hears."""

    def __init__(self, deflate: bool) -> None:
        super().__init__("ann", deflate=deflate)
        self.heard: list[tuple[str, object]] = []
        self.on_welcome = lambda welcome: self.heard.append(("welcome", welcome))  # type: ignore[method-assign]
        self.on_snapshot = lambda payload: self.heard.append(("snapshot", payload))  # type: ignore[method-assign]
        self.on_tick = lambda payload: self.heard.append(("tick", payload))  # type: ignore[method-assign]
        self.on_refused = lambda refusal: self.heard.append(("refused", refusal))  # type: ignore[method-assign]
        self.on_pong = lambda pong: self.heard.append(("pong", pong))  # type: ignore[method-assign]


def listened(payloads: Sequence[bytes], deflate: bool) -> tuple[str, str | None]:
    """What a client hears of the payloads, as text in which a NaN equals itself, and the code of its goodbye."""
    loop = FakeLoop()
    asyncio.events._set_running_loop(loop)
    try:
        listener = Listener(deflate)
    finally:
        asyncio.events._set_running_loop(None)
    transport = FakeTransport(loop, listener)
    listener.connection_made(transport)
    for payload in payloads:
        if not transport.is_closing():
            transport.deliver(length_prefixed(payload))
    return repr(listener.heard), listener.bye and listener.bye.code


# --- A session ------------------------------------------------------------------------------------


def served(
    pieces: Sequence[bytes],
    limits: Limits,
    room: int | None,
    heard: list[bytes],
    reason: CloseReason | None,
    echo: bytes,
) -> str:
    """Serves one session to its end and returns the reason. The peer reads `room` bytes per piece."""
    connection = SessionFixture(limits, room=room)
    session, transport, handler = connection.session, connection.transport, connection.handler

    def answer(session: Session) -> None:
        payload = handler.received[-1]
        if payload == GOODBYE:
            session.end(CloseReason.CLIENT_LEFT)
            return
        session.queue(payload)
        session.flush()
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
        if room is not None:
            transport.take(room)
    assert handler.received == heard, "the handler received other payloads than were sent"
    assert session.reason is reason, f"{session.reason} where {reason} was due"
    assert session.is_over or session.state is SessionState.OPEN, session
    text = session.reason_text
    transport.deliver_eof()
    if room is not None:
        transport.take(len(echo) + 1000)
    connection.loop.pass_time(limits.linger_seconds)
    assert session.state is SessionState.CLOSED, session
    assert session.reason is (reason or CloseReason.CONNECTION_LOST), session.reason
    assert bytes(transport.kernel) == echo + connection.goodbye, (
        "the session sent other bytes than the echo and the goodbye"
    )
    assert session.accepted_bytes == session.sent_bytes == len(transport.kernel)
    assert [word for word in handler.told if word not in ("stalled", "drained")] == ["opened", "ended", "gone"]
    assert connection.loop.timers == 0, "a timer outlives its session"
    return text
