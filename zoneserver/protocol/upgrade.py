"""The opening handshake of WebSocket (RFC 6455 section 4), as far as it is no HTTP: keys, names and a client's part."""

from __future__ import annotations

import base64
import hashlib
import os

from zoneserver.protocol.messages import PROTOCOL_VERSION

__all__ = ["SUBPROTOCOL", "accept_key", "response_error", "upgrade_request"]

SUBPROTOCOL = f"zone.{PROTOCOL_VERSION}"
"""The name of this protocol among the subprotocols of WebSocket."""

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PROTOCOL_LINE = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"


def accept_key(key: str) -> str:
    """The value of `Sec-WebSocket-Accept` that answers a request with this key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()


def upgrade_request(host: str, path: str = "/") -> tuple[bytes, str]:
    """The request of a client that is no browser, and the `Sec-WebSocket-Accept` that the server must answer."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        _PROTOCOL_LINE,
        f"Sec-WebSocket-Key: {key}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode(), accept_key(key)


def response_error(head: bytes, accept: str) -> str | None:
    """Why this head of a response, its empty line included, opens no WebSocket; None if it opens one."""
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 101 "):
        return f"the server answered {status[:80]!r}"
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    expected = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}", _PROTOCOL_LINE)
    for name, value in (line.split(": ") for line in expected):
        found = headers.get(name.lower(), "")
        if found.lower() != value.lower():
            return f"the server answered {name}: {found[:80]!r}, not {value!r}"
    return None
