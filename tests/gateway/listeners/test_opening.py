"""The opening of a connection: one port for length-prefixed payloads, WebSocket and pages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from helpers.admin_browser import ask
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.tls import Pki
from helpers.waiting import PATIENCE_SECONDS, until
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection

from zoneserver.admin.session_list import list_sessions
from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import (
    DEFLATE,
    PROTOCOL_VERSION,
    Act,
    Bye,
    Deflated,
    Goodbye,
    Hello,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)
from zoneserver.protocol.websocket import Opcode, masked_frame
from zoneserver.server import ZoneServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "zone.2",
}
HELLO = Hello(PROTOCOL_VERSION, "ann", b"").encode()


def request(line: str = "GET / HTTP/1.1", **changes: str | None) -> bytes:
    """The bytes of a handshake; a change of None leaves a header out."""
    headers = REQUEST | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def join(server: ZoneServer, name: str, *options: str, **settings: Any) -> AsyncIterator[ClientConnection]:
    """A player who joins by WebSocket."""
    scheme = "wss" if "ssl" in settings else "ws"
    url = f"{scheme}://localhost:{server.port}/"
    async with websockets.connect(url, subprotocols=["zone.2"], max_size=None, **settings) as web:
        await web.send(Hello(PROTOCOL_VERSION, name, b"", options).encode())
        yield web


async def read(web: ClientConnection) -> ServerMessage:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return decode_server(await web.recv())


async def read_until(web: ClientConnection, kind: type[Any]) -> Any:
    while not isinstance(message := await read(web), kind):
        pass
    return message


async def heard(web: ClientConnection, text: str) -> Tick:
    while True:
        tick: Tick = await read_until(web, Tick)
        if any(text in event for event in tick.events):
            return tick


# --- Players ------------------------------------------------------------------------------------------


async def test_players_by_tcp_and_by_web_see_one_zone(open_server: OpenServer, connect: Connect) -> None:
    server = await open_server(Plaza, hz=50)
    client = await connect(server.port)
    await client.hello("bob")
    async with join(server, "ann") as web:
        assert web.subprotocol == "zone.2"
        assert "permessage-deflate" not in str(web.response.headers)
        assert isinstance(await read(web), Welcome)
        assert isinstance(await read(web), Snapshot)
        listed = list_sessions(server.gateway, 0.0, "age", 5)
        assert {session.name: session.via for session in listed.sessions} == {"ann": "web", "bob": "tcp"}
        assert server.stats().web_sessions == 1
        await web.send(Act(1, (("say", "hello"),)).encode())
        tick = await heard(web, "hello")
        while (same := await client.read_until(Tick)).tick != tick.tick:
            pass
        assert same == tick
        await web.send(Goodbye().encode())
        assert (await read_until(web, Bye)).code == "CLIENT_LEFT"
        await web.wait_closed()
        assert (web.close_code, web.close_reason) == (4000, "CLIENT_LEFT")


async def test_web_player_over_tls_gets_deflated_messages(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, hz=50, tls_cert=pki.cert, tls_key=pki.key)
    async with join(server, "ann", DEFLATE, ssl=pki.context, server_hostname="127.0.0.1") as web:
        assert isinstance(await read(web), Welcome)
        await web.send(Act(1, (("say", "hello " * 20),)).encode())
        await read_until(web, Deflated)


async def test_page_of_a_tls_server_is_served_on_the_port_of_players(open_server: OpenServer, pki: Pki) -> None:
    server = await open_server(Plaza, tls_cert=pki.cert, tls_key=pki.key)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=pki.context)
    for _ in range(2):
        writer.write(b"GET /game.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        assert json.loads(await reader.readexactly(size))["name"] == "plaza"
    assert server.gateway.connections == 0
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


async def test_player_who_is_refused_is_told_the_reason_in_the_close_frame(open_server: OpenServer) -> None:
    server = await open_server(Plaza)
    async with join(server, "not a name\n") as web:
        assert (await read(web)).code == "BAD_NAME"  # type: ignore[union-attr]
        await web.wait_closed()
        assert (web.close_code, web.close_reason) == (4001, "BAD_NAME")


async def test_close_frame_is_a_lost_connection(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    async with join(server, "ann") as web:
        await read(web)
        await web.close(1001)
        assert web.close_code == 1001
    await until(lambda: server.gateway.connections == 0)
    assert server.gateway.counters.closes == {"CONNECTION_LOST": 1}


async def test_pings_are_answered_and_counted_as_packets(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    async with join(server, "ann") as web:
        await read(web)
        before = server.gateway.counters.packets_in_total
        await (await web.ping())
        assert server.gateway.counters.packets_in_total == before + 1


async def test_flood_of_pings_is_a_flood(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50, limits=Limits(frames_per_second=10, frames_burst=20))
    async with join(server, "ann") as web:
        await read(web)
        with contextlib.suppress(websockets.ConnectionClosed):
            for _ in range(2_000):
                await web.pong()
        assert (await read_until(web, Bye)).code == "FLOOD"


async def test_parts_before_hello_are_bounded(open_server: OpenServer, connect: Connect) -> None:
    server = await open_server(Plaza, hz=50)
    client = await connect(server.port)
    await client.say_bytes(request() + masked_frame(b"", Opcode.PING) * 100)
    await until(lambda: server.gateway.counters.closes == {"PROTOCOL_ERROR": 1})


async def test_hello_in_fragments_lets_a_player_in(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    async with websockets.connect(f"ws://localhost:{server.port}/") as web:
        await web.send([HELLO[:3], HELLO[3:7], HELLO[7:]])
        assert isinstance(await read(web), Welcome)


# --- The handshake ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (request(Host="evil.example"), 403, "not known under the name"),
        (request(Origin="https://evil.example"), 403, "--origin https://evil.example allows it"),
        (request(Origin="null"), 403, "a page of null"),
        (request("GET /zone HTTP/1.1"), 404, "the path /"),
        (request("POST / HTTP/1.1"), 400, "begins with GET"),
        (request("GET / HTTP/1.0"), 400, "HTTP/1.1"),
        (request(Connection="keep-alive"), 400, "Connection: Upgrade"),
        (request(X="a\r\nb: c" * 200), 431, "more than 100 lines"),
        (request(Sec_WebSocket_Version="8"), 426, "version 13"),
        (request(Sec_WebSocket_Version=None), 426, "version 13"),
        (request(Sec_WebSocket_Key=None), 400, "16 bytes"),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "16 bytes"),
        (request(Sec_WebSocket_Key="\xff"), 400, ""),
        (request(Sec_WebSocket_Protocol="zone.1"), 400, "zone.2"),
        (request(Content_Length="5"), 400, "body"),
        (b"HELLO\r\n\r\n", 400, "not a request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431, "not a request"),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, "no such path"),
        (b"POST /game.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405, "GET"),
        (b"GET /game.json HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 403, "name"),
    ],
)
async def test_request_that_cannot_be_served_is_answered_with_a_status_and_a_sentence(
    open_server: OpenServer, sent: bytes, status: int, text: str
) -> None:
    server = await open_server(Plaza)
    head, _, body = (await ask(server.port, sent)).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert text in (body.decode() if text.startswith("/") else json.loads(body)["error"])
    assert (b"Sec-WebSocket-Version: 13" in head) == (status == 426)
    await until(lambda: server.gateway.connections == 0)


async def test_page_of_an_allowed_origin_may_connect(open_server: OpenServer) -> None:
    server = await open_server(Plaza, origin=("https://play.example",))
    for changes in ({"Origin": "https://play.example"}, {"Host": "play.example"}, {"Origin": "http://localhost"}):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(**changes))
        assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
        writer.close()
        await writer.wait_closed()


async def test_slow_request_has_the_time_of_hello(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50, limits=Limits(handshake_seconds=0.2))
    assert (await ask(server.port, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
    # The upgrade does not begin the time anew.
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request())
    assert b"HANDSHAKE_TIMEOUT" in await reader.read()
    writer.close()
    await writer.wait_closed()


@given(st.data())
def test_every_split_of_a_stream_gives_the_same_payloads(data: st.DataObject) -> None:
    stream = request() + masked_frame(HELLO) + masked_frame(b"abc")
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    session = RecordingSession()
    session.receive(stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)]))
    assert session.payloads == [HELLO, b"abc"]
    assert session.replied.count(b"101 Switching") == 1


@pytest.mark.parametrize("stream", [length_prefixed(HELLO), b"\0", b"\x16\x03\x01", b"get / HTTP/1.1"])
def test_connection_that_does_not_begin_with_a_capital_letter_is_length_prefixed(stream: bytes) -> None:
    session = RecordingSession()
    session.receive([stream])
    assert session.payloads == ([HELLO] if stream.startswith(b"\0\0") else [])


@pytest.mark.parametrize(
    "lines",
    ["Upgrade: websocket\r\n", "Upgrade: websocket\r\nConnection: Upgrade\r\n", "Content-Length: 5\r\n", "b\0d\r\n"],
)
async def test_refused_head_leaves_no_session_and_no_traceback(
    open_server: OpenServer, lines: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(Plaza, hz=50)
    answer = await ask(server.port, f"HEAD / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4")
    assert body == b"" or lines.startswith("b")
    await until(lambda: not server.gateway.connections and not len(server.gateway.pending))
    # On a busy machine a tick comes late, and the log says so.
    assert {record.name for record in caplog.records} <= {"zoneserver.admin.log_report"}
    assert "Traceback" not in caplog.text


async def test_session_whose_goodbye_fails_is_gone_all_the_same(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(Plaza, hz=50)
    monkeypatch.setattr("zoneserver.gateway.listeners.opening.Opening.goodbye", lambda *_: 1 / 0)
    assert await ask(server.port, request(Upgrade="websocket", Connection="close")) == b""
    await until(lambda: not server.gateway.connections and not len(server.gateway.pending))
    assert server.gateway.counters.closes == {"PROTOCOL_ERROR": 1}
    assert "exception while saying goodbye" in caplog.text


async def test_upgrade_to_another_protocol_is_ignored(open_server: OpenServer) -> None:
    server = await open_server(Plaza)
    sent = b"GET /game.json HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n"
    assert (await ask(server.port, sent)).startswith(b"HTTP/1.1 200 ")


async def test_refused_upgrade_counts_for_the_address_behind_the_proxy(open_server: OpenServer) -> None:
    limits = Limits(address_connections_per_second=0.001, address_connections_burst=2)
    server = await open_server(Plaza, hz=50, forwarded_from=("127.0.0.1",), limits=limits)
    sent = request(Sec_WebSocket_Version="8", X_Forwarded_For="192.0.2.7")
    assert [(await ask(server.port, sent))[9:12] for _ in range(4)] == [b"426", b"426", b"429", b"429"]


# --- Pages --------------------------------------------------------------------------------------------


async def test_thirty_browsers_behind_one_address_get_the_page_and_play(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)

    async def visit(number: int) -> None:
        documents = await asyncio.gather(*(get(f"/{name}") for name in ("", "zone.js", "game.json", "play.css", "x")))
        assert [head[9:12] for head in documents[2:3]] == [b"200"]
        async with join(server, f"player{number}", local_addr=("127.0.0.77", 0)) as web:
            assert isinstance(await read(web), Welcome)

    async def get(path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.77", 0))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head = await reader.read()
        writer.close()
        await writer.wait_closed()
        return head

    await asyncio.gather(*map(visit, range(30)))
    assert server.gateway.counters.joins_total == 30
    assert "TOO_MANY_CONNECTIONS" not in server.gateway.counters.closes


async def test_pages_of_one_address_are_bounded(open_server: OpenServer) -> None:
    limits = Limits(address_page_connections_per_second=0.001, address_page_connections_burst=3)
    server = await open_server(Plaza, limits=limits)
    statuses = []
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=("127.0.0.77", 0))
        writer.write(b"GET /game.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        statuses.append((await reader.read())[9:12])
        writer.close()
        await writer.wait_closed()
    assert statuses == [b"200"] * 3 + [b"429"] * 2
    await until(lambda: server.gateway.connections == 0)


async def test_client_that_says_something_has_a_place_beside_new_silent_ones(
    open_server: OpenServer, connect: Connect
) -> None:
    limits = Limits(handshake_seconds=600.0, address_handshakes_max=2)
    server = await open_server(Plaza, hz=50, limits=limits)
    _silent = [await connect(server.port, host="127.0.0.77") for _ in range(2)]
    ann = await connect(server.port, host="127.0.0.77")
    await ann.hello("ann")
    await ann.welcomed()
    assert not server.gateway.counters.closes
    # A silent one more is rejected, also if it leaves before it is told.
    rejected = await connect(server.port, host="127.0.0.77")
    rejected.sock.close()
    await until(lambda: server.gateway.counters.closes == {"TOO_MANY_CONNECTIONS": 1})
    assert server.gateway.counters.connections_total == 4


async def test_idle_page_connection_is_no_connection_of_a_player(open_server: OpenServer) -> None:
    server = await open_server(Plaza, max_players=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /game.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    assert (server.gateway.connections, len(server.gateway.pending)) == (0, 0)
    await server.stop()
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("settings", "status"), [({"page": "off"}, b"404"), ({"secret": b"x" * 16}, b"404"), ({"page": "on"}, b"200")]
)
async def test_page_is_off_with_a_secret_or_by_the_setting(
    open_server: OpenServer, settings: dict[str, Any], status: bytes
) -> None:
    server = await open_server(Plaza, **settings)
    answer = await ask(server.port, b"GET /game.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer[9:12] == status


async def test_page_of_an_author_is_served_beside_the_library(open_server: OpenServer, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>mine</h1>")
    server = await open_server(Plaza, page=str(tmp_path))
    for path, is_found in (("/", b"<h1>mine</h1>"), ("/zone.js", b"connect"), ("/play.js", b"no such path")):
        answer = await ask(server.port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert is_found in answer


async def test_page_of_an_allowed_origin_may_read_the_library_and_no_other_may(open_server: OpenServer) -> None:
    server = await open_server(Plaza, origin=("https://play.example",))

    async def ask_from(origin: str) -> tuple[str, str]:
        lines = f"GET /zone.js HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
        head = (await ask(server.port, lines.encode())).partition(b"\r\n\r\n")[0].decode()
        return head[9:12], head.partition("Access-Control-Allow-Origin: ")[2].partition("\r")[0]

    assert await ask_from("https://play.example") == ("200", "https://play.example")
    assert await ask_from("http://localhost") == ("200", "")
    assert await ask_from("https://evil.example") == ("403", "")


# --- Behind a proxy -----------------------------------------------------------------------------------


async def test_player_behind_a_trusted_proxy_has_the_address_that_it_forwards(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50, forwarded_from=("127.0.0.1",), limits=Limits(address_connections_max=1))
    headers = {"X-Forwarded-For": "198.51.100.9, 192.0.2.7"}
    async with join(server, "ann", additional_headers=headers) as web:
        await read(web)
        (session,) = server.gateway._connections
        assert session.host == "192.0.2.7"
        with pytest.raises(websockets.InvalidStatus, match="429"):
            async with join(server, "bob", additional_headers=headers):
                pass
        async with join(server, "cid", additional_headers={"X-Forwarded-For": "192.0.2.8"}) as other:
            await read(other)
    # A client of the proxy's own address counts as any other.
    async with join(server, "ann") as web:
        await read(web)
        with pytest.raises(websockets.InvalidStatus, match="429"):
            async with join(server, "bob"):
                pass


async def test_header_of_an_address_that_is_not_trusted_is_ignored(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    async with join(server, "ann", additional_headers={"X-Forwarded-For": "192.0.2.7"}) as web:
        await read(web)
        (session,) = server.gateway._connections
        assert session.host == "127.0.0.1"


class RecordingSession:
    """The session of an opening without a network, which records the payloads."""

    def __init__(self) -> None:
        from zoneserver.gateway.listeners.opening import Opening
        from zoneserver.http.access import Access

        self.host = "127.0.0.1"
        self.is_over = False
        self.reason: CloseReason | None = None
        self.payloads: list[bytes] = []
        self.replied = b""
        self._reader: Any = Opening(self, Access(is_local=True), None)  # type: ignore[arg-type]

    def identify(self) -> bool:
        return True

    def use(self, framing: Any) -> Any:
        self._reader = framing.reader(1024)
        return self._reader

    def receive(self, reads: Any) -> None:
        for data in reads:
            self.payloads += self._reader.receive(data)
            self.replied += b"".join(self._reader.replies)
            if self._reader.replies:
                self._reader.replies.clear()
