"""The commands of operators about sessions: who is connected to this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.player import Player
from zoneserver.support.format import format_duration, format_size

__all__ = ["SessionCommands"]

# The list of players is made in pieces, with turns of the loop between them, so that no tick is late by it.
_PLAYERS_PER_TURN = 500
_PLAYERS_SCHEMA = "zone-ctl-players/1"


class SessionCommands:
    """Runs them on the sessions of one gateway."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway = gateway
        self._loop = loop

    async def players(self, *, as_json: bool, elsewhere: Sequence[tuple[str, int | None, str]] = ()) -> str:
        """The list of players, as JSON or for people: those of this gateway, and then those `elsewhere` by name, slot
        and gateway, of whom nothing else is known here."""
        rows: list[_Row] = []
        players: list[Player | tuple[str, int | None, str]] = [*self._gateway.players, *elsewhere]
        for number, player in enumerate(players, 1):
            rows.append(_row_elsewhere(player) if isinstance(player, tuple) else self._row(player))
            if number % _PLAYERS_PER_TURN == 0:
                await asyncio.sleep(0)
        if as_json:
            listed = [row._asdict() for row in rows]
            return json.dumps({"schema": _PLAYERS_SCHEMA, "players": listed})
        return "\n".join([_HEADING, *map(_line, rows)])

    def _row(self, player: Player) -> _Row:
        session = player.session
        seconds = round(self._loop.time() - self._gateway.opened_at(session), 1)
        return _Row(player.name, player.slot, session.address, seconds, session.waiting_bytes)


class _Row(NamedTuple):
    """One player. A figure that only another process knows is None."""

    name: str
    slot: int | None
    address: str | None
    connected_s: float | None
    queued_bytes: int | None
    gateway: str = ""


_HEADING = f"{'slot':>5}  {'since':>7}  {'queued':>8}  {'address':<21}  name"


def _row_elsewhere(player: tuple[str, int | None, str]) -> _Row:
    name, slot, gateway = player
    return _Row(name, slot, None, None, None, gateway)


def _line(row: _Row) -> str:
    place = "-" if row.slot is None else row.slot
    since = "-" if row.connected_s is None else format_duration(row.connected_s)
    queued = "-" if row.queued_bytes is None else format_size(row.queued_bytes)
    address = f"at {row.gateway}" if row.address is None else row.address
    return f"{place:>5}  {since:>7}  {queued:>8}  {address:<21}  {row.name}"
