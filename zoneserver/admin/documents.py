"""The documents of the admin port: `/stats`, `/metrics`, `/sessions`, `/map`, `/game.json` and `/healthz`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from zoneserver.admin.prometheus import CONTENT_TYPE, load_exposition
from zoneserver.admin.session_list import list_sessions
from zoneserver.admin.stats import Stats
from zoneserver.gateway.gateway import Gateway
from zoneserver.http.documents import Content, Document
from zoneserver.protocol.world import World
from zoneserver.support.errors import MissingExtraError

__all__ = ["PATHS", "documents", "zone_map"]

PATHS = ("/stats", "/metrics", "/sessions", "/map", "/game.json", "/healthz")
"""The paths of all documents."""


# The most players, and the most things, on the map: a picture needs no more, and a long map would delay a tick.
_MAP_POSITIONS_MAX = 2_000


def documents(
    stats: Callable[[], Stats],
    gateway: Gateway,
    world: World,
    now: Callable[[], float],
    trouble: Callable[[], str],
    schema: Mapping[str, Any],
) -> dict[str, Document]:
    """The documents by path. `now` is the loop's clock, and `schema` that of the game. `trouble` says why players
    cannot be served at present; it is empty while they can."""

    def health(_query: Mapping[str, str]) -> tuple[HTTPStatus, dict[str, Any]]:
        wrong = trouble()
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        return status, {"status": wrong or "ok", "tick": world.tick}

    def sessions(query: Mapping[str, str]) -> tuple[HTTPStatus, dict[str, Any]]:
        limit = query.get("limit", "20")
        try:
            count = int(limit) if limit.isdecimal() else 0
            sort, wanted = query.get("sort", "queued"), query.get("filter", "")
            listed = list_sessions(gateway, now(), sort, count, wanted)
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}
        return HTTPStatus.OK, listed.to_json()

    made: tuple[Document, ...] = (
        lambda _: (HTTPStatus.OK, stats().to_json()),
        _metrics(stats),
        sessions,
        lambda _: (HTTPStatus.OK, zone_map(world)),
        lambda _: (HTTPStatus.OK, schema),
        health,
    )
    return dict(zip(PATHS, made, strict=True))


def _metrics(stats: Callable[[], Stats]) -> Document:
    """Loads prometheus-client at the start: the first request would delay a tick if it did.

    If the package is missing, each request tries again, since an operator may install it while the server runs.
    """
    written: Callable[[Stats], bytes] | None = None
    with contextlib.suppress(MissingExtraError):
        written = load_exposition()

    def metrics(_query: Mapping[str, str]) -> tuple[HTTPStatus, Mapping[str, Any] | Content]:
        nonlocal written
        try:
            written = written or load_exposition()
        except MissingExtraError as error:
            return HTTPStatus.NOT_IMPLEMENTED, {"error": str(error)}
        return HTTPStatus.OK, Content(CONTENT_TYPE, written(stats()))

    return metrics


def zone_map(world: World) -> dict[str, Any]:
    """The places of players and things, for a picture.

    `positions` is x, y, x, y, ... of at most 2,000 players; `thing_positions` is that of at most 2,000 things.
    """
    players, things = list(world.players()), list(world.things())
    return {
        "schema": "zone-map/1",
        "tick": world.tick,
        "width": world.width,
        "height": world.height,
        "players": len(players),
        "positions": _some_positions(world, players),
        "things": len(things),
        "thing_positions": _some_positions(world, things),
    }


def _some_positions(world: World, slots: list[int]) -> list[int]:
    step = -(-len(slots) // _MAP_POSITIONS_MAX) or 1
    return [value for slot in slots[::step] for value in world.position(slot)]
