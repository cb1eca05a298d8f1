"""The queue of actions between two ticks: what one tick takes from all players together is bounded.

When more arrives, the rest waits, and the players share the ticks by fair queueing: a player with few actions passes
those with many, no packet waits for ever, and the packets of one player keep their order.
"""

from __future__ import annotations

import heapq

from zoneserver.zone.link import Actions

__all__ = ["ActionQueue", "share_of_tick"]

# The size of an ordinary action.
_BYTES_PER_ACTION = 16


def share_of_tick(actions: int, size: int) -> int:
    """The cost of a packet with so many actions and bytes: a long packet counts as one action per 16 bytes."""
    return max(actions, size // _BYTES_PER_ACTION)


class ActionQueue:
    """Packets with actions that wait for a tick.

    One tick takes packets whose costs add up to `cost_max`, or one packet of a higher cost. While packets wait, those
    are refused that would have more than `actions_max` actions of one player wait.

    >>> queue = ActionQueue(cost_max=2, actions_max=127)
    >>> for ref, seq in (7, 1), (7, 2), (7, 3), (8, 1):
    ...     queue.add((ref, seq, [("wave",)]), cost=1)
    >>> queue.take(), queue.take()
    (([(7, 1, [('wave',)]), (8, 1, [('wave',)])], []), ([(7, 2, [('wave',)]), (7, 3, [('wave',)])], []))
    """

    def __init__(self, cost_max: int, actions_max: int) -> None:
        self.cost_max = cost_max
        """May be changed between two ticks."""
        self._actions_max = actions_max
        # The packets since the last `take`, with their costs, and the sum of these.
        self._arrived: list[tuple[Actions, int]] = []
        self._cost = 0
        # A heap of packets that wait: (finish, number of arrival, cost, packet). The packet with the lowest finish is
        # served next. The finish is the tick of the arrival, plus the costs of the player's packets up to this one: a
        # packet that costs more by n than another passes it when it has waited n ticks longer.
        self._waiting: list[tuple[int, int, int, Actions]] = []
        self._number = 0
        self._tick = 0
        # By player: the finish of the last waiting packet, and the number of waiting actions.
        self._finish: dict[int, int] = {}
        self._queued: dict[int, int] = {}

    def clear(self) -> None:
        """Drops all packets."""
        self._arrived, self._cost = [], 0
        self._waiting.clear()
        self._finish.clear()
        self._queued.clear()

    def add(self, packet: Actions, cost: int) -> None:
        """Adds a packet."""
        self._arrived.append((packet, cost))
        self._cost += cost

    def take(self) -> tuple[list[Actions], list[Actions]]:
        """The packets for one tick in the order of their arrival, and the packets that are to be refused."""
        self._tick += 1
        arrived, self._arrived = self._arrived, []
        cost, self._cost = self._cost, 0
        if cost <= self.cost_max and not self._waiting:
            return [packet for packet, _ in arrived], []
        refused = [packet for packet, cost in arrived if not self._wait(packet, cost)]
        return self._serve(), refused

    def _wait(self, packet: Actions, cost: int) -> bool:
        """Queues a packet; returns False when too many actions of its player wait."""
        ref, _, actions = packet
        count = self._queued.get(ref, 0) + len(actions)
        if count > self._actions_max:
            return False
        self._queued[ref] = count
        self._finish[ref] = finish = max(self._tick, self._finish.get(ref, 0)) + cost
        self._number += 1
        heapq.heappush(self._waiting, (finish, self._number, cost, packet))
        return True

    def _serve(self) -> list[Actions]:
        """Takes from the waiting packets as many as one tick has room for."""
        waiting, room = self._waiting, self.cost_max
        served: list[tuple[int, Actions]] = []
        while waiting and (waiting[0][2] <= room or not served):
            _, number, cost, packet = heapq.heappop(waiting)
            room -= cost
            served.append((number, packet))
            self._queued[packet[0]] -= len(packet[2])
        if not waiting:
            self._finish.clear()
            self._queued.clear()
        return [packet for _, packet in sorted(served, key=_number)]


def _number(served: tuple[int, Actions]) -> int:
    return served[0]
