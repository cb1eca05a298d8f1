"""What is fuzzed: functions that take any bytes whatever and say how many frames they ran.

A promise that is broken comes out as an AssertionError; so does, by being no such error, anything
else that is raised. The same bytes always do the same, so that what failed once is kept as a test.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.session_fixture import SessionFixture
from zoneclient.errors import DivergedError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica

from fuzz.deeds import gateway
from fuzz.scripts import Script, payload_of
from zoneserver.config import Limits
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import SessionState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import WireError, decode_client, decode_server, inflate_message
from zoneserver.protocol.framing import HEADER_BYTES, LENGTH_PREFIX, Deframer, frame
from zoneserver.protocol.messages import (
    Act,
    ClientMessage,
    Deflated,
    Goodbye,
    Op,
    ServerMessage,
    Snapshot,
    Tick,
    Value,
    Welcome,
    op_of,
)
from zoneserver.zone.frame_history import Form, Message

__all__ = ["TARGETS", "client", "decoding", "framing", "gateway", "replica", "session"]

PAYLOAD_BYTES_MAX = 64
"""Small, so that a short input reaches both sides of it."""
HEAD_BYTES = 4
"""The bytes of an input for framing or session that say how its stream is served; the stream follows."""
WOVEN = 128
"""Set in the third byte of an input whose stream is `woven`."""
GOODBYE = Goodbye().encode()
RELEASES_MAX = 1000
"""More often than this no session is held at one piece."""
WELCOME = Welcome(1, 0, 60, 20, "plaza", 10_000, 10_000, [("hp", 100), ("kills", 0)], 1024, 16)


def framing(data: bytes) -> int:
    """Any split of a stream gives the same payloads, and the same error after them.

    A frame counts once, though its stream is read under three splits.
    """
    (first, second, limit, _), stream = head_and_stream(data)
    payloads, is_broken, left_bytes = parsed(stream)
    errors = set()
    for pieces in splits(stream, first, second):
        deframer, found = Deframer(PAYLOAD_BYTES_MAX), list[bytes]()
        for piece in pieces:
            found += received(deframer, piece, limit % 8 or None)
            assert deframer.buffered_bytes < HEADER_BYTES + PAYLOAD_BYTES_MAX, "more is held back than one frame"
        assert found == payloads, "other payloads than there are in the stream"
        assert deframer.buffered_bytes == left_bytes, "what is held back is not what was left"
        errors.add(deframer.error)
    assert len(errors) == 1, f"each split has its own error: {errors}"
    assert errors != {None} if is_broken else errors == {None}, errors
    return len(payloads) + is_broken


def decoding(data: bytes) -> int:
    """Any bytes are a message or a WireError, and a message encodes to one that equals it.

    A payload counts once, though both decoders read it.
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
            # It is read to twice the depth to which msgpack packs, and so to which anything is sent.
            assert "recursion limit" in str(error), error
            continue
        assert are_equal(decode(encoded), message), f"{encoded.hex()} came back as another"
        if isinstance(message, Snapshot | Tick):
            (sent,) = Deframer(len(encoded)).receive(Message(encoded).form(Form(LENGTH_PREFIX, deflated=True)))
            assert (inflate_message(sent) if sent != encoded else sent) == encoded, "deflated it is another"
    return 1


def client(data: bytes) -> int:
    """A client that takes what is deflated hears what another hears as it is; one that did not ask for it leaves.

    The input is messages: a byte that says whether and how one is deflated, and a payload after a byte with
    its length.
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
    assert (heard, code) == listened(plain, deflate=False), "it hears something else where that is deflated"
    assert heard == listened(plain, deflate=True)[0], "it hears something else though nothing is deflated"
    deaf_heard, deaf_code = listened(payloads, deflate=False)
    assert deaf_heard == listened(payloads[:first], deflate=False)[0], "it inflates what it did not ask for"
    assert deaf_code is not None or first == len(payloads)
    return len(payloads)


def session(data: bytes) -> int:
    """A session hears the same, says the same and ends the same, however its stream is split.

    Its owner sends each payload back, holds it at some, and ends it at a GOODBYE. A frame counts once, though
    its stream is served four times: under three splits, and to a peer that is slow to read.
    """
    (first, second, limit, room), stream = head_and_stream(data)
    heard, is_broken, _ = parsed(stream)
    reason = CloseReason.PROTOCOL_ERROR if is_broken else None
    if GOODBYE in heard:
        heard, reason = heard[: heard.index(GOODBYE) + 1], CloseReason.CLIENT_LEFT
    echo = b"".join(frame(payload) for payload in heard if payload != GOODBYE)
    limits = Limits(client_frame_bytes=PAYLOAD_BYTES_MAX, frames_per_callback=1 + limit % 8)
    texts = set()
    for pieces in splits(stream, first, second):
        texts.add(served(pieces, limits, None, heard, reason, echo))
    texts.add(served(alternating(stream, first, second), limits, 1 + room, heard, reason, echo))
    assert len(texts) == 1, f"each split has its own end: {texts}"
    return len(heard) + (reason is CloseReason.PROTOCOL_ERROR)


def replica(data: bytes) -> int:
    """Whatever a server sends, a client's copy of the zone takes it or raises what it says it raises.

    The input is payloads, each after a byte with its length.
    """
    copy, script, frames = Replica(WELCOME), Script(data), 0
    while script.has_more:
        frames += 1
        try:
            message = decode_server(payload_of(script.bytes()))
            if isinstance(message, Snapshot):
                copy.restore(message)
            elif isinstance(message, Tick):
                # So that it follows: else nothing of it would be looked at.
                copy.world.tick = message.tick - 1
                copy.apply(message)
        except (ValueError, DivergedError):
            break  # The client closes the connection.
        for slot in copy.players:
            copy.position(slot)
        assert copy.world.snapshot().encode(), "a state that cannot be told"
    return frames


TARGETS: dict[str, Callable[[bytes], int]] = {
    "framing": framing,
    "decoding": decoding,
    "replica": replica,
    "client": client,
    "session": session,
    "gateway": gateway,
}


# --- Streams --------------------------------------------------------------------------------------


def head_and_stream(data: bytes) -> tuple[bytes, bytes]:
    """How a stream is served, and the stream: bytes as they are, or woven where the head says so."""
    head, rest = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
    return head, woven(rest) if head[2] & WOVEN else rest


def woven(data: bytes) -> bytes:
    """A stream of which most is whole frames, however the data is changed: a byte says how long the next
    payload is (1 to 16 bytes, or about as many as are allowed), or how many bytes go unframed."""
    stream, place = list[bytes](), 0
    while place < len(data):
        what, place = data[place], place + 1
        length = what & 15 if what >= 0xF0 else PAYLOAD_BYTES_MAX - 8 + (what & 15) if what >= 0xE0 else 1 + what % 16
        piece, place = data[place : place + length], place + length
        stream.append(piece if what >= 0xF0 else frame(piece))
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
    """What PROTOCOL.md says a stream is: payloads, whether it breaks after them, bytes that are left."""
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
    """All payloads that a piece completes, at most `limit` at a time."""
    payloads = some = deframer.receive(piece, limit)
    while limit is not None and some:
        assert len(some) <= limit, "more frames at a time than were asked for"
        some = deframer.receive(b"", limit)
        payloads = payloads + some
    return payloads


def is_sendable(message: ClientMessage | ServerMessage) -> bool:
    """Whether it may be encoded. An action with a column or an array in it is read, for the game to
    refuse it, but never written: that raises TypeError."""
    if not isinstance(message, Act) or all(isinstance(arg, Value) for action in message.actions for arg in action):
        return True
    try:
        message.encode()
    except TypeError:
        return False
    raise AssertionError(f"an action was encoded that could not be sent: {message.actions!r:.300}")


def are_equal(one: ClientMessage | ServerMessage, other: ClientMessage | ServerMessage) -> bool:
    """As text a NaN equals itself, and 1 is neither True nor 1.0; what is too deep for that, as bytes."""
    try:
        return repr(one) == repr(other)
    except RecursionError:
        return one.encode() == other.encode()


# --- A client -------------------------------------------------------------------------------------


NONSENSE = b"\xc1"
"""A payload that no client takes."""
DEFLATED: list[Callable[[bytes], bytes]] = [
    lambda payload: payload,
    lambda payload: Deflated(deflate(payload)).encode(),
    lambda payload: Deflated(payload).encode(),
    lambda payload: Deflated(deflate(payload[1:])[:-1] + payload[:1]).encode(),
    lambda payload: Deflated(deflate(payload * 100)).encode(),
    lambda payload: Deflated(deflate(payload) + payload[:2]).encode(),
]
"""Ways to send a payload: as it is, deflated, as if it were deflated already, spoilt, far too often, and with more."""


def inflating(payload: bytes) -> None:
    """What is deflated is a snapshot or a tick, as zlib inflates it, or a WireError."""
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
    """Writes down what it hears, to the end of it."""

    def __init__(self, deflate: bool) -> None:
        super().__init__("ann", deflate=deflate)
        self.heard: list[tuple[str, object]] = []
        self.on_welcome = lambda welcome: self.heard.append(("welcome", welcome))  # type: ignore[method-assign]
        self.on_snapshot = lambda payload: self.heard.append(("snapshot", payload))  # type: ignore[method-assign]
        self.on_tick = lambda payload: self.heard.append(("tick", payload))  # type: ignore[method-assign]
        self.on_refused = lambda refusal: self.heard.append(("refused", refusal))  # type: ignore[method-assign]
        self.on_pong = lambda pong: self.heard.append(("pong", pong))  # type: ignore[method-assign]


def listened(payloads: Sequence[bytes], deflate: bool) -> tuple[str, str | None]:
    """What a client hears of these, as text, in which a NaN equals itself; and the code with which it leaves."""
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
            transport.deliver(frame(payload))
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
    """Serves one session to its end, the peer reading `room` bytes per piece; returns why it ended."""
    fixture = SessionFixture(limits, room=room)
    session, transport, owner = fixture.session, fixture.transport, fixture.handler

    def answer(session: Session) -> None:
        payload = owner.received[-1]
        if payload == GOODBYE:
            session.end(CloseReason.CLIENT_LEFT)
            return
        session.queue(payload)
        session.flush()
        if payload[0] % 4 == 0:
            session.hold()

    owner.on_received = answer
    for piece in pieces:
        if transport.reading:
            transport.deliver(piece)
            fixture.loop.run()
        for _ in range(RELEASES_MAX):
            if transport.reading or transport.is_closing():
                break
            session.release()
            fixture.loop.run()
        else:
            raise AssertionError("it reads no more")
        if room is not None:
            transport.take(room)
    assert owner.received == heard, "it heard other frames than it was sent"
    assert session.reason is reason, f"{session.reason} where {reason} was due"
    assert session.is_over or session.state is SessionState.OPEN, session
    text = session.reason_text
    transport.deliver_eof()
    if room is not None:
        transport.take(len(echo) + 1000)
    fixture.loop.pass_time(limits.linger_seconds)
    assert session.state is SessionState.CLOSED, session
    assert session.reason is (reason or CloseReason.CONNECTION_LOST), session.reason
    assert bytes(transport.kernel) == echo + fixture.goodbye, "it said something else than it was to say"
    assert session.accepted_bytes == session.sent_bytes == len(transport.kernel)
    assert [word for word in owner.told if word not in ("stalled", "drained")] == ["opened", "ended", "gone"]
    assert fixture.loop.timers == 0, "a timer outlives its session"
    return text
