"""The TCP door: who holds a port, and who is let in through it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from conftest import Connect

from zoneserver.listeners import tcp


def test_a_port_is_held_as_soon_as_it_is_bound() -> None:
    with tcp.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            tcp.bind("127.0.0.1", port)


async def test_who_connects_before_anybody_accepts_is_let_in(
    cleanup: contextlib.AsyncExitStack, connect: Connect
) -> None:
    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello")
            transport.close()

    sock = tcp.bind("127.0.0.1", 0)
    clients = [await connect(sock.getsockname()[1]) for _ in range(3)]
    server = await tcp.listen(sock, Greeting)
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    loop = asyncio.get_running_loop()
    for client in [*clients, await connect(sock.getsockname()[1])]:
        async with asyncio.timeout(10):
            assert await loop.sock_recv(client.sock, 100) == b"hello"
