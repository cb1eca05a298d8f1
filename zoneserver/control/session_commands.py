"""The commands of operators about sessions: who is connected to this process."""

from __future__ import annotations

import asyncio
import json

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

    async def players(self, *, as_json: bool) -> tuple[int, str]:
        """The number of players, and the list of them, as JSON or for people."""
        players, rows = list(self._gateway.players), []
        for number, player in enumerate(players, 1):
            rows.append(self._row(player))
            if number % _PLAYERS_PER_TURN == 0:
                await asyncio.sleep(0)
        if as_json:
            names = ("name", "slot", "address", "connected_s", "queued_bytes")
            listed = [dict(zip(names, row, strict=True)) for row in rows]
            return len(players), json.dumps({"schema": _PLAYERS_SCHEMA, "players": listed})
        lines = [f"{'slot':>5}  {'since':>7}  {'queued':>8}  {'address':<21}  name"]
        for name, slot, address, seconds, queued in rows:
            place = "-" if slot is None else slot
            lines.append(f"{place:>5}  {format_duration(seconds):>7}  {format_size(queued):>8}  {address:<21}  {name}")
        return len(players), "\n".join(lines)

    def _row(self, player: Player) -> tuple[str, int | None, str, float, int]:
        session = player.session
        seconds = round(self._loop.time() - self._gateway.opened_at(session), 1)
        return player.name, player.slot, session.address, seconds, session.waiting_bytes
