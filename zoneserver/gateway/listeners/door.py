"""The door of a server: it listens at the players' port, and makes a session of each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners import tcp, tls
from zoneserver.gateway.listeners.header_wait import WAITING_MAX, HeaderWait
from zoneserver.gateway.listeners.opening import Opening
from zoneserver.gateway.session import KernelSend, Session
from zoneserver.http.access import Access
from zoneserver.http.documents import DocumentServer
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import Networks

__all__ = ["Door", "uncounted_max"]


def uncounted_max(config: Config) -> int:
    """How many connections a listener of a Door may hold that the gateway does not know of yet."""
    return tls.HANDSHAKES_MAX * (config.tls_cert is not None) + WAITING_MAX * bool(config.forwarded_from)


class Door:
    """Makes the listeners of the players' port.

    `documents` are what browsers find there. `context` gives the TLS context of each new connection; without TLS it is
    None.
    """

    def __init__(
        self,
        gateway: Gateway,
        config: Config,
        access: Access,
        documents: DocumentServer,
        context: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self._gateway = gateway
        self._config = config
        self._access = access
        self._documents = documents
        self._context = context
        self._loop = asyncio.get_running_loop()

    def listen(self, sock: socket.socket) -> tcp.Listener:
        """Accepts connections from a socket that listens."""
        limits, headers = self._config.limits, None
        if self._config.forwarded_from:
            headers = HeaderWait(Networks(self._config.forwarded_from), limits.handshake_seconds, self._reject)
        if self._context is not None:
            return tls.TlsListener(sock, self._session, self._context, limits, headers)
        return tcp.Listener(sock, lambda connection, address: self._session(connection.send, address), headers)

    def _reject(self, address: tcp.PeerAddress, reason: CloseReason, text: str) -> None:
        self._session(address=address).close_rejected(reason, text)

    def _session(self, kernel_send: KernelSend | None = None, address: tcp.PeerAddress = ("?", 0)) -> Session:
        session = Session(self._gateway, self._config.limits, self._loop, kernel_send, address=address)
        session.open_with(Opening(session, self._access, self._documents))
        return session
