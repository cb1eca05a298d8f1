"""Timers of a game: they count ticks, and run before the actions of their tick."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import partial
from operator import index
from typing import Any

from zoneserver.protocol.world import World
from zoneserver.support.errors import where_defined
from zoneserver.zone.frame_builder import FrameBuilder

__all__ = ["Timer", "Timers"]

Callback = Callable[..., object]

# The body of such a function does not run when it is called.
_WAITING = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


class Timer:
    """A call that is due in a later tick. `Rules.every`, `Rules.after` and `Player.after` make timers.

    >>> def stop_the_music(music: Timer) -> None:
    ...     music.cancel()
    """

    __slots__ = ("_number", "_owner", "_timers", "arguments", "callback", "due", "interval")

    def __init__(
        self,
        timers: Timers,
        number: int,
        callback: str | Callback,
        arguments: tuple[Any, ...],
        interval: int,
        owner: object,
    ) -> None:
        self._timers = timers
        # Timers of one tick run in the order of their numbers.
        self._number = number
        self._owner = owner
        self.callback = callback
        """The name of a method of the game, or another function."""
        self.arguments = arguments
        self.interval = interval
        """The ticks between two calls; 0 for a timer that runs once."""
        self.due: int | None = None
        """The tick of the next call; None if no call follows."""

    def __repr__(self) -> str:
        state = "that is over" if self.due is None else f"due in tick {self.due}"
        return f"<{self} {state}>"

    def __str__(self) -> str:
        call: Any = self.callback
        while isinstance(call, partial):
            call = call.func
        name = call if isinstance(call, str) else getattr(call, "__qualname__", type(call).__name__)
        return f"the timer {name:.80}"

    def cancel(self) -> None:
        """Ends the timer: it makes no further call. It does nothing to a timer that has ended."""
        self._timers.cancel(self)


class Timers:
    """All timers of a zone, by the tick in which they are due.

    >>> from zoneserver.protocol.zone_info import ZoneInfo
    >>> class Game:
    ...     def ring(self, times):
    ...         print("ring" * times)
    >>> game, world = Game(), World(ZoneInfo())
    >>> timers = Timers(game, world, FrameBuilder(), hz=20)
    >>> timer = timers.every(0.1, game.ring, (2,))
    >>> timer.callback, timer.arguments, timer.interval, timer.due
    ('ring', (2,), 2, 2)
    >>> for world.tick in (1, 2):
    ...     timers.run(lambda timer, call, *arguments: call(*arguments))
    ringring
    >>> timer.due
    4
    """

    def __init__(self, game: object, world: World, frame: FrameBuilder, hz: int) -> None:
        self._game = game
        self._world = world
        self._frame = frame
        self._hz = hz
        # For each tick, the timers that are due in it, by their numbers. No tick is without a timer.
        self._waiting: dict[int, dict[int, Timer]] = {}
        # The timers that end when their owner leaves, by owner.
        self._owned: dict[object, dict[int, Timer]] = {}
        self._made = 0
        # The tick whose timers ran last.
        self._ran = world.tick

    def every(
        self,
        seconds: float | None,
        callback: Callback | None,
        arguments: tuple[Any, ...],
        *,
        ticks: int | None = None,
    ) -> Timer:
        """A timer that runs again and again. Raises as `Rules.every` says."""
        if ticks is not None and index(ticks) < 1:
            raise ValueError(f"every runs at intervals of one tick or more, not {ticks}")
        return self._add("every", ticks, seconds, callback, arguments, is_repeated=True)

    def after(
        self,
        ticks: int | None,
        callback: Callback | None,
        arguments: tuple[Any, ...],
        *,
        seconds: float | None = None,
        owner: object = None,
    ) -> Timer:
        """A timer that runs once, unless its owner leaves before. Raises as `Rules.after` says."""
        return self._add("after", ticks, seconds, callback, arguments, owner=owner)

    def _add(
        self,
        what: str,
        ticks: int | None,
        seconds: float | None,
        callback: Callback | None,
        arguments: tuple[Any, ...],
        *,
        is_repeated: bool = False,
        owner: object = None,
    ) -> Timer:
        if not callable(callback):
            raise TypeError(f"{what} calls a function, not {callback!r:.40}: pass it without calling it")
        if getattr(getattr(callback, "__code__", None), "co_flags", 0) & _WAITING:
            raise TypeError(f"{what} calls an ordinary function, because a tick cannot wait: {callback!r:.80}")
        if (ticks is None) == (seconds is None):
            raise TypeError(f"{what} takes either seconds or ticks")
        if seconds is not None:
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{what} takes a number of seconds from 0 on, not {seconds}")
            ticks = round(seconds * self._hz)
        wait = max(1, index(ticks))  # type: ignore[arg-type]
        timer = Timer(self, self._made, self._kept(callback, arguments), arguments, wait * is_repeated, owner)
        self._made += 1
        self._put(timer, self._world.tick + wait)
        if self._frame.undo is not None:
            self._frame.undo.append((self._take_out, timer))
        return timer

    def _kept(self, callback: Callback, arguments: tuple[Any, ...]) -> str | Callback:
        """The name of a method of the game that is called with plain values, so that the timer can be written down."""
        if getattr(callback, "__self__", None) is not self._game or not all(map(_is_plain, arguments)):
            return callback
        name = getattr(callback, "__name__", "")
        return name if getattr(self._game, name, None) == callback else callback

    # --- Waiting ----------------------------------------------------------------------------------

    def _put(self, timer: Timer, due: int) -> None:
        timer.due = due
        self._waiting.setdefault(due, {})[timer._number] = timer
        if timer._owner is not None:
            self._owned.setdefault(timer._owner, {})[timer._number] = timer

    def _take_out(self, timer: Timer) -> None:
        due, timer.due = timer.due, None
        if due is not None:
            _discard(self._waiting, due, timer._number)
            _discard(self._owned, timer._owner, timer._number)

    def cancel(self, timer: Timer) -> None:
        """Ends a timer. The undo of the action that runs lets it wait again."""
        due = timer.due
        if due is None:
            return
        self._take_out(timer)
        if self._frame.undo is not None:
            self._frame.undo.append((self._put, timer, due))

    def forget(self, owner: object) -> None:
        """Ends the timers of an owner."""
        for timer in list(self._owned.get(owner, {}).values()):
            self._take_out(timer)

    def in_order(self) -> list[Timer]:
        """The timers that wait, in the order in which they were made."""
        return sorted(
            (timer for due in self._waiting.values() for timer in due.values()), key=lambda each: each._number
        )

    # --- Checkpoints ------------------------------------------------------------------------------

    def state(self, write: Callable[[object], Any]) -> list[Any]:
        """The timers that wait as plain values, in order. `write` writes down an argument, or raises TypeError.

        Raises ValueError, which names the place in the code, for a timer that calls no method by its name.
        """
        return [[timer.due, timer.interval, *_written(timer, write), write(timer._owner)] for timer in self.in_order()]

    def restore(self, state: Iterable[Any], read: Callable[[Any], Any]) -> None:
        """Replaces all timers by those of `state`. `read` returns what `write` has written."""
        for timer in self.in_order():
            self._take_out(timer)
        self._ran = self._world.tick
        self._made = 0
        for due, interval, call, arguments, owner in state:
            callback = call if isinstance(call, str) else getattr(read(call[1]), call[0])
            timer = Timer(self, self._made, callback, tuple(map(read, arguments)), interval, read(owner))
            self._made += 1
            self._put(timer, due)

    def postpone(self, ticks: int) -> None:
        """Lets all timers run so many ticks later."""
        for timer in self.in_order():
            due = timer.due
            self._take_out(timer)
            self._put(timer, (due or 0) + ticks)
        self._ran = self._world.tick

    # --- The tick ---------------------------------------------------------------------------------

    def run(self, call: Callable[..., object]) -> None:
        """Runs the timers that are due, by `call(timer, function, *arguments)`, which may not raise."""
        while self._ran < self._world.tick:
            # Several ticks are due if ticks before this one failed.
            self._ran += 1
            due = self._waiting.pop(self._ran, {})
            for number in sorted(due):
                if due[number].due == self._ran:  # None if a timer before it has cancelled it.
                    self._run(due[number], call)

    def _run(self, timer: Timer, call: Callable[..., object]) -> None:
        self._take_out(timer)
        if timer.interval:
            self._put(timer, self._world.tick + timer.interval)
        if isinstance(timer.callback, str):
            call(timer, self._call_method, timer.callback, timer.arguments)
        else:
            call(timer, timer.callback, *timer.arguments)

    def _call_method(self, name: str, arguments: tuple[Any, ...]) -> None:
        # The look-up may be a game's own code.
        getattr(self._game, name)(*arguments)


def _discard(timers: dict[Any, dict[int, Timer]], key: object, number: int) -> None:
    """Takes a timer out of a group, if it is there, and drops a group that is empty."""
    group = timers.get(key)
    if group is not None:
        group.pop(number, None)
        if not group:
            del timers[key]


def _written(timer: Timer, write: Callable[[object], Any]) -> tuple[Any, Any]:
    """What a timer calls, and with what."""
    callback: Any = timer.callback
    entity = getattr(callback, "__self__", None)
    try:
        arguments = list(map(write, timer.arguments))
        if isinstance(callback, str):
            return callback, arguments
        if hasattr(entity, "slot"):
            return [callback.__name__, write(entity)], arguments
        fault = "calls a function that has no name in the game"
    except TypeError as error:
        fault = f"has an argument {error}"
    raise ValueError(
        f"{timer}{where_defined(timer.callback)} {fault}: let it call a method of the game with plain values"
    )


def _is_plain(value: object) -> bool:
    """Whether a value can be written down: None, a number, a text, bytes, or a player or thing of the zone."""
    return value is None or isinstance(value, bool | int | float | str | bytes) or hasattr(value, "slot")
