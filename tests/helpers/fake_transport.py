"""A transport over a kernel that takes as many bytes as the test gives it room for."""

from __future__ import annotations

import asyncio
import errno

import pytest
from helpers.fake_loop import FakeLoop


def expect(condition: object, complaint: str) -> None:
    """Fails the test unless the condition holds, even within code that catches every Exception."""
    if not condition:
        pytest.fail(complaint)


class FakeTransport(asyncio.Transport):
    """A transport over a kernel that takes as many bytes as the test gives it room for.

    It behaves like asyncio's transport with a write buffer limited to zero: it sends at once, pauses the protocol
    while bytes are left, and resumes it when all are taken. A call that would fail on a real loop fails the test.
    """

    def __init__(self, loop: FakeLoop, protocol: asyncio.Protocol, room: int | None = None) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self.room = room
        """How many more bytes the kernel takes; None means no bound."""
        self.kernel = bytearray()
        """The bytes that the kernel has taken."""
        self.buffer = bytearray()
        """The bytes that were written and not taken: the send in flight."""
        self.sends: list[bytes] = []
        """The bytes of each send."""
        self.swallowed_bytes = 0
        """How many bytes were written after the connection broke. asyncio drops them silently."""
        self.reading = True
        self.at_eof = False
        self.broken = False
        self._closing = False
        self._resuming = False
        self._gone = False

    # --- Called by the session --------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        expect(not self._gone, "written to after connection_lost")
        expect(not self.buffer, "two sends in flight")
        if self.at_eof:
            raise RuntimeError("written to after write_eof")
        if self.broken:
            self.swallowed_bytes += len(data)
            return
        self.sends.append(bytes(data))
        self.buffer += data
        self._move()
        if self.buffer:
            self._protocol.pause_writing()

    def send(self, data: bytes) -> int:
        """The socket's send: takes what there is room for, or raises BlockingIOError."""
        expect(not self.buffer, "a frame overtakes what is in flight")
        expect(not self.at_eof, "a frame after the goodbye")
        if self.broken:
            raise OSError(errno.EBADF, "the socket is closed")
        count = len(data) if self.room is None else min(self.room, len(data))
        if not count:
            raise BlockingIOError
        self.sends.append(data[:count])
        self.kernel += data[:count]
        if self.room is not None:
            self.room -= count
        return count

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        expect((high, low) == (0, 0), "a write buffer that is not limited to zero")

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = not self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        expect(not self._gone, "write_eof after connection_lost")
        self.at_eof = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            # asyncio's transport calls connection_lost twice if it is closed there.
            expect(not self._resuming, "closed within resume_writing")
            self._closing, self.reading = True, False
            if not self.buffer:
                self._lose(None)

    def abort(self) -> None:
        expect(not self._gone, "aborted after connection_lost")
        expect(not self._resuming, "aborted within resume_writing")
        self.fail(None)

    # --- Called by the test -----------------------------------------------------------------------

    def take(self, count: int) -> None:
        """Gives the kernel room for `count` more bytes, and lets it take what waits."""
        self.room = (self.room or 0) + count
        waited = bool(self.buffer)
        self._move()
        if waited and not self.buffer:
            self._resuming = True
            try:
                self._protocol.resume_writing()
            finally:
                self._resuming = False
            if self._closing and not self.buffer:
                self._lose(None)

    def deliver(self, data: bytes) -> None:
        """Delivers bytes of the peer."""
        expect(self.reading, "the test delivers while reading is paused")
        self._protocol.data_received(data)

    def deliver_eof(self) -> None:
        """Delivers the end of the peer's stream."""
        expect(self.reading, "the test delivers while reading is paused")
        self.reading = False
        if not self._protocol.eof_received():
            self.close()

    def fail(self, error: Exception | None) -> None:
        """Breaks the connection. The protocol is told with the next turn."""
        if not self.broken:
            self._closing, self.reading = True, False
            self.buffer.clear()
            self._lose(error)

    def _move(self) -> None:
        count = len(self.buffer) if self.room is None else min(self.room, len(self.buffer))
        self.kernel += self.buffer[:count]
        del self.buffer[:count]
        if self.room is not None:
            self.room -= count

    def _lose(self, error: Exception | None) -> None:
        if not self.broken:
            self.broken = True
            self._loop.call_soon(self._connection_lost, error)

    def _connection_lost(self, error: Exception | None) -> None:
        self._gone = True
        self._protocol.connection_lost(error)
