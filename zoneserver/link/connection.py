"""One connection of a stream: payloads with their length before each, and a bounded queue of those that wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from zoneserver.link.carrier import PAYLOAD_BYTES_MAX, QUEUE_BYTES_MAX
from zoneserver.protocol.framing import HEADER_BYTES, Deframer, length_prefixed

__all__ = [
    "CLOSED_BY_PEER",
    "CLOSE_SECONDS",
    "FIRST_SECONDS",
    "RIGHT_TOKEN",
    "SPEAKS_TLS",
    "WRONG_TOKEN",
    "LinkConnection",
    "framed",
]

CLOSE_SECONDS = 1.0
"""How long a connection that closes waits for the other end to read what was sent."""

FIRST_SECONDS = 2.0
"""How long a connection may take for the TLS handshake and the first payload, at either end."""

RIGHT_TOKEN, WRONG_TOKEN = b"right token", b"wrong token"
"""What a zone answers to the first payload of a connection by TCP."""

CLOSED_BY_PEER = "the other end closed the connection"
"""Why a connection ended that the other end closed without an error."""

SPEAKS_TLS = "it speaks TLS, and this end does not"
"""Why a connection ended whose other end began a TLS handshake."""

# How a TLS handshake begins. As the length of a payload it is far above the bound.
_TLS_HELLO = b"\x16\x03"
# How much is handed to the transport at once. By TLS a turn of the loop encrypts no more.
_PART_BYTES = 256 * 1024


def framed(payload: bytes) -> tuple[bytes, ...]:
    """A payload with its length before it, in parts that any number of connections may send."""
    assert 0 < len(payload) <= PAYLOAD_BYTES_MAX, f"the payload has {len(payload)} bytes"
    if len(payload) < _PART_BYTES:
        return (length_prefixed(payload),)
    # A copy of millions of bytes takes milliseconds.
    return len(payload).to_bytes(HEADER_BYTES), payload


class LinkConnection(asyncio.Protocol):
    """A connection that takes and gives payloads. `receive` is called for each payload, and may be replaced.

    The transport holds one part at most, and what it does not take yet waits here: by TLS a transport does not tell
    all that it holds.
    """

    def __init__(self, receive: Callable[[bytes], None], payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self.receive = receive
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed; the result says why."""
        self._deframer = Deframer(payload_bytes_max)
        self._transport: asyncio.Transport | None = None
        # The payloads that wait, framed; the first may be the rest of one.
        self._queue: deque[memoryview] = deque()
        self._queued_bytes = 0
        # True from the moment when the transport holds bytes until it has none.
        self._is_paused = False
        self._is_closing = False
        self._why = ""
        self._patience: asyncio.TimerHandle | None = None

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait for the transport."""
        return self._queued_bytes

    def allow(self, payload_bytes_max: int) -> bool:
        """Changes the bound of the payloads that are read. Returns False if a part of the next payload is there
        already: it has been read by the former bound."""
        is_between = not self._deframer.buffered_bytes
        self._deframer = Deframer(payload_bytes_max)
        return is_between

    def send(self, *parts: bytes) -> bool:
        """Sends a payload, in parts as `framed` gives them. Returns False if too many bytes wait, and it is skipped."""
        if self._is_closing or self._queued_bytes > QUEUE_BYTES_MAX:
            return False
        for part in parts:
            self._queue.append(memoryview(part))
            self._queued_bytes += len(part)
        self._flush()
        return True

    def close(self, why: str = "") -> None:
        """Reads no more, and closes the connection when all is sent, or after CLOSE_SECONDS."""
        if self._is_closing:
            return
        self._is_closing, self._why = True, why
        if self._transport is not None:
            self._patience = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)
            self._flush()

    def abort(self, why: str = "") -> None:
        """Closes the connection at once."""
        self._is_closing, self._why = True, self._why or why
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # With this limit uvloop sends at once and not at the end of the turn, in which a tick may send to players for a
        # long time. With 0 a transport of TLS would pause and resume by turns.
        self._transport.set_write_buffer_limits(1)
        if self._is_closing:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        deframer = self._deframer
        for payload in deframer.receive(data):
            self.receive(payload)
            if self._is_closing:
                return
        if deframer.error is not None:
            self.abort(SPEAKS_TLS if data.startswith(_TLS_HELLO) else f"it sent a {deframer.error}")

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closing = True
        self._queue.clear()
        self._queued_bytes = 0
        if self._patience is not None:
            self._patience.cancel()
        text = getattr(error, "strerror", None) or str(error or "") or CLOSED_BY_PEER
        if not self.ended.done():
            self.ended.set_result(self._why or text)

    def _flush(self) -> None:
        """Hands the transport as many parts as it takes."""
        if self._transport is None:
            return
        while self._queue and not self._is_paused:
            part = self._queue.popleft()
            if len(part) > _PART_BYTES:
                self._queue.appendleft(part[_PART_BYTES:])
                part = part[:_PART_BYTES]
            self._queued_bytes -= len(part)
            self._transport.write(part)
        if self._is_closing and not self._queue:
            self._transport.close()
