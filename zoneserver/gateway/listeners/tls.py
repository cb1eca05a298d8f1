"""The TLS listener: connections are checked by address before their handshake, which is expensive."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from zoneserver.config import Limits
from zoneserver.gateway.listeners.tcp import Listener
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason

__all__ = ["HANDSHAKES_MAX", "TlsListener"]

HANDSHAKES_MAX = 1_000
"""How many TLS handshakes may run at once, each with a descriptor."""


class TlsListener(Listener):
    """Accepts sessions with TLS. Each session is asked for a reason to reject the connection before the handshake.

    A handshake may take as long as a HELLO. When HANDSHAKES_MAX of them run, a new one cancels the oldest.
    """

    def __init__(
        self, sock: socket.socket, session: Callable[[], Session], context: ssl.SSLContext, limits: Limits
    ) -> None:
        self._session = session
        self._context = context
        self._limits = limits
        super().__init__(sock, lambda _: session())

    def close(self) -> None:
        """Stops accepting, and cancels handshakes."""
        super().close()
        for opening in self._opening:
            opening.cancel()

    def _let_in(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        session = self._session()
        if not session.accepted(address):
            connection.close()
            return
        if len(self._opening) >= HANDSHAKES_MAX:
            oldest = next(iter(self._opening))
            # The task ends with the next turn of the loop, but its place is free now.
            del self._opening[oldest]
            oldest.cancel()
        self._open(connection, self._shake(connection, session), lambda error: self._not_shaken(session, error))

    async def _shake(self, connection: socket.socket, session: Session) -> None:
        async with asyncio.timeout(self._limits.handshake_seconds):
            await self._loop.connect_accepted_socket(
                lambda: session, connection, ssl=self._context, ssl_shutdown_timeout=self._limits.linger_seconds
            )

    def _not_shaken(self, session: Session, error: BaseException) -> None:
        match error:
            case TimeoutError():
                session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT, "the TLS handshake took too long")
            case asyncio.CancelledError() if self._is_closed:
                session.close_rejected(CloseReason.SERVER_STOPPING)
            case asyncio.CancelledError():
                session.close_rejected(
                    CloseReason.HANDSHAKE_TIMEOUT,
                    "another connection needed the place before the TLS handshake was done",
                )
            case ssl.SSLError():
                session.close_rejected(CloseReason.PROTOCOL_ERROR, f"the TLS handshake failed: {error.reason}")
            case _:
                session.close_rejected(CloseReason.CONNECTION_LOST, f"the TLS handshake failed: {error}")
