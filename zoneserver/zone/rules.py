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
from operator import index
from typing import Annotated, Any, ClassVar, TypeVar

from zoneserver.protocol.world import VELOCITY_MAX, World
from zoneserver.zone.frame_builder import FrameBuilder

__all__ = ["Between", "Player", "Refused", "Rules", "Speed", "Text", "action", "command"]

Handler = TypeVar("Handler", bound=Callable[..., Any])


class Refused(Exception):
    """A rule raises it to refuse an action: the action does not happen, and its player is told `code` and `text`.

    >>> raise Refused("COOLDOWN", "ready again in 3 ticks")
    Traceback (most recent call last):
    zoneserver.zone.rules.Refused: COOLDOWN: ready again in 3 ticks

    `text` may be any object, such as an exception: the player is told its `str`, cut to 200 characters. In `on_join`
    it turns the player away: the player's session ends with the code and the text.

    Set `violation` when no honest client would send the action, even with an outdated view of the zone: the
    server disconnects a client that keeps sending violations.
    """

    # A subclass may define an `__init__` of its own that sets none of these.
    code: str = "REFUSED"
    text: str = ""
    violation: bool = False

    def __init__(self, code: str, text: object = "", *, violation: bool = False) -> None:
        self.code, self.text, self.violation = str(code), str(text), bool(violation)
        super().__init__(f"{self.code}: {self.text}" if self.text else self.code)


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


def command(handler: Handler) -> Handler:
    """Makes a method of a Rules class a command that the operator of the server may give, under the method's name:
    `zoneserver ctl give ann 5`.

    Annotate each parameter as that of an action; the operator types the name of a `Player`. A `str` at the end takes
    the rest of the line, and a parameter with a default may be left out. What the method returns is printed;
    `raise Refused(...)` refuses the command. A command happens whole or not at all, as an action does.

    >>> class Rich(Rules):
    ...     @command
    ...     def give(self, player: Player, gold: int = 1) -> str:
    ...         player["gold"] += gold
    ...         return f"{player.name} has {player['gold']} gold"
    """
    handler.__zone_command__ = True  # type: ignore[attr-defined]
    return handler


class Player:
    """One player in the zone, as rules see it. It is valid until `on_leave` has returned.

    The state of a player who has left raises LookupError, to read and to write: another player may have the slot.

    >>> world, frame = World(100, 100, {"hp": 100}), FrameBuilder()
    >>> world.join(0, "ann")
    >>> player = Player(0, "ann", world, frame)
    >>> player["hp"] -= 30
    >>> player["hp"], player.position
    (70, (0, 0))
    """

    __slots__ = ("_acting_seq", "_frame", "_has_moved", "_name", "_present", "_slot", "_world")

    def __init__(self, slot: int, name: str, world: World, frame: FrameBuilder) -> None:
        self._slot = slot
        self._name = name
        self._world = world
        self._frame = frame
        # The zone sets these: whether the player is in the zone; the sequence of the player's action that is running
        # now, or None; whether that action has moved this player.
        self._present = True
        self._acting_seq: int | None = None
        self._has_moved = False

    def __repr__(self) -> str:
        return f"<Player {self._name!r} in slot {self._slot}>"

    @property
    def slot(self) -> int:
        """The number by which frames and actions name this player. A later player may get it."""
        return self._slot

    @property
    def name(self) -> str:
        return self._name

    @property
    def present(self) -> bool:
        """False once the player has left. A rule that keeps a Player over several ticks checks it."""
        return self._present

    @property
    def position(self) -> tuple[int, int]:
        """(x, y) at the current tick, in the game's units."""
        if not self._present:
            raise self._has_left()
        return self._world.position(self._slot)

    @property
    def velocity(self) -> tuple[int, int]:
        """(vx, vy) in units per tick."""
        if not self._present:
            raise self._has_left()
        return self._world.vx[self._slot], self._world.vy[self._slot]

    def move(self, vx: int, vy: int) -> None:
        """Changes the velocity, in whole units per tick along each axis.

        Raises ValueError outside -127 to 127, TypeError for a number that is not whole, and LookupError when the
        player has left. The velocity is then as before.
        """
        if not self._present:
            raise self._has_left()
        self._remember_motion()
        self._world.move(self._slot, vx, vy)
        if self._acting_seq is None:
            self._frame.placed.add(self._slot)
        else:
            self._frame.moved[self._slot] = self._acting_seq & 0xFF
            self._has_moved = True

    def place(self, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Puts the player at (x, y), for a spawn or a teleport.

        Raises ValueError for a place outside the zone, TypeError for a number that is not whole, and LookupError when
        the player has left. The player then stands as before.
        """
        if not self._present:
            raise self._has_left()
        self._remember_motion()
        self._world.place(self._slot, x, y, vx, vy)
        self._frame.placed.add(self._slot)

    def kick(self, code: str, text: object = "") -> None:
        """Throws the player out at the end of this tick: the session ends with `code`, an upper-case word, and `text`.

        The player's waiting actions are dropped, and `on_leave` is called at the beginning of the next tick. Raises
        LookupError when the player has left.
        """
        if not self._present:
            raise self._has_left()
        frame, why = self._frame, (str(code), str(text))
        if self._slot not in frame.kicked:
            frame.kicked[self._slot] = why
            if frame.undo is not None:
                frame.undo.append((frame.kicked.pop, self._slot))

    def distance_to(self, other: Player) -> float:
        """The distance to another player at the current tick, in the game's units."""
        return math.dist(self.position, other.position)

    def __getitem__(self, stat: str) -> int:
        if not self._present:
            raise self._has_left()
        return self._world.stats[self._world.stat_indexes[stat]][self._slot]

    def __setitem__(self, stat: str, value: int) -> None:
        if not self._present:
            raise self._has_left()
        slot, frame, number = self._slot, self._frame, self._world.stat_indexes[stat]
        column = self._world.stats[number]
        before = column[slot]
        column[slot] = value
        if frame.undo is not None:
            frame.undo.append((self._restore_stat, number, before, (slot, number) in frame.stats))
        frame.stats[slot, number] = None

    def _restore_stat(self, number: int, value: int, is_noted: bool) -> None:
        self._world.stats[number][self._slot] = value
        if not is_noted:
            del self._frame.stats[self._slot, number]

    def _remember_motion(self) -> None:
        """While an action runs, notes how to take back the change of motion that follows."""
        slot, frame = self._slot, self._frame
        if frame.undo is not None:
            motion = self._world.motion(slot)
            frame.undo.append((self._restore_motion, motion, frame.moved.get(slot), slot in frame.placed))

    def _restore_motion(self, motion: tuple[int, ...], moved: int | None, is_placed: bool) -> None:
        self._world.restore_motion(self._slot, motion)
        self._frame.restore_notes(self._slot, moved, is_placed)

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
    settings: ClassVar[Mapping[str, int | float | str | bool]] = {}
    """What the operator of a server may set, with the defaults: `settings = {"coins": 30}`. The type of a default is
    the type of its setting."""

    # The zone sets these before it calls `on_start`.
    tick: int = 0
    """The current tick: the only clock that a rule may read."""
    hz: int
    random: random.Random
    """The only source of chance that a rule may use. The zone seeds it."""
    setting: Mapping[str, Any]
    """The value of each of `settings` on this server, to read: `self.setting["coins"]`."""
    players: Mapping[int, Player]
    """All players in the zone, by slot, to read. `Player.kick` throws one out."""
    _zone_frame: FrameBuilder
    _zone_timers: dict[int, list[Callable[[], None]]]

    def on_start(self) -> None:
        """Called once, before the first tick. There are no players yet."""

    def on_join(self, player: Player) -> None:
        """Called when a player has come in. The player stands at (0, 0); `place` it.

        The player's first frame is that of the next tick: it misses an event that is emitted here, and receives
        one that `self.after(1, ...)` emits.

        `raise Refused(code, text)` turns the player away with that code, any other exception with INTERNAL_ERROR.
        The player is then not in the zone, and `on_leave` is not called.
        """

    def on_leave(self, player: Player) -> None:
        """Called when a player leaves, while the player is still in the zone. A server that stops calls it for all."""

    def on_tick(self) -> None:
        """Called once per tick, after the actions of the tick."""

    def on_stop(self) -> None:
        """Called when the server stops, after the last tick and after `on_leave` for every player."""

    def emit(self, kind: str, *values: Any) -> None:
        """Tells every player of an event that is not an action, with the frame of this tick.

        A value is a number, a str, bytes, None, or a list of values. Raises TypeError for any other value, ValueError
        for an event of more than 65,535 bytes, and OverflowError for a whole number beyond 64 bits and when the
        events of this tick exceed 1 MiB. The event is then told to nobody.
        """
        self._zone_frame.event(None, None, kind, *values)

    def after(self, ticks: int, callback: Callable[[], None]) -> None:
        """Calls `callback` after this many ticks (at least one), before the actions of that tick.

        Raises TypeError when `ticks` is not a whole number, and when `callback` cannot be called.
        """
        if not callable(callback):
            raise TypeError(f"after calls a function, not {callback!r:.40}: pass it without calling it")
        timers = self._zone_timers.setdefault(self.tick + max(1, index(ticks)), [])
        timers.append(callback)
        if self._zone_frame.undo is not None:
            self._zone_frame.undo.append((timers.pop,))
