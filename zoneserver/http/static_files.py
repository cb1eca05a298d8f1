"""Static files, served from memory: a folder is read once, and later requests touch no disk."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from zoneserver.http.documents import Content, Document

__all__ = ["documents_of", "read_folder"]

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
# A file that is hardly smaller when it is compressed, such as a picture, is sent as it is.
_COMPRESSED_RATIO_MAX = 0.9


def read_folder(folder: Path) -> dict[str, Document]:
    """The files of a folder and the folders in it, by path, as far as they are of a kind that belongs to a page.

    Hidden ones, and links that lead out of the folder, are left out.

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
        if path.suffix.lower() not in _TYPES:
            continue
        if not path.resolve().is_relative_to(top):
            continue
        size += path.stat().st_size
        if size > _FOLDER_BYTES_MAX:
            raise ValueError(f"{folder} has more than {_FOLDER_BYTES_MAX // 2**20} MiB: the files are held in memory")
        files[name.as_posix()] = path.read_bytes()
    return documents_of(files)


def documents_of(files: Mapping[str, bytes], index: str = "index.html") -> dict[str, Document]:
    """The files by path. A file that is called `index` also stands for its folder."""
    documents: dict[str, Document] = {}
    for name, body in files.items():
        document = _served(_content(name, body))
        documents[f"/{name}"] = document
        folder, _, last = name.rpartition("/")
        if last == index:
            documents[f"/{folder}/" if folder else "/"] = document
    return documents


def _served(content: Content) -> Document:
    return lambda _query: (HTTPStatus.OK, content)


def _content(name: str, body: bytes) -> Content:
    content_type = _TYPES[Path(name).suffix.lower()]
    tag = hashlib.sha256(body).hexdigest()[:32]
    small = gzip.compress(body, 6, mtime=0)
    if len(small) > _COMPRESSED_RATIO_MAX * len(body):
        return Content(content_type, body, f'"{tag}"')
    return Content(content_type, body, f'"{tag}"', compressed=Content(content_type, small, f'"{tag}-gzip"', "gzip"))
