"""The admin port under many clients: the order of service, shared documents, idle connections, tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest
from helpers.admin_browser import Browse, Browser
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.games.plaza import Plaza
from zoneserver.http import documents as documents_module
from zoneserver.http.documents import Document, DocumentServer, Request
from zoneserver.server import ZoneServer

TOKEN = "sixteen-or-more-characters"


class FakeConnection:
    """A connection that calls a function in each of its turns."""

    def __init__(self, on_turn: Callable[[], object] = lambda: None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.serve = on_turn
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def request(target: bytes = b"/map", **changes: Any) -> Request:
    values = {"method": b"GET", "target": target, "host": "localhost", "origin": None, "authorization": b""}
    return Request(**values | changes)


def counting() -> tuple[list[int], Document]:
    """A document that is another one each time, and the list of those that were made."""
    made: list[int] = []

    def document(_query: object) -> tuple[HTTPStatus, dict[str, int]]:
        made.append(len(made))
        return HTTPStatus.OK, {"number": made[-1]}

    return made, document


# --- Turns --------------------------------------------------------------------------------------------


async def test_port_serves_one_connection_per_turn_of_the_loop_in_order() -> None:
    port, events = DocumentServer({}), list[object]()
    for number in range(3):
        port.wait(FakeConnection(lambda number=number: events.append(number)))

    async def other_work() -> None:
        while len(events) < 6:
            if events and events[-1] != "turn":
                events.append("turn")
            await asyncio.sleep(0)

    await other_work()
    assert events == [0, "turn", 1, "turn", 2, "turn"]


async def test_port_rests_nine_times_as_long_as_a_request_took(monkeypatch: pytest.MonkeyPatch) -> None:
    port, loop, cpu = DocumentServer({}), asyncio.get_running_loop(), 0.0
    monkeypatch.setattr(documents_module.time, "thread_time", lambda: cpu)
    served: list[float] = []

    def costly() -> None:
        nonlocal cpu
        cpu += 0.01
        served.append(time.monotonic())

    assert loop is port._loop
    for _ in range(2):
        port.wait(FakeConnection(costly))
    await until(lambda: len(served) == 2)
    # Timers of the loop have a resolution of a millisecond.
    assert served[1] - served[0] >= 0.088


async def test_connection_that_fails_in_its_turn_ends_and_the_next_one_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port, served = DocumentServer({}), list[str]()

    def fail() -> None:
        raise ZeroDivisionError

    failing = FakeConnection(fail)
    port.wait(failing)
    port.wait(FakeConnection(lambda: served.append("next")))
    await until(lambda: served)
    assert failing.is_closed
    assert "ZeroDivisionError" in caplog.text


# --- Shared documents ---------------------------------------------------------------------------------


async def test_requests_that_waited_while_a_document_was_made_share_it() -> None:
    port, answers = DocumentServer({"/map": counting()[1]}), list[bytes]()

    def ask(target: bytes) -> FakeConnection:
        return FakeConnection(lambda: answers.append(port.answer(request(target))[1].body))

    for target in (b"/map", b"/map", b"/map?x=1", b"/map"):
        port.wait(ask(target))
    await until(lambda: len(answers) == 4)
    assert answers == [b'{"number":0}\n', b'{"number":0}\n', b'{"number":1}\n', b'{"number":0}\n']


async def test_request_that_comes_after_a_document_gets_one_of_its_own() -> None:
    made, document = counting()
    port, answers = DocumentServer({"/map": document}), list[bytes]()
    for number in range(3):
        port.wait(FakeConnection(lambda: answers.append(port.answer(request())[1].body)))
        await until(lambda number=number: len(answers) == number + 1)
    assert len(set(answers)) == len(made) == 3


async def test_port_keeps_a_bounded_number_of_documents() -> None:
    port = DocumentServer({"/map": counting()[1]})
    for number in range(100):
        port.answer(request(b"/map?%d" % number))
    assert len(port._made) <= 16


# --- Idle connections ---------------------------------------------------------------------------------


async def test_seventeenth_connection_ends_the_one_that_was_idle_longest(server: ZoneServer, browse: Browse) -> None:
    assert server.admin is not None
    kept = []
    for number in range(16):
        kept.append(await browse())
        await until(lambda number=number: server.admin.connections == number + 1)
    # The first connection asks, and the second sends a part of a request only: now the second is idle longest.
    assert (await kept[0].ask("GET /healthz")).status == 200
    turns = server.admin._turns
    kept[1].writer.write(b"G")
    await until(lambda: server.admin is not None and server.admin._turns > turns)
    newest = await browse()
    assert (await newest.ask("GET /healthz")).status == 200
    assert await ends(kept[1])
    assert await ends(kept[1])
    assert server.admin.connections == 16
    assert (await kept[0].ask("GET /healthz")).status == 200
    assert (await kept[2].ask("GET /healthz")).status == 200


async def ends(browser: Browser) -> bool:
    try:
        return await browser.reader.read() == b""
    except ConnectionError:
        return True


async def test_addresses_take_turns() -> None:
    port, served = DocumentServer({}), list[str]()
    for host in ["192.0.2.1"] * 5 + ["192.0.2.2", "192.0.2.3"]:
        port.wait(FakeConnection(lambda host=host: served.append(host), host))
    await until(lambda: len(served) == 7)
    assert [host[-1] for host in served] == list("1231111")


async def test_one_address_has_half_of_the_connections_at_most() -> None:
    port = DocumentServer({}, connections_max=64)
    connections = [FakeConnection(host="192.0.2.1") for _ in range(40)]
    other = FakeConnection(host="192.0.2.2")
    port.opened(other)
    for connection in connections:
        port.opened(connection)
    assert [number for number, each in enumerate(connections) if each.is_closed] == list(range(8))
    assert not other.is_closed


async def test_waiting_connection_is_kept_while_another_one_is_idle() -> None:
    port = DocumentServer({})
    connections = [FakeConnection() for _ in range(17)]
    for connection in connections[:16]:
        port.opened(connection)
    port.wait(connections[0])
    port.opened(connections[16])
    assert [number for number, each in enumerate(connections) if each.is_closed] == [1]


async def test_bytes_of_an_incomplete_request_do_not_keep_a_connection_open(server: ZoneServer, browse: Browse) -> None:
    assert server.admin is not None
    server.admin.idle_seconds = 0.05
    browser = await browse()

    async def drip() -> None:
        while True:
            browser.writer.write(b"G")
            await asyncio.sleep(0.005)

    dripping = asyncio.create_task(drip())
    try:
        assert await ends(browser)
    finally:
        dripping.cancel()


# --- Bodies -------------------------------------------------------------------------------------------


async def test_body_is_not_read(server: ZoneServer, browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneserver.http.connection._LINGER_SECONDS", 30.0)
    browser = await browse()
    browser.writer.write(b"POST /stats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (await browser.answer()).status == 413
    assert server.admin is not None
    (connection,) = server.admin._connections
    buffered = connection._http.trailing_data  # type: ignore[attr-defined]
    for _ in range(200):
        browser.writer.write(b"1\r\nx\r\n" * 1_000)
        await asyncio.sleep(0)
    assert connection._http.trailing_data == buffered  # type: ignore[attr-defined]
    assert not connection._transport.is_reading()  # type: ignore[attr-defined]
    browser.writer.transport.abort()


async def test_many_header_lines_are_parsed_a_few_kilobytes_at_a_time(browse: Browse) -> None:
    browser = await browse()
    browser.writer.write(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n" + b"a:b\r\n" * 50_000 + b"\r\n")
    assert (await browser.answer()).status == 431
    browser.writer.transport.abort()


# --- Tokens -------------------------------------------------------------------------------------------


@pytest.fixture
async def guarded(open_server: OpenServer) -> AsyncIterator[ZoneServer]:
    yield await open_server(Plaza, stats_host="0.0.0.0", stats_token=TOKEN)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/stats", "", 401),
        ("/nothing", "", 401),
        ("/stats", "Authorization: Bearer wrong\r\n", 401),
        ("/stats", f"Authorization: Basic {TOKEN}\r\n", 401),
        ("/stats", f"Authorization: Bearer {TOKEN}\r\n", 200),
        ("/stats", f"authorization: bearer  {TOKEN}\r\n", 200),
        ("/nothing", f"Authorization: Bearer {TOKEN}\r\n", 404),
        ("/healthz", "", 200),
        ("/healthz?x", "", 200),
    ],
)
async def test_public_port_needs_the_token_for_all_but_the_health(
    guarded: ZoneServer, path: str, headers: str, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.stats_port)
    browser = Browser(reader, writer)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: zone.example\r\n{headers}\r\n".encode())
    answer = await browser.answer()
    assert answer.status == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert TOKEN.encode() not in answer.body
    writer.close()
    await writer.wait_closed()


async def test_loopback_port_with_a_token_needs_it_and_a_loopback_host() -> None:
    port = DocumentServer({"/map": counting()[1]}, token=TOKEN)
    bearer = b"Bearer " + TOKEN.encode()
    assert port.answer(request())[0] is HTTPStatus.UNAUTHORIZED
    assert port.answer(request(authorization=bearer))[0] is HTTPStatus.OK
    assert port.answer(request(authorization=bearer, host="evil.example"))[0] is HTTPStatus.FORBIDDEN
