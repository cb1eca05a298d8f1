"""The admin port: what it answers, and what it does with those who do not speak HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import until
from prometheus_client.parser import text_string_to_metric_families

from zoneserver.admin import documents
from zoneserver.admin.stats import Stats
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.world import World
from zoneserver.server import ZoneServer


@dataclass
class Answer:
    """One answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Browser:
    """A keep-alive connection to the admin port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: str) -> Answer:
        """The answer to one request line, `GET /stats`."""
        self.writer.write(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return await self.answer(has_body=not request.startswith("HEAD"))

    async def answer(self, *, has_body: bool = True) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
        body = await self.reader.readexactly(int(headers["content-length"])) if has_body else b""
        return Answer(int(head[0].split()[1]), headers, body)

    async def closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        return await self.reader.read() == b""


Browse = Callable[[], Awaitable[Browser]]


@pytest.fixture
async def server(open_server: OpenServer) -> ZoneServer:
    return await open_server(Plaza, hz=100)


@pytest.fixture
def browse(server: ZoneServer, cleanup: AsyncExitStack) -> Browse:
    async def browse() -> Browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.stats_port)
        cleanup.push_async_callback(wait_closed, writer)
        cleanup.callback(writer.close)
        return Browser(reader, writer)

    return browse


async def wait_closed(writer: asyncio.StreamWriter) -> None:
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_stats_have_the_declared_fields_and_types(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    answer = await (await browse()).ask("GET /stats")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    document = answer.document
    fields = {field.name: str(field.type) for field in dataclasses.fields(Stats)}
    assert list(document) == list(fields)
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,)}
    for name, kind in fields.items():
        assert isinstance(document[name], types.get(kind, (dict,))), f"{name} is no {kind}"
    assert document["schema"] == "zone-stats/1"
    assert (document["game"], document["hz"]) == ("plaza", 100)
    assert (document["players"], document["connections"], document["joins_total"]) == (1, 1, 1)
    assert document["encodes_total"] == document["ticks_total"] > 0
    assert document["loop"] in ("asyncio", "uvloop")
    assert set(document["tick_ms"]) == {"p50", "p99", "max"}
    assert set(document["phases_ms"]) == {"ingest", "rules", "encode", "deflate", "fan_out"}


async def test_metrics_are_prometheus_text(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    answer = await (await browse()).ask("GET /metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = [sample for family in text_string_to_metric_families(answer.body.decode()) for sample in family.samples]
    assert {sample.name: sample.value for sample in samples}["zone_players"] == 1.0


async def test_metrics_without_their_package_name_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, open_server: OpenServer
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)
    server = await open_server(Plaza)
    assert server.stats_port is not None
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await ask(server.stats_port, request)
    assert answer.startswith(b"HTTP/1.1 501 Not Implemented\r\n")
    assert b"prometheus-client is not installed: pip install 'zoneserver[metrics]'" in answer


async def test_reporter_is_watched_after_a_request_for_stats_but_not_for_health(
    server: ZoneServer, browse: Browse
) -> None:
    browser = await browse()
    for path, watches in (("/healthz", False), ("/map", False), ("/stats", True), ("/metrics", True)):
        server._reporter.is_watched = False
        await browser.ask(f"GET {path}")
        assert server._reporter.is_watched is watches


async def test_map_has_the_place_of_every_player(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    browser = await browse()
    empty = (await browser.ask("GET /map")).document
    assert (empty["schema"], empty["players"], empty["positions"]) == ("zone-map/1", 0, [])
    client = await connect(server.port)
    await client.hello("ann")
    _, snapshot = await client.welcomed()
    document = (await browser.ask("GET /map")).document
    assert (document["players"], document["width"], document["height"]) == (1, 10_000, 10_000)
    assert document["positions"] == [snapshot.x[0], snapshot.y[0]]


async def test_sessions_are_sorted_by_the_requested_figure(
    server: ZoneServer, browse: Browse, connect: Connect
) -> None:
    for name in ("ann", "bob"):
        client = await connect(server.port)
        await client.hello(name)
        await client.welcomed()
    browser = await browse()
    document = (await browser.ask("GET /sessions")).document
    assert (document["schema"], document["sort"], document["players"]) == ("zone-sessions/1", "queued", 2)
    document = (await browser.ask("GET /sessions?sort=age&limit=1")).document
    assert ([session["name"] for session in document["sessions"]], document["closed"]) == (["ann"], [])


@pytest.mark.parametrize("query", ["sort=name", "limit=0", "limit=1e3", "limit=-1", "limit=" + "9" * 5000, "sort=%1b"])
async def test_sessions_with_an_unknown_query_are_a_bad_request(browse: Browse, query: str) -> None:
    answer = await (await browse()).ask(f"GET /sessions?{query}")
    assert answer.status == 400
    assert set(answer.document) == {"error"}


async def test_health_is_ok_until_the_server_stops(server: ZoneServer, browse: Browse) -> None:
    browser = await browse()
    answer = await browser.ask("GET /healthz")
    assert (answer.status, answer.document["status"]) == (200, "ok")
    server.request_stop()
    answer = await browser.ask("GET /healthz")
    assert (answer.status, answer.document["status"]) == (503, "stopping")


async def test_unknown_path_is_not_found_and_the_answer_names_the_paths(browse: Browse) -> None:
    answer = await (await browse()).ask("GET /etc/passwd")
    assert answer.status == 404
    assert answer.document["paths"] == ["/healthz", "/map", "/metrics", "/sessions", "/stats"]


async def test_query_is_not_part_of_the_path(browse: Browse) -> None:
    assert (await (await browse()).ask("GET /stats?fresh=1")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_method_other_than_get_and_head_is_not_allowed(browse: Browse, method: str) -> None:
    assert (await (await browse()).ask(f"{method} /stats")).status == 405


async def test_body_of_a_post_is_skipped(browse: Browse) -> None:
    browser = await browse()
    browser.writer.write(b"POST /stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    assert (await browser.answer()).status == 405
    assert (await browser.ask("GET /stats")).status == 200


@pytest.mark.parametrize(("path", "status"), [("/stats", 200), ("/nowhere", 404)])
async def test_head_is_get_without_the_body(browse: Browse, path: str, status: int) -> None:
    browser = await browse()
    answer = await browser.ask(f"HEAD {path}")
    assert (answer.status, answer.body) == (status, b"")
    assert int(answer.headers["content-length"]) > 0
    # What came after the head would be taken for the next answer.
    assert (await browser.ask("GET /healthz")).status == 200


async def test_one_connection_carries_many_requests(browse: Browse) -> None:
    browser = await browse()
    ticks = [(await browser.ask("GET /stats")).document["tick"] for _ in range(10)]
    assert ticks == sorted(ticks)
    # Several at once, and one of them cut in two.
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


async def test_idle_connection_is_closed_in_time(browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.admin.http._IDLE_SECONDS", 0.01)
    browser = await browse()
    assert await browser.closed()


async def test_stopping_server_closes_admin_connections(server: ZoneServer, browse: Browse) -> None:
    browser = await browse()
    await browser.ask("GET /healthz")
    await server.stop()
    assert await browser.closed()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 421), ("evil.example:7778", 421)],
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
    assert served < 200, "it waits until they are read"
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_admin_connections_are_bounded(server: ZoneServer) -> None:
    assert server.stats_port is not None
    kept = [await asyncio.open_connection("127.0.0.1", server.stats_port) for _ in range(16)]
    await until(lambda: len(server._admin_connections) == 16)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.stats_port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    for _, each in [*kept, (reader, writer)]:
        each.close()
        with contextlib.suppress(ConnectionError):
            await each.wait_closed()
