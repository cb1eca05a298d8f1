"""The relay of the tests cuts connections as a network does."""

from __future__ import annotations

import asyncio
import contextlib

from helpers.relay import HOST, Relay


async def test_half_closed_relay_passes_bytes_on_while_the_server_goes_on_sending(
    cleanup: contextlib.AsyncExitStack,
) -> None:
    arrived: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while byte := await reader.read(1):
                writer.write(b"answer")
                await writer.drain()
                arrived.put_nowait(byte)

    server = await asyncio.start_server(answer, HOST, 0)
    cleanup.callback(server.close)
    relay = await Relay(server.sockets[0].getsockname()[1]).open(cleanup)
    reader, writer = await asyncio.open_connection(HOST, relay.port)
    cleanup.callback(writer.close)
    writer.write(b"1")
    assert await reader.readexactly(6) == b"answer"
    relay.half_close(client=True)
    assert await reader.read() == b""
    for byte in (b"2", b"3", b"4"):
        writer.write(byte)
    assert [await arrived.get() for _ in range(4)] == [b"1", b"2", b"3", b"4"]
