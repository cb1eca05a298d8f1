"""The lobby: connections on their way in, each counted by its address and in time with its HELLO, or turned away.

It ends sessions, and hears of every session that ends or is gone.
"""

from __future__ import annotations

import logging

from zoneserver.config import Config
from zoneserver.gateway.admission import AddressBudgets, Admission
from zoneserver.gateway.counters import Counters
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason

__all__ = ["PendingConnections"]

log = logging.getLogger(__name__)

# Connections that were turned away and have not gone yet, for as many as are told why; beyond that a
# flood of them is not worth the words.
_TURNED_AWAY_MAX = 64


class PendingConnections:
    """Whoever is connected and has not said HELLO yet. `now` is in seconds of the caller's clock."""

    def __init__(self, config: Config, counters: Counters, connections_max: int) -> None:
        self.admission = Admission(config.limits, config.ban_seconds)
        self._config = config
        # The caller's clock may be a tick behind: nobody gets less than the whole time.
        self._patience_seconds = config.limits.handshake_seconds + 1 / config.hz
        self._counters = counters
        self._connections_max = connections_max
        # When each session that still shakes hands must be done with it, the earliest first.
        self._handshaking: dict[Session, float] = {}
        # Sessions that count in `admission`, until they are gone; and whether as shaking hands.
        self._counted: dict[Session, bool] = {}
        # Sessions that are turned away, until they are gone.
        self._turned_away: set[Session] = set()

    def __len__(self) -> int:
        """Connections that have not said HELLO yet."""
        return len(self._handshaking)

    def count(self, session: Session, now: float) -> CloseReason | None:
        """Counts a connection, once, and by its address, unless there is a reason against that."""
        if session in self._counted:
            return None
        self._counters.connections_total += 1
        against = self.admission.opened(session.host, now)
        if against is None:
            self._counted[session] = True
        return against

    def enter(self, session: Session, connections: int, now: float) -> None:
        """It is connected, as one of so many: waits for its HELLO, or turns it away."""
        against = self.count(session, now)
        if against is not None:
            self._turn_away(session, against)
            return
        self._handshaking[session] = now + self._patience_seconds
        if connections > self._connections_max:
            self._make_room(session)

    def _make_room(self, newest: Session) -> None:
        """Whoever has said nothing for longest goes, so that silent connections cannot fill the server;
        where all others play, the newest does."""
        silent = next(iter(self._handshaking))
        if silent is newest:
            self._turn_away(newest, CloseReason.SERVER_FULL, "no room for another connection")
        else:
            silent.end(CloseReason.HANDSHAKE_TIMEOUT, "its place was needed before its HELLO was there")
            silent.abort()

    def _turn_away(self, session: Session, reason: CloseReason, text: str = "") -> None:
        """Tells a connection why it cannot stay, unless too many are being told already."""
        self._turned_away.add(session)
        session.end(reason, text)
        if len(self._turned_away) > _TURNED_AWAY_MAX:
            session.abort()

    def leave(self, session: Session) -> None:
        """It does not shake hands any more: it is in, or has ended."""
        self._handshaking.pop(session, None)
        if self._counted.get(session):
            self._counted[session] = False
            self.admission.greeted(session.host)

    def gone(self, session: Session, now: float) -> None:
        """Its connection is gone."""
        self._turned_away.discard(session)
        if self._counted.pop(session, None) is not None:
            self.admission.gone(session.host, now)

    def expire(self, now: float) -> None:
        """Ends those whose HELLO is late."""
        while self._handshaking:
            session, deadline = next(iter(self._handshaking.items()))
            if deadline > now:
                break
            session.end(CloseReason.HANDSHAKE_TIMEOUT)

    def shared(self, session: Session) -> AddressBudgets | None:
        """What a player shares with the others of its address; None where that is exempt."""
        return self.admission.budgets(session.host)

    def ban(self, session: Session, why: str, now: float) -> None:
        """Nobody else comes in from its address for a while, if that is one which counts."""
        if self.admission.ban(session.host, now):
            seconds = self._config.ban_seconds
            told = session.log_fields(code=str(CloseReason.BANNED), reason=why, seconds=seconds)
            log.info("BANNED: %s for %g s, %s: %r", session.host, seconds, why, session, extra=told)
