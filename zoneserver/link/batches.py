"""The batches of a gateway: its requests, numbered, and kept until the zone has taken them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX
from zoneserver.link.messages import BatchMessage, Start, TickMessage
from zoneserver.zone.link import Actions, Requests

__all__ = ["Batches", "Lead"]

# At most so many batches are on their way. Later requests wait, and leave together.
_BATCHES_MAX = 8
# While more actions than this wait for the zone, further ones are refused.
_WAITING_ACTIONS_MAX = 20_000
# So many packets or joins of 1 KiB, which is the most by default, are below the bound on a batch: it is not looked at.
_SMALL = 500
# The zone reads no larger payload than twice this, and a batch that never arrives would hold up all later ones.
_BATCH_BYTES_MAX = PAYLOAD_UP_BYTES_MAX // 2
# While requests of more than so many ticks wait, a batch has at most so many actions of one player, unless one packet
# has more: the zone refuses what is too much for one tick (127 by default), and one may take three batches.
_BACKLOG_TICKS = 2
_PLAYER_ACTIONS_MAX = 40
# A batch that so many ticks have not taken is lost.
_LATE_TICKS = 3


class Lead:
    """How long before a tick is due a batch leaves: as late as possible, and early enough to be there.

    The zone says how long each batch lay there. The lead falls by what even the latest of fifty had left over a margin,
    and rises at once when a batch misses its tick.

    >>> lead = Lead(period_seconds=0.05)
    >>> for _ in range(50): lead.arrived(waited_seconds=0.0025)
    >>> round(lead.seconds, 3)
    0.002
    >>> lead.missed()
    >>> round(lead.seconds, 3)
    0.004
    """

    _MARGIN, _FIRST, _LEAST, _MISSED = 0.0005, 0.004, 0.001, 0.002
    _BATCHES = 50

    def __init__(self, period_seconds: float) -> None:
        self.seconds = min(self._FIRST, period_seconds / 2)
        self._most = period_seconds / 2
        # How many batches have arrived since the last change, and the shortest time that one of them waited.
        self._arrived = 0
        self._shortest = period_seconds

    def arrived(self, waited_seconds: float) -> None:
        """A batch was there so long before its tick was due; less than 0: after it was due, and just in time."""
        self._arrived += 1
        self._shortest = min(self._shortest, waited_seconds)
        if self._arrived >= self._BATCHES or waited_seconds < 0:
            self._change(self._MARGIN - self._shortest)

    def missed(self) -> None:
        """A batch came too late for its tick."""
        self._change(self._MISSED)

    def _change(self, seconds: float) -> None:
        self.seconds = min(self._most, max(self._LEAST, self.seconds + seconds))
        self._arrived, self._shortest = 0, self._most * 2


class _OnWay(NamedTuple):
    """A batch that the zone has not taken."""

    batch: BatchMessage
    aim: int
    """The tick for which it was sent first."""
    sent_at: int
    """The tick that the gateway had when it was sent last."""


class Batches:
    """The batches of the gateway with this number, from the first one on."""

    def __init__(self, gateway: int) -> None:
        self.taken = 0
        """The number of the newest batch that the zone has taken."""
        self._gateway = gateway
        self._number = 0
        self._on_way: deque[_OnWay] = deque()
        self._waiting = Requests()
        # The ticks whose requests wait.
        self._waiting_ticks = 0

    def add(self, requests: Requests) -> None:
        """Lets requests wait for the next batch. Of players who came and went meanwhile nothing is left."""
        waiting = self._waiting
        waiting.add(requests)
        self._waiting_ticks += 1
        if (requests.leaves or requests.drops) and waiting.joins:
            gone = {*requests.leaves, *requests.drops}
            unknown = {join.ref for join in waiting.joins if join.ref in gone}
            waiting.joins = [join for join in waiting.joins if join.ref not in unknown]
            waiting.leaves = [ref for ref in waiting.leaves if ref not in unknown]

    @property
    def has_room(self) -> bool:
        """Whether further actions may wait."""
        return len(self._waiting.actions) < _WAITING_ACTIONS_MAX

    def next(self, start: Start, tick: int, figures: Mapping[str, Any] | None) -> BatchMessage | None:
        """A batch of what waits, or of as much of it as the way takes; None while too many are on their way."""
        if len(self._on_way) >= _BATCHES_MAX:
            return None
        requests, self._waiting = self._waiting, Requests()
        if self._waiting_ticks > _BACKLOG_TICKS:
            requests.actions, self._waiting.actions = _shared(requests.actions)
        if not self._waiting.actions:
            self._waiting_ticks = 0
        self._number += 1
        batch = BatchMessage(self._gateway, self._number, start, tick, requests, figures)
        waiting = self._waiting
        while len(requests.actions) + len(requests.joins) > _SMALL and len(batch.encode()) > _BATCH_BYTES_MAX:
            actions, joins = len(requests.actions) // 2, len(requests.joins) // 2
            waiting.actions, requests.actions = requests.actions[actions:] + waiting.actions, requests.actions[:actions]
            waiting.joins, requests.joins = requests.joins[joins:] + waiting.joins, requests.joins[:joins]
        self._on_way.append(_OnWay(batch, tick + 1, tick))
        return batch

    def settle(self, message: TickMessage, lead: Lead) -> None:
        """Takes from a tick which batch the zone has taken last, and how long it had waited there."""
        mine = next((each for each in message.taken if each[0] == self._gateway), None)
        if mine is None:
            return
        _, taken, waited_us = mine
        for batch, aim, _ in self._on_way:
            if batch.number == taken:
                if message.tick == aim:
                    lead.arrived(waited_us / 1e6)
                elif message.tick > aim:
                    lead.missed()
        self.take_until(taken)

    def take_until(self, taken: int) -> None:
        """The zone has taken the batches up to this number."""
        self.taken = max(self.taken, taken)
        while self._on_way and self._on_way[0].batch.number <= taken:
            self._on_way.popleft()

    def late_ticks(self, tick: int) -> int:
        """For how many ticks the oldest batch has been on its way."""
        return tick - self._on_way[0].aim if self._on_way else 0

    def are_lost(self, tick: int) -> bool:
        """Whether it is time to send again what the zone should have taken by this tick."""
        return bool(self._on_way) and tick - self._on_way[0].sent_at > _LATE_TICKS

    def again(self, start: Start, tick: int) -> list[BatchMessage]:
        """All batches that are on their way, for this start of the zone."""
        self._on_way = deque(_OnWay(batch._replace(start=start), aim, tick) for batch, aim, _ in self._on_way)
        return [each.batch for each in self._on_way]


def _shared(actions: list[Actions]) -> tuple[list[Actions], list[Actions]]:
    """The packets for one batch, of which no player has too many, and the others. Those of each player keep their
    order."""
    count: dict[int, int] = {}
    now: list[Actions] = []
    later: list[Actions] = []
    for packet in actions:
        ref, _, acts = packet
        before = count.get(ref, 0)
        count[ref] = before + len(acts)
        (later if before and count[ref] > _PLAYER_ACTIONS_MAX else now).append(packet)
    return now, later
