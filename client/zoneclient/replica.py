"""The client's copy of the zone, kept from its frames."""

from __future__ import annotations

from zoneclient.errors import DivergedError
from zoneserver.protocol.messages import Snapshot, Tick, Welcome
from zoneserver.protocol.world import World

__all__ = ["Replica"]


class Replica:
    """Who is in the zone, where everybody is at any tick, and what can be seen of them.

    It runs the server's own arithmetic (`World`), and holds each state hash it is sent against its
    own: `apply` raises DivergedError when they differ, ValueError when a frame does not follow.

    >>> replica = Replica(Welcome(1, 0, 0, 20, "plaza", 100, 100, [("hp", 100)], 1024, 16))
    >>> replica.apply(Tick(1, 100, None, [], [], [], [], [0, 50, 50, 3, 0], [(0, "ann")], [], [], []))
    >>> replica.players, replica.position(0), replica.position(0, tick=11), replica.stat(0, "hp")
    ({0: 'ann'}, (50, 50), (80, 50), 100)
    """

    def __init__(self, welcome: Welcome) -> None:
        self.world = World(welcome.width, welcome.height, dict(welcome.stats))
        self.hashes_checked = 0

    @property
    def tick(self) -> int:
        """The tick whose end this state is."""
        return self.world.tick

    @property
    def players(self) -> dict[int, str]:
        """The name of everybody present, by slot."""
        return {slot: name for slot, name in enumerate(self.world.names) if name is not None}

    def name(self, slot: int) -> str | None:
        """Who holds a slot, or None."""
        return self.world.names[slot] if self.world.has(slot) else None

    def slot(self, name: str) -> int | None:
        """Where somebody sits, or None."""
        return self.world.names.index(name) if name in self.world.names else None

    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]:
        """(x, y) of a player, in the game's units, at this tick or as it would be at a later one."""
        return self.world.position(slot, tick)

    def stat(self, slot: int, name: str) -> int:
        """One of the numbers that the game shows of each player. Raises KeyError for one that it does not."""
        return self.world.stats[self.world.stat_indexes[name]][slot]

    def restore(self, snapshot: Snapshot) -> None:
        """Becomes the state in a snapshot."""
        self.world.restore(snapshot)

    def apply(self, frame: Tick) -> None:
        """Moves on by one tick, and checks the state hash where the frame carries one."""
        try:
            self.world.apply(frame)
        except (IndexError, OverflowError) as error:
            raise ValueError(f"the frame of tick {frame.tick} does not fit this state: {error}") from None
        if frame.hash is not None:
            self.hashes_checked += 1
            found = self.world.hash()
            if found != frame.hash:
                raise DivergedError(frame.tick, frame.hash, found)
