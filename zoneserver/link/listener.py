"""What accepts the connections of a stream: a Unix socket, or the addresses of a TCP port."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zoneserver.link.address import LinkAddress
from zoneserver.support.errors import CannotStartError
from zoneserver.support.logs import fields
from zoneserver.support.process import port_holder
from zoneserver.support.socket_file import bind, remove

__all__ = ["LinkListener", "set_options"]

log = logging.getLogger(__name__)

_HINT = "give another path: --link unix:PATH"
_BACKLOG = 128
# How long no connection is accepted after the system had no resources for one.
_RETRY_SECONDS = 1.0
# How long the other end may acknowledge nothing before the connection is lost.
_SILENCE_SECONDS = 5
_OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_USER_TIMEOUT", _SILENCE_SECONDS * 1000),
    ("TCP_KEEPIDLE", 2),
    ("TCP_KEEPINTVL", 1),
    ("TCP_KEEPCNT", _SILENCE_SECONDS - 2),
)


def set_options(sock: socket.socket) -> None:
    """Makes a TCP socket send at once, and notice in seconds that the other end is away."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class LinkListener:
    """Listens at an address, and calls `accepted` with each connection and the address of the other end.

    Raises CannotStartError with what to do.
    """

    def __init__(self, address: LinkAddress, accepted: Callable[[socket.socket, str], None]) -> None:
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._path = Path(address.path) if address.scheme == "unix" else None
        self._inode = 0
        if self._path is not None:
            # The process may go to another folder before it removes the file.
            self._path = self._path.absolute()
            self._socks = [bind(Path(address.path), _HINT)]
            self._inode = self._path.stat().st_ino
        else:
            self._socks = _bind_tcp(address)
        self.port = 0 if self._path is not None else self._socks[0].getsockname()[1]
        """The TCP port; 0 for a Unix socket."""
        for sock in self._socks:
            self._watch(sock)

    def close(self) -> None:
        """Accepts no more, and removes the file of the socket."""
        if self._path is not None:
            remove(self._path, self._inode)
        for sock in self._socks:
            self._loop.remove_reader(sock)
            sock.close()
        self._socks.clear()

    def _watch(self, sock: socket.socket) -> None:
        if self._socks:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, sock: socket.socket) -> None:
        try:
            connection, address = sock.accept()
            connection.setblocking(False)
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # There are no descriptors or no memory left. Trying again at once would use up CPU time for nothing.
            text = "cannot accept gateways: %s; trying again in %g s (more open files: ulimit -n)"
            log.warning(text, error.strerror, _RETRY_SECONDS, extra=fields(error=error.strerror))
            self._loop.remove_reader(sock)
            self._loop.call_later(_RETRY_SECONDS, self._watch, sock)
            return
        self._accepted(connection, "" if self._path is not None else _text_of(address))


def _bind_tcp(address: LinkAddress) -> list[socket.socket]:
    """A socket for each address that the host has, all with one port."""
    port, problem = address.port, OSError("it has no address")
    with ExitStack() as unless_bound:
        socks: list[socket.socket] = []
        try:
            found = socket.getaddrinfo(address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, place in dict.fromkeys(found):
                sock = unless_bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # Accepted connections inherit the options.
                set_options(sock)
                sock.bind((place[0], port, *place[2:]))
                sock.listen(_BACKLOG)
                sock.setblocking(False)
                port = sock.getsockname()[1]
                socks.append(sock)
        except OSError as error:
            problem = error
        else:
            unless_bound.pop_all()
            return socks
    holder = port_holder(port) if port else None
    by = f" by {holder}" if holder is not None else ""
    raise CannotStartError(f"cannot listen at {address}: {problem.strerror or problem}{by}; give another: --link")


def _text_of(address: tuple[Any, ...]) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
