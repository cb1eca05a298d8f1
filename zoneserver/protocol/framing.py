"""Framing: what is put around a payload on the wire, and how payloads are taken out of received bytes.

`Framing` is the seam between a session and its bytes. TCP uses a length prefix: 4 bytes of big-endian
length, then the payload. Sans-I/O: bytes go in, payloads come out, however the network split the stream.
"""

from __future__ import annotations

import struct
from typing import Protocol

__all__ = ["HEADER_BYTES", "LENGTH_PREFIX", "Deframer", "Framing", "LengthPrefix", "PayloadReader", "length_prefixed"]

HEADER_BYTES = 4
# All deframers share it, so that reading a packet touches no object more: at a thousand players none is in a cache.
_NO_REPLIES: list[bytes] = []
_LARGE_BYTES = 64 * 1024
_LENGTH = struct.Struct(">I").unpack_from


class PayloadReader(Protocol):
    """The receiving half of one connection: takes payloads out of its bytes."""

    @property
    def error(self) -> str | None:
        """Why nothing more can be read from this connection; None while it can."""

    @property
    def is_ended(self) -> bool:
        """Whether nothing more can be read because the peer has ended the stream, by a means of the framing."""

    @property
    def replies(self) -> list[bytes]:
        """Answers of the framing itself, complete on the wire. The caller sends them before it answers the payloads
        of the same call, and clears the list."""

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        """Adds `data` and returns the payloads that are complete, at most `limit` of them.

        An empty payload stands for a part of the framing that carries no payload. It counts against the limit, so
        that a peer cannot make one call work for long. With a limit, whole payloads may stay behind: call again with
        `b""` until the answer is empty.
        """

    def goodbye(self, bye: bytes, code: str, retry: bool) -> bytes:
        """The last bytes to send on the connection: `bye`, the payload of a BYE with this code, and what ends the
        stream behind it. `retry` says whether a client may come back."""


class Framing(Protocol):
    """What one kind of connection puts around a payload. Stateless: all connections of a kind share one."""

    name: str
    """What operators call it."""
    overhead_bytes: int
    """Bytes that a client's payload takes on the wire beyond its own."""

    def wrap(self, payload: bytes) -> bytes:
        """The payload, complete on the wire."""

    def reader(self, payload_bytes_max: int) -> PayloadReader:
        """A reader for the bytes of one new connection. A payload above the limit is an error."""


def length_prefixed(payload: bytes) -> bytes:
    """One payload with its length before it, ready for a TCP stream."""
    return len(payload).to_bytes(HEADER_BYTES) + payload


class Deframer:
    """Reads length-prefixed payloads. Every split of one stream gives the same payloads.

    A length of zero or above `payload_bytes_max` is an error as soon as its four bytes are there. Payloads
    before it are returned, `error` says what is wrong, and later bytes are ignored.

    >>> deframer = Deframer(payload_bytes_max=16)
    >>> deframer.receive(bytes.fromhex("0000000161000000")), deframer.receive(bytes.fromhex("0162"))
    ([b'a'], [b'b'])
    """

    __slots__ = ("_buffer", "_payload_bytes_max", "error", "replies")

    is_ended = False

    def __init__(self, payload_bytes_max: int) -> None:
        self._payload_bytes_max = payload_bytes_max
        self.error: str | None = None
        self.replies = _NO_REPLIES
        # Bytes received that are no whole payload yet, or wait for the next turn.
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes held back: the beginning of a payload, or whole payloads beyond the last call's limit."""
        return len(self._buffer)

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        # Nearly every read of a real client is exactly one payload: no copy through the buffer.
        if not self._buffer and len(data) > HEADER_BYTES and self.error is None:
            (length,) = _LENGTH(data)
            if length == len(data) - HEADER_BYTES and length <= self._payload_bytes_max:
                return [data[HEADER_BYTES:]]
        self._buffer += data
        buffer, payloads, start = self._buffer, list[bytes](), 0
        if self.error is not None:
            buffer.clear()
        while len(buffer) - start >= HEADER_BYTES and (limit is None or len(payloads) < limit):
            body = start + HEADER_BYTES
            length = int.from_bytes(buffer[start:body])
            if not 0 < length <= self._payload_bytes_max:
                self.error = f"frame of {length} bytes, allowed are 1 to {self._payload_bytes_max}"
                buffer.clear()
                return payloads
            if len(buffer) - body < length:
                break
            # A view saves a copy, and costs more than one of few bytes.
            whole = buffer if length < _LARGE_BYTES else memoryview(buffer)
            payloads.append(bytes(whole[body : body + length]))
            del whole
            start = body + length
        # Deleting at the front of a bytearray moves no memory.
        del buffer[:start]
        return payloads

    def goodbye(self, bye: bytes, code: str, retry: bool) -> bytes:
        return length_prefixed(bye)


class LengthPrefix:
    """The framing of TCP."""

    name = "tcp"
    overhead_bytes = HEADER_BYTES
    wrap = staticmethod(length_prefixed)
    reader = Deframer


LENGTH_PREFIX = LengthPrefix()
