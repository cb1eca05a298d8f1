"""Static files: what is served, under which path and type."""

from __future__ import annotations

import asyncio
import gzip
import random
from pathlib import Path

import pytest
from helpers.admin_browser import Browse, ask
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.games.plaza import Plaza
from zoneserver.http.pages import player_pages
from zoneserver.http.static_files import read_folder
from zoneserver.server import ZoneServer


def test_folder_is_served_without_hidden_files_and_without_links_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    (folder / "art").mkdir(parents=True)
    for name in ("index.html", "game.js", "art/tree.png", "art/index.html", ".env", "secret", "gold.db", "key.pem"):
        (folder / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    found = read_folder(folder)
    assert sorted(found) == ["/", "/art/", "/art/index.html", "/art/tree.png", "/game.js", "/index.html"]
    assert found["/game.js"]({})[1].content_type.startswith("text/javascript")


def test_folder_that_is_none_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        read_folder(tmp_path / "nothing")
    (tmp_path / "file.txt").write_bytes(b"12345")
    with pytest.raises(NotADirectoryError):
        read_folder(tmp_path / "file.txt")
    monkeypatch.setattr("zoneserver.http.static_files._FOLDER_BYTES_MAX", 4)
    with pytest.raises(ValueError, match="held in memory"):
        read_folder(tmp_path)


async def test_browser_gets_a_file_once(server: ZoneServer, browse: Browse, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    assert server.admin is not None
    server.admin.documents |= read_folder(tmp_path)
    browser = await browse()
    first = await browser.ask("GET /")
    assert (first.status, first.body, first.headers["cache-control"]) == (200, b"hello", "no-cache")
    assert "default-src 'none'" in first.headers["content-security-policy"]
    tag = first.headers["etag"]
    browser.writer.write(f"GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n".encode())
    head = await browser.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 304 ") and b"content-length" not in head.lower()
    assert (await browser.ask("GET /")).body == b"hello"


async def test_public_admin_port_has_a_sentence_in_place_of_the_page(open_server: OpenServer) -> None:
    server = await open_server(Plaza, stats_host="0.0.0.0", stats_token="sixteen-or-more-characters")
    assert server.stats_port is not None
    answer = await ask(server.stats_port, b"GET / HTTP/1.1\r\nHost: zone.example\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"The page is served on a loopback address alone" in answer
    assert (await ask(server.stats_port, b"GET /stats HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 401 ")


async def test_text_is_sent_compressed_to_a_browser_that_takes_it(
    server: ZoneServer, browse: Browse, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("hello " * 1_000)
    (tmp_path / "noise.png").write_bytes(bytes(random.Random(1).randbytes(1_000)))
    assert server.admin is not None
    server.admin.documents |= read_folder(tmp_path)
    browser = await browse()
    plain = await browser.ask("GET /")
    browser.writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\n\r\n")
    small = await browser.answer()
    assert gzip.decompress(small.body) == plain.body and len(small.body) < 200
    assert small.headers["content-encoding"] == "gzip" and small.headers["etag"] != plain.headers["etag"]
    browser.writer.write(b"GET /noise.png HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
    assert "content-encoding" not in (await browser.answer()).headers


async def test_path_is_found_however_it_is_written(server: ZoneServer, browse: Browse, tmp_path: Path) -> None:
    (tmp_path / "my größe.html").write_text("found")
    assert server.admin is not None
    server.admin.documents |= read_folder(tmp_path)
    browser = await browse()
    for target in ("/my%20gr%C3%B6%C3%9Fe.html", "http://localhost/my%20gr%C3%B6%C3%9Fe.html?x=1"):
        assert (await browser.ask(f"GET {target}")).body == b"found"
    assert (await browser.ask("GET /..%2f..%2fetc/passwd")).status == 404


async def test_large_file_reaches_a_client_that_takes_it_slowly(
    server: ZoneServer, browse: Browse, tmp_path: Path
) -> None:
    body = random.Random(2).randbytes(3_000_000)
    (tmp_path / "large.png").write_bytes(body)
    assert server.admin is not None
    server.admin.documents |= read_folder(tmp_path)
    server.admin.idle_seconds = 0.1
    browser = await browse()
    browser.writer.write(b"GET /large.png HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await browser.reader.readuntil(b"\r\n\r\n")
    received = b""
    while len(received) < len(body):
        received += await browser.reader.readexactly(min(150_000, len(body) - len(received)))
        await asyncio.sleep(0.02)
    assert received == body


async def test_client_that_takes_nothing_is_ended_and_costs_one_part(
    server: ZoneServer, browse: Browse, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(bytes(20_000_000))
    assert server.admin is not None
    server.admin.documents |= read_folder(tmp_path)
    server.admin.idle_seconds = 0.2
    browser = await browse()
    browser.writer.transport.pause_reading()
    browser.writer.write(b"GET /large.png HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: server.admin.connections == 1)
    (connection,) = server.admin._connections
    await until(lambda: connection._is_stalled)
    assert connection._transport.get_write_buffer_size() <= 64 * 1024
    await until(lambda: not server.admin.connections)


def test_servers_of_a_process_share_the_files_of_the_package(tmp_path: Path) -> None:
    pages = [player_pages(page, {}) for page in ("on", "on", str(tmp_path))]
    assert pages[0]["/"] is pages[1]["/"]
    assert pages[0]["/zone.js"] is pages[2]["/zone.js"]
    assert "/" not in pages[2]
