"""Penalties of the flood control: tells a client of each, and of the end of a mute, or ends its session."""

from __future__ import annotations

import logging
from collections.abc import Callable

from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.flood_guard import PenaltyLevel
from zoneserver.gateway.player import Player
from zoneserver.protocol.codes import RefusalCode

__all__ = ["Penalties"]

log = logging.getLogger(__name__)


class Penalties:
    """Carries out the penalty levels that the flood guards of the players decide.

    `tell(player, seq, code, text)` sends a REFUSED at once.
    """

    def __init__(self, counters: GatewayCounters, tell: Callable[[Player, int, RefusalCode, str], None]) -> None:
        self._counters = counters
        self._tell = tell
        # Players who are muted and have not been told that the mute is over; a dict as an ordered set.
        self._muted: dict[Player, None] = {}

    def raised(self, player: Player) -> None:
        """Carries out a level that has just risen. A mute drops every action behind `player.seq`."""
        session, guard = player.session, player.guard
        if guard.level is PenaltyLevel.OUT:
            session.end(guard.reason, guard.text)
            return
        code, seq = RefusalCode.WARNED, 0
        if guard.level is PenaltyLevel.MUTED:
            code, seq = RefusalCode.MUTED, player.seq + 1
            player.dropped_seq = 0
            self._muted[player] = None
        self._counters.restraints[code] += 1
        # The code is part of the format, so that each code has its own share of the log's lines in a second.
        told = session.log_fields(code=str(code), reason=guard.text)
        log.info(f"{code}: %r, %s", session, guard.text, extra=told)
        self._tell(player, seq, code, guard.text)

    def end_mutes(self, now: float) -> None:
        """Ends the mutes whose time has come. Each player is told the newest of the actions that were dropped."""
        for player in [player for player in self._muted if player.guard.forgive(now)]:
            del self._muted[player]
            session = player.session
            log.info(f"{RefusalCode.UNMUTED}: %r may act again", session, extra=session.log_fields())
            self._tell(player, player.dropped_seq, RefusalCode.UNMUTED, "your actions are accepted again")

    def forget(self, player: Player) -> None:
        """Forgets a player who has left."""
        self._muted.pop(player, None)
