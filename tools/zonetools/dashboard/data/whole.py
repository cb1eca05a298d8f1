"""Several admin ports as one: their statistics added up, their sessions in one list. Pure."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.gateways import added
from zoneserver.admin.stats import SESSIONS_SCHEMA, ClosedSession, SessionList, SessionStats, Stats


@dataclass(frozen=True, slots=True)
class OwnedSession(SessionStats):
    """A session in the list of several ports."""

    at: str = ""
    """The name of the process that holds it."""


@dataclass(frozen=True, slots=True)
class OwnedClose(ClosedSession):
    """A closed session in the list of several ports."""

    at: str = ""


def whole(answering: Sequence[Stats], away: Sequence[Stats]) -> Stats:
    """The statistics of several processes as one: `answering` are those of the present, at least one, and `away` the
    last ones of those that do not answer, whose totals still count.

    Tick, time, capacity and game are those of the first zone among them, else of the first process. Nothing is added
    twice: the figures of a zone have those of its gateways in them, and so have the totals of a zone that is away.
    """
    first = next((stats for stats in answering if not stats.gateway), answering[0])
    has_zone = {each.name for stats in answering for each in stats.gateways}

    def others(group: Iterable[Stats]) -> list[dict[str, Any]]:
        return [vars(stats) for stats in group if stats is not first and stats.gateway not in has_zone]

    counted = [*answering, *(stats for stats in away if not stats.gateways)]
    one = added(first, others(answering), others(counted))
    return dataclasses.replace(
        one,
        # The fullest core is the one that matters.
        cpu_percent=max(stats.cpu_percent for stats in answering),
        rss_bytes=sum(stats.rss_bytes for stats in answering),
        players_peak=max(one.players, *(stats.players_peak for stats in (*answering, *away))),
    )


_FIGURES: dict[str, Callable[[SessionStats], float]] = {
    "queued": lambda session: session.queued_bytes,
    "behind": lambda session: session.behind_ticks,
    "rtt": lambda session: session.rtt_ms or 0.0,
    "out": lambda session: session.bytes_out_total,
    "actions": lambda session: session.actions_in_total,
    "refused": lambda session: session.refusals_total,
    "age": lambda session: session.connected_s,
}


def merged(lists: Sequence[tuple[str, SessionList]], sort: str, limit: int) -> SessionList:
    """The lists of several processes, each with the name of its process, as one list: the first
    `limit` by one of SESSION_SORTS, and as many that closed last."""
    listed = [one for _, one in lists]
    sessions: list[SessionStats] = [
        OwnedSession(**_values(session), at=at) for at, one in lists for session in one.sessions
    ]
    closed: list[ClosedSession] = [OwnedClose(**_values(each), at=at) for at, one in lists for each in one.closed]
    return SessionList(
        schema=SESSIONS_SCHEMA,
        tick=max((one.tick for one in listed), default=0),
        players=sum(one.players for one in listed),
        sort=sort,
        found=sum(one.found for one in listed),
        sessions=heapq.nlargest(limit, sessions, key=_FIGURES[sort]),
        closed=heapq.nsmallest(limit, closed, key=lambda each: each.ago_s),
    )


def _values(record: SessionStats | ClosedSession) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
