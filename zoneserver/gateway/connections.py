"""The connections of a gateway, from their acceptance until their descriptor is free."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator

from zoneserver.gateway.closed import Closed
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import ORDINARY_CLOSES

__all__ = ["Connections"]

log = logging.getLogger(__name__)

# How many ended sessions are remembered, so that operators can ask why they ended.
_CLOSED_MAX = 64


class Connections:
    """The open connections, with or without a player, and why the last ones ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.closed: deque[Closed] = deque(maxlen=_CLOSED_MAX)
        """The sessions that ended last, the newest first."""
        self._loop = loop
        self._open: set[Session] = set()
        # When each connection was accepted, until it is gone.
        self._opened_at: dict[Session, float] = {}
        # Set while there is no connection. A shutdown waits for it.
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """Open connections."""
        return len(self._open)

    def __iter__(self) -> Iterator[Session]:
        """The open connections of this moment: they may end meanwhile."""
        return iter(tuple(self._open))

    def accept(self, session: Session) -> None:
        """The connection was accepted; it may have its TLS handshake ahead."""
        self._opened_at[session] = self._loop.time()

    def open(self, session: Session) -> None:
        """The connection is established."""
        self._opened_at.setdefault(session, self._loop.time())
        self._open.add(session)
        self._empty.clear()

    def opened_at(self, session: Session) -> float:
        """When the session's connection was accepted, by the loop's clock."""
        return self._opened_at.get(session, self._loop.time())

    def ended(self, session: Session, code: str, text: str, name: str) -> None:
        """Notes why a session ended, and logs it. Its connection is open until it is forgotten."""
        level = logging.DEBUG if code in ORDINARY_CLOSES else logging.INFO
        log.log(level, f"{code}: %r, %s", session, text, extra=session.log_fields(code=code, reason=text))
        self.closed.appendleft(Closed(name, session.address, code, text, self.opened_at(session), self._loop.time()))

    def forget(self, session: Session) -> None:
        """The connection is gone, or belongs to another protocol now."""
        self._open.discard(session)
        self._opened_at.pop(session, None)
        if not self._open:
            self._empty.set()

    async def wait_gone(self, deadline_seconds: float) -> None:
        """Waits until all connections are gone, and drops those that are not gone in time."""
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._empty.wait()
        except TimeoutError:
            for session in self:
                session.abort()
            await self._empty.wait()
