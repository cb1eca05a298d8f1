"""The TCP listener: binding a port and accepting connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import sys
from contextlib import AsyncExitStack
from typing import Any

import pytest
import zoneclient
from helpers.gateway_fixture import OpenGateway
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.listeners import tcp
from zoneserver.protocol.messages import Goodbye
from zoneserver.support.format import format_address


def test_bound_port_cannot_be_bound_again() -> None:
    with tcp.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            tcp.bind("127.0.0.1", port)


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the name localhost the address ::1, and then 127.0.0.1. Skips the test on a machine without IPv6."""
    try:
        tcp.bind("::1", 0).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    resolve = socket.getaddrinfo

    def both(host: str, port: int, **more: Any) -> list[Any]:
        hosts = ("::1", "127.0.0.1", "127.0.0.1") if host == "localhost" else (host,)
        return [found for each in hosts for found in resolve(each, port, **more)]

    monkeypatch.setattr("socket.getaddrinfo", both)


@pytest.mark.usefixtures("two_addresses")
def test_name_is_bound_on_all_its_addresses_with_one_port() -> None:
    first, second = tcp.bind_all("localhost", 0, Limits())
    with first, second:
        port = first.getsockname()[1]
        assert [sock.getsockname()[:2] for sock in (first, second)] == [("::1", port), ("127.0.0.1", port)]
        with pytest.raises(OSError, match="in use"):
            tcp.bind_all("localhost", port, Limits())


@pytest.mark.usefixtures("two_addresses")
def test_port_0_is_a_port_that_is_free_on_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with tcp.bind("127.0.0.1", 0) as taken:
        ports = iter([taken.getsockname()[1], taken.getsockname()[1], 0])
        bind = tcp._bind

        def bind_taken(address: Any, limits: Limits | None, **more: Any) -> socket.socket:
            if address[1][:2] == ("::1", 0):
                address = (address[0], ("::1", next(ports), 0, 0))
            return bind(address, limits, **more)

        monkeypatch.setattr(tcp, "_bind", bind_taken)
        first, second = tcp.bind_all("localhost", 0, Limits())
        with first, second:
            assert first.getsockname()[1] == second.getsockname()[1] != taken.getsockname()[1]


@pytest.mark.usefixtures("two_addresses")
@pytest.mark.parametrize("missing", [("::1",), ("127.0.0.1",), ("::1", "127.0.0.1")], ids="-".join)
def test_address_that_the_system_lacks_is_left_out(missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    bind = tcp._bind

    def bind_present(address: Any, limits: Limits | None, **more: Any) -> socket.socket:
        if address[1][0] in missing:
            raise OSError(errno.EADDRNOTAVAIL, "cannot assign")
        return bind(address, limits, **more)

    monkeypatch.setattr(tcp, "_bind", bind_present)
    if len(missing) == 2:
        with pytest.raises(OSError, match="cannot assign"):
            tcp.bind_all("localhost", 0, Limits())
    else:
        (sock,) = tcp.bind_all("localhost", 0, Limits())
        with sock:
            assert sock.getsockname()[0] not in missing


@pytest.mark.usefixtures("two_addresses")
async def test_players_join_at_each_address_of_localhost(open_server: OpenServer) -> None:
    server = await open_server(Plaza, host="localhost")
    assert server.addresses == [f"[::1]:{server.port}", f"127.0.0.1:{server.port}"]
    for host in ("::1", "127.0.0.1"):
        async with zoneclient.connect(host, server.port, name="ann") as zone:
            await anext(zone)


async def test_connection_made_before_the_listener_is_accepted(
    cleanup: contextlib.AsyncExitStack, connect: Connect
) -> None:
    class Greeting(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"hello")
            transport.close()

    sock = tcp.bind("127.0.0.1", 0)
    clients = [await connect(sock.getsockname()[1]) for _ in range(3)]
    server = tcp.Listener(sock, lambda *_: Greeting())
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
    listener = tcp.Listener(sock, lambda *_: Passing())
    cleanup.push_async_callback(listener.wait_closed)
    cleanup.callback(listener.close)
    while made < 100:
        await asyncio.sleep(0)
        turns += 1
        # A turn accepts a bounded number, so that others have their turns.
        assert made <= 64 * turns
    # A loop takes some turns to connect a protocol.
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
    listener = tcp.Listener(sock, lambda *_: Greeting())
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
    listener = tcp.Listener(sock, lambda *_: asyncio.Protocol())
    await connect(sock.getsockname()[1])
    await until(lambda: caplog.records)
    listener.close()
    await listener.wait_closed()
    told, woken = len(caplog.records), asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, woken.set)
    await woken.wait()
    assert len(caplog.records) == told


class Accepted(asyncio.Protocol):
    """A protocol that hands its transport to a future."""

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
    server = tcp.Listener(listener, lambda *_: Accepted(accepted))
    cleanup.callback(server.close)
    await connect(port)
    transport = await accepted
    cleanup.callback(transport.close)
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * limits.socket_send_bytes  # Linux doubles it
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000


async def test_connection_that_is_reset_before_accept_has_the_address_that_accept_returned(
    cleanup: contextlib.AsyncExitStack, connect: Connect
) -> None:
    accepted: list[Any] = []

    def accept(_sock: socket.socket, address: tcp.PeerAddress) -> asyncio.Protocol:
        accepted.append(address)
        return asyncio.Protocol()

    sock = tcp.bind("127.0.0.1", 0)
    client = await connect(sock.getsockname()[1], host="127.0.0.9")
    address = client.sock.getsockname()
    reset(client.sock)
    listener = tcp.Listener(sock, accept)
    cleanup.push_async_callback(listener.wait_closed)
    cleanup.callback(listener.close)
    await until(lambda: bool(accepted))
    assert accepted == [address]


def reset(sock: socket.socket) -> None:
    """Closes a socket so that its peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_player_whose_connection_was_reset_after_hello_comes_back_under_the_name(
    open_gateway: OpenGateway, connect: Connect
) -> None:
    node = await open_gateway(Plaza, hz=20)
    for number in range(20):
        # Both connections wait in the backlog while the first one is reset.
        lost, back = [await connect(node.port, host="127.0.0.9") for _ in range(2)]
        await lost.hello(f"ann {number}")
        reset(lost.sock)
        await back.hello(f"ann {number}")
        address = format_address(*back.sock.getsockname())
        await until(lambda address=address: address in {each.session.address for each in node.gateway.players})
        node.tick()
        await back.welcomed()
        await back.say(Goodbye())
        assert (await back.ended()).code == "CLIENT_LEFT"
        back.sock.close()
        await until(lambda: not node.gateway.connections)
    assert not any(closed.address.startswith("?") for closed in node.gateway.closed)
