"""Static files, served from memory: a folder is read once, and later requests touch no disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from importlib import resources
from pathlib import Path

from zoneserver.http.documents import Content, Document

__all__ = ["packaged_files", "read_folder"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".wasm": "application/wasm",
    ".glb": "model/gltf-binary",
    ".ts": "text/plain; charset=utf-8",
}
# A folder of an author that has more than this is a mistake more often than not.
_FOLDER_BYTES_MAX = 64 * 2**20


def packaged_files(names: Iterable[str]) -> dict[str, Document]:
    """The files of `zoneserver/web` with these names, by path; `index.html` is also `/`."""
    folder = resources.files("zoneserver").joinpath("web")
    return _by_path({name: folder.joinpath(name).read_bytes() for name in names})


def read_folder(folder: Path) -> dict[str, Document]:
    """The files of a folder and the folders in it, by path. Hidden ones, and links that lead out of it, are left out.

    Raises OSError if the folder cannot be read, and ValueError if it is too large to be held in memory.
    """
    files: dict[str, bytes] = {}
    size, top = 0, folder.resolve(strict=True)
    if not top.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        if not path.resolve().is_relative_to(top):
            continue
        size += path.stat().st_size
        if size > _FOLDER_BYTES_MAX:
            raise ValueError(f"{folder} has more than {_FOLDER_BYTES_MAX // 2**20} MiB: the files are held in memory")
        files[name.as_posix()] = path.read_bytes()
    return _by_path(files)


def _by_path(files: dict[str, bytes]) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for name, body in files.items():
        content = _content(name, body)
        documents[f"/{name}"] = _served(content)
        if name == "index.html" or name.endswith("/index.html"):
            documents["/" + name.removesuffix("index.html")] = _served(content)
    return documents


def _served(content: Content) -> Document:
    return lambda _query: (HTTPStatus.OK, content)


def _content(name: str, body: bytes) -> Content:
    content_type = _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
    return Content(content_type, body, etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')
