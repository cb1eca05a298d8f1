"""PROXY headers of real connections: read alone, waited for within bounds, and believed of trusted proxies only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.tls import Pki
from helpers.waiting import PATIENCE_SECONDS, until
from zoneclient.protocol import ClientProtocol

from zoneserver.admin.session_list import list_sessions
from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.listeners import header_wait
from zoneserver.gateway.listeners.header_wait import HeaderWait
from zoneserver.server import ZoneServer

PROXY = "127.0.0.1"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x02\x7f\0\0\x01\x12\x34\x1e\x61"
"""198.51.100.2, port 4660."""


def v1(host: str, port: int = 4711) -> bytes:
    return f"PROXY TCP{'6 ' if ':' in host else '4 '}{host} {'::1' if ':' in host else PROXY} {port} 7777\r\n".encode()


@pytest.fixture
def open_trusting(open_server: OpenServer) -> Callable[..., Any]:
    def open_trusting(**settings: Any) -> Any:
        return open_server(Plaza, **{"hz": 50, "forwarded_from": (PROXY,), **settings})

    return open_trusting


def addresses(server: ZoneServer) -> dict[str, str]:
    """The address of each player, as operators see it."""
    found = list_sessions(server.gateway, asyncio.get_running_loop().time(), "age", 100)
    return {each.name: each.address for each in found.sessions}


async def join(client: Client, name: str, header: bytes = b"") -> Client:
    await client.say_bytes(header)
    await client.hello(name)
    await client.welcomed()
    return client


async def test_players_behind_a_trusted_proxy_have_their_own_addresses(
    open_trusting: Callable[..., Any], connect: Connect
) -> None:
    server = await open_trusting()
    headers = {"ann": v1("198.51.100.1"), "bob": V2, "cid": v1("2001:db8::1"), "dan": b"", "eve": b"PROXY UNKNOWN\r\n"}
    clients = {name: await join(await connect(server.port), name, header) for name, header in headers.items()}
    assert addresses(server) == {
        "ann": "198.51.100.1:4711",
        "bob": "198.51.100.2:4660",
        "cid": "[2001:db8::1]:4711",
        **{name: f"{PROXY}:{clients[name].sock.getsockname()[1]}" for name in ("dan", "eve")},
    }


async def test_header_comes_before_tls(open_trusting: Callable[..., Any], pki: Pki) -> None:
    server = await open_trusting(tls_cert=pki.cert, tls_key=pki.key)
    loop = asyncio.get_running_loop()
    for name, header in (("ann", v1("198.51.100.1")), ("bob", V2), ("dan", b"")):
        sock = socket.create_connection((PROXY, server.port))
        sock.sendall(header)
        sock.setblocking(False)
        _, protocol = await loop.create_connection(
            lambda name=name: ClientProtocol(name), sock=sock, ssl=pki.context, server_hostname=PROXY
        )
        await until(lambda protocol=protocol: protocol.welcome)
        assert addresses(server)[name].startswith({"ann": "198.51.100.1:", "bob": "198.51.100.2:"}.get(name, PROXY))
        protocol.abort()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one address only")
@pytest.mark.parametrize("is_tls", [False, True])
async def test_header_of_another_address_is_a_protocol_error(
    open_trusting: Callable[..., Any], connect: Connect, pki: Pki, is_tls: bool
) -> None:
    server = await open_trusting(**({"tls_cert": pki.cert, "tls_key": pki.key} if is_tls else {}))
    for header in (v1("198.51.100.1"), V2):
        stranger = await connect(server.port, host="127.0.0.9")
        await stranger.say_bytes(header + b"\r\n\r\n")
    await until(lambda: server.gateway.counters.closes["PROTOCOL_ERROR"] == 2)
    assert {closed.address.partition(":")[0] for closed in server.gateway.closed} == {"127.0.0.9"}


async def test_limits_count_the_real_address_and_that_of_the_proxy(
    open_trusting: Callable[..., Any], connect: Connect
) -> None:
    server = await open_trusting(limits=Limits(address_connections_max=1))
    for header in (v1("198.51.100.1"), v1("2001:db8:1:2::1"), b""):
        await join(await connect(server.port), f"first {len(header)}", header)
    for header in (v1("198.51.100.1", 1), v1("::ffff:198.51.100.1"), v1("2001:db8:1:2::2"), b""):
        second = await connect(server.port)
        await second.say_bytes(header)
        await second.hello("second")
        assert (await second.ended()).code == "TOO_MANY_CONNECTIONS"
    await join(await connect(server.port), "bob", V2)


async def test_ban_hits_the_real_address_alone(
    open_trusting: Callable[..., Any], connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_trusting()
    caplog.set_level("INFO")
    villain = await join(await connect(server.port), "villain", v1("198.51.100.1"))
    await villain.say_bytes(b"\0\0\0\x01\xff")
    assert (await villain.ended()).code == "PROTOCOL_ERROR"
    assert any("BANNED: 198.51.100.1 for 60 s" in record.getMessage() for record in caplog.records)
    again = await connect(server.port)
    await again.say_bytes(v1("198.51.100.1", 1))
    assert (await again.ended()).code == "BANNED"
    for name, header in (("bob", V2), ("dan", b"")):
        await join(await connect(server.port), name, header)


@pytest.mark.parametrize("begin", [b"PROXY TCP4 nonsense\r\n", V2.replace(b"\x21\x11", b"\x31\x11")])
async def test_header_that_is_not_allowed_closes_the_connection_and_bans_nobody(
    open_trusting: Callable[..., Any], connect: Connect, begin: bytes
) -> None:
    server = await open_trusting()
    client = await connect(server.port)
    await client.say_bytes(begin)
    with pytest.raises((EOFError, ConnectionError)):
        await client.read()
    assert server.gateway.counters.closes == {"PROTOCOL_ERROR": 1}
    assert server.gateway.closed[0].address == f"{PROXY}:{client.sock.getsockname()[1]}"
    await join(await connect(server.port), "dan")


@pytest.mark.parametrize("begin", [b"", b"PROXY TCP4 198."])
async def test_connection_without_whole_first_bytes_is_closed_after_the_time_for_a_handshake(
    open_trusting: Callable[..., Any], connect: Connect, begin: bytes
) -> None:
    server = await open_trusting(limits=Limits(handshake_seconds=0.1))
    client = await connect(server.port)
    await client.say_bytes(begin)
    with pytest.raises((EOFError, ConnectionError)):
        await client.read()
    assert server.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 1}
    assert (len(server.frontend.door._listeners[0]._headers), server.gateway.connections) == (0, 0)


async def test_connection_that_sends_nothing_and_ends_is_an_ordinary_loss(
    open_trusting: Callable[..., Any], connect: Connect
) -> None:
    """That is what the health checks of proxies do."""
    server = await open_trusting()
    (await connect(server.port)).sock.close()
    await until(lambda: server.gateway.counters.closes)
    assert server.gateway.counters.closes == {"CONNECTION_LOST": 1}


async def test_stopping_server_closes_the_connections_that_wait(
    open_trusting: Callable[..., Any], connect: Connect
) -> None:
    server = await open_trusting(limits=Limits(handshake_seconds=600.0))
    client = await connect(server.port)
    await until(lambda: len(server.frontend.door._listeners[0]._headers) == 1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server.stop()
    with pytest.raises((EOFError, ConnectionError)):
        await client.read()
    assert server.gateway.counters.closes == {"SERVER_STOPPING": 1}


# --- The wait alone --------------------------------------------------------------------------------------


class Waiting:
    """A wait for headers, and what it did."""

    def __init__(self, cleanup: contextlib.AsyncExitStack) -> None:
        self.let_in: list[tuple[Any, socket.socket]] = []
        self.rejected: list[str] = []
        self._cleanup = cleanup
        self.wait = HeaderWait({PROXY}, 600.0, lambda address, _, text: self.rejected.append(f"{address[1]}: {text}"))
        cleanup.callback(self.wait.close)

    def connect(self, number: int = 0) -> socket.socket:
        near, far = socket.socketpair()
        self._cleanup.enter_context(near)
        self._cleanup.enter_context(far)
        self.wait.add(near, (PROXY, number), lambda sock, address: self.let_in.append((address, sock)))
        return far


@pytest.fixture
async def waiting(cleanup: contextlib.AsyncExitStack) -> Waiting:
    return Waiting(cleanup)


@pytest.mark.parametrize("header", [V2, v1("198.51.100.2", 4660)])
async def test_bytes_of_the_header_alone_are_read_wherever_it_is_split(waiting: Waiting, header: bytes) -> None:
    data = header + b"\x16\x03\x01"
    for split in range(1, len(data)):
        far = waiting.connect()
        far.send(data[:split])
        await asyncio.sleep(0)
        far.send(data[split:])
    await until(lambda: not len(waiting.wait))
    assert len(waiting.let_in) == len(data) - 1
    assert {(address, sock.recv(100)) for address, sock in waiting.let_in} == {(("198.51.100.2", 4660), data[-3:])}


async def test_part_of_a_header_does_not_spin(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    read = header_wait.read_proxy_header
    monkeypatch.setattr(header_wait, "read_proxy_header", lambda data: looks.append(data) or read(data))
    far = waiting.connect()
    far.send(V2[:20])
    await until(lambda: len(looks) == 1)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(looks) <= 5
    far.send(V2[20:] + b"HELLO")
    await until(lambda: waiting.let_in)
    assert waiting.let_in[0][1].recv(100) == b"HELLO"


async def test_oldest_connection_that_waits_makes_room(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_wait, "WAITING_MAX", 2)
    for number in range(4):
        waiting.connect(number)
    text = "another connection needed the place before the first bytes arrived"
    assert (waiting.rejected, len(waiting.wait)) == ([f"0: {text}", f"1: {text}"], 2)
