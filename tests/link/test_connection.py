"""One connection of a stream: what it hands to its transport, and how much it holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.link import connection as connection_module
from zoneserver.link.connection import LinkConnection, framed
from zoneserver.protocol.framing import Deframer, length_prefixed


class Transport:
    """A transport that takes bytes until it is full, and then as many as it is told."""

    def __init__(self, room: int) -> None:
        self.sent = bytearray()
        self.held = bytearray()
        self.room = room
        self.is_closed = False
        self.connection: Any = None

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 1

    def write(self, data: bytes | memoryview) -> None:
        assert not self.held, "it is written to while it is paused"
        self.held += data
        self.take(0)
        if self.held:
            self.connection.pause_writing()

    def take(self, room: int) -> None:
        self.room += room
        was_full = bool(self.held)
        self.sent += self.held[: self.room]
        taken = min(self.room, len(self.held))
        del self.held[:taken]
        self.room -= taken
        if was_full and room and not self.held:
            self.connection.resume_writing()

    def close(self) -> None:
        self.is_closed = True


@given(st.lists(st.integers(1, 60) | st.integers(-50, 0)), st.integers(0, 100))
def test_any_sends_and_reads_give_whole_payloads_in_order_and_a_bounded_queue(steps: list[int], room: int) -> None:
    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection_module, "QUEUE_BYTES_MAX", 64)
            patch.setattr(connection_module, "_PART_BYTES", 16)
            connection = LinkConnection(lambda _: None)
            transport: Any = Transport(room)
            transport.connection = connection
            connection.connection_made(transport)
            taken = []
            for number, step in enumerate(steps):
                if step <= 0:
                    transport.take(-step)
                    continue
                payload = bytes([number % 256]) * step
                waited = connection.queued_bytes
                is_taken = connection.send(*framed(payload))
                assert is_taken == (waited <= 64)
                taken += [payload] * is_taken
                assert connection.queued_bytes <= 64 + 64
                assert len(transport.held) <= 16
            connection.close()
            while transport.held:
                transport.take(10)
            assert transport.is_closed
            assert Deframer(1000).receive(bytes(transport.sent)) == taken
            assert connection.queued_bytes == 0
            connection.connection_lost(None)

    asyncio.run(main())


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_end_the_connection_or_are_payloads(data: bytes, size: int) -> None:
    async def main() -> None:
        received: list[bytes] = []
        connection = LinkConnection(received.append, 100)
        for start in range(0, len(data), size):
            connection.data_received(data[start : start + size])
        assert data.startswith(b"".join(map(length_prefixed, received)))
        assert all(0 < len(payload) <= 100 for payload in received)

    asyncio.run(main())
