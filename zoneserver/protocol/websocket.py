"""The frames of WebSocket (RFC 6455), in which a browser's payloads travel.

Sans-I/O and for both roles: a server uses `WEBSOCKET`, and a client uses `WEBSOCKET_CLIENT`, which masks what it
sends. A message is binary and has exactly one payload. No extension is ever agreed on, since a payload may be a
DEFLATED message.
"""

from __future__ import annotations

import os
from typing import ClassVar

from zoneserver.protocol.framing import PayloadReader

__all__ = [
    "NO_RETRY",
    "RETRY",
    "WEBSOCKET",
    "WEBSOCKET_CLIENT",
    "Opcode",
    "WebSocketReader",
    "frame",
    "masked_frame",
]

RETRY, NO_RETRY = 4000, 4001
"""The statuses with which a server closes: whether a client may come back."""

_PROTOCOL_ERROR, _UNSUPPORTED, _INVALID, _TOO_BIG = 1002, 1003, 1007, 1009
_integer = int.from_bytes
# The least length of a payload by where its header ends, beyond the short one: a length takes as few bytes as it can.
_LENGTH_MIN = {4: 126, 10: 65536}
# The statuses that a close frame may carry: those that are registered for the wire, and those free for use.
_STATUSES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


class Opcode:
    """The opcodes of RFC 6455."""

    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def _head(first: int, length: int, mask_bit: int) -> bytes:
    """The first bytes of a frame, up to its mask."""
    if length < 126:
        return bytes((first, mask_bit | length))
    if length < 65536:
        return bytes((first, mask_bit | 126)) + length.to_bytes(2)
    return bytes((first, mask_bit | 127)) + length.to_bytes(8)


def frame(payload: bytes, opcode: int = Opcode.BINARY) -> bytes:
    """One message as a server sends it: in one frame, without a mask."""
    return _head(0x80 | opcode, len(payload), 0) + payload


def masked_frame(payload: bytes, opcode: int = Opcode.BINARY, mask: bytes | None = None) -> bytes:
    """One message as a client sends it: in one frame, with a mask of four bytes, by default random."""
    mask = os.urandom(4) if mask is None else mask
    return _head(0x80 | opcode, len(payload), 0x80) + mask + _masked(payload, mask)


def _masked(data: bytes, mask: bytes) -> bytes:
    """The data, masked or unmasked, which is the same operation. Integers do it quickly for any length."""
    length = len(data)
    key = (mask * ((length >> 2) + 1))[:length]
    return (_integer(data) ^ _integer(key)).to_bytes(length)


def _start_and_length(head: bytes | bytearray) -> tuple[int, int]:
    """Where the mask of a frame begins, or its payload if it has none, and the length of the payload.

    The length is wrong if fewer bytes than up to that place are there.
    """
    length = head[1] & 0x7F
    if length < 126:
        return 2, length
    start = 4 if length == 126 else 10
    return start, int.from_bytes(head[2:start])


class WebSocketReader:
    """Reads the frames of one connection. Every split of one stream gives the same payloads.

    A payload is a binary message, whether in one frame or in fragments. A ping, a pong and a fragment that ends no
    message are an empty payload each. Pongs stand in `replies`. A frame is refused on its header, and then `error`
    says why. A frame is held back only until it is whole, and a message only up to `payload_bytes_max`.

    >>> reader = WebSocketReader(payload_bytes_max=16)
    >>> reader.receive(masked_frame(b"hello")), reader.receive(masked_frame(b"", Opcode.PING)), reader.replies
    ([b'hello'], [b''], [b'\\x8a\\x00'])
    """

    __slots__ = (
        *("_buffer", "_is_between", "_mask_bit", "_mask_bytes", "_message", "_opcode", "_payload_bytes_max"),
        *("_short_bytes_max", "_short_head_bytes", "_wrap", "close_status", "error", "is_ended", "replies"),
    )

    DATA_OPCODES: ClassVar[frozenset[int]] = frozenset({Opcode.BINARY})
    """The kinds of message that are accepted."""

    def __init__(self, payload_bytes_max: int, *, is_client: bool = False) -> None:
        self._payload_bytes_max = payload_bytes_max
        # The mask bit and the length of the mask in a frame of the peer.
        self._mask_bit, self._mask_bytes = (0, 0) if is_client else (0x80, 4)
        self._wrap = masked_frame if is_client else frame
        # The header of a short frame, with its mask; and the longest payload with such a header.
        self._short_head_bytes, self._short_bytes_max = 2 + self._mask_bytes, min(125, payload_bytes_max)
        self.error: str | None = None
        self.is_ended = False
        self.replies: list[bytes] = []
        # Bytes received that are no whole frame yet, or wait for the next turn.
        self._buffer = bytearray()
        # True exactly while the next byte begins a message: nothing is held back, and the stream goes on.
        self._is_between = True
        # The opcode of the message whose last fragment is missing, or 0; and the bytes of the others.
        self._opcode, self._message = 0, b""
        self.close_status: int | None = None
        """The status with which the peer closed, or that of RFC 6455 for the violation in `error`, if there is one."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes held back: of frames, and of a message whose last fragment is missing."""
        return len(self._buffer) + len(self._message)

    def receive(self, data: bytes, limit: int | None = None) -> list[bytes]:
        # Nearly every read of a real peer is exactly one binary message, and that of a player is short: no copy through
        # the buffer, and no call of a function.
        size = len(data) - self._short_head_bytes
        if (
            self._is_between
            and 0 < size <= self._short_bytes_max
            and data[0] == 0x82
            and data[1] == size | self._mask_bit
        ):
            if not self._mask_bit:
                return [data[2:]]
            return [(_integer(data[6:]) ^ _integer((data[2:6] * 32)[:size])).to_bytes(size)]
        self._buffer += data
        payloads: list[bytes] = []
        while self.error is None and (limit is None or len(payloads) < limit):
            payload = self._next()
            if payload is None:
                break
            payloads.append(payload)
        if self.error is not None:
            self._buffer.clear()
            self._message = b""
        self._is_between = self.error is None and not self._buffer and not self._opcode
        return payloads

    def _next(self) -> bytes | None:
        """Takes one frame out of the buffer. None if it is not whole yet, has ended the stream or is an error."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, opcode = buffer[0], buffer[0] & 0x0F
        if violation := self._header_violation(first, buffer[1]):
            self._fail(*violation)
            return None
        start, length = _start_and_length(buffer)
        if len(buffer) < start:
            return None
        if start > 2 and length < _LENGTH_MIN[start]:
            self._fail(_PROTOCOL_ERROR, f"a length of {length} in {start - 2} bytes")
            return None
        size, body = len(self._message) + length, start + self._mask_bytes
        if opcode < Opcode.CLOSE and size > self._payload_bytes_max:
            self._fail(_TOO_BIG, f"frame of {size} bytes, allowed are 1 to {self._payload_bytes_max}")
            return None
        if len(buffer) < body + length:
            return None
        payload = bytes(buffer[body : body + length])
        if self._mask_bytes:
            payload = _masked(payload, bytes(buffer[start:body]))
        # Deleting at the front of a bytearray moves no memory.
        del buffer[: body + length]
        if opcode == Opcode.CLOSE:
            self._close(payload)
            return None
        if opcode > Opcode.CLOSE:
            if opcode == Opcode.PING:
                self.replies.append(self._wrap(payload, Opcode.PONG))
            return b""
        self._opcode = self._opcode or opcode
        self._message += payload
        if first < 0x80:
            return b""
        opcode, message, self._opcode, self._message = self._opcode, self._message, 0, b""
        return self._complete(opcode, message)

    def _header_violation(self, first: int, second: int) -> tuple[int, str] | None:
        """What is wrong with the first two bytes of a frame: a status and a text."""
        opcode = first & 0x0F
        if first & 0x70:
            return _PROTOCOL_ERROR, "a frame with reserved bits, but no extension was agreed on"
        if second & 0x80 != self._mask_bit:
            return _PROTOCOL_ERROR, "a frame without a mask" if self._mask_bit else "a masked frame"
        if opcode > Opcode.PONG or Opcode.BINARY < opcode < Opcode.CLOSE:
            return _PROTOCOL_ERROR, f"a frame with the reserved opcode {opcode}"
        if opcode >= Opcode.CLOSE:
            if first < 0x80 or second & 0x7F > 125:
                return _PROTOCOL_ERROR, "a control frame in fragments or of more than 125 bytes"
        elif (opcode == Opcode.CONTINUATION) is not bool(self._opcode):
            return _PROTOCOL_ERROR, "a message within another message" if opcode else "a fragment of no message"
        elif opcode and opcode not in self.DATA_OPCODES:
            return _UNSUPPORTED, "a text message, but all messages are binary"
        return None

    def _complete(self, opcode: int, message: bytes) -> bytes | None:
        """The payload in a whole message. None if it is an error."""
        if not message:
            self._fail(None, f"frame of 0 bytes, allowed are 1 to {self._payload_bytes_max}")
            return None
        return message

    def _close(self, payload: bytes) -> None:
        """The peer's close frame. It may be empty."""
        status = int.from_bytes(payload[:2]) if payload else None
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            self._fail(_INVALID, "a close frame whose reason is not UTF-8")
            return
        if payload and (len(payload) == 1 or status not in _STATUSES):
            self._fail(_PROTOCOL_ERROR, f"a close frame with the status {status}")
            return
        self._fail(status, "the peer closed the connection")
        self.is_ended = True

    def _fail(self, status: int | None, text: str) -> None:
        """Ends the stream: nothing is read any more."""
        self.close_status, self.error = status, text

    def goodbye(self, bye: bytes, code: str, retry: bool) -> bytes:
        """BYE and a close frame: 4000 if a client may come back, 4001 if not, or the status of its violation.

        A peer that has closed already gets its own status back, and nothing else.
        """
        if self.is_ended:
            return self._wrap(b"" if self.close_status is None else self.close_status.to_bytes(2), Opcode.CLOSE)
        status = self.close_status or (RETRY if retry else NO_RETRY)
        return self._wrap(bye) + self._wrap(status.to_bytes(2) + code.encode(), Opcode.CLOSE)


class _Server:
    """The framing of a server's connections."""

    name = "web"
    overhead_bytes = 6
    wrap = staticmethod(frame)
    reader = WebSocketReader


class _Client:
    """The framing of a client's connection."""

    name = "web"
    overhead_bytes = 6
    wrap = staticmethod(masked_frame)

    def reader(self, payload_bytes_max: int) -> PayloadReader:
        return WebSocketReader(payload_bytes_max, is_client=True)


WEBSOCKET, WEBSOCKET_CLIENT = _Server(), _Client()
