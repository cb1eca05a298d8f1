"""The gateways in other processes, as the zone knows them.

The zone knows which batch of each it has taken last, and what it has said to each alone that the gateway may not have
yet. Both are part of the zone's state, so that after a restart from its journal no batch counts twice, and no private
message is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.messages import Refusal
from zoneserver.zone.link import Batch, Ended, RefusedAction, Resumed, gateway_of

__all__ = ["Gateways", "Part"]

# A gateway that has more than this to confirm is lost, and begins anew.
_UNCONFIRMED_BYTES_MAX = 4 * 2**20

_pack = msgpack.Packer(autoreset=True).pack


class Part(NamedTuple):
    """What one tick says to the players of one gateway alone. The fields are those of TickOutput."""

    joined: list[tuple[int, int | None]]
    resumed: list[Resumed]
    ended: list[Ended]
    refused: list[RefusedAction]
    told: list[tuple[int, bytes]]

    def encode(self) -> bytes:
        """The part as bytes.

        >>> part = Part([(7, 0)], [], [Ended.of((8, "REPLACED", ""))], [], [(7, b"payload")])
        >>> Part.decode(part.encode()) == part
        True
        """
        return _pack(self)

    def add(self, more: Part) -> None:
        """Appends the part of a later tick."""
        self.joined.extend(more.joined)
        self.resumed.extend(more.resumed)
        self.ended.extend(more.ended)
        self.refused.extend(more.refused)
        self.told.extend(more.told)

    @classmethod
    def decode(cls, data: bytes) -> Part:
        """Raises ValueError or TypeError for bytes of another form."""
        joined, resumed, ended, refused, told = msgpack.unpackb(data, use_list=False)
        return cls(
            list(joined),
            [Resumed.of(each) for each in resumed],
            [Ended.of(each) for each in ended],
            [RefusedAction(ref, Refusal(*refusal), is_violation) for ref, refusal, is_violation in refused],
            list(told),
        )


class _Known:
    """What the zone knows of one gateway."""

    __slots__ = ("is_full", "name", "parked", "parts", "size", "taken")

    def __init__(
        self, name: str, taken: int = 0, parts: Iterable[tuple[int, bytes]] = (), *, is_full: bool = False
    ) -> None:
        self.name = name
        self.taken = taken
        # Whether there was no room for a part: the gateway cannot go on.
        self.is_full = is_full
        # (tick, part) of each tick that the gateway may not have, the oldest first.
        self.parts = deque(parts)
        self.size = sum(len(part) for _, part in self.parts)
        # The players who were parked when the gateway was lost; None while it is there.
        self.parked: list[int] | None = None


class Gateways:
    """All gateways in other processes of which the zone has taken a batch, by number.

    >>> gateways = Gateways()
    >>> gateways.take(Batch(3, number=1, tick=0)), gateways.taken(3)
    ((), 1)
    >>> list(gateways.keep(1, Part([(gateway_of(5), 0), ((3 << 32) + 1, 1)], [], [], [], [])))
    [3]
    >>> [tick for tick, _ in gateways.parts_since(3, 0)], gateways.take(Batch(3, 2, tick=1)), gateways.parts_since(3, 0)
    ([1], (), [])
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self.lost: set[int] = set()
        """The gateways that have fallen silent."""

    def __contains__(self, gateway: int) -> bool:
        return gateway in self._known

    def is_here(self, gateway: int) -> bool:
        """Whether the gateway is the one in the process of the zone, or is known and not silent."""
        return gateway < 1 or (gateway in self._known and gateway not in self.lost)

    def numbers(self) -> list[int]:
        """The numbers of all known gateways."""
        return list(self._known)

    def taken(self, gateway: int) -> int:
        """The number of the newest batch that was taken of a gateway; 0 for one that is not known."""
        known = self._known.get(gateway)
        return 0 if known is None else known.taken

    def name(self, gateway: int) -> str:
        """The name of a gateway; empty for one that is not known."""
        known = self._known.get(gateway)
        return "" if known is None else known.name

    def take(self, batch: Batch) -> Sequence[int]:
        """Takes the next batch of a gateway. Returns the players who were parked because the gateway was silent."""
        known = self._known.get(batch.gateway)
        if known is None:
            known = self._known[batch.gateway] = _Known(batch.name)
        # The hub hands over each batch once and in order. If a tick failed early, the zone may lack one.
        known.taken = batch.number
        parts = known.parts
        while parts and parts[0][0] <= batch.tick:
            known.size -= len(parts.popleft()[1])
        self.lost.discard(batch.gateway)
        parked, known.parked = known.parked, None
        return parked or ()

    def parked_count(self, gateway: int) -> int:
        """How many players were parked when this gateway was lost."""
        known = self._known.get(gateway)
        return 0 if known is None else len(known.parked or ())

    def is_full(self, gateway: int) -> bool:
        """Whether the gateway has left too much unconfirmed: what it would have to know next was not kept."""
        known = self._known.get(gateway)
        return known is not None and known.is_full

    def lose(self, gateway: int, parked: list[int]) -> None:
        """The gateway has fallen silent, and these of its players were parked for it."""
        known = self._known.get(gateway)
        if known is not None:
            # It may be lost twice in a row: its batch and the news that it is silent may be of one tick.
            known.parked = (known.parked or []) + parked
            self.lost.add(gateway)
            if known.is_full:
                self.forget(gateway)

    def forget(self, gateway: int) -> None:
        """Forgets a gateway. If it returns, it begins anew."""
        self._known.pop(gateway, None)
        self.lost.discard(gateway)

    def keep(self, tick: int, told: Part) -> dict[int, bytes]:
        """Keeps what a tick says to the players of each gateway, until the gateway has confirmed it. Returns it."""
        if not self._known:
            return {}
        parts: dict[int, Part] = {}
        lists: tuple[list[Any], ...] = told
        for index, entries in enumerate(lists):
            for entry in entries:
                gateway = gateway_of(entry[0])
                if gateway in self._known and not self._known[gateway].is_full:
                    part = parts.get(gateway)
                    if part is None:
                        part = parts[gateway] = Part([], [], [], [], [])
                    part[index].append(entry)
        encoded = {gateway: part.encode() for gateway, part in parts.items()}
        for gateway, part_bytes in encoded.items():
            known = self._known[gateway]
            known.parts.append((tick, part_bytes))
            known.size += len(part_bytes)
            if known.size > _UNCONFIRMED_BYTES_MAX:
                known.parts.clear()
                known.size, known.is_full = 0, True
        return encoded

    def parts_since(self, gateway: int, tick: int) -> list[tuple[int, bytes]]:
        """(tick, part) of each later tick that has said something to this gateway alone."""
        known = self._known.get(gateway)
        return [] if known is None else [part for part in known.parts if part[0] > tick]

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self) -> list[Any]:
        """Everything as plain values, for `restore`."""
        return [
            [gateway, known.taken, None if known.is_full else list(map(list, known.parts)), known.parked, known.name]
            for gateway, known in self._known.items()
        ]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        """Takes over a state."""
        self._known.clear()
        self.lost.clear()
        for gateway, taken, parts, parked, name in state:
            kept = ((tick, part) for tick, part in parts or ())
            known = self._known[gateway] = _Known(name, taken, kept, is_full=parts is None)
            if parked is not None:
                known.parked = list(parked)
                self.lost.add(gateway)
