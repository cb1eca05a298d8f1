"""A fuzz target: the frames of WebSocket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zoneserver.protocol.websocket import Opcode, WebSocketReader, frame, masked_frame

__all__ = ["HEAD_BYTES", "PAYLOAD_BYTES_MAX", "received", "splits", "web_frames", "web_stream"]

HEAD_BYTES = 4
"""How many bytes at the start of an input say how its stream is served, and whether it is of `web_stream`."""

PAYLOAD_BYTES_MAX = 200
"""A limit above 125, so that a short input reaches both lengths of a header and both sides of the limit."""
HEADER_BYTES_MAX = 14
LONG = bytes(range(256))
STATUS = (1000).to_bytes(2)


def web_frames(data: bytes) -> int:
    """Every split of a stream gives both roles equal payloads, pongs and errors, and what is held back is bounded.

    A frame counts once, although its stream is read with three splits.
    """
    first, second, limit, side = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")
    is_client = side % 2 == 1
    stream = web_stream(data[HEAD_BYTES:], is_client) if side & 2 else data[HEAD_BYTES:]
    outcomes = []
    for pieces in splits(stream, first, second):
        reader, payloads, replies = WebSocketReader(PAYLOAD_BYTES_MAX, is_client=is_client), list[bytes](), b""
        for piece in pieces:
            for payload in received(reader, piece, limit % 8 or None):
                payloads.append(payload)
                assert len(payload) <= PAYLOAD_BYTES_MAX, "a payload above the limit"
            replies += b"".join(reader.replies)
            reader.replies.clear()
            assert reader.buffered_bytes < HEADER_BYTES_MAX + 2 * PAYLOAD_BYTES_MAX, "more is held back than a message"
        assert not reader.is_ended or reader.error is not None, "the peer has ended a stream that goes on"
        assert reader.error is None or len(reader.error) <= 120, "an error that would fill the log"
        pongs = received(WebSocketReader(125, is_client=not is_client), replies, None)
        bye = WebSocketReader(PAYLOAD_BYTES_MAX, is_client=not is_client)
        said = bye.receive(reader.goodbye(b"bye", "CODE", True))
        assert bye.is_ended, f"a goodbye that a peer refuses: {bye.error}"
        assert said == ([] if reader.is_ended else [b"bye"])
        assert len(pongs) <= payloads.count(b""), "more pongs than control frames"
        # A pong of a client has a random mask, so its bytes differ; the number and the length do not.
        shown = len(replies) if is_client else replies
        outcomes.append((payloads, shown, reader.error, reader.is_ended, reader.buffered_bytes))
    assert all(outcome == outcomes[0] for outcome in outcomes), f"each split has its own outcome: {outcomes}"
    payloads, _, error, *_ = outcomes[0]
    return len(payloads) + (error is not None)


def received(reader: WebSocketReader, piece: bytes, limit: int | None) -> list[bytes]:
    """All payloads that a piece completes, read at most `limit` at a time."""
    payloads = some = reader.receive(piece, limit)
    while limit is not None and some:
        assert len(some) <= limit, "receive returned more payloads than its limit"
        some = reader.receive(b"", limit)
        payloads = payloads + some
    return payloads


def splits(stream: bytes, first: int, second: int) -> Iterator[Sequence[bytes]]:
    """The stream in one piece, byte by byte, and in pieces of two lengths in turn."""
    yield [stream]
    yield [stream[place : place + 1] for place in range(len(stream))]
    pieces, place = [], 0
    while place < len(stream):
        pieces.append(stream[place : place + 1 + (second if len(pieces) % 2 else first)])
        place += len(pieces[-1])
    yield pieces


def web_stream(data: bytes, is_client: bool) -> bytes:
    """A stream that consists mostly of frames that a reader of this role allows, however a fuzzer changes the data.

    A byte says what comes next: its low bits which opcode, its other bits how many bytes and whether more follow.
    """
    stream, place = list[bytes](), 0
    kinds = (Opcode.BINARY, Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING, Opcode.PONG, Opcode.CLOSE, Opcode.TEXT, 11)
    while place < len(data):
        what, place = data[place], place + 1
        opcode, length, goes_on = kinds[what & 7], what >> 3 & 15, what & 128
        payload, place = data[place : place + length], place + length
        if length == 15 and opcode <= Opcode.BINARY:
            payload += LONG[: 110 + (payload or b"\0")[0] % 100]
        elif opcode == Opcode.CLOSE and length:
            payload = STATUS + payload
        made = frame(payload, opcode) if is_client else masked_frame(payload, opcode, b"\1\2\3\4")
        stream.append(bytes((made[0] & 0x7F,)) + made[1:] if goes_on else made)
    return b"".join(stream)
