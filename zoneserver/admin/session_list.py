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
from zoneserver.gateway.socket_options import round_trip_seconds, unanswered_seconds
from zoneserver.gateway.state import PlayerState
from zoneserver.support.format import format_size

__all__ = ["list_sessions"]

# People read the list, and a longer one would delay a tick.
_LIMIT_MAX = 200
# A living machine acknowledges what it gets within a fraction of this time.
_SILENT_SECONDS = 1.0


def list_sessions(gateway: Gateway, now: float, sort: str, limit: int, filter_text: str = "") -> SessionList:
    """The first `limit` players by one of SESSION_SORTS, and the sessions that ended last.

    With a `filter_text`, only players with it in their name, address, `via` or state are listed; case does not matter.

    `now` is in seconds of the loop's clock. Raises ValueError for an unknown sort or a limit outside 1 to 200.
    """
    if sort not in SESSION_SORTS:
        raise ValueError(f"sort must be one of {', '.join(SESSION_SORTS)}")
    if not 1 <= limit <= _LIMIT_MAX:
        raise ValueError(f"limit must be 1 to {_LIMIT_MAX}")
    text = filter_text.casefold()
    players = [player for player in gateway.players if not text or text in _searched(player, gateway)]
    first = heapq.nlargest(limit, players, key=_sort_key(sort, gateway))
    return SessionList(
        schema=SESSIONS_SCHEMA,
        tick=gateway.history.tick,
        players=gateway.players_count,
        sort=sort,
        found=len(players),
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
    rtt = round_trip_seconds(session.socket)
    return SessionStats(
        name=player.name,
        slot=player.slot,
        address=session.address,
        via=session.framing.name,
        state=_state(player, gateway),
        standing=player.guard.level.name,
        connected_s=round(now - gateway.opened_at(session), 1),
        behind_ticks=broadcaster.behind_ticks(session),
        queued_bytes=session.waiting_bytes,
        rtt_ms=None if rtt is None else round(rtt * 1000, 3),
        bytes_out_total=broadcaster.sent_bytes(session),
        actions_in_total=player.seq,
        refusals_total=player.refusals.total(),
        refusals=dict(player.refusals),
        why=_why_behind(player, gateway, now),
    )


def _state(player: Player, gateway: Gateway) -> str:
    if player.state is not PlayerState.PLAYING:
        return str(player.state.value)
    lag = gateway.broadcaster.lag(player.session)
    return "playing" if lag is None else "resting" if lag.is_paused else "behind"


def _searched(player: Player, gateway: Gateway) -> str:
    """The text in which a filter looks."""
    session, standing = player.session, player.guard.level.name
    texts = player.name, session.address, session.framing.name, _state(player, gateway), standing
    return "\n".join(texts).casefold()


def _why_behind(player: Player, gateway: Gateway, now: float) -> str:
    """The reason for which a session skips frames, as a sentence for people; empty if it does not."""
    session = player.session
    lag = gateway.broadcaster.lag(session)
    if lag is None:
        return ""
    if lag.is_paused:
        return "Its byte budget (--send-rate) is spent. It is sent what it missed as soon as the budget has recovered."
    silent = unanswered_seconds(session.socket)
    if silent > _SILENT_SECONDS:
        return f"Its machine has acknowledged nothing for {silent:.1f} s: the line is slow, or gone."
    size, idle = format_size(session.waiting_bytes), lag.idle_seconds(now)
    return f"{size} wait, and none was taken for {idle:.1f} s: the client reads too slowly, or its line is full."


def _sort_key(sort: str, gateway: Gateway) -> Callable[[Player], float]:
    """The function that gives the figure to sort by."""
    broadcaster = gateway.broadcaster
    keys: dict[str, Callable[[Player], float]] = {
        "queued": lambda player: player.session.waiting_bytes,
        "behind": lambda player: broadcaster.behind_ticks(player.session),
        "rtt": lambda player: round_trip_seconds(player.session.socket) or 0.0,
        "out": lambda player: broadcaster.sent_bytes(player.session),
        "actions": lambda player: player.seq,
        "refused": lambda player: player.refusals.total(),
        "age": lambda player: -gateway.opened_at(player.session),
    }
    return keys[sort]
