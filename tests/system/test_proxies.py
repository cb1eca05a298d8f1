"""Players behind real proxies, which have the configurations of docs/deploy.md, keep addresses of their own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest
import websockets
from helpers.loops import one_loop
from helpers.markdown import Page
from helpers.proxies import haproxy, nginx
from helpers.servers import OpenServer
from helpers.tls import Pki, issue_pki
from helpers.waiting import until

from zoneserver.admin.session_list import list_sessions
from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Hello, Welcome
from zoneserver.server import ZoneServer

NAME = "play.example"
BLOCKS = {Path(block.file).name: block.text for block in Page("docs/deploy.md").blocks if block.file}
ANN, BOB = "127.0.0.2", "127.0.0.3"

pytestmark = [
    one_loop,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one address only"),
]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    issued = issue_pki(folder, NAME)
    (folder / "both.pem").write_text(Path(issued.cert).read_text() + Path(issued.key).read_text())
    return issued


Configuration = Callable[[str], str]


@pytest.fixture
async def server(open_server: OpenServer) -> ZoneServer:
    limits = Limits(address_connections_max=1)
    return await open_server(Plaza, hz=50, forwarded_from=("127.0.0.1",), origin=(f"https://{NAME}",), limits=limits)


@pytest.fixture
def configuration(server: ZoneServer, pki: Pki) -> Configuration:
    """A configuration of the page, for this server and the certificate of the tests."""

    def configuration(file: str) -> str:
        text = BLOCKS[file].replace("/etc/ssl/play", str(Path(pki.cert).parent)).replace("7777", str(server.port))
        for port in ("listen 443", "listen 7000", "bind :443"):
            text = text.replace(port, f"{port.split()[0]} PORT")
        return text

    return configuration


class Peer(Protocol):
    """A client behind a proxy."""

    async def send(self, payload: bytes) -> None: ...

    async def receive(self) -> bytes: ...


class TcpPeer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, payload: bytes) -> None:
        self._writer.write(length_prefixed(payload))

    async def receive(self) -> bytes:
        return await self._reader.readexactly(int.from_bytes(await self._reader.readexactly(4)))


class WebPeer:
    def __init__(self, connection: websockets.ClientConnection) -> None:
        self._connection = connection

    async def send(self, payload: bytes) -> None:
        await self._connection.send(payload)

    async def receive(self) -> bytes:
        message = await self._connection.recv()
        assert isinstance(message, bytes)
        return message


Dial = Callable[[int, str, Pki], contextlib.AbstractAsyncContextManager[Peer]]


@contextlib.asynccontextmanager
async def by_tcp(port: int, host: str, pki: Pki) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=pki.context, server_hostname=NAME, local_addr=(host, 0)
    )
    yield TcpPeer(reader, writer)
    writer.transport.abort()


@contextlib.asynccontextmanager
async def by_web(port: int, host: str, pki: Pki) -> AsyncIterator[Peer]:
    async with websockets.connect(
        f"wss://{NAME}/",
        ssl=pki.context,
        host="127.0.0.1",
        port=port,
        local_addr=(host, 0),
        origin=websockets.Origin(f"https://{NAME}"),
        # What a client writes itself is not believed.
        additional_headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"},
        proxy=None,
    ) as connection:
        yield WebPeer(connection)


async def hello(peer: Peer, name: str) -> None:
    await peer.send(Hello(PROTOCOL_VERSION, name, b"").encode())


async def keep_their_addresses(server: ZoneServer, port: int, pki: Pki, dial: Dial) -> None:
    """Two players have the limits and the bans of their own addresses, and operators see these."""

    async def rejected(host: str, code: str) -> None:
        with contextlib.suppress(EOFError, ConnectionError, websockets.WebSocketException):
            async with dial(port, host, pki) as peer:
                await hello(peer, "again")
                await peer.receive()
        await until(lambda: server.gateway.counters.closes[code])
        assert (server.gateway.closed[0].address.partition(":")[0], server.gateway.closed[0].code) == (host, code)

    async with dial(port, ANN, pki) as ann, dial(port, BOB, pki) as bob:
        for name, peer in (("ann", ann), ("bob", bob)):
            await hello(peer, name)
            assert isinstance(decode_server(await peer.receive()), Welcome)
        sessions = list_sessions(server.gateway, asyncio.get_running_loop().time(), "age", 10).sessions
        assert {each.name: each.address.partition(":")[0] for each in sessions} == {"ann": ANN, "bob": BOB}
        await rejected(ANN, "TOO_MANY_CONNECTIONS")
        await ann.send(b"\xff")
        await until(lambda: server.gateway.connections == 1)
        await rejected(ANN, "BANNED")
        assert [player.name for player in server.gateway.players] == ["bob"]


@pytest.mark.parametrize("dial", [by_tcp, by_web])
async def test_players_behind_haproxy(
    server: ZoneServer,
    configuration: Configuration,
    pki: Pki,
    tmp_path: Path,
    dial: Dial,
) -> None:
    with haproxy(tmp_path, configuration("haproxy.cfg")) as port:
        await keep_their_addresses(server, port, pki, dial)


async def test_players_behind_a_stream_of_nginx(
    server: ZoneServer, configuration: Configuration, pki: Pki, tmp_path: Path
) -> None:
    with nginx(tmp_path, stream=configuration("nginx.conf")) as port:
        await keep_their_addresses(server, port, pki, by_tcp)


async def test_players_behind_nginx_by_http(
    server: ZoneServer, configuration: Configuration, pki: Pki, tmp_path: Path
) -> None:
    with nginx(tmp_path, http=configuration("zone.conf")) as port:
        await keep_their_addresses(server, port, pki, by_web)


REUSE = """
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    option forwardfor

frontend players
    bind PORT ssl crt BOTH
    http-request del-header Forwarded
    default_backend zone

backend zone
    http-reuse always
    server zone 127.0.0.1:ZONE
"""


async def test_player_behind_a_proxy_that_uses_its_connections_again(
    server: ZoneServer, pki: Pki, tmp_path: Path
) -> None:
    both = Path(pki.cert).with_name("both.pem")
    with haproxy(tmp_path, REUSE.replace("BOTH", str(both)).replace("ZONE", str(server.port))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=pki.context, server_hostname=NAME)
        writer.write(f"GET /game.json HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await keep_their_addresses(server, port, pki, by_web)
        writer.transport.abort()
