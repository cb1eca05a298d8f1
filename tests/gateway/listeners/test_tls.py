"""The TLS listener: sessions over TLS, and bounded handshakes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable

import pytest
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.tls import Pki
from helpers.waiting import PATIENCE_SECONDS, until
from zoneclient import JoinRefusedError, connect

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.listeners import tls
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Rules


async def test_tls_players_see_equal_states(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key)
    async with (
        connect("127.0.0.1", server.port, name="ann", tls=pki.context) as ann,
        connect("127.0.0.1", server.port, name="bob", tls=pki.context, deflate=True) as bob,
    ):
        assert (ann.is_deflated, bob.is_deflated) == (False, True)
        ann.act("say", "hello")
        async for update in bob:
            if update.events:
                assert update.events[0].values == ("hello",)
                break
        while bob.replica.hashes_checked < 1:
            await anext(bob)
    await until(lambda: server.gateway.connections == 0)
    assert server.gateway.counters.closes == {"CLIENT_LEFT": 2}


async def test_tls_client_that_does_not_trust_the_certificate_fails(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        async with connect("127.0.0.1", server.port, name="ann", tls=ssl.create_default_context()):
            pass
    async with connect("127.0.0.1", server.port, name="ann", tls=pki.context) as zone:
        await anext(zone)


async def test_rejection_reaches_a_tls_client(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, secret=b"a secret of the tests")
    with pytest.raises(JoinRefusedError, match="BAD_TICKET"):
        async with connect("127.0.0.1", server.port, name="ann", tls=pki.context):
            pass


class Noisy(Rules):
    def on_tick(self) -> None:
        self.emit("noise", bytes(8192))


async def test_tls_client_that_never_reads_is_ended(open_server: OpenServer, pki: Pki) -> None:
    limits = Limits(socket_send_bytes=16 * 1024, stall_seconds=0.3, linger_seconds=0.1)
    server = await open_server(Noisy, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    from zoneclient.protocol import ClientProtocol

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        lambda: ClientProtocol("stuck"), "127.0.0.1", server.port, ssl=pki.context
    )
    transport.pause_reading()
    await until(lambda: server.gateway.counters.closes)
    assert server.gateway.counters.closes == {"SLOW_CONSUMER": 1}
    transport.abort()
    await until(lambda: server.gateway.connections == 0)


async def test_client_without_tls_or_with_a_slow_handshake_is_dropped(
    open_server: OpenServer, connect: Connect, pki: Pki
) -> None:
    limits = Limits(handshake_seconds=0.5)
    server: ZoneServer = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    plain, silent = await connect(server.port), await connect(server.port)
    await plain.hello("ann")
    for client in (plain, silent):
        with pytest.raises((EOFError, ConnectionError, AssertionError, ValueError)):
            while True:
                await client.read()
    assert server.gateway.counters.closes == {"PROTOCOL_ERROR": 1, "HANDSHAKE_TIMEOUT": 1}
    assert server.gateway.connections == 0


# --- Unfinished handshakes -------------------------------------------------------------------------------


def half_a_handshake(port: int, context: ssl.SSLContext, host: str) -> socket.socket:
    """A connection from a local address that has sent its first TLS message and sends no other."""
    sock = socket.socket()
    sock.bind((host, 0))
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
    sock.send(outgoing.read())
    return sock


async def until_closed(sock: socket.socket) -> None:
    """Reads to the end of the stream."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(sock, 65536):
                pass


async def test_server_name_that_is_no_text_is_ignored(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key)
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pki.context.wrap_bio(received, sent, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    # An error of a callback would be unraisable, and fail this test.
    writer.write(sent.read().replace(b"localhost", b"l\xefcalhost"))
    answer = await reader.read(5)
    writer.close()
    await writer.wait_closed()
    assert answer[0] == 22, "the server goes on with the handshake"


@pytest.fixture
def flood(cleanup: contextlib.AsyncExitStack, pki: Pki) -> Callable[[int, int, str], list[socket.socket]]:
    """Begins handshakes from one address, and completes none."""

    def flood(port: int, count: int, host: str) -> list[socket.socket]:
        return [cleanup.enter_context(half_a_handshake(port, pki.context, host)) for _ in range(count)]

    return flood


Flood = Callable[[int, int, str], list[socket.socket]]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one address only")
async def test_tls_handshakes_of_one_address_are_bounded(open_server: OpenServer, pki: Pki, flood: Flood) -> None:
    # The time limit is too long to end any of them.
    limits = Limits(handshake_seconds=600.0, address_handshakes_max=8)
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    async with connect("127.0.0.1", server.port, name="ann", tls=pki.context) as ann:
        before = await anext(ann)
        socks = flood(server.port, 100, "127.0.0.9")
        await until(lambda: server.gateway.counters.closes["TOO_MANY_CONNECTIONS"] == 92)
        assert len(server.frontend.door._listeners[0]._shaking) == 8
        async with connect("127.0.0.1", server.port, name="bob", tls=pki.context) as bob:
            await anext(bob)
            ann.act("say", "hello")
            update = await anext(ann)
            ticks = [before.tick, update.tick]
            while not update.events:
                update = await anext(ann)
                ticks.append(update.tick)
        assert ticks == list(range(ticks[0], ticks[0] + len(ticks))), "no tick was skipped"
        for sock in socks:
            sock.close()
        await until(lambda: not server.frontend.door._listeners[0]._shaking)
        assert server.gateway.counters.closes["CONNECTION_LOST"] == 8
        # The address may begin new handshakes.
        (sock,) = flood(server.port, 1, "127.0.0.9")
        await until(lambda: server.frontend.door._listeners[0]._shaking)
        sock.close()
        await until(lambda: not server.frontend.door._listeners[0]._shaking)
    assert server.gateway.counters.closes["SLOW_CONSUMER"] == 0


async def test_tls_handshakes_of_all_are_bounded_and_the_oldest_is_cancelled(
    open_server: OpenServer, pki: Pki, flood: Flood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKES_MAX", 4)
    limits = Limits(handshake_seconds=600.0)
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    socks = flood(server.port, 10, "127.0.0.1")
    for sock in socks[:6]:
        await until_closed(sock)
    assert server.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 6}
    async with connect("127.0.0.1", server.port, name="ann", tls=pki.context) as ann:
        await anext(ann)
    await until_closed(socks[6])
    assert server.gateway.counters.closes["HANDSHAKE_TIMEOUT"] == 7


async def test_slow_tls_handshake_times_out_and_is_not_counted(open_server: OpenServer, pki: Pki, flood: Flood) -> None:
    limits = Limits(handshake_seconds=0.2)
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    for sock in flood(server.port, 5, "127.0.0.9"):
        await until_closed(sock)
    assert server.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 5}
    assert not server.gateway.pending.address_limits._present
    assert not server.gateway.pending._counted


async def test_stopping_server_cancels_tls_handshakes(open_server: OpenServer, pki: Pki, flood: Flood) -> None:
    limits = Limits(handshake_seconds=600.0)
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    socks = flood(server.port, 3, "127.0.0.1")
    await until(lambda: len(server.frontend.door._listeners[0]._shaking) == 3)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.stop()
    for sock in socks:
        await until_closed(sock)
    assert server.gateway.counters.closes == {"SERVER_STOPPING": 3}


async def test_time_of_a_tls_handshake_is_part_of_the_time_for_hello(open_server: OpenServer, pki: Pki) -> None:
    limits = Limits(handshake_seconds=600.0)
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key, limits=limits)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=pki.context)
    await until(lambda: server.gateway.connections)
    (session,) = server.gateway._connections
    assert 0 < session.handshake_seconds < 600.0
    session.handshake_seconds = 0.0
    await until(lambda: server.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 1})
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
