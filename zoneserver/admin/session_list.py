"""The list of sessions for operators: players in order of a figure, and the sessions that ended last.

The list is made when it is requested, so a tick pays nothing for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice

from zoneserver.admin.stats import SESSION_SORTS, SESSIONS_SCHEMA, ClosedSession, SessionList, SessionStats
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.player import Player
from zoneserver.gateway.socket_options import round_trip_seconds
from zoneserver.gateway.state import PlayerState

__all__ = ["list_sessions"]

# People read the list, and a longer one would delay a tick.
_LIMIT_MAX = 200


def list_sessions(gateway: Gateway, now: float, sort: str, limit: int) -> SessionList:
    """The first `limit` players by one of SESSION_SORTS, and the sessions that ended last.

    `now` is in seconds of the loop's clock. Raises ValueError for an unknown sort or a limit outside 1 to 200.
    """
    if sort not in SESSION_SORTS:
        raise ValueError(f"sort must be one of {', '.join(SESSION_SORTS)}")
    if not 1 <= limit <= _LIMIT_MAX:
        raise ValueError(f"limit must be 1 to {_LIMIT_MAX}")
    first = heapq.nlargest(limit, gateway.players, key=_sort_key(sort, gateway))
    return SessionList(
        schema=SESSIONS_SCHEMA,
        tick=gateway.history.tick,
        players=gateway.players_count,
        sort=sort,
        sessions=[_session_stats(player, gateway, now) for player in first],
        closed=[
            ClosedSession(
                *(closed.name, closed.address, closed.code, closed.text),
                ago_s=round(now - closed.closed_at, 1),
                lived_s=round(closed.closed_at - closed.opened_at, 1),
            )
            for closed in islice(gateway.closed, limit)
        ],
    )


def _session_stats(player: Player, gateway: Gateway, now: float) -> SessionStats:
    session, broadcaster = player.session, gateway.broadcaster
    lag, rtt = broadcaster.lag(session), round_trip_seconds(session.socket)
    if player.state is PlayerState.PLAYING:
        state = "playing" if lag is None else "resting" if lag.is_paused else "behind"
    else:
        state = player.state.value
    return SessionStats(
        name=player.name,
        slot=player.slot,
        address=session.address,
        state=state,
        standing=player.guard.level.name,
        connected_s=round(now - gateway.opened_at(session), 1),
        behind_ticks=broadcaster.behind_ticks(session),
        queued_bytes=session.waiting_bytes,
        rtt_ms=None if rtt is None else round(rtt * 1000, 3),
        bytes_out_total=broadcaster.sent_bytes(session),
        actions_in_total=player.seq,
        refusals_total=player.refusals_total,
    )


def _sort_key(sort: str, gateway: Gateway) -> Callable[[Player], float]:
    """The function that gives the figure to sort by."""
    broadcaster = gateway.broadcaster
    keys: dict[str, Callable[[Player], float]] = {
        "queued": lambda player: player.session.waiting_bytes,
        "behind": lambda player: broadcaster.behind_ticks(player.session),
        "rtt": lambda player: round_trip_seconds(player.session.socket) or 0.0,
        "out": lambda player: broadcaster.sent_bytes(player.session),
        "actions": lambda player: player.seq,
        "refused": lambda player: player.refusals_total,
        "age": lambda player: -gateway.opened_at(player.session),
    }
    return keys[sort]
