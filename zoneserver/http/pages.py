"""The pages of a server: that of its players, and that of its operators."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

from zoneserver.config import Config
from zoneserver.http.documents import Content, Document
from zoneserver.http.static_files import documents_of, read_folder
from zoneserver.support.errors import CannotStartError
from zoneserver.support.format import format_address

__all__ = ["admin_page", "check_page", "page_folder", "page_url", "player_pages", "schema_page"]

_SUFFIXES = frozenset({".html", ".js", ".css", ".ts", ".svg", ".png"})
_NO_PAGE = (
    "The page is served on a loopback address alone, since it asks nobody for a password and is not encrypted. "
    "Start the server without --stats-host, and use ssh -L 7778:127.0.0.1:7778"
)
# The files of the operators' page are called admin.html, admin.js, ...
_ADMIN = "admin"


def player_pages(page: str, schema: Mapping[str, Any]) -> dict[str, Document]:
    """What browsers find at the players' port, by path: the page, the client library, and the game's schema.

    `page` is `on`, `off`, or the folder of an author's own page. Raises CannotStartError for a folder that cannot be
    read.
    """
    if page == "off":
        return {}
    found = dict(_packaged(is_admin=False))
    if (folder := page_folder(page)) is not None:
        try:
            # An author's page brings all of its files but the library.
            found = {path: made for path, made in found.items() if path.startswith("/zone.")} | read_folder(folder)
        except OSError as error:
            raise CannotStartError(f"cannot serve the page in {folder}: {error.strerror}") from None
        except ValueError as error:
            raise CannotStartError(f"cannot serve the page: {error}") from None
    return found | schema_page(schema)


def schema_page(schema: Mapping[str, Any]) -> dict[str, Document]:
    """The game's schema, by its path."""
    game = Content("application/json", json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return {"/game.json": lambda _query: (HTTPStatus.OK, game)}


def page_url(config: Config, port: int | None) -> str:
    """Where a browser of this machine finds the page of a server at this port; empty if the server has none."""
    if config.page == "off" or port is None:
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    return f"http{'s' if config.tls_cert else ''}://{format_address(host, port)}/"


def page_folder(page: str) -> Path | None:
    """The folder that a setting `page` names; None for `on` and `off`."""
    return None if page in {"on", "off"} else Path(page)


def check_page(page: str, private: Mapping[str, Path | str | None]) -> None:
    """Raises CannotStartError if a private file is in the folder of the page. `private` has the files by setting."""
    folder = page_folder(page)
    for setting, path in private.items():
        if folder is not None and path and Path(path).resolve().is_relative_to(folder.resolve()):
            raise CannotStartError(
                f"{path} ({setting}) is in the folder of the page, and browsers could read it: "
                "give --page a folder with nothing but the page"
            )


def admin_page(*, is_loopback: bool) -> Mapping[str, Document]:
    """The operators' page, by path. A port that is not on a loopback address has a sentence in its place."""
    if is_loopback:
        return _packaged(is_admin=True)
    sentence = Content("text/plain; charset=utf-8", f"{_NO_PAGE}\n".encode())
    return {"/": lambda _query: (HTTPStatus.FORBIDDEN, sentence)}


@functools.cache
def _packaged(*, is_admin: bool) -> Mapping[str, Document]:
    """The files of this package, read and compressed once for all servers of a process."""
    files = {
        file.name: file.read_bytes()
        for file in resources.files("zoneserver").joinpath("web").iterdir()
        if Path(file.name).suffix in _SUFFIXES and file.name.startswith(_ADMIN) == is_admin
    }
    return documents_of(files, index=f"{_ADMIN}.html" if is_admin else "index.html")
