"""Pending connections, which have not said HELLO: each counts by its address and has a deadline, or is rejected."""

from __future__ import annotations

import logging

from zoneserver.config import Config
from zoneserver.gateway.address_limits import AddressBudgets, AddressLimits
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason

__all__ = ["PendingConnections"]

log = logging.getLogger(__name__)

# At most so many rejected connections are told why at once. Connections beyond this are dropped without a goodbye.
_REJECTED_MAX = 64


class PendingConnections:
    """The connections that have not said HELLO. `now` is in seconds of the caller's clock.

    The caller must report every session that ends (`leave`) or is gone (`gone`).
    """

    def __init__(self, config: Config, counters: GatewayCounters, connections_max: int) -> None:
        self.address_limits = AddressLimits(config.limits, config.ban_seconds)
        self._config = config
        # The caller's clock may be a tick behind. With this margin no connection gets less than the whole time.
        self._patience_seconds = config.limits.handshake_seconds + 1 / config.hz
        self._counters = counters
        self._connections_max = connections_max
        # The deadline of each session that has not said HELLO, the earliest first.
        self._handshaking: dict[Session, float] = {}
        # Each session that counts in `address_limits`, until it is gone, and whether it counts as handshaking.
        self._counted: dict[Session, bool] = {}
        # Rejected sessions that are not gone yet.
        self._rejected: set[Session] = set()

    def __len__(self) -> int:
        """Connections that have not said HELLO yet."""
        return len(self._handshaking)

    def count(self, session: Session, now: float) -> CloseReason | None:
        """Counts a connection by its address, once. Returns a reason to reject it, or None."""
        if session in self._counted:
            return None
        self._counters.connections_total += 1
        objection = self.address_limits.opened(session.host, now)
        if objection is None:
            self._counted[session] = True
        return objection

    def enter(self, session: Session, connections: int, now: float) -> None:
        """Gives a new connection its deadline, or rejects it. `connections` counts it too."""
        objection = self.count(session, now)
        if objection is not None:
            self._reject(session, objection)
            return
        self._handshaking[session] = now + self._patience_seconds
        if connections > self._connections_max:
            self._make_room(session)

    def _make_room(self, newest: Session) -> None:
        """Ends the connection that has been silent for longest, so that silent ones cannot fill the server.

        Where all others have players, the newest connection ends.
        """
        silent = next(iter(self._handshaking))
        if silent is newest:
            self._reject(newest, CloseReason.SERVER_FULL, "no room for another connection")
        else:
            silent.end(CloseReason.HANDSHAKE_TIMEOUT, "another connection needed the place before HELLO arrived")
            silent.abort()

    def _reject(self, session: Session, reason: CloseReason, text: str = "") -> None:
        """Tells a connection why it cannot stay, unless too many are being told already."""
        self._rejected.add(session)
        session.end(reason, text)
        if len(self._rejected) > _REJECTED_MAX:
            session.abort()

    def leave(self, session: Session) -> None:
        """The session said HELLO, or has ended."""
        self._handshaking.pop(session, None)
        if self._counted.get(session):
            self._counted[session] = False
            self.address_limits.greeted(session.host)

    def gone(self, session: Session, now: float) -> None:
        """The session's connection is gone."""
        self._rejected.discard(session)
        if self._counted.pop(session, None) is not None:
            self.address_limits.gone(session.host, now)

    def expire(self, now: float) -> None:
        """Ends connections whose HELLO is late."""
        while self._handshaking:
            session, deadline = next(iter(self._handshaking.items()))
            if deadline > now:
                break
            session.end(CloseReason.HANDSHAKE_TIMEOUT)

    def address_budgets(self, session: Session) -> AddressBudgets | None:
        """The budgets of the session's address; None when the address is exempt."""
        return self.address_limits.budgets(session.host)

    def ban(self, session: Session, why: str, now: float) -> None:
        """Bans the session's address for a while, unless the address is exempt."""
        if self.address_limits.ban(session.host, now):
            seconds = self._config.ban_seconds
            told = session.log_fields(code=str(CloseReason.BANNED), reason=why, seconds=seconds)
            log.info("BANNED: %s for %g s, %s: %r", session.host, seconds, why, session, extra=told)
