"""The TCP door: who holds a port, and who is let in through it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest
from helpers.raw_client import Connect
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.gateway.listeners import tcp


def test_bound_port_cannot_be_bound_again() -> None:
    with tcp.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            tcp.bind("127.0.0.1", port)


async def test_connection_made_before_the_listener_is_accepted(
    cleanup: contextlib.AsyncExitStack, connect: Connect
) -> None:
    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello")
            transport.close()

    sock = tcp.bind("127.0.0.1", 0)
    clients = [await connect(sock.getsockname()[1]) for _ in range(3)]
    server = tcp.Listener(sock, lambda _: Greeting())
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    loop = asyncio.get_running_loop()
    for client in [*clients, await connect(sock.getsockname()[1])]:
        async with asyncio.timeout(10):
            assert await loop.sock_recv(client.sock, 100) == b"hello"


async def test_waiting_crowd_is_accepted_within_a_few_turns_of_the_loop(
    cleanup: contextlib.AsyncExitStack, connect: Connect
) -> None:
    made, turns = 0, 0

    class Passing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            nonlocal made
            made += 1
            transport.close()

    sock = tcp.bind("127.0.0.1", 0)
    for _ in range(100):
        await connect(sock.getsockname()[1])
    listener = tcp.Listener(sock, lambda _: Passing())
    cleanup.push_async_callback(listener.wait_closed)
    cleanup.callback(listener.close)
    while made < 100:
        await asyncio.sleep(0)
        turns += 1
        # As many as a turn takes, and not all at once: the others have their turns.
        assert made <= 64 * turns
    # A connection takes a loop some turns until it stands.
    assert turns < 20


async def test_listener_without_descriptors_pauses_and_loses_no_connection(
    cleanup: contextlib.AsyncExitStack,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello")
            transport.close()

    accept, failures = socket.socket.accept, iter([errno.EMFILE, errno.ENFILE])

    def poor(sock: socket.socket) -> tuple[socket.socket, Any]:
        for number in failures:
            raise OSError(number, os.strerror(number))
        return accept(sock)

    monkeypatch.setattr(socket.socket, "accept", poor)
    monkeypatch.setattr(tcp, "_RETRY_SECONDS", 0.01)
    sock = tcp.bind("127.0.0.1", 0)
    listener = tcp.Listener(sock, lambda _: Greeting())
    cleanup.push_async_callback(listener.wait_closed)
    cleanup.callback(listener.close)
    client = await connect(sock.getsockname()[1])
    async with asyncio.timeout(10):
        assert await asyncio.get_running_loop().sock_recv(client.sock, 100) == b"hello"
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "cannot accept connections: Too many open files",
        "cannot accept connections: Too many open files in system",
    ]


async def test_closed_listener_does_not_resume_after_its_pause(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def poor(_sock: socket.socket) -> tuple[socket.socket, Any]:
        raise OSError(errno.EMFILE, "none left")

    monkeypatch.setattr(socket.socket, "accept", poor)
    monkeypatch.setattr(tcp, "_RETRY_SECONDS", 0.01)
    sock = tcp.bind("127.0.0.1", 0)
    listener = tcp.Listener(sock, lambda _: asyncio.Protocol())
    await connect(sock.getsockname()[1])
    await until(lambda: caplog.records)
    listener.close()
    await listener.wait_closed()
    told, woken = len(caplog.records), asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, woken.set)
    await woken.wait()
    assert len(caplog.records) == told


class Accepted(asyncio.Protocol):
    """Puts the transport of an accepted connection where a test can wait for it."""

    def __init__(self, accepted: asyncio.Future[asyncio.BaseTransport]) -> None:
        self.accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.accepted.set_result(transport)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection inherits nothing")
async def test_accepted_socket_inherits_the_options_of_the_listener(cleanup: AsyncExitStack, connect: Connect) -> None:
    limits = Limits(socket_send_bytes=32 * 1024, tcp_user_timeout_seconds=3.0)
    accepted: asyncio.Future[asyncio.BaseTransport] = asyncio.get_running_loop().create_future()
    listener = tcp.bind("127.0.0.1", 0, limits)
    port = listener.getsockname()[1]
    server = tcp.Listener(listener, lambda _: Accepted(accepted))
    cleanup.callback(server.close)
    await connect(port)
    transport = await accepted
    cleanup.callback(transport.close)
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * limits.socket_send_bytes  # Linux doubles it
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
