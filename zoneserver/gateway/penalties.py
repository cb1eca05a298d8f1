"""Penalties of the flood control: tells a client of each, and of the end of a mute, or ends its session."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.flood_guard import PenaltyLevel
from zoneserver.gateway.handshake import PendingConnections
from zoneserver.gateway.player import Player
from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.messages import Refusal
from zoneserver.support.addresses import address_networks
from zoneserver.zone.link import AddressBan, Standing

__all__ = ["Penalties"]

log = logging.getLogger(__name__)


class Penalties:
    """Tells players of refusals, and carries out the penalty levels that their flood guards decide."""

    def __init__(self, counters: GatewayCounters, broadcaster: Broadcaster, pending: PendingConnections) -> None:
        self._counters = counters
        self._broadcaster = broadcaster
        self._pending = pending
        # Players who are muted and have not been told that the mute is over; a dict as an ordered set.
        self._muted: dict[Player, None] = {}
        # Players whose level has risen since the zone was told of standings.
        self._risen: dict[Player, None] = {}

    def refuse(self, player: Player, refusal: Refusal, is_violation: bool = False, now: float = 0.0) -> None:
        """Tells a player of an action that was refused. It leaves with the next frame."""
        self._counters.refusals[refusal.code] += 1
        player.refusals[refusal.code] += 1
        self._counters.bytes_out_total += player.session.queue(refusal.encode())
        if not is_violation:
            return
        if player.guard.record_violation(refusal.code, now):
            self.raised(player)
        if player.guard.is_address_out(now):
            text = "too many violations come from there (limit: address_violations_per_second)"
            self._pending.ban(player.session, text, now)

    def learn_bans(self, bans: Sequence[AddressBan], players: Iterable[Player], now: float) -> None:
        """Takes over what the zone says of bans. Those of operators end the sessions from there; those after a kick do
        not. The zone itself takes out the players whom it knows."""
        self._pending.learn_bans(bans, now)
        ordered = {ban.network: ban.text for ban in bans if ban.is_ordered and ban.seconds > 0}
        if not ordered:
            return
        banned = [(each, ordered.get(address_networks(each.session.host)[0])) for each in players]
        ended = [(player.session, text) for player, text in banned if text is not None]
        ended += [(session, text) for network, text in ordered.items() for session in self._pending.silent(network)]
        for session, text in ended:
            session.end(CloseReason.BANNED, text)

    def refuse_packet(self, player: Player, seq: int, count: int, text: str) -> None:
        """Refuses the actions of a packet."""
        for number in range(seq, seq + count):
            self.refuse(player, Refusal(self._broadcaster.tick, number, RefusalCode.TOO_MANY_ACTIONS, text))

    def _tell(self, player: Player, seq: int, code: RefusalCode, text: str) -> None:
        refusal = Refusal(self._broadcaster.tick, seq, code, text)
        self._counters.bytes_out_total += player.session.queue(refusal.encode())
        player.session.flush()

    def raised(self, player: Player) -> None:
        """Carries out a level that has just risen. A mute drops every action behind `player.seq`."""
        session, guard = player.session, player.guard
        if guard.level is PenaltyLevel.OUT:
            session.end(guard.reason, guard.text)
            return
        self._risen[player] = None
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

    def go_on(self, player: Player) -> None:
        """A player has come back and stands as before: a mute goes on, and is told again."""
        if player.guard.level is PenaltyLevel.MUTED:
            self._muted[player] = None
            self._tell(player, player.seq + 1, RefusalCode.MUTED, player.guard.text)

    def forget(self, player: Player) -> None:
        """Forgets a player who has left."""
        self._muted.pop(player, None)
        self._risen.pop(player, None)

    def take_standings(self, now: float) -> list[tuple[int, Standing]]:
        """How those stand whose level has risen since the last call, for the gateway where they come back."""
        risen, self._risen = self._risen, {}
        standings = [(player.ref, player.guard.standing(now)) for player in risen if player.may_return]
        return [(ref, standing) for ref, standing in standings if standing is not None]
