"""The TCP door: a listening socket whose connections become sessions."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from zoneserver.config import Limits
from zoneserver.sockets import set_send_limits, set_user_timeout

__all__ = ["bind", "listen"]

# How many who connect may wait to be accepted.
_BACKLOG = 4096
# How many of them asyncio accepts before everybody else has a turn: it takes its backlog for that. (uvloop
# accepts one.)
_ACCEPTS_PER_TURN = 16


def bind(host: str, port: int, limits: Limits | None = None) -> socket.socket:
    """A socket that holds its port, for `listen` to accept from. Raises OSError when the port is not to be had.

    It listens already: of two sockets that are merely bound with SO_REUSEADDR neither would see the
    other, and a loop may keep it to itself when listening fails later. Who connects waits to be accepted.

    Options set here are inherited by every connection that it accepts (on Linux; elsewhere those
    that are not inherited keep the system's defaults), so that accepting costs no further calls.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if limits is not None:
            set_send_limits(sock, limits.socket_send_bytes)
            set_user_timeout(sock, limits.tcp_user_timeout_seconds)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


async def listen(
    sock: socket.socket,
    protocol: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> asyncio.Server:
    """Starts to accept; each connection gets a protocol of its own, by TLS once its handshake is done,
    which may take as long as a HELLO."""
    encryption: dict[str, Any] = {}
    if tls is not None and limits is not None:
        encryption = {
            "ssl": tls,
            "ssl_handshake_timeout": limits.handshake_seconds,
            "ssl_shutdown_timeout": limits.linger_seconds,
        }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, sock=sock, backlog=_ACCEPTS_PER_TURN, **encryption)
    # The loop has told the kernel its own figure.
    sock.listen(_BACKLOG)
    return server
