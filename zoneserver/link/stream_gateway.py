"""A gateway's end of a link by streams: it connects to the zone, again and again."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial

from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import LinkSecurity
from zoneserver.link.connection import FIRST_SECONDS, RIGHT_TOKEN, LinkConnection, framed
from zoneserver.link.listener import set_options
from zoneserver.support.errors import CannotStartError
from zoneserver.support.host import is_loopback
from zoneserver.support.logs import fields
from zoneserver.support.socket_file import is_trusted, peer_of
from zoneserver.support.tls_client import client_context, explain_connect_error

__all__ = ["RETRY_SECONDS", "StreamGatewayCarrier"]

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.2
"""How often a gateway looks for the zone."""

# How long `open` waits for the first attempt.
_OPEN_SECONDS = 1.0
_NO_TLS = "give the zone a certificate (--link-cert), or leave out --link-ca here"


class StreamGatewayCarrier:
    """The gateway's end: a GatewayCarrier."""

    def __init__(self, address: LinkAddress, security: LinkSecurity) -> None:
        self.address = str(address.absolute())
        self.is_up = False
        self._address = address
        self._security = security
        self._context: ssl.SSLContext | None = None
        self._connection: LinkConnection | None = None
        self._search: asyncio.Task[None] | None = None
        # Done when the first attempt is over.
        self._first: asyncio.Future[None]
        # When the way was lost, or looked for first; None while it stands.
        self._away_since: float | None = None
        # What was logged of this outage.
        self._told: set[str] = set()
        self._has_stood = False
        self._receive: Callable[[bytes], None]
        self._changed: Callable[[bool], None]

    async def open(self, receive: Callable[[bytes], None], changed: Callable[[bool], None]) -> None:
        is_far = self._address.scheme == "tcp" and not is_loopback(self._address.host)
        if self._address.scheme == "tcp" and not self._security.token:
            raise CannotStartError(f"{self.address} needs the token of the link: --link-token-file FILE")
        if is_far or (self._address.scheme == "tcp" and self._security.ca is not None):
            self._context = client_context(self._security.ca)
        self._receive, self._changed = receive, changed
        loop = asyncio.get_running_loop()
        self._first = loop.create_future()
        self._away_since = loop.time()
        self._search = loop.create_task(self._run())
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await asyncio.shield(self._first)
        except TimeoutError:
            self._first.cancel()

    def send(self, payload: bytes) -> None:
        if self._connection is not None and self.is_up:
            self._connection.send(*framed(payload))

    async def close(self) -> None:
        if self._search is not None:
            self._search.cancel()
            await asyncio.wait([self._search])
            self._search = None
        if self._connection is not None and self.is_up:
            self.is_up = False
            self._connection.close()
            await self._connection.ended

    async def _run(self) -> None:
        """Keeps a way to the zone."""
        while True:
            connection = self._connection = LinkConnection(self._receive)
            try:
                async with asyncio.timeout(FIRST_SECONDS):
                    await self._connect(connection)
            except (OSError, _RefusedError) as error:
                connection.abort()
                if not self._failed(error):
                    return
            else:
                self._stands()
                # A cancelled wait would cancel the future.
                cause = await asyncio.shield(connection.ended)
                self.is_up = False
                self._away_since = asyncio.get_running_loop().time()
                self._tell(cause)
                self._changed(False)
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self, connection: LinkConnection) -> None:
        """Returns when the way stands. Raises OSError, and _RefusedError for what no waiting mends."""
        loop = asyncio.get_running_loop()
        if self._address.scheme == "unix":
            sock = _connect_unix(self._address.path)
            await loop.create_unix_connection(lambda: connection, sock=sock)
            return
        answer: asyncio.Future[bytes] = loop.create_future()
        connection.receive = partial(self._answered, connection, answer)
        sock = await _connect_tcp(self._address)
        name = self._address.host if self._context is not None else None
        try:
            await loop.create_connection(lambda: connection, sock=sock, ssl=self._context, server_hostname=name)
        except (ConnectionError, ssl.SSLEOFError):
            hint = f"if it does not speak TLS, {_NO_TLS}"
            raise ConnectionError(f"the zone closed the connection in the TLS handshake: {hint}") from None
        connection.send(*framed(self._security.token.encode()))
        await asyncio.wait((answer, connection.ended), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            hint = "" if self._context is not None else " (if it has a certificate, name the authority: --link-ca)"
            raise ConnectionError(f"the zone closed the connection before it took the token{hint}")
        if answer.result() != RIGHT_TOKEN:
            raise _RefusedError("the zone has another token: give both the same --link-token-file")

    def _answered(self, connection: LinkConnection, answer: asyncio.Future[bytes], payload: bytes) -> None:
        connection.receive = self._receive
        answer.set_result(payload)

    def _failed(self, error: Exception) -> bool:
        """Tells of an attempt that failed. Returns whether to try again."""
        is_final = isinstance(error, _RefusedError | PermissionError | ssl.SSLCertVerificationError)
        cause = (
            "it does not answer"
            if isinstance(error, TimeoutError)
            else explain_connect_error(error, "--link-ca", _NO_TLS)
        )
        if not self._first.done() and is_final:
            self._first.set_exception(CannotStartError(f"cannot use the link {self.address}: {cause}"))
            return False
        # What somebody has to mend is told even in an outage that began with another cause.
        if is_final or not self._told:
            self._tell(cause)
        self._opened()
        return True

    def _tell(self, cause: str) -> None:
        if cause not in self._told:
            self._told.add(cause)
            text = "no link to the zone at %s: %s; trying again every %g s"
            log.warning(text, self.address, cause, RETRY_SECONDS, extra=fields(link=self.address, cause=cause))

    def _stands(self) -> None:
        seconds = asyncio.get_running_loop().time() - (self._away_since or 0.0)
        again = " again" if self._has_stood else ""
        after = f" after {seconds:.1f} s" if self._told else ""
        told = fields(link=self.address, seconds=round(seconds, 3))
        log.info("the link to the zone at %s stands%s%s", self.address, again, after, extra=told)
        self._told.clear()
        self._has_stood = True
        self._away_since = None
        self.is_up = True
        self._changed(True)
        self._opened()

    def _opened(self) -> None:
        """Lets `open` return."""
        if not self._first.done():
            self._first.set_result(None)


class _RefusedError(Exception):
    """The zone is there, and does not take this gateway."""


def _connect_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # It never waits: a socket whose queue is full refuses.
        sock.connect(path)
        if os.geteuid() != 0 and not is_trusted(peer_of(sock)):
            raise _RefusedError("another user listens there, who is neither this one nor root")
    except BlockingIOError:
        sock.close()
        raise ConnectionError("too many connections wait there") from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_tcp(address: LinkAddress) -> socket.socket:
    """A connection to the first address of the host that answers."""
    loop = asyncio.get_running_loop()
    problem = OSError("the host has no address")
    for family, _, _, _, place in await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            set_options(sock)
            await loop.sock_connect(sock, place)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise problem
