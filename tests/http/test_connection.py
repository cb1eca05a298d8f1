"""The admin port: HTTP requests, invalid requests, and bounds."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from helpers.admin_browser import Browse, ask
from helpers.waiting import until

from zoneserver.admin import documents
from zoneserver.protocol.world import World
from zoneserver.server import ZoneServer


async def test_unknown_path_is_not_found_and_the_answer_names_the_paths(browse: Browse) -> None:
    answer = await (await browse()).ask("GET /etc/passwd")
    assert answer.status == 404
    documents = [path for path in answer.document["paths"] if not path.startswith("/admin")]
    assert documents == ["/", "/game.json", "/healthz", "/map", "/metrics", "/sessions", "/stats"]


async def test_query_is_not_part_of_the_path(browse: Browse) -> None:
    assert (await (await browse()).ask("GET /stats?fresh=1")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_method_other_than_get_and_head_is_not_allowed(browse: Browse, method: str) -> None:
    assert (await (await browse()).ask(f"{method} /stats")).status == 405


@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100]
)
@pytest.mark.parametrize("method", [b"POST", b"GET"])
async def test_request_with_a_body_is_refused_on_its_headers(browse: Browse, method: bytes, body: bytes) -> None:
    browser = await browse()
    browser.writer.write(method + b" /stats HTTP/1.1\r\nHost: localhost\r\n" + body)
    assert (await browser.answer()).status == 413
    assert await browser.closed()


@pytest.mark.parametrize(("path", "status"), [("/stats", 200), ("/nowhere", 404)])
async def test_head_is_get_without_the_body(browse: Browse, path: str, status: int) -> None:
    browser = await browse()
    answer = await browser.ask(f"HEAD {path}")
    assert (answer.status, answer.body) == (status, b"")
    assert int(answer.headers["content-length"]) > 0
    # A body would be read as the next answer.
    assert (await browser.ask("GET /healthz")).status == 200


async def test_one_connection_carries_many_requests(browse: Browse) -> None:
    browser = await browse()
    ticks = [(await browser.ask("GET /stats")).document["tick"] for _ in range(10)]
    assert ticks == sorted(ticks)
    # Several requests at once, one of them split.
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    browser.writer.write(request * 2 + request[:10])
    assert [(await browser.answer()).status for _ in range(2)] == [200, 200]
    browser.writer.write(request[10:])
    assert (await browser.answer()).status == 200


@pytest.mark.parametrize("request_line", ["GET /stats HTTP/1.1\r\nConnection: close", "GET /stats HTTP/1.0"])
async def test_connection_closes_after_the_answer_when_the_client_asks_for_one(
    browse: Browse, request_line: str
) -> None:
    browser = await browse()
    browser.writer.write(f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
    assert (await browser.answer()).status == 200
    assert await browser.closed()


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\0\xa5 tls\r\n\r\n", b"hello\r\n\r\n", b"GET /stats HTTP/1.1\r\n\r\n"]
)
async def test_garbage_is_answered_with_400_and_closes_the_connection(browse: Browse, garbage: bytes) -> None:
    browser = await browse()
    browser.writer.write(garbage)
    assert (await browser.answer()).status == 400
    assert await browser.closed()


async def test_client_that_sends_nothing_more_is_answered(browse: Browse) -> None:
    browser = await browse()
    browser.writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    browser.writer.write_eof()
    assert (await browser.answer()).status == 200
    assert await browser.closed()


async def test_request_before_garbage_is_answered(browse: Browse) -> None:
    browser = await browse()
    browser.writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\0\0\0\r\n\r\n")
    assert [(await browser.answer()).status for _ in range(2)] == [200, 400]
    assert await browser.closed()


async def test_huge_header_is_rejected(browse: Browse) -> None:
    browser = await browse()
    browser.writer.write(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10_000)
    assert (await browser.answer()).status == 431
    assert await browser.closed()


async def test_idle_connection_is_closed_in_time(server: ZoneServer, browse: Browse) -> None:
    assert server.admin is not None
    server.admin.idle_seconds = 0.01
    browser = await browse()
    assert await browser.closed()


async def test_stopping_server_closes_admin_connections(server: ZoneServer, browse: Browse) -> None:
    browser = await browse()
    await browser.ask("GET /healthz")
    await server.stop()
    assert await browser.closed()


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 403), ("evil.example:7778", 403)],
)
async def test_request_is_answered_only_for_a_loopback_host(server: ZoneServer, host: str, status: int) -> None:
    assert server.stats_port is not None
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert (await ask(server.stats_port, request.encode())).startswith(f"HTTP/1.1 {status} ".encode())


async def test_pipelined_requests_are_answered_one_per_turn(server: ZoneServer) -> None:
    assert server.stats_port is not None
    one = b"GET /map HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await ask(server.stats_port, one * 300 + last)
    assert answer.count(b"HTTP/1.1 200") == 301


async def test_unread_answers_stop_further_answers(server: ZoneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.stats_port is not None
    _reader, writer = await asyncio.open_connection("127.0.0.1", server.stats_port)
    writer.transport.pause_reading()
    served = 0

    def counted(_world: World) -> dict[str, Any]:
        nonlocal served
        served += 1
        return {"padding": "x" * 100_000}

    monkeypatch.setattr(documents, "zone_map", counted)
    writer.write(b"GET /map HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
    await until(lambda: served)
    before = -1
    while served != before:
        before = served
        for _ in range(20):
            await asyncio.sleep(0.001)
    assert served < 200, "the server waits until the answers are read"
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
