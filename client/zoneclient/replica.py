"""The client's copy of the zone, updated from its frames."""

from __future__ import annotations

from zoneclient.errors import DivergedError
from zoneserver.protocol.messages import Snapshot, Tick, Welcome
from zoneserver.protocol.world import World

__all__ = ["Replica"]


class Replica:
    """The players of the zone, their positions at any tick, and their stats.

    It uses the same arithmetic as the server (`World`), and compares each state hash of the server with its own:
    `apply` raises DivergedError when they differ, ValueError when a frame is not the next one.

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
        """The tick at whose end the zone had this state."""
        return self.world.tick

    @property
    def players(self) -> dict[int, str]:
        """The names of all players, by slot."""
        return {slot: name for slot, name in enumerate(self.world.names) if name is not None}

    def name(self, slot: int) -> str | None:
        """Return the name of the player in a slot, or None."""
        return self.world.names[slot] if self.world.has(slot) else None

    def slot(self, name: str) -> int | None:
        """Return the slot of the player with this name, or None."""
        return self.world.names.index(name) if name in self.world.names else None

    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]:
        """Return (x, y) of a player in the units of the game, at the present tick or extrapolated to a later one."""
        return self.world.position(slot, tick)

    def stat(self, slot: int, name: str) -> int:
        """Return one stat of a player, such as "hp". Raises KeyError for a stat that the game does not have."""
        return self.world.stats[self.world.stat_indexes[name]][slot]

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
