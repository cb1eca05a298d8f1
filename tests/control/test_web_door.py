"""Commands from the page of the admin port: who may give which."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
from collections.abc import AsyncIterator
from urllib.parse import quote_plus

import pytest
from helpers.admin_browser import Answer, Browser
from helpers.raw_client import Connect
from helpers.servers import OpenServer

from zoneserver.cli.ctl import ControlSocket
from zoneserver.control import web_door
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Bye
from zoneserver.server import ZoneServer


@pytest.fixture
async def server(open_server: OpenServer) -> AsyncIterator[ZoneServer]:
    server = await open_server(Plaza, hz=50)
    control = ControlSocket(server)
    await control.open(None)
    yield server
    control.close()


async def post(server: ZoneServer, command: str, **headers: str | None) -> Answer:
    """The answer to a command, given as the page gives it, but for the headers. None leaves one out."""
    host = f"127.0.0.1:{server.stats_port}"
    given = {"Host": host, "Origin": f"http://{host}", "X-Zone": "ctl", "Content-Length": "0"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST /ctl?command={quote_plus(command)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in given.items() if value is not None]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.stats_port)
    with contextlib.closing(writer):
        writer.write("\r\n".join([*lines, "", ""]).encode())
        return await Browser(reader, writer).answer()


async def test_page_kicks_a_player_and_the_log_says_who_did(
    server: ZoneServer, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    name = 'it\'s "ann"'
    client = await connect(server.port)
    await client.hello(name)
    await client.welcomed()
    caplog.set_level(logging.INFO)
    answer = await post(server, f"kick {shlex.quote(name)}")
    assert (answer.status, answer.document) == (
        200,
        {"schema": "zone-ctl/1", "code": 0, "text": f"{name} is kicked"},
    )
    assert (await client.read_until(Bye)).code == "KICKED"
    assert f"by uid {os.geteuid()}: done" in caplog.text
    # What ctl refuses, the page is refused as well, in the same words. A program that is no browser sends no origin.
    assert (await post(server, "kick bob", Origin=None)).document["code"] == 1
    assert (await post(server, "kick")).document["code"] == 2


REFUSED: list[tuple[str, dict[str, str | None], int, str]] = [
    ("kick ann", {"X_Zone": None}, 403, "X-Zone: ctl"),
    ("kick ann", {"Origin": "http://evil.example"}, 403, "evil.example"),
    ("kick ann", {"Origin": "http://127.0.0.1:1"}, 403, "127.0.0.1:1"),
    ("kick ann", {"Origin": "null"}, 403, "null"),
    ("kick ann", {"Host": "evil.example", "Origin": "http://evil.example"}, 403, "evil.example"),
    ("kick ann", {"Content_Length": "4"}, 413, "body"),
    ("stop", {}, 400, "a page may give one command, kick"),
    ("", {}, 400, "a page may give one command, kick"),
    ("kick 'ann", {}, 400, "No closing quotation"),
]


async def test_page_is_refused(server: ZoneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_door, "log_command", lambda *_: pytest.fail("a command was run"))
    for command, headers, status, told in REFUSED:
        answer = await post(server, command, **headers)
        assert (answer.status, told in answer.document["error"]) == (status, True), (command, headers)


async def test_other_users_and_unknown_ones_may_not_kick(
    server: ZoneServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(web_door, "log_command", lambda *_: pytest.fail("a command was run"))
    for uid, told in ((None, "use zoneserver ctl"), (12_345, "uid 12345 may not")):
        assert "ctl: refused" not in caplog.text
        monkeypatch.setattr(web_door, "user_of_peer", lambda *_, uid=uid: uid)
        answer = await post(server, "kick ann")
        assert (answer.status, told in answer.document["error"]) == (403, True)
    assert "ctl: refused uid 12345" in caplog.text


async def test_server_without_a_control_socket_takes_no_commands_from_the_page(server: ZoneServer) -> None:
    control = ControlSocket(server)
    control.close()
    assert (await post(server, "kick ann")).status == 404
    await control.open("none")
    assert (await post(server, "kick ann")).status == 404
    control.close()
