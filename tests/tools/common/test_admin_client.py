"""The client of the admin port, with servers of all kinds."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.dashboards import (
    Server,
    lasting_port,
)
from zonetools.common.admin_client import AdminClient, ServerUnreachable, _printable
from zonetools.dashboard.data.history import restarted

from zoneserver.admin.stats import SessionList
from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer


@pytest.fixture
def impostor() -> Iterator[int]:
    """A web server that is not a zone server: it knows neither statistics nor JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            bodies = {"/map": b"<html>", "/steering": rb'["\u001b[2J", {"a\u0007": "b\u009b"}]'}
            body = bodies.get(self.path, b"[]")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


async def test_client_rejects_answers_of_another_web_server(impostor: int) -> None:
    client = AdminClient("127.0.0.1", impostor)
    with pytest.raises(ServerUnreachable, match="zone-stats/1"):
        await client.stats()
    with pytest.raises(ServerUnreachable, match="not JSON"):
        await client.map()
    client.close()


@pytest.mark.parametrize("host", ["::1", "localhost", "127.9.9.9"])
async def test_client_finds_the_statistics_at_any_loopback_host(host: str) -> None:
    async with ZoneServer(Plaza, port=0, stats_port=0) as server:
        assert server.stats_port
        with contextlib.closing(AdminClient(host, server.stats_port)) as client:
            assert (await client.stats()).game == "plaza"
            assert (await client.map()).players == 0


async def test_client_removes_control_characters_from_answers(impostor: int) -> None:
    client = AdminClient("127.0.0.1", impostor)
    assert await client._ask("/steering", lambda document: document) == ["[2J", {"a": "b"}]
    assert str(ServerUnreachable("gone\x1b[2J\r\n")) == "gone[2J"
    client.close()


def test_client_reduces_answers_to_ascii_on_request() -> None:
    assert _printable({"n\u00e4me": ["\u202e가\x1b[2J", 1, None]}, ascii=True) == {"n?me": ["?[2J", 1, None]}


async def test_client_connects_again_after_a_restart(tmp_path: Path) -> None:
    first = Server(tmp_path, lasting_port())
    client = AdminClient("127.0.0.1", first.stats_port)
    before = await client.stats()
    first.stop()
    with pytest.raises(ServerUnreachable):
        await client.stats()
    second = Server(tmp_path, first.stats_port)
    after = await client.stats()
    assert restarted(before, after)
    assert (await client.map()).players == 0
    client.close()
    second.stop()


def test_sessions_document_is_json(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_connection(("127.0.0.1", server.stats_port)) as sock:
        sock.sendall(b"GET /sessions?sort=age&limit=5 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while select.select([sock], [], [], 30)[0] and (data := sock.recv(65536)):
            answer += data
    server.stop()
    assert SessionList.from_json(json.loads(answer.partition(b"\r\n\r\n")[2])).sort == "age"
