"""The client's copy of the zone, updated from its frames."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import overload

from zoneclient.errors import DivergedError
from zoneserver.protocol.messages import Snapshot, Tick, Welcome
from zoneserver.protocol.world import World

__all__ = ["Replica"]


class Replica:
    """The players and things of the zone, their positions at any tick, their stats, and the board.

    It uses the same arithmetic as the server (`World`), and compares each state hash of the server with its own:
    `apply` raises DivergedError when they differ, ValueError when a frame is not the next one.

    >>> from zoneserver.protocol.zone_info import Kind, ZoneInfo, player_kind
    >>> zone = ZoneInfo(width=100, height=100, kinds=(player_kind(hp=100), Kind("coin", (("worth", 1),))))
    >>> replica = Replica(Welcome(2, 0, 0, zone, 1024, 16))
    >>> replica.apply(Tick(1, 100, None, joins=[(0, "ann"), (1, 1)], placed=[0, 50, 50, 3, 0]))
    >>> replica.players, replica.things("coin"), replica.stat(0, "hp"), replica.stat(1, "worth")
    ({0: 'ann'}, {1: 'coin'}, 100, 1)
    >>> replica.position(0), replica.position(0, tick=11), replica.position(0, 1.5)
    ((50, 50), (80, 50), (51.5, 50.0))
    """

    def __init__(self, welcome: Welcome) -> None:
        self.world = World(welcome.zone)
        self.hashes_checked = 0
        self._kinds = [kind.name for kind in welcome.zone.kinds]
        self._board = [name for name, _ in welcome.zone.board]

    @property
    def tick(self) -> int:
        """The tick at whose end the zone had this state."""
        return self.world.tick

    @property
    def players(self) -> dict[int, str]:
        """The names of all players, by slot."""
        return {slot: holder for slot, holder in enumerate(self.world.holders) if isinstance(holder, str)}

    def things(self, kind: str | None = None) -> dict[int, str]:
        """Return the kind of each thing by slot, of all or of one kind. Raises KeyError for a kind that is unknown."""
        if kind is not None and kind not in self._kinds[1:]:
            raise KeyError(f"this game has no things of the kind {kind!r}")
        kinds = self._kinds
        return {
            slot: kinds[holder]
            for slot, holder in enumerate(self.world.holders)
            if isinstance(holder, int) and kind in {None, kinds[holder]}
        }

    @property
    def board(self) -> Mapping[str, int | str]:
        """The entries of the board by name, as they are now."""
        return MappingProxyType(dict(zip(self._board, self.world.board, strict=True)))

    def name(self, slot: int) -> str | None:
        """Return the name of the player in a slot; None for a thing and for a free slot."""
        return self.world.name(slot)

    def kind(self, slot: int) -> str | None:
        """Return "player" or the kind of the thing in a slot; None for a free slot."""
        return self._kinds[self.world.kind(slot)] if self.world.has(slot) else None

    def slot(self, name: str) -> int | None:
        """Return the slot of the player with this name, or None."""
        return self.world.holders.index(name) if name in self.world.holders else None

    @overload
    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]: ...
    @overload
    def position(self, slot: int, tick: float) -> tuple[float, float]: ...
    def position(self, slot: int, tick: float | None = None) -> tuple[float, float]:
        """Return (x, y) of a player or a thing in the units of the game, at the present tick or as of another one.

        For a fraction of a tick, such as `zone.now()`, the position is one of floats.
        """
        if isinstance(tick, float):
            return self.world.position_between(slot, tick)
        return self.world.position(slot, tick)

    def stat(self, slot: int, name: str) -> int:
        """Return one stat of a player or a thing, such as "hp". Raises KeyError for a stat that its kind does not have,
        LookupError for a free slot."""
        world = self.world
        return world.stats[world.stat_indexes[world.kind(slot)][name]][slot]

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the whole state by the state in a snapshot."""
        self.world.restore(snapshot)

    def apply(self, frame: Tick) -> None:
        """Advance by one tick, and check the state hash if the frame carries one."""
        try:
            self.world.apply(frame)
        except (IndexError, OverflowError) as error:
            raise ValueError(f"the frame of tick {frame.tick} does not fit this state: {error}") from None
        if frame.hash is not None:
            self.hashes_checked += 1
            found = self.world.hash()
            if found != frame.hash:
                raise DivergedError(frame.tick, frame.hash, found)
