"""The door of a server: it listens at the players' port, and makes a session of each connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners import tcp, tls
from zoneserver.gateway.listeners.opening import Opening
from zoneserver.gateway.session import KernelSend, Session
from zoneserver.http.access import Access
from zoneserver.http.documents import DocumentServer

__all__ = ["Door"]


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
        if self._context is not None:
            return tls.TlsListener(sock, self._session, self._context, self._config.limits)
        return tcp.Listener(sock, lambda connection, address: self._session(connection.send, address))

    def _session(self, kernel_send: KernelSend | None = None, address: tcp.PeerAddress = ("?", 0)) -> Session:
        session = Session(self._gateway, self._config.limits, self._loop, kernel_send, address=address)
        session.open_with(Opening(session, self._access, self._documents))
        return session
