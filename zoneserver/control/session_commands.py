"""The commands of operators about sessions: who is connected to this process, and which addresses may not be."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Sequence

from zoneserver.control.messages import Outcome
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.player import Player
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import address_networks, is_same_network
from zoneserver.support.errors import Exit
from zoneserver.support.format import exact_duration, format_duration, format_size
from zoneserver.support.parse import above_zero, parse_duration, take_option

__all__ = ["SessionCommands", "address_in"]

_ADDRESS_BANS_MAX = 10_000
# The list of players is made in pieces, with turns of the loop between them, so that no tick is late by it.
_PLAYERS_PER_TURN = 500
_PLAYERS_SCHEMA = "zone-ctl-players/1"


class SessionCommands:
    """Runs them on the sessions of one gateway. Each raises ValueError for wrong words."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self._gateway = gateway
        self._loop = loop
        # When bans of addresses end.
        self._ban_ends: dict[str, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """Ends no ban any more."""
        for timer in self._ban_ends.values():
            timer.cancel()

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

    def ban(self, address: str, words: list[str]) -> Outcome:
        """Ends the sessions of an address, and rejects new ones. `words` are those of the command."""
        duration, left = take_option(words, "--for")
        seconds = None if duration is None else above_zero(parse_duration)(duration)
        text = " ".join(left[1:]) or "an operator has banned this address"
        if not text.isprintable() or len(text) > 200:
            raise ValueError("TEXT must be printable and at most 200 characters long")
        # A network that holds such an address cannot be banned either, in any spelling.
        if any(is_same_network(address, exempt) for exempt in self._gateway.pending.address_limits.exempt):
            text = f"{address} cannot be banned: the limits by address spare it, since proxies connect from it"
            return Outcome(Exit.FAILED, f"{text}. Ban the name")
        gateway, network = self._gateway, address_networks(address)[0]
        banned = gateway.pending.address_limits.banned
        if len(banned) >= _ADDRESS_BANS_MAX and network not in banned:
            return Outcome(Exit.FAILED, f"{len(banned):,} addresses are banned already: unban one first")
        self.unban(address)
        banned[network] = text
        if seconds is not None:
            self._ban_ends[network] = self._loop.call_later(seconds, self.unban, address)
        sessions = [player.session for player in gateway.players if is_same_network(player.session.host, address)]
        for session in (*sessions, *gateway.pending.silent(address)):
            session.end(CloseReason.BANNED, text)
        gateway.parked.ban(address)
        until = "until it is lifted (unban)" if seconds is None else f"for {exact_duration(seconds)}"
        ended = f"{len(sessions)} player{'' if len(sessions) == 1 else 's'} ended"
        return Outcome(Exit.OK, f"{network} is banned {until}, {ended}; a restart of the server forgets the ban")

    def unban(self, address: str) -> Outcome:
        """Ends the ban of an address."""
        network = address_networks(address)[0]
        timer = self._ban_ends.pop(network, None)
        if timer is not None:
            timer.cancel()
        if self._gateway.pending.address_limits.unban(address):
            return Outcome(Exit.OK, f"{network} is not banned any more")
        return Outcome(Exit.FAILED, f"{network} is not banned")


def address_in(words: Sequence[str]) -> str | None:
    """The IP address that a ban is about; None if it is about a name."""
    try:
        _, left = take_option(words, "--for")
        return str(ipaddress.ip_address(left[0])) if left else None
    except ValueError:
        return None
