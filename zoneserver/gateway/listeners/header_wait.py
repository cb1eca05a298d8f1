"""The wait for PROXY headers: connections of trusted proxies whose first bytes are not there yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Container
from typing import Any, TypeAlias

from zoneserver.gateway.listeners.proxy_header import HEADER_BYTES_MAX, ProxyHeaderError, read_proxy_header
from zoneserver.protocol.codes import CloseReason

__all__ = ["WAITING_MAX", "HeaderWait"]

WAITING_MAX = 512
"""How many connections may wait at once, each with a descriptor."""
# When the socket is looked at again after a part of a header, at first. A socket with unread bytes stays readable, so
# the loop cannot wait for more of them. The time doubles with each look.
_LOOK_AGAIN_SECONDS = 0.01

_Address: TypeAlias = tuple[Any, ...]
_LetIn: TypeAlias = Callable[[socket.socket, _Address], object]


class _Connection:
    """A connection that waits. One of the loop's calls leads to its next look, or its end."""

    __slots__ = ("address", "deadline", "let_in", "look_again", "pause_seconds")

    def __init__(self, address: _Address, let_in: _LetIn, deadline: asyncio.TimerHandle) -> None:
        self.address = address
        self.let_in = let_in
        self.deadline = deadline
        self.pause_seconds = _LOOK_AGAIN_SECONDS
        self.look_again: asyncio.TimerHandle | None = None


class HeaderWait:
    """Looks at the first bytes of connections from `trusted` addresses, and lets each in by the address in its header.

    Only the bytes of a PROXY header are read. So what follows may be TLS or not, and a connection without a header goes
    on with the address that it has. A connection whose header is not allowed, or not there in `seconds`, is closed, as
    is the oldest one when WAITING_MAX of them wait. `rejected` is told of each with the address of the proxy.
    """

    def __init__(
        self, trusted: Container[str], seconds: float, rejected: Callable[[_Address, CloseReason, str], object]
    ) -> None:
        self.trusted = trusted
        self._seconds = seconds
        self._rejected = rejected
        self._loop = asyncio.get_running_loop()
        # The oldest first.
        self._waiting: dict[socket.socket, _Connection] = {}

    def __len__(self) -> int:
        """How many connections wait."""
        return len(self._waiting)

    def add(self, sock: socket.socket, address: _Address, let_in: _LetIn) -> None:
        """Calls `let_in` with the connection and its true address when that is known, perhaps at once."""
        if len(self._waiting) >= WAITING_MAX:
            text = "another connection needed the place before the first bytes arrived"
            self._reject(next(iter(self._waiting)), CloseReason.HANDSHAKE_TIMEOUT, text)
        sock.setblocking(False)
        deadline = self._loop.call_later(self._seconds, self._expire, sock)
        self._waiting[sock] = _Connection(address, let_in, deadline)
        self._look(sock)

    def close(self) -> None:
        """Closes all connections that wait."""
        for sock in tuple(self._waiting):
            self._reject(sock, CloseReason.SERVER_STOPPING)

    def _look(self, sock: socket.socket) -> None:
        connection = self._waiting[sock]
        connection.look_again = None
        try:
            data = sock.recv(HEADER_BYTES_MAX, socket.MSG_PEEK)
            header = read_proxy_header(data)
            if header is not None and header.size:
                sock.recv(header.size)
        except (BlockingIOError, InterruptedError):
            self._loop.add_reader(sock, self._look, sock)
        except OSError as error:
            self._reject(sock, CloseReason.CONNECTION_LOST, f"{error}")
        except ProxyHeaderError as error:
            self._reject(sock, CloseReason.PROTOCOL_ERROR, f"{error}")
        else:
            if not data:
                self._reject(sock, CloseReason.CONNECTION_LOST, "the peer closed the connection")
            elif header is not None:
                self._forget(sock).let_in(sock, header.source or connection.address)
            else:
                self._loop.remove_reader(sock)
                connection.look_again = self._loop.call_later(connection.pause_seconds, self._look, sock)
                connection.pause_seconds *= 2

    def _expire(self, sock: socket.socket) -> None:
        self._reject(sock, CloseReason.HANDSHAKE_TIMEOUT, "the first bytes of the connection took too long")

    def _reject(self, sock: socket.socket, reason: CloseReason, text: str = "") -> None:
        connection = self._forget(sock)
        sock.close()
        self._rejected(connection.address, reason, text)

    def _forget(self, sock: socket.socket) -> _Connection:
        connection = self._waiting.pop(sock)
        self._loop.remove_reader(sock)
        connection.deadline.cancel()
        if connection.look_again is not None:
            connection.look_again.cancel()
        return connection
