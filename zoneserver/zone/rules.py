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

import random
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar, overload

from zoneserver.protocol.world import VELOCITY_MAX
from zoneserver.zone.entities import Entity, Player, Thing
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.population import Population
from zoneserver.zone.timers import Timer, Timers

__all__ = [
    "ActionMark",
    "AtMost",
    "Between",
    "Entity",
    "Player",
    "Refused",
    "Rules",
    "Speed",
    "Text",
    "Thing",
    "action",
    "command",
]

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


@dataclass(frozen=True, slots=True)
class AtMost:
    """Bounds a list of an action, which then has at most `count` items, or bytes. A list has at most 16 items anyway.

    >>> Dice = Annotated[list[Annotated[int, Between(1, 6)]], AtMost(5)]
    """

    count: int


Speed = Annotated[int, Between(-VELOCITY_MAX, VELOCITY_MAX)]
"""The type of a velocity: steps along one axis, as `Player.move` takes them.

>>> class Walk(Rules):
...     @action
...     def move(self, player: Player, vx: Speed, vy: Speed) -> None:
...         player.move(vx, vy)
"""


@dataclass(frozen=True, slots=True)
class ActionMark:
    """Marks a method as an action: the decorator `action` sets it as the attribute `__zone_action__`."""

    private: bool = False


@overload
def action(handler: Handler, /) -> Handler: ...


@overload
def action(*, private: bool = False) -> Callable[[Handler], Handler]: ...


def action(handler: Callable[..., Any] | None = None, /, *, private: bool = False) -> Any:
    """Makes a method of a Rules class an action that clients may send, under the method's name.

    Annotate each parameter after the player with `int`, `float`, `str`, `bool`, `bytes`, `Player` or `Thing` (a client
    sends its slot), a `Literal` or an enum, a list of these, or one of these and None. Bound it by `Annotated`:
    `Annotated[str, Text(200)]`. A client may leave out a parameter that has a default. The zone refuses arguments that
    do not fit with BAD_PAYLOAD, and does not call the handler.

    A `private` action is told to nobody. Its player alone is answered, with the values that the handler returned.

    >>> class Chat(Rules):
    ...     @action
    ...     def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
    ...         player["lines"] += 1
    ...
    ...     @action(private=True)
    ...     def count(self, player: Player) -> int:
    ...         return player["lines"]
    """

    def mark(function: Handler) -> Handler:
        if not callable(function):
            raise TypeError(f"@action marks a method, not {function!r:.40}")
        function.__zone_action__ = ActionMark(bool(private))  # type: ignore[attr-defined]
        return function

    return mark if handler is None else mark(handler)


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


class Rules:
    """A game: subclass it, mark its actions with `@action`, and give the class to a server.

    `width` and `height` bound the zone, in units of the game's choice. Every client is told these, each with its first
    value: the `stats` of each player, whole numbers of 32 bits; the `kinds` of things and their stats; and the `board`,
    whole numbers and short texts of the zone itself.

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
    version: ClassVar[str] = ""
    """The version of the game, as clients are told it. A client may insist on one."""
    speed_step: ClassVar[int] = 0
    """Units per second of one step of velocity, so that a game is as fast at any tick rate. 0: units per tick."""
    stats: ClassVar[Mapping[str, int]] = {}
    kinds: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    board: MutableMapping[str, Any] = {}  # noqa: RUF012  # The zone puts the board in its place.
    events: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """The values of each event, as annotations: `{"taken": (int, Player)}`. A game that declares one declares all that
    it emits."""
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
    things: Mapping[int, Thing]
    """All things in the zone, by slot, to read. `Thing.remove` takes one out."""
    is_trial: bool = False
    """True while `zoneserver check` plays the game: no real player is in, and nothing outside may be changed."""
    is_rerun: bool = False
    """True while a server that was restarted runs the ticks of its journal again: nothing outside may be changed."""
    _zone_frame: FrameBuilder
    _zone_population: Population
    _zone_events: Callable[[str, Sequence[Any]], Sequence[Any]] | None
    _zone_timers: Timers

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

    def on_drop(self, player: Player) -> None:
        """Called when a player's connection is lost, and the player may come back (`--resume`): `player.is_here` is
        False until then. By default the player stops where they are.

        If they do not come back in time, `on_leave` follows.
        """
        player.move(0, 0)

    def on_resume(self, player: Player) -> None:
        """Called when a player has come back. The player is as they were, with the same slot."""

    def to_save(self, player: Player) -> dict[str, Any] | None:
        """Returns what the store shall keep of the player, or None to change nothing there.

        A server with a store calls it after `on_leave`, once per interval (`--store-interval`) for everybody, and for
        everybody when the server stops. The value is written as JSON at once: dicts with texts as keys, lists, texts,
        numbers, booleans and None, at most 256 KiB. `player.saved` is that value when the player comes in again.
        """
        return None

    def on_tick(self) -> None:
        """Called once per tick, after the actions of the tick."""

    def on_stop(self) -> None:
        """Called when the server stops, after the last tick and after `on_leave` for every player. Players who stay in
        over the next start of the server do not leave."""

    def on_restore(self) -> None:
        """Called after `on_start` when a server was restarted and had to take the zone from what clients were told.

        The players and things are in their places, with their stats, and the board is as it was. What the game knew
        besides, timers included, is as `on_start` has left it. A thing that `on_start` spawned is not in the zone.
        """

    def emit(self, kind: str, *values: Any) -> None:
        """Tells every player of an event that is not an action, with the frame of this tick.

        A value is a number, a str, bytes, None, or a list of values. Raises TypeError for any other value, ValueError
        for an event of more than 65,535 bytes, and OverflowError for a whole number beyond 64 bits and when the
        events of this tick exceed 1 MiB. The event is then told to nobody.

        In a game that declares its `events`, it also raises ValueError for an event of another form. A Player or a
        Thing is then told as its slot.
        """
        if self._zone_events is not None:
            values = tuple(self._zone_events(kind, values))
        self._zone_frame.event(None, None, kind, *values)

    def spawn(self, kind: str, x: int, y: int, vx: int = 0, vy: int = 0, **stats: int) -> Thing:
        """Puts a thing of this kind at (x, y), with the first value of each stat that is not given.

        Raises LookupError for a kind or a stat that the game has not declared, ValueError for a place outside the zone,
        a velocity beyond 127 and a stat beyond 32 bits, TypeError for a number that is not whole, OverflowError when
        the zone is full. There is then no thing.
        """
        return self._zone_population.spawn(kind, x, y, vx, vy, stats)

    def anywhere(self) -> tuple[int, int]:
        """A random place in the zone."""
        return self.random.randint(0, self.width), self.random.randint(0, self.height)

    def near(
        self, where: Entity | tuple[int, int], radius: float, kind: str | None = None, players: bool = False
    ) -> list[Any]:
        """The things within `radius` of a place or an entity, in the order of their slots, without the entity itself.

        `kind` picks the things of one kind; "player" stands for the players. `players` adds the players to the things.
        Raises LookupError for a kind that the game has not declared, ValueError for a radius that is no distance.

        An index of places makes this quick, even among 10,000 movers.
        """
        return self._zone_population.near(where, radius, kind, players)

    def every(
        self,
        seconds: float | None = None,
        callback: Callable[..., object] | None = None,
        *arguments: Any,
        ticks: int | None = None,
    ) -> Timer:
        """Calls `callback(*arguments)` again and again, at intervals of `seconds` or of `ticks` (at least one tick).

        The first call is one interval from now; each comes before the actions of its tick. A call that raises does not
        end the timer; `cancel` of the timer does. Raises TypeError for a callback that cannot be called and for ticks
        that are not a whole number, and ValueError for an interval below zero.

        >>> class Wolves(Rules):
        ...     def on_start(self) -> None:
        ...         self.every(1.0, self.howl, "awoo")
        ...
        ...     def howl(self, text: str) -> None:
        ...         self.emit("howl", text)
        """
        return self._zone_timers.every(seconds, callback, arguments, ticks=ticks)

    def after(
        self,
        ticks: int | None = None,
        callback: Callable[..., object] | None = None,
        *arguments: Any,
        seconds: float | None = None,
    ) -> Timer:
        """Calls `callback(*arguments)` once, after so many ticks or seconds (at least one tick), before the actions of
        that tick.

        Raises TypeError when `ticks` is not a whole number, and when `callback` cannot be called, and ValueError for
        seconds below zero.
        """
        return self._zone_timers.after(ticks, callback, arguments, seconds=seconds)

    def timers(self, name: str) -> list[Timer]:
        """The timers that wait to call the method of this name with plain values, in the order in which they were made.
        A `load` finds a timer again with it that the game wants to cancel later."""
        return [timer for timer in self._zone_timers.in_order() if timer.callback == name]
