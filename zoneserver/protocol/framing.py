"""Length-prefixed frames over a byte stream: 4 bytes of big-endian length, then so many bytes.

Sans-I/O: bytes go in, payloads come out, whatever the network did to the stream in between.
"""

from __future__ import annotations

import struct

__all__ = ["HEADER_BYTES", "Deframer", "frame"]

HEADER_BYTES = 4
_LENGTH = struct.Struct(">I").unpack_from


def frame(payload: bytes) -> bytes:
    """One payload with its length before it, ready for the stream.

    >>> frame(b"abc").hex()
    '00000003616263'
    """
    return len(payload).to_bytes(HEADER_BYTES) + payload


class Deframer:
    """Takes a stream apart again. Every split of the same stream gives the same payloads.

    A length of zero or above `payload_bytes_max` is an error as soon as its four bytes are there: the
    frames before it are given, `error` says what is wrong, and nothing is kept or given any more.

    >>> deframer = Deframer(payload_bytes_max=16)
    >>> deframer.receive(bytes.fromhex("0000000161000000")), deframer.receive(bytes.fromhex("0162"))
    ([b'a'], [b'b'])
    """

    __slots__ = ("_buffer", "_payload_bytes_max", "error")

    def __init__(self, payload_bytes_max: int) -> None:
        self._payload_bytes_max = payload_bytes_max
        self.error: str | None = None
        """Why nothing more can be read from this stream; None while it can."""
        # Bytes received that do not make up a whole frame yet, or wait for the next turn.
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """Bytes held back: a frame's beginning, or whole frames beyond the last call's limit."""
        return len(self._buffer)

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        """Adds `data` and returns the payloads that are complete, at most `limit` of them.

        With a limit, whole frames may stay behind: call again with `b""` until the answer is empty.
        """
        # Nearly every read of a real client is exactly one frame: no copy through the buffer.
        if not self._buffer and len(data) > HEADER_BYTES and self.error is None:
            (length,) = _LENGTH(data)
            if length == len(data) - HEADER_BYTES and length <= self._payload_bytes_max:
                return [data[HEADER_BYTES:]]
        self._buffer += data
        return self._take(limit)

    def _take(self, limit: int | None) -> list[bytes]:
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
            payloads.append(bytes(buffer[body : body + length]))
            start = body + length
        # Deleting at the front of a bytearray moves no memory.
        del buffer[:start]
        return payloads
