"""The zone's end of a link by streams: a Unix socket or a TCP port to which gateways connect.

By TCP the first payload of a gateway is the token, and the zone answers whether it is right. A Unix socket needs no
token, since the mode of its file says who may connect.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import Callable
from functools import partial
from itertools import count

from zoneserver.config import TOKEN_BYTES_MAX
from zoneserver.link.address import LinkAddress
from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX, LinkSecurity
from zoneserver.link.connection import (
    CLOSED_BY_PEER,
    FIRST_SECONDS,
    RIGHT_TOKEN,
    SPEAKS_TLS,
    WRONG_TOKEN,
    LinkConnection,
    framed,
)
from zoneserver.link.listener import LinkListener
from zoneserver.support.certificate import ServerCertificate
from zoneserver.support.errors import CannotStartError
from zoneserver.support.logs import fields
from zoneserver.support.tls_client import explain_connect_error

__all__ = ["StreamZoneCarrier"]

log = logging.getLogger(__name__)

_NO_TLS = "name the authority of the zone's certificate at the gateway (--link-ca)"
# How many connections may be before their first payload at once.
_STRANGERS_MAX = 64


class StreamZoneCarrier:
    """The zone's end: a ZoneCarrier. Its peers are `#1`, `#2` and so on."""

    names_peers = False

    def __init__(self, address: LinkAddress, security: LinkSecurity) -> None:
        self.address = str(address.absolute())
        self.is_up = True
        self.certificate: ServerCertificate | None = None
        """The certificate; None without one. Connections that begin after its `reload` get the new one."""
        self.refused_total = 0
        """Connections that ended before they gave the right token."""
        self.skipped_total = 0
        """Payloads that a peer did not get because too many bytes waited for it."""
        self._address = address
        self._is_unix = address.scheme == "unix"
        self._security = security
        self._listener: LinkListener | None = None
        self._numbers = count(1)
        self._peers: dict[str, LinkConnection] = {}
        # Those that `publish` reaches.
        self._accepted: dict[str, LinkConnection] = {}
        # (host, cause) of the connections whose refusal was logged.
        self._told: set[tuple[str, str]] = set()
        # The connections before their first payload, the oldest first.
        self._strangers: dict[asyncio.Task[None], None] = {}
        self._is_closed = False
        self._receive: Callable[[str, bytes], None]
        self._gone: Callable[[str], None]

    async def open(self, receive: Callable[[str, bytes], None], gone: Callable[[str], None]) -> None:
        objection = self._address.zone_objection(self._security.cert)
        if not (self._is_unix or self._security.token):
            objection = f"{self.address} needs the token of the link: --link-token-file FILE"
        if objection is not None:
            raise CannotStartError(objection)
        self._receive, self._gone = receive, gone
        if self._security.cert is not None and not self._is_unix:
            try:
                self.certificate = ServerCertificate(self._security.cert, self._security.key, "--link")
            except OSError as error:
                raise CannotStartError(str(error.strerror)) from None
        self._listener = LinkListener(self._address, self._begin)
        if self._listener.port:
            self.address = str(LinkAddress("tcp", host=self._address.host, port=self._listener.port))

    def accept(self, peer: str) -> None:
        if peer in self._peers:
            self._accepted[peer] = self._peers[peer]

    def publish(self, payload: bytes) -> None:
        parts = framed(payload)
        for connection in self._accepted.values():
            self.skipped_total += not connection.send(*parts)

    def send(self, peer: str, payload: bytes) -> None:
        if peer in self._peers:
            self.skipped_total += not self._peers[peer].send(*framed(payload))

    def drop(self, peer: str) -> None:
        if peer in self._peers:
            self._accepted.pop(peer, None)
            self._peers[peer].close()

    def reload_certificate(self) -> None:
        if self.certificate is not None:
            self.certificate.reload()

    async def close(self) -> None:
        self._is_closed = True
        if self._listener is not None:
            self._listener.close()
        waiting = list(self._strangers)
        for task in waiting:
            task.cancel()
        for connection in self._peers.values():
            connection.close()
        ends = [connection.ended for connection in self._peers.values()]
        await asyncio.gather(*waiting, *ends, return_exceptions=True)

    def _begin(self, sock: socket.socket, address: str) -> None:
        """Takes a connection in that has not said anything yet."""

        def ended(task: asyncio.Task[None]) -> None:
            self._strangers.pop(task, None)
            if task.cancelled():  # Perhaps before its first step.
                sock.close()

        if len(self._strangers) >= _STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = asyncio.get_running_loop().create_task(self._let_in(sock, address))
        self._strangers[task] = None
        task.add_done_callback(ended)

    async def _let_in(self, sock: socket.socket, address: str) -> None:
        """Waits for the first payload of a connection, by which it becomes a peer, or closes it."""
        loop = asyncio.get_running_loop()
        is_in: asyncio.Future[None] = loop.create_future()
        connection = LinkConnection(_ignore, PAYLOAD_UP_BYTES_MAX if self._is_unix else TOKEN_BYTES_MAX)
        connection.receive = partial(self._first, connection, is_in)
        context = None if self.certificate is None else self.certificate.context
        text = "another connection needed the place before it said anything"
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await loop.connect_accepted_socket(lambda: connection, sock, ssl=context)
                await asyncio.wait((is_in, connection.ended), return_when=asyncio.FIRST_COMPLETED)
            text = connection.ended.result() if connection.ended.done() else ""
        except TimeoutError:
            text = f"it said nothing within {FIRST_SECONDS:g} s"
        except OSError as error:
            text = explain_connect_error(error, without_tls=_NO_TLS, who="it")
        finally:
            if not is_in.done():
                connection.abort()
                sock.close()
                # Another zone looks in this way whether the socket is in use.
                is_look = self._is_unix and text == CLOSED_BY_PEER
                if not (self._is_closed or is_look):
                    self._refuse(address, text)

    def _first(self, connection: LinkConnection, is_in: asyncio.Future[None], payload: bytes) -> None:
        """Makes a peer of a connection by its first payload."""
        if not self._is_unix:
            if not hmac.compare_digest(payload, self._security.token.encode()):
                connection.send(*framed(WRONG_TOKEN))
                connection.close("its token is wrong")
                return
            if not connection.allow(PAYLOAD_UP_BYTES_MAX):
                connection.abort("it did not wait for the answer to its token")
                return
            connection.send(*framed(RIGHT_TOKEN))
        is_in.set_result(None)
        self._told.clear()
        peer = f"#{next(self._numbers)}"
        self._peers[peer] = connection
        connection.receive = partial(self._receive, peer)
        connection.ended.add_done_callback(partial(self._leave, peer))
        if self._is_unix:
            self._receive(peer, payload)

    def _leave(self, peer: str, _: asyncio.Future[str]) -> None:
        del self._peers[peer]
        self._accepted.pop(peer, None)
        if not self._is_closed:
            self._gone(peer)

    def _refuse(self, address: str, text: str) -> None:
        self.refused_total += 1
        # A gateway with a wrong setting comes again five times a second.
        why = address.rpartition(":")[0], text
        if why in self._told:
            return
        if len(self._told) >= _STRANGERS_MAX:
            self._told.clear()
        self._told.add(why)
        if text == SPEAKS_TLS:
            text += ": give the zone a certificate (--link-cert), or leave out --link-ca at the gateway"
        who = f"a connection from {address}" if address else "a connection"
        log.warning("%s to %s is no gateway: %s", who, self.address, text, extra=fields(address=address))


def _ignore(_: bytes) -> None:
    """Takes a payload that nobody waits for."""
