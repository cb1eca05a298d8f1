"""The roster: what an operator asks about single sessions, those who play and those who have gone.

It keeps a few lines about who went last, as nats-server does, so that one can ask why. All else is
looked up when somebody asks, and a tick pays nothing for it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from zoneserver.admin.stats import SESSION_SORTS, SESSIONS_SCHEMA, ClosedSession, SessionList, SessionStats
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.flood import PenaltyLevel
from zoneserver.gateway.session import Session
from zoneserver.gateway.socket_options import round_trip_seconds
from zoneserver.gateway.state import State
from zoneserver.zone.zone import Zone

__all__ = ["SessionDirectory"]

_CLOSED_MAX = 64
# A list is for people to read: what is longer would only hold up a tick.
_LIMIT_MAX = 200


class SessionDirectory:
    """Lists the sessions of one gateway. `now` is in seconds of the caller's clock."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        # Of each session that ended: (name, address, code, text, when, after how long).
        self._closed: deque[tuple[str, str, str, str, float, float]] = deque(maxlen=_CLOSED_MAX)

    def ended(self, session: Session, now: float) -> None:
        """Remembers why a session ended, until enough others have."""
        lived = now - session.opened_at
        self._closed.appendleft((session.name, session.address, str(session.reason), session.reason_text, now, lived))

    def listing(
        self, players: Iterable[Session], broadcaster: Broadcaster, now: float, sort: str, limit: int
    ) -> SessionList:
        """The first `limit` of the players' sessions by one of SESSION_SORTS, and of those that closed.

        Raises ValueError for another sort, and for a limit that is not in 1 to 200.
        """
        if sort not in SESSION_SORTS:
            raise ValueError(f"sort is one of {', '.join(SESSION_SORTS)}")
        if not 1 <= limit <= _LIMIT_MAX:
            raise ValueError(f"limit is 1 to {_LIMIT_MAX}")
        players = tuple(players)
        first = heapq.nlargest(limit, players, key=_figure(sort, broadcaster))
        return SessionList(
            schema=SESSIONS_SCHEMA,
            tick=self._zone.world.tick,
            players=len(players),
            sort=sort,
            sessions=[self._stats(session, broadcaster, now) for session in first],
            closed=[
                ClosedSession(name, address, code, text, round(now - at, 1), round(lived, 1))
                for name, address, code, text, at, lived in islice(self._closed, limit)
            ],
        )

    def _stats(self, session: Session, broadcaster: Broadcaster, now: float) -> SessionStats:
        lag, guard, rtt = broadcaster.lag(session), session.guard, round_trip_seconds(session.socket)
        if session.state is State.PLAYING:
            state = "playing" if lag is None else "resting" if lag.is_resting else "behind"
        else:
            state = session.state.value
        return SessionStats(
            name=session.name,
            slot=self._zone.slot(session.number),
            address=session.address,
            state=state,
            standing=(PenaltyLevel.FINE if guard is None else guard.standing).name,
            connected_s=round(now - session.opened_at, 1),
            behind_ticks=0 if lag is None else broadcaster.tick - lag.tick,
            queued_bytes=session.waiting_bytes,
            rtt_ms=None if rtt is None else round(rtt * 1000, 3),
            bytes_out_total=session.sent_bytes,
            actions_in_total=session.seq,
            refusals_total=session.refusals_total,
        )


def _figure(sort: str, broadcaster: Broadcaster) -> Callable[[Session], float]:
    """The figure of a session that a sort goes by."""

    def behind(session: Session) -> float:
        lag = broadcaster.lag(session)
        return 0 if lag is None else broadcaster.tick - lag.tick

    figures: dict[str, Callable[[Session], float]] = {
        "queued": lambda session: session.waiting_bytes,
        "behind": behind,
        "rtt": lambda session: round_trip_seconds(session.socket) or 0.0,
        "out": lambda session: session.sent_bytes,
        "actions": lambda session: session.seq,
        "refused": lambda session: session.refusals_total,
        "age": lambda session: -session.opened_at,
    }
    return figures[sort]
