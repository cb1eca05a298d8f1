"""A client that comes over WebSocket: the opening handshake, and a connection to a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from helpers.servers import OpenServer
from helpers.waiting import until
from zoneclient.protocol import ClientProtocol
from zoneclient.upgrade import Upgrade

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye, Pong, Snapshot, Tick, Welcome
from zoneserver.protocol.upgrade import SUBPROTOCOL
from zoneserver.protocol.websocket import Opcode, WebSocketReader, frame


def accepted(upgrade: Upgrade) -> bytes:
    """The answer of a server to the request."""
    return (
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {upgrade._accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def refused(code: str | None, text: str) -> bytes:
    body = json.dumps({"error": text} | ({"code": code} if code else {})).encode()
    return b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("cut", [1, 5, 40, -7, -1])
def test_answer_may_be_cut_anywhere_and_the_rest_is_returned(cut: int) -> None:
    upgrade = Upgrade("localhost:7777")
    assert b"Host: localhost:7777\r\n" in upgrade.request
    answer = accepted(upgrade)
    assert upgrade.receive(answer[:cut]) is None
    assert upgrade.receive(answer[cut:] + b"\x82\x01x") == b"\x82\x01x"


@pytest.mark.parametrize(
    ("code", "retry"), [("BANNED", True), ("HANDSHAKE_TIMEOUT", True), ("PROTOCOL_ERROR", False), ("ODD", False)]
)
@pytest.mark.parametrize("cut", [3, 30, -1])
def test_refusal_with_a_code_stands_for_a_bye(cut: int, code: str, retry: bool) -> None:
    answer, upgrade = refused(code, "no"), Upgrade("localhost")
    assert upgrade.receive(answer[:cut]) is upgrade.receive(answer[cut:]) is None
    assert upgrade.refusal == Bye(code, "no", retry)


def test_refusal_before_the_request_was_read_is_a_bye_with_a_length_prefix() -> None:
    bye, upgrade = Bye("BANNED", "for an hour", True), Upgrade("localhost")
    said = length_prefixed(bye.encode())
    assert upgrade.receive(said[:9]) is upgrade.receive(said[9:]) is None
    assert upgrade.refusal == bye


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x15\x03\x01", "does not answer as a server of WebSocket"),
        (b"SSH-2.0", "does not answer as a server of WebSocket"),
        (length_prefixed(Pong(1, 2, 3).encode()), "does not answer as a server of WebSocket"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 3000, "more than 16384 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "the server answered 'HTTP/1.1 200 OK'"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the server answered 'HTTP/1.1 404 Not Found'"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000, "the server answered 'HTTP/1.1 403"),
        (refused(None, "no"), "the server answered 'HTTP/1.1 403 Forbidden'"),
    ],
)
def test_any_other_answer_is_an_error(answer: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Upgrade("localhost").receive(answer)


class Visitor(ClientProtocol):
    """A client that records what it hears."""

    def __init__(self, web_host: str, **settings: bool) -> None:
        super().__init__("ann", web_host=web_host, **settings)
        self.heard: list[type] = []
        self.pongs: list[int] = []

    def on_welcome(self, welcome: Welcome) -> None:
        self.heard.append(Welcome)

    def on_snapshot(self, payload: bytes) -> None:
        self.heard.append(Snapshot)

    def on_tick(self, payload: bytes) -> None:
        self.heard.append(Tick)

    def on_pong(self, pong: Pong) -> None:
        self.pongs.append(pong.token)


async def visit(port: int, web_host: str, **settings: bool) -> Visitor:
    make: Callable[[], Visitor] = lambda: Visitor(web_host, **settings)  # noqa: E731
    _, visitor = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port)
    return visitor


@pytest.mark.parametrize("deflate", [False, True])
async def test_client_plays_over_web_socket(open_server: OpenServer, deflate: bool) -> None:
    server = await open_server(Plaza, hz=100)
    visitor = await visit(server.port, f"127.0.0.1:{server.port}", deflate=deflate)
    await until(lambda: Tick in visitor.heard)
    visitor.ping(7)
    await until(lambda: visitor.pongs)
    visitor.act("say", "hello")
    visitor.flush()
    await until(lambda: server.gateway.counters.actions_in_total == 1)
    visitor.leave()
    await until(lambda: visitor.is_lost)
    assert visitor.heard[:3] == [Welcome, Snapshot, Tick]
    assert visitor.pongs == [7]
    assert visitor.bye == Bye("CLIENT_LEFT", "the player said goodbye", True)


async def test_client_that_leaves_at_once_says_so_behind_hello(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    visitor = await visit(server.port, "localhost")
    visitor.leave()  # The server has not answered the opening handshake yet.
    await until(lambda: visitor.is_lost)
    assert visitor.bye is not None and visitor.bye.code == "CLIENT_LEFT"


async def test_client_hears_why_the_server_refuses_a_web_socket(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    visitor = await visit(server.port, "evil.example")
    await until(lambda: visitor.is_lost)
    assert visitor.bye is not None
    assert (visitor.bye.code, visitor.bye.retry) == ("PROTOCOL_ERROR", False)
    assert "not known under the name 'evil.example'" in visitor.bye.text


class Peer(asyncio.Protocol):
    """A server that accepts, says bytes, and records what it hears after that."""

    def __init__(self, said: bytes) -> None:
        self.said, self.heard = said, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data


async def test_client_answers_pings_and_a_close_frame() -> None:
    peer = Peer(frame(b"are you there", Opcode.PING) + frame((1001).to_bytes(2), Opcode.CLOSE))
    server = await asyncio.get_running_loop().create_server(lambda: peer, "127.0.0.1", 0)
    async with server:
        visitor = await visit(server.sockets[0].getsockname()[1], "localhost")
        await until(lambda: peer.heard.endswith(b"\r\n\r\n"))
        request, peer.heard = peer.heard, b""
        assert visitor._upgrade is not None and visitor._upgrade.request == request
        peer.transport.write(accepted(visitor._upgrade) + peer.said)  # type: ignore[attr-defined]
        await until(lambda: visitor.is_lost)
        reader = WebSocketReader(1024)
        payloads = reader.receive(peer.heard)
    assert [payload[:2] for payload in payloads] == [visitor._hello[:2], b""]
    assert (reader.is_ended, reader.close_status) == (True, 1001)
    assert visitor.bye is not None and (visitor.bye.code, visitor.bye.retry) == ("CONNECTION_LOST", True)
