"""How a game is written: a class with typed actions, and the players it is about.

    class Tag(Rules):
        stats = {"tags": 0}

        @action
        def move(self, player: Player, vx: Speed, vy: Speed) -> None:
            player.move(vx, vy)

        @action
        def tag(self, player: Player, other: Player) -> None:
            player["tags"] += 1

An action that is accepted reaches everybody in the frame of its tick, by itself: as a motion if
the handler moved its own player, else as an event with what the handler returned, or with its
arguments where it returned nothing. `raise Refused(...)` refuses it, to that player alone.

Time is `self.tick`, chance is `self.random`: the same input then gives the same bytes.
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
    """Raised by a rule: the action does not happen, and its player is told `code` and `text`.

    >>> raise Refused("COOLDOWN", "ready again in 3 ticks")
    Traceback (most recent call last):
    zoneserver.zone.rules.Refused: COOLDOWN: ready again in 3 ticks

    `violation` says that no honest client would have tried it, whatever its player did and however late
    its picture of the zone is: whoever does so again and again is thrown out.
    """

    def __init__(self, code: str, text: str = "", *, violation: bool = False) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = str(code)
        self.text = text
        self.violation = violation


@dataclass(frozen=True, slots=True)
class Between:
    """A number of an action lies from `low` to `high`, both included.

    >>> Dice = Annotated[int, Between(1, 6)]
    """

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Text:
    """A text of an action is printable, not empty and at most `bytes_max` long in UTF-8.

    >>> Line = Annotated[str, Text(200)]
    """

    bytes_max: int


Speed = Annotated[int, Between(-VELOCITY_MAX, VELOCITY_MAX)]
"""Units per tick along one axis, as `Player.move` takes them.

>>> class Walk(Rules):
...     @action
...     def move(self, player: Player, vx: Speed, vy: Speed) -> None:
...         player.move(vx, vy)
"""


def action(handler: Handler) -> Handler:
    """Makes a method of a Rules class an action that players may send, under the method's name.

    Its parameters after the player are annotated `int`, `float`, `str`, `bool`, `Player` (sent as a
    slot), or one of the numbers and texts within bounds: `Annotated[str, Text(200)]`. A payload that
    does not fit is refused with BAD_PAYLOAD and never reaches the handler.

    >>> class Chat(Rules):
    ...     @action
    ...     def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
    ...         player["lines"] += 1
    """
    handler.__zone_action__ = True  # type: ignore[attr-defined]
    return handler


class Player:
    """One player in the zone, as rules see it. Valid until `on_leave` has returned.

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
        """False once the player has left: for rules that kept it over some ticks."""
        # For the zone: the sequence of the action of this player that is running now, else None; and
        # whether that action has become a motion of its player.
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
        """Walks on with another velocity, -127 to 127 units per tick along each axis. Raises ValueError."""
        if not self.present:
            raise self._has_left()
        self._world.move(self.slot, vx, vy)
        if self.acting_seq is None:
            self._frame.placed.add(self.slot)
        else:
            self._frame.moved[self.slot] = self.acting_seq & 0xFF
            self.moved = True

    def place(self, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Stands at (x, y) from now on, wherever it was: a spawn, a teleport, a knock. Raises ValueError."""
        if not self.present:
            raise self._has_left()
        self._world.place(self.slot, x, y, vx, vy)
        self._frame.placed.add(self.slot)

    def distance_to(self, other: Player) -> float:
        """In the game's units, at the current tick."""
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
        # The slot may have another holder by now.
        return LookupError(f"{self!r} has left")


class Rules:
    """A game: subclass it, mark its actions with `@action`, and give the class to a server.

    `width` and `height` bound the zone, in units of the game's choice; `stats` names the whole
    numbers (32 bits) that everybody may see of each player, with their first values.

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
    """What clients are told the game is; the class's name where it is empty."""
    width: ClassVar[int] = 10_000
    height: ClassVar[int] = 10_000
    stats: ClassVar[Mapping[str, int]] = {}

    # Set by the zone before anything else happens.
    tick: int = 0
    """The current tick: the only clock that a rule may read."""
    hz: int
    random: random.Random
    """The only source of chance that a rule may use; seeded."""
    players: Mapping[int, Player]
    """Everybody in the zone, by slot."""
    _frame: FrameBuilder
    _timers: dict[int, list[Callable[[], None]]]

    def on_start(self) -> None:
        """The zone opens; nobody is in it yet."""

    def on_join(self, player: Player) -> None:
        """Somebody came in, at (0, 0), at rest: place it.

        Its first frame is that of the next tick: it does not hear what is emitted here, but what
        `self.after(1, ...)` emits.
        """

    def on_leave(self, player: Player) -> None:
        """Somebody goes; after this the player is gone."""

    def on_tick(self) -> None:
        """Once per tick, after its actions."""

    def emit(self, kind: str, *values: Any) -> None:
        """Tells everybody of something that is nobody's action, as an event of this tick.

        Values are what msgpack can carry; anything else raises here (TypeError, OverflowError).
        """
        self._frame.event(None, None, kind, *values)

    def after(self, ticks: int, callback: Callable[[], None]) -> None:
        """Calls back so many ticks from now (at least one), before that tick's actions."""
        self._timers.setdefault(self.tick + max(1, ticks), []).append(callback)
