"""The TCP listener: a listening socket and the loop that accepts its connections."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, TypeAlias

from zoneserver.config import Limits
from zoneserver.gateway.listeners.header_wait import HeaderWait
from zoneserver.gateway.socket_options import set_send_limits, set_user_timeout
from zoneserver.support.logs import fields

__all__ = ["Listener", "PeerAddress", "bind", "bind_all", "listen"]

log = logging.getLogger(__name__)

PeerAddress: TypeAlias = tuple[Any, ...]
"""The address of a peer as `socket.accept` returns it: host and port, and more for IPv6."""

# How many connections may wait to be accepted.
_BACKLOG = 4096
# How many connections one turn of the loop accepts, in about two milliseconds. An overloaded zone has a turn or
# two per tick, so it accepts no more than these.
_ACCEPTS_PER_TURN = 64
# How long no connection is accepted after the system had no resources for one.
_RETRY_SECONDS = 1.0
# How often a free port of one address is tried on the other addresses of its name.
_PORT_TRIES = 50
# The system has no such address, or no addresses of this family. Another address of the name may do.
_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(host: str, port: int, limits: Limits | None = None) -> socket.socket:
    """Returns a listening socket, for a listener to accept from. Raises OSError when the port cannot be bound.

    The socket listens already, since two sockets that are only bound with SO_REUSEADDR would not notice each
    other. Connections wait until a listener accepts them.

    On Linux every accepted connection inherits the options that are set here, so that accepting needs no
    further calls. Elsewhere options that are not inherited keep the system's defaults.
    """
    return _bind(_resolve(host, port)[0], limits)


def bind_all(host: str, port: int, limits: Limits, *, is_shared: bool = False) -> list[socket.socket]:
    """Returns a listening socket, as `bind` does, for each address that a name has, all with one port.

    Processes of one user may share the port if all of them bind it as `is_shared`. Such a socket does not listen yet,
    since the system would hand it connections; `listen` lets it.

    With port 0 it is a port that is free on all of them. An address that the system does not have is left out, unless
    there is no other. Raises OSError when the port cannot be bound on one address.
    """
    addresses = _resolve(host, port)
    for _ in range(_PORT_TRIES):
        with contextlib.ExitStack() as unless_bound:
            socks: list[socket.socket] = []
            for family, address in addresses:
                # The first socket decides which port the others get.
                found = socks[0].getsockname()[1] if socks else port
                try:
                    sock = _bind((family, (address[0], found, *address[2:])), limits, is_shared=is_shared)
                except OSError as error:
                    if error.errno == errno.EADDRINUSE and socks and not port:
                        break
                    if error.errno in _NO_ADDRESS and (socks or address != addresses[-1][1]):
                        continue
                    raise
                socks.append(unless_bound.enter_context(sock))
            else:
                unless_bound.pop_all()
                return socks
    raise OSError(errno.EADDRINUSE, "no port is free on all addresses")


_Address = tuple[int, tuple[Any, ...]]


def _resolve(host: str, port: int) -> list[_Address]:
    """(family, address) of each address that a name has, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind(address: _Address, limits: Limits | None, *, is_shared: bool = False) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if limits is not None:
            set_limits(sock, limits)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address[1])
        if not is_shared:
            listen(sock)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def listen(sock: socket.socket) -> None:
    """Lets a socket listen; one that listens already goes on."""
    sock.listen(_BACKLOG)


def set_limits(sock: socket.socket, limits: Limits) -> None:
    """Sets the options of a listening socket that its connections are to inherit."""
    set_send_limits(sock, limits.socket_send_bytes)
    set_user_timeout(sock, limits.tcp_user_timeout_seconds)


class Listener:
    """Accepts connections from a socket. Each gets a protocol of its own, made for the connection's socket and address.

    The address is the one that `accept` returned, because the peer of a connection that was reset cannot be asked for
    any more; or the one in the PROXY header of a trusted proxy, if `headers` are waited for.

    It replaces the accept loops of asyncio and uvloop. They begin a TLS handshake with every connection,
    without a bound, and uvloop drops connections silently when the descriptors are used up.
    """

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[socket.socket, PeerAddress], asyncio.BaseProtocol],
        headers: HeaderWait | None = None,
    ) -> None:
        self._sock = sock
        self._headers = headers
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        # Accepted connections that have no protocol yet, the oldest first.
        self._opening: dict[asyncio.Task[Any], None] = {}
        self._is_closed = False
        self._watch()

    def close(self) -> None:
        """Stops accepting."""
        self._is_closed = True
        self._loop.remove_reader(self._sock)
        self._sock.close()
        if self._headers is not None:
            self._headers.close()

    async def wait_closed(self) -> None:
        """Waits until each accepted connection has its protocol, or is closed."""
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
                # There are no descriptors or no memory left. Trying again at once would use up CPU time for nothing.
                text = "cannot accept connections: %s; trying again in %g s (more open files: ulimit -n)"
                log.warning(text, error.strerror, _RETRY_SECONDS, extra=fields(error=error.strerror))
                self._loop.remove_reader(self._sock)
                self._loop.call_later(_RETRY_SECONDS, self._watch)
                return
            if self._headers is not None and address[0] in self._headers.trusted:
                self._headers.add(connection, address, self._let_in)
            else:
                self._let_in(connection, address)

    def _let_in(self, connection: socket.socket, address: PeerAddress) -> None:
        """Connects an accepted connection from the address to its protocol."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._opening.pop(task, None)
            if task.cancelled() or task.exception() is not None:
                connection.close()

        opening = self._loop.connect_accepted_socket(lambda: self._protocol(connection, address), connection)
        task = self._loop.create_task(opening)
        self._opening[task] = None
        task.add_done_callback(ended)
