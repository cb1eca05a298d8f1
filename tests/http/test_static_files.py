"""Static files: what is served, under which path and type."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest
from helpers.admin_browser import Browse, ask
from helpers.servers import OpenServer

from zoneserver.games.plaza import Plaza
from zoneserver.http.static_files import read_folder
from zoneserver.server import ZoneServer


def test_folder_is_served_without_hidden_files_and_without_links_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    (folder / "art").mkdir(parents=True)
    for name in ("index.html", "game.js", "art/tree.png", "art/index.html", ".env"):
        (folder / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    found = read_folder(folder)
    assert sorted(found) == ["/", "/art/", "/art/index.html", "/art/tree.png", "/game.js", "/index.html"]
    assert found["/game.js"]({})[1].content_type.startswith("text/javascript")


def test_folder_that_is_none_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        read_folder(tmp_path / "nothing")
    (tmp_path / "file").write_bytes(b"12345")
    with pytest.raises(NotADirectoryError):
        read_folder(tmp_path / "file")
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
