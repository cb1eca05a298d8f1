"""The TLS listener: connections are checked by address before their handshake, which is expensive."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

from zoneserver.config import Limits
from zoneserver.gateway.listeners.header_wait import HeaderWait
from zoneserver.gateway.listeners.tcp import Listener
from zoneserver.gateway.listeners.tls_transport import TlsTransport
from zoneserver.gateway.listeners.turn_queue import TurnQueue
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason

__all__ = ["HANDSHAKES_MAX", "TlsListener"]

HANDSHAKES_MAX = 1_000
"""How many TLS handshakes may run at once, each with a descriptor."""

# How long handshakes, and the records of players, may hold one turn of the loop. A step of a handshake cannot be
# divided: it takes 0.2 ms with a key of ECDSA P-256, and 5 ms with one of RSA 4096.
_HANDSHAKE_SECONDS, _RECORDS_SECONDS = 0.0005, 0.004


class TlsListener(Listener):
    """Accepts sessions with TLS. Each session is asked for a reason to reject the connection before the handshake.

    A handshake may take as long as a HELLO, without the time in which it waits for others. When HANDSHAKES_MAX of
    them run, a new one ends the oldest. `context` gives the TLS context of each new one.
    """

    def __init__(
        self,
        sock: socket.socket,
        session: Callable[[], Session],
        context: Callable[[], ssl.SSLContext],
        limits: Limits,
        headers: HeaderWait | None = None,
    ) -> None:
        self._session = session
        self._context = context
        self._limits = limits
        # The connections whose handshakes are not done, the oldest first.
        self._shaking: dict[TlsTransport, None] = {}
        super().__init__(sock, lambda *_: session(), headers)
        # Players who are in do not wait behind a crowd that comes in.
        self._handshakes = TurnQueue(self._loop, _HANDSHAKE_SECONDS)
        self._records = TurnQueue(self._loop, _RECORDS_SECONDS)

    def close(self) -> None:
        """Stops accepting, and ends handshakes."""
        super().close()
        for transport in tuple(self._shaking):
            transport.reject(CloseReason.SERVER_STOPPING)

    def _let_in(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        session = self._session()
        if not session.accepted(address):
            connection.close()
            return
        if len(self._shaking) >= HANDSHAKES_MAX:
            next(iter(self._shaking)).reject(
                CloseReason.HANDSHAKE_TIMEOUT,
                "another connection needed the place before the TLS handshake was done",
            )
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = TlsTransport(
            connection,
            address,
            self._context(),
            session,
            self._limits,
            self._handshakes,
            self._records,
            self._shaking.pop,
        )
        self._shaking[transport] = None
