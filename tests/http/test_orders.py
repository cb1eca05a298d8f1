"""What a POST asks for: it may take several turns of the loop, and no other connection waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import cast

import pytest
from helpers.admin_browser import Browse
from helpers.waiting import until

from zoneserver.http.documents import Content, Request
from zoneserver.server import ZoneServer


async def test_order_is_answered_before_the_next_request_is_served(server: ZoneServer, browse: Browse) -> None:
    assert server.admin is not None
    started, may_end = asyncio.Event(), asyncio.Event()

    async def order(request: Request, _transport: asyncio.BaseTransport) -> tuple[HTTPStatus, Content]:
        started.set()
        await may_end.wait()
        return HTTPStatus.OK, Content("text/plain", request.target + (request.mark or "").encode())

    server.admin.orders["/do"] = order
    browser = await browse()
    head = b" HTTP/1.1\r\nHost: localhost\r\nX-Zone: ctl\r\n\r\n"
    browser.writer.write(b"POST /do?it" + head + b"GET /healthz" + head + b"GET /do" + head + b"POST /map" + head)
    await started.wait()
    # A GET of another client does not wait for it.
    assert (await (await browse()).ask("GET /healthz")).status == 200
    may_end.set()
    answers = [await browser.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 404, 405]
    assert (answers[0].body, answers[1].document["status"]) == (b"/do?itctl", "ok")


async def test_order_that_raises_is_answered_with_500(
    server: ZoneServer, browse: Browse, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.admin is not None

    async def order(_request: Request, _transport: asyncio.BaseTransport) -> tuple[HTTPStatus, Content]:
        raise ZeroDivisionError

    server.admin.orders["/do"] = order
    browser = await browse()
    assert (await browser.ask("POST /do")).status == 500
    assert "ZeroDivisionError" in caplog.text
    assert (await browser.ask("GET /healthz")).status == 200


async def test_connection_may_close_while_its_order_runs(server: ZoneServer, browse: Browse) -> None:
    assert server.admin is not None
    started, may_end = asyncio.Event(), asyncio.Event()

    async def order(_request: Request, transport: asyncio.BaseTransport) -> tuple[HTTPStatus, Content]:
        started.set()
        cast("asyncio.Transport", transport).abort()
        await may_end.wait()
        return HTTPStatus.OK, Content("text/plain", b"")

    server.admin.orders["/do"] = order
    browser = await browse()
    browser.writer.write(b"POST /do HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await started.wait()
    await until(lambda: server.admin is not None and not server.admin.connections)
    may_end.set()
    with contextlib.suppress(ConnectionError):
        assert await browser.reader.read() == b""
