"""The intake of actions: from ACT packets to the actions that one tick takes.

An action costs its bytes multiplied by the receivers, so that each is charged here before it goes to the zone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoneserver.config import Config
from zoneserver.gateway.action_queue import ActionQueue, share_of_tick
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.flood_guard import PenaltyLevel, charged_actions
from zoneserver.gateway.penalties import Penalties
from zoneserver.gateway.player import Player
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.decoding import WireError, decode_act
from zoneserver.zone.link import Actions

__all__ = ["ActionIntake"]

log = logging.getLogger(__name__)

# So many packets are read at once, and do not wait for the tick: a bound on memory and on the tick's work.
_PACKETS_MAX = 1024


class ActionIntake:
    """Collects the ACT packets of all players between two ticks.

    Packets wait undecoded: a hundred packets decoded in a row cost less than each one by itself, between two calls of
    the kernel.
    """

    def __init__(self, config: Config, counters: GatewayCounters, penalties: Penalties) -> None:
        limits = config.limits
        self._counters = counters
        self._penalties = penalties
        self._packets: list[tuple[Player, bytes]] = []
        # Decoded actions, for `take` to take as many as one tick has room for.
        self._cost_max = limits.zone_actions_per_second // config.hz
        self._queue = ActionQueue(self._cost_max, limits.actions_per_tick)
        # Players with actions in the next tick: they are sent its frame first.
        self._acting: dict[Session, None] = {}

    @property
    def has_packets(self) -> bool:
        """Whether packets wait."""
        return bool(self._packets)

    def clear(self) -> None:
        """Drops everything: the zone knows none of the players."""
        self._packets.clear()
        self._queue.clear()
        self._acting.clear()

    def set_share(self, share: int) -> None:
        """Has each later tick take so many actions; with 0 as many as configured."""
        self._queue.cost_max = share or self._cost_max

    def add(self, player: Player, payload: bytes, now: float) -> None:
        """Adds an ACT packet."""
        self._packets.append((player, payload))
        if len(self._packets) >= _PACKETS_MAX:
            self.read(now)

    def read(self, now: float) -> None:
        """Decodes the packets. The client of a broken one is disconnected."""
        packets, self._packets = self._packets, []
        for player, payload in packets:
            if player.session.reason is None:
                try:
                    self._act(player, len(payload), *decode_act(payload), now)
                except WireError as error:
                    player.session.end(CloseReason.PROTOCOL_ERROR, str(error))
                except Exception:
                    player.session.fail("handling ACT")

    def take(self, players: Mapping[int, Player], *, has_room: bool = True) -> list[Actions]:
        """The actions for one tick. Those that would wait too long are refused; without room, all are refused."""
        actions, refused = self._queue.take()
        self._refuse(refused, players, "wait for the tick")
        if has_room:
            return actions
        self._refuse(actions, players, "the zone does not answer")
        self._acting.clear()
        for ref, _, packet in actions:
            self._counters.actions_away_total += len(packet)
            if ref in players:
                players[ref].session.flush()  # No frame follows that would take the refusal along.
        return []

    def _refuse(self, packets: Iterable[Actions], players: Mapping[int, Player], text: str) -> None:
        for ref, seq, packet in packets:
            if ref in players:
                self._penalties.refuse_packet(players[ref], seq, len(packet), text)

    def take_acting(self) -> dict[Session, None]:
        """The sessions whose actions were taken since the last call."""
        acting, self._acting = self._acting, {}
        return acting

    def _act(self, player: Player, size: int, seq: int, actions: Sequence[tuple[Any, ...]], now: float) -> None:
        session, guard = player.session, player.guard
        if seq <= player.seq:
            session.end(CloseReason.PROTOCOL_ERROR, f"sequence {seq} after {player.seq}")
            return
        # A mute for this packet begins with its first action.
        player.seq = seq - 1
        self._counters.actions_in_total += len(actions)
        count = charged_actions(len(actions), size)
        if guard.record_actions(count, now):
            self._penalties.raised(player)
        player.seq = seq + len(actions) - 1
        if guard.level >= PenaltyLevel.MUTED:
            player.dropped_seq = player.seq
            # The client was told that it is muted. Actions that it still sends count as violations.
            if session.reason is None and guard.record_ignored(now):
                self._penalties.raised(player)
        elif guard.admit_actions(count, now):
            self._queue.add((player.ref, seq, actions), share_of_tick(len(actions), size))
            self._acting[session] = None
        else:
            # Perhaps other clients at this address send too much, so the refusal does not count against this one.
            text = "too many actions come from this address (limit: address_actions_per_second)"
            log.info(f"{RefusalCode.TOO_MANY_ACTIONS}: %r, %s", session, text, extra=session.log_fields(reason=text))
            self._penalties.refuse_packet(player, seq, len(actions), text)
            session.flush()
