"""The door of a server: it listens at the players' port, and makes a session of each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoneserver.config import Config
from zoneserver.gateway.batched_sender import KernelSend
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners import tcp, tls
from zoneserver.gateway.listeners.header_wait import WAITING_MAX, HeaderWait
from zoneserver.gateway.listeners.opening import Opening
from zoneserver.gateway.session import Session
from zoneserver.http.access import Access
from zoneserver.http.documents import DocumentServer
from zoneserver.http.pages import player_pages, schema_page
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import Networks
from zoneserver.support.host import is_loopback

__all__ = ["PAGE_CONNECTIONS_MAX", "Door", "uncounted_max"]

PAGE_CONNECTIONS_MAX = 512
"""How many connections of browsers ask for the page at once, at most."""

# How long a connection of a browser may ask for nothing. A page has all of its files by then.
_PAGE_SECONDS = 5.0


def uncounted_max(config: Config) -> int:
    """How many connections a listener of a Door may hold that the gateway does not know of yet."""
    return tls.HANDSHAKES_MAX * (config.tls_cert is not None) + WAITING_MAX * bool(config.forwarded_from)


class Door:
    """The listeners of the players' port, and what browsers find there besides the game.

    `schema` is that of the game, and `context` gives the TLS context of each new connection; without TLS it is None.
    Raises CannotStartError if the page cannot be read.
    """

    def __init__(
        self,
        gateway: Gateway,
        config: Config,
        schema: Mapping[str, Any],
        context: Callable[[], ssl.SSLContext] | None,
        page_connections_max: int = PAGE_CONNECTIONS_MAX,
    ) -> None:
        self._gateway = gateway
        self._config = config
        self._context = context
        self._trusted = Networks(config.forwarded_from)
        self._loop = asyncio.get_running_loop()
        self._access = Access(is_loopback(config.host), frozenset(config.origin))
        self._documents = DocumentServer(
            player_pages(config.page, schema),
            self._access,
            connections_max=page_connections_max,
            idle_seconds=_PAGE_SECONDS,
            is_listed=False,
        )
        self._listeners: list[tcp.Listener] = []

    def listen(self, socks: Iterable[socket.socket]) -> None:
        """Accepts connections from sockets that listen."""
        limits = self._config.limits
        for sock in socks:
            headers = None
            if self._config.forwarded_from:
                headers = HeaderWait(self._trusted, limits.handshake_seconds, self._reject)
            if self._context is not None:
                listener: tcp.Listener = tls.TlsListener(sock, self._session, self._context, limits, headers)
            else:
                listener = tcp.Listener(sock, self._plain_session, headers)
            self._listeners.append(listener)

    def change_schema(self, schema: Mapping[str, Any]) -> None:
        """Serves another schema of the game from now on, where there is a page."""
        if self._documents.documents:
            self._documents.documents |= schema_page(schema)

    def close(self) -> None:
        """Stops accepting. Sessions stay."""
        for listener in self._listeners:
            listener.close()
        self._documents.close()

    async def wait_closed(self) -> None:
        """Waits until each accepted connection has its session, or is closed."""
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        self._documents.close()

    def _reject(self, address: tcp.PeerAddress, reason: CloseReason, text: str) -> None:
        self._session(address=address).close_rejected(reason, text)

    def _plain_session(self, connection: socket.socket, address: tcp.PeerAddress) -> Session:
        return self._session(connection.send, address)

    def _session(self, kernel_send: KernelSend | None = None, address: tcp.PeerAddress = ("?", 0)) -> Session:
        session = Session(self._gateway, self._config.limits, self._loop, kernel_send, address=address)
        session.open_with(Opening(session, self._access, self._documents, self._trusted))
        return session
