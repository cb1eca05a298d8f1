"""The base class of a game: a game is a class with typed actions, and acts on players.

    class Tag(Rules):
        stats = {"tags": 0}

        @action
        def move(self, player: Player, vx: Speed, vy: Speed) -> None:
            player.move(vx, vy)

        @action
        def tag(self, player: Player, other: Player) -> None:
            player["tags"] += 1

The zone tells every player of each accepted action, in the frame of its tick. If the handler moved its own
player, the action is told as a motion; otherwise as an event with the values that the handler returned, or
with the action's arguments if it returned None. `raise Refused(...)` refuses the action: only its player is told.

A rule reads time only from `self.tick` and chance only from `self.random`, so that equal inputs give equal bytes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from zoneserver.protocol.world import VELOCITY_MAX, World
from zoneserver.zone.frame_builder import FrameBuilder

__all__ = ["Between", "Player", "Refused", "Rules", "Speed", "Text", "action"]

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Refused(Exception):
    """A rule raises it to refuse an action: the action does not happen, and its player is told `code` and `text`.

    >>> raise Refused("COOLDOWN", "ready again in 3 ticks")
    Traceback (most recent call last):
    zoneserver.zone.rules.Refused: COOLDOWN: ready again in 3 ticks

    Set `violation` when no honest client would send the action, even with an outdated view of the zone: the
    server disconnects a client that keeps sending violations.
    """

    def __init__(self, code: str, text: str = "", *, violation: bool = False) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = str(code)
        self.text = text
        self.violation = violation


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds a number of an action: from `low` to `high`, both included.

    >>> Dice = Annotated[int, Between(1, 6)]
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Text:
    """Bounds a text of an action: it is printable, not empty and takes at most `bytes_max` bytes in UTF-8.

    >>> Line = Annotated[str, Text(200)]
    """

    bytes_max: int


Speed = Annotated[int, Between(-VELOCITY_MAX, VELOCITY_MAX)]
"""The type of a velocity: units per tick along one axis, as `Player.move` takes them.

>>> class Walk(Rules):
...     @action
...     def move(self, player: Player, vx: Speed, vy: Speed) -> None:
...         player.move(vx, vy)
"""


def action(handler: Handler) -> Handler:
    """Makes a method of a Rules class an action that clients may send, under the method's name.

    Annotate each parameter after the player with `int`, `float`, `str`, `bool` or `Player` (a client sends its
    slot), or with a bounded number or text: `Annotated[str, Text(200)]`. The zone refuses arguments that
    do not fit with BAD_PAYLOAD, and does not call the handler.

    >>> class Chat(Rules):
    ...     @action
    ...     def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
    ...         player["lines"] += 1
    """
    handler.__zone_action__ = True  # type: ignore[attr-defined]
    return handler


class Player:
    """One player in the zone, as rules see it. It may be changed until `on_leave` has returned.

    >>> world, frame = World(100, 100, {"hp": 100}), FrameBuilder()
    >>> world.join(0, "ann")
    >>> player = Player(0, "ann", world, frame)
    >>> player["hp"] -= 30
    >>> player["hp"], player.position
    (70, (0, 0))
    """

    __slots__ = ("_frame", "_world", "acting_seq", "moved", "name", "present", "slot")

    def __init__(self, slot: int, name: str, world: World, frame: FrameBuilder) -> None:
        self.slot = slot
        self.name = name
        self.present = True
        """False once the player has left. A rule that keeps a Player over several ticks checks it."""
        # The zone sets both: the sequence of this player's action that is running now, or None; and whether
        # that action has moved this player.
        self.acting_seq: int | None = None
        self.moved = False
        self._world = world
        self._frame = frame

    def __repr__(self) -> str:
        return f"<Player {self.name!r} in slot {self.slot}>"

    @property
    def position(self) -> tuple[int, int]:
        """(x, y) at the current tick, in the game's units."""
        return self._world.position(self.slot)

    @property
    def velocity(self) -> tuple[int, int]:
        """(vx, vy) in units per tick."""
        return self._world.vx[self.slot], self._world.vy[self.slot]

    def move(self, vx: int, vy: int) -> None:
        """Changes the velocity, in units per tick along each axis.

        Raises ValueError outside -127 to 127, and LookupError when the player has left.
        """
        if not self.present:
            raise self._has_left()
        self._world.move(self.slot, vx, vy)
        if self.acting_seq is None:
            self._frame.placed.add(self.slot)
        else:
            self._frame.moved[self.slot] = self.acting_seq & 0xFF
            self.moved = True

    def place(self, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Puts the player at (x, y), for a spawn or a teleport.

        Raises ValueError for a place outside the zone, and LookupError when the player has left.
        """
        if not self.present:
            raise self._has_left()
        self._world.place(self.slot, x, y, vx, vy)
        self._frame.placed.add(self.slot)

    def distance_to(self, other: Player) -> float:
        """The distance to another player at the current tick, in the game's units."""
        return math.dist(self.position, other.position)

    def __getitem__(self, stat: str) -> int:
        return self._world.stats[self._world.stat_indexes[stat]][self.slot]

    def __setitem__(self, stat: str, value: int) -> None:
        if not self.present:
            raise self._has_left()
        index = self._world.stat_indexes[stat]
        self._world.stats[index][self.slot] = value
        self._frame.stats[self.slot, index] = None

    def _has_left(self) -> LookupError:
        # Another player may have the slot by now.
        return LookupError(f"{self!r} has left")


class Rules:
    """A game: subclass it, mark its actions with `@action`, and give the class to a server.

    `width` and `height` bound the zone, in units of the game's choice. `stats` names the whole numbers (32 bits)
    of each player that every client is told, with their first values.

    >>> class Hill(Rules):
    ...     width, height = 1_000, 1_000
    ...     stats = {"seconds": 0}
    ...
    ...     def on_join(self, player: Player) -> None:
    ...         player.place(self.random.randrange(1_001), 0)
    ...
    ...     def on_tick(self) -> None:
    ...         for player in self.players.values() if self.tick % self.hz == 0 else ():
    ...             player["seconds"] += player.position[1] > 900
    """

    name: ClassVar[str] = ""
    """The game's name, as clients are told it. If empty, the class's name in lower case is used."""
    width: ClassVar[int] = 10_000
    height: ClassVar[int] = 10_000
    stats: ClassVar[Mapping[str, int]] = {}

    # The zone sets these before it calls `on_start`.
    tick: int = 0
    """The current tick: the only clock that a rule may read."""
    hz: int
    random: random.Random
    """The only source of chance that a rule may use. The zone seeds it."""
    players: Mapping[int, Player]
    """All players in the zone, by slot."""
    _frame: FrameBuilder
    _timers: dict[int, list[Callable[[], None]]]

    def on_start(self) -> None:
        """Called once, before the first tick. There are no players yet."""

    def on_join(self, player: Player) -> None:
        """Called when a player has come in. The player stands at (0, 0); `place` it.

        The player's first frame is that of the next tick: it misses an event that is emitted here, and receives
        one that `self.after(1, ...)` emits.
        """

    def on_leave(self, player: Player) -> None:
        """Called when a player leaves, while the player is still in the zone."""

    def on_tick(self) -> None:
        """Called once per tick, after the actions of the tick."""

    def emit(self, kind: str, *values: Any) -> None:
        """Tells every player of an event that is not an action, with the frame of this tick.

        Raises TypeError or OverflowError for a value that msgpack cannot pack.
        """
        self._frame.event(None, None, kind, *values)

    def after(self, ticks: int, callback: Callable[[], None]) -> None:
        """Calls `callback` after this many ticks (at least one), before the actions of that tick."""
        self._timers.setdefault(self.tick + max(1, ticks), []).append(callback)
