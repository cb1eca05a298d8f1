"""The TCP door: a listening socket whose connections become sessions."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from zoneserver.config import Limits
from zoneserver.gateway.socket_options import set_send_limits, set_user_timeout
from zoneserver.support.logs import fields

__all__ = ["Listener", "bind"]

log = logging.getLogger(__name__)

# How many who connect may wait to be accepted.
_BACKLOG = 4096
# How many of them are accepted before everybody else has a turn: some two milliseconds' worth. A zone whose
# tick does not fit has a turn or two per tick, and lets in no more than these.
_ACCEPTS_PER_TURN = 64
# How long nobody is accepted after the system had no room for one.
_REST_SECONDS = 1.0


def bind(host: str, port: int, limits: Limits | None = None) -> socket.socket:
    """A socket that holds its port, for a listener to accept from. Raises OSError when the port is not to be had.

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


class Listener:
    """Accepts connections from a socket, from now on; each gets a protocol of its own, made for the socket.

    An accept loop of our own, the same on every event loop: theirs shake hands by TLS with as many as come,
    before anybody is asked, and when no descriptor is left one of them drops who comes without a word.
    """

    def __init__(self, sock: socket.socket, protocol: Callable[[socket.socket], asyncio.Protocol]) -> None:
        self._sock = sock
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        # Connections that are accepted and do not stand yet, the oldest first.
        self._opening: dict[asyncio.Task[Any], None] = {}
        self._is_closed = False
        self._watch()

    def close(self) -> None:
        """Accepts nobody more."""
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()

    async def wait_closed(self) -> None:
        """Returns when each connection that was accepted stands, or has gone."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _watch(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                connection, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of descriptors, or of memory: to try on at once would take what others need.
                text = "cannot accept connections: %s; trying again in %g s (more open files: ulimit -n)"
                log.warning(text, error.strerror, _REST_SECONDS, extra=fields(error=error.strerror))
                self._loop.remove_reader(self._sock)
                self._loop.call_later(_REST_SECONDS, self._watch)
                return
            self._let_in(connection, address)

    def _let_in(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        opening = self._loop.connect_accepted_socket(lambda: self._protocol(connection), connection)
        self._open(connection, opening, lambda _error: None)

    def _open(
        self,
        connection: socket.socket,
        opening: Coroutine[Any, Any, Any],
        failed: Callable[[BaseException], object],
    ) -> None:
        """Starts a connection's way to its protocol; tells `failed` if it does not get there."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._opening.pop(task, None)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is not None:
                connection.close()
                failed(error)

        task = self._loop.create_task(opening)
        self._opening[task] = None
        task.add_done_callback(ended)
