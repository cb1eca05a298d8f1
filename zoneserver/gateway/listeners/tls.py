"""TLS for sessions: each address is asked about before its handshake, which costs more than all else."""

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
"""How many may shake hands by TLS at once, each with a descriptor."""


class TlsListener(Listener):
    """The same by TLS, for sessions: each is asked whether it may shake hands, which costs more than all else.

    A handshake may take as long as a HELLO. There are so many at once at the most; then the oldest goes.
    """

    def __init__(
        self, sock: socket.socket, session: Callable[[], Session], context: ssl.SSLContext, limits: Limits
    ) -> None:
        self._session = session
        self._context = context
        self._limits = limits
        super().__init__(sock, lambda _: session())

    def close(self) -> None:
        """Accepts nobody more, and breaks handshakes off."""
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
            # It ends with the next turn of the loop, and has given up its place by then.
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
                session.close_rejected(CloseReason.HANDSHAKE_TIMEOUT, "no TLS handshake in time")
            case asyncio.CancelledError() if self._is_closed:
                session.close_rejected(CloseReason.SERVER_STOPPING)
            case asyncio.CancelledError():
                session.close_rejected(
                    CloseReason.HANDSHAKE_TIMEOUT, "its place was needed before its TLS handshake was done"
                )
            case ssl.SSLError():
                session.close_rejected(CloseReason.PROTOCOL_ERROR, f"no TLS handshake: {error.reason}")
            case _:
                session.close_rejected(CloseReason.CONNECTION_LOST, f"no TLS handshake: {error}")
