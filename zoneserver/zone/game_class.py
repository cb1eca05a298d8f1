"""The checks of a game before any of its rules runs: sizes, stats, hooks and actions of its class."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from zoneserver.protocol.zone_info import PLAYER_KIND, Kind, ZoneInfo
from zoneserver.support.errors import GameError
from zoneserver.zone.actions import kind_of_waiting
from zoneserver.zone.board import board_value
from zoneserver.zone.commands import BUILT_IN
from zoneserver.zone.declared_events import events_of
from zoneserver.zone.entities import INT32
from zoneserver.zone.game_commands import command_methods, command_parameters
from zoneserver.zone.game_settings import setting_problems
from zoneserver.zone.rules import Rules

__all__ = ["HOOKS", "can_save", "info_of", "new_game", "problems_of", "set_attributes"]

HOOKS = ("on_start", "on_join", "on_leave", "on_drop", "on_resume", "on_tick", "on_stop", "on_restore", "to_save")
"""The methods that the zone calls by itself."""

_SET_BY_THE_ZONE = {
    "hz": "it is the tick rate that the server was started with (--hz)",
    "is_trial": "the zone sets it, and it is True while `zoneserver check` plays the game",
    "is_rerun": "the zone sets it, and it is True while a restarted server runs the ticks of its journal again",
    "players": "it is the zone's own view of its players",
    "things": "it is the zone's own view of its things",
    "setting": "it has the values of `settings` on this server",
    "random": "it is the source of chance that the zone seeds",
    "tick": "it is the number of the current tick",
}
_NAME_BYTES_MAX = 64
# Every client is told every stat of every player, and one snapshot must hold them all.
_STATS_MAX = 32
_BOARD_MAX = 256
_KINDS_MAX = 100
# With this bound, the products in a position fit 53 bits for a day at 100 Hz, and always fit 64 bits.
_STEP_MAX = 100_000


def problems_of(game: type[Rules], rules: Rules | None = None) -> Iterator[str]:
    """The problems of a game's class, each in one line. Sizes and stats are those of `rules` if it is given."""
    figures = game if rules is None else rules
    for name in ("width", "height"):
        size = getattr(figures, name)
        if type(size) is not int or not 0 < size < INT32.stop:
            yield f"{name} is {size!r:.40}: it must be a whole number from 1 to {INT32.stop - 1}"
    if figures.name != "" and not _is_name(figures.name):
        yield f"name is {figures.name!r:.40}: it must be a printable str of at most {_NAME_BYTES_MAX} bytes"
    if type(figures.version) is not str or len(figures.version) > _NAME_BYTES_MAX:
        yield f"version is {figures.version!r:.40}: it must be a str of at most {_NAME_BYTES_MAX} characters"
    if type(figures.speed_step) is not int or not 0 <= figures.speed_step <= _STEP_MAX:
        yield f"speed_step is {figures.speed_step!r:.40}: it must be a whole number of units per second, to {_STEP_MAX}"
    yield from _stat_problems("stats", figures.stats)
    yield from _kind_problems(figures.kinds)
    if hasattr(inspect.getattr_static(game, "board", None), "__set__"):
        yield "board is a property: it must be a dict of names and first values, which the zone replaces by its own"
    else:
        yield from _board_problems(figures.board)
    yield from setting_problems(figures.settings)
    try:
        events_of(figures)
    except TypeError as error:
        yield str(error)
    for name in sorted(set(dir(game)) - set(dir(Rules))):
        value: Any = inspect.getattr_static(game, name)
        if isinstance(value, staticmethod | classmethod) and hasattr(value.__func__, "__zone_action__"):
            yield f"{name} is marked as an action, but is not an ordinary method: no player can send it"
        if isinstance(value, staticmethod | classmethod) and hasattr(value.__func__, "__zone_command__"):
            yield f"{name} is marked as a command, but is not an ordinary method: no operator can call it"
        if name in BUILT_IN and hasattr(value, "__zone_command__"):
            yield f"{name} cannot be the name of a command: every server has a command of this name"
        if name.startswith("on_") and callable(value) and not _is_marked(value):
            meant = difflib.get_close_matches(name, HOOKS, n=1)
            yield f"{name} is never called{f'; did you mean {meant[0]}?' if meant else ''}"
    for method in command_methods(game).values():
        try:
            command_parameters(game, method)
        except TypeError as error:
            yield str(error)
    for name in dir(Rules):
        if _is_marked(inspect.getattr_static(game, name)):
            yield f"{name} cannot be the name of an action or a command: Rules has an attribute of this name"
    for name, setter in _SET_BY_THE_ZONE.items():
        if inspect.getattr_static(game, name, None) is not inspect.getattr_static(Rules, name, None):
            yield f"{name} cannot be defined by a game: {setter}"
    for name in HOOKS:
        yield from _hook_problems(game, name, *inspect.signature(getattr(Rules, name)).parameters)
    yield from _save_problems(game)


def can_save(game: type[Rules]) -> bool:
    """Whether a game has `save` and `load`."""
    return _has_own(game, "save") and _has_own(game, "load")


def _has_own(game: type[Rules], name: str) -> bool:
    found = inspect.getattr_static(game, name, None)
    return callable(found) and not _is_marked(found)


def _save_problems(game: type[Rules]) -> Iterator[str]:
    if can_save(game):
        yield from _hook_problems(game, "save", "self")
        yield from _hook_problems(game, "load", "self", "value")
    elif _has_own(game, "save") or _has_own(game, "load"):
        name, other = ("save", "load") if _has_own(game, "save") else ("load", "save")
        yield f"{name} needs {other}: a restart takes the game's state from save() and gives it to load(value)"


def _is_marked(value: object) -> bool:
    return hasattr(value, "__zone_action__") or hasattr(value, "__zone_command__")


def new_game(game: type[Rules]) -> Rules:
    """Makes a game of this class. Raises GameError when the class raises."""
    try:
        return game()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise GameError(f"{game.__name__}()", error) from error


def set_attributes(rules: Rules, **attributes: object) -> None:
    """Sets attributes of a game, past a `__setattr__` of its own."""
    for name, value in attributes.items():
        object.__setattr__(rules, name, value)


def info_of(rules: Rules, hz: int) -> ZoneInfo:
    """The facts about the zone of a game without problems."""
    kinds = {PLAYER_KIND: rules.stats, **rules.kinds}
    return ZoneInfo(
        rules.name or type(rules).__name__.lower(),
        rules.version,
        hz,
        rules.width,
        rules.height,
        rules.speed_step or hz,
        tuple(Kind(name, tuple(stats.items())) for name, stats in kinds.items()),
        tuple(rules.board.items()),
    )


def _kind_problems(kinds: object) -> Iterator[str]:
    if not isinstance(kinds, Mapping):
        yield f"kinds is {kinds!r:.40}: it must be a dict of names and stats"
        return
    if len(kinds) > _KINDS_MAX:
        yield f"kinds has {len(kinds)} names: a game has at most {_KINDS_MAX} kinds of things"
    for name, stats in kinds.items():
        if not _is_name(name) or name == PLAYER_KIND:
            yield f"kinds has {name!r:.40}: it must be printable, of at most {_NAME_BYTES_MAX} bytes, not 'player'"
        yield from _stat_problems(f"kinds[{name!r:.40}]", stats)


def _board_problems(board: object) -> Iterator[str]:
    if not isinstance(board, Mapping):
        yield f"board is {board!r:.40}: it must be a dict of names and first values"
        return
    if len(board) > _BOARD_MAX:
        yield f"board has {len(board)} names: it has at most {_BOARD_MAX}"
    for name, first in board.items():
        try:
            allowed = _is_name(name) and type(first) in {int, str} and board_value(first, first) == first
        except ValueError:
            allowed = False
        if not allowed:
            yield f"board has {name!r:.40}: {first!r:.40}: it must be a name, and a whole number or a short text"


def _stat_problems(what: str, stats: object) -> Iterator[str]:
    if not isinstance(stats, Mapping):
        yield f"{what} is {stats!r:.40}: it must be a dict of names and initial values"
        return
    if len(stats) > _STATS_MAX:
        yield f"{what} has {len(stats)} names: at most {_STATS_MAX} are told to every player"
    for stat, first in stats.items():
        if not _is_name(stat) or type(first) is not int or first not in INT32:
            yield (
                f"{what} has {stat!r:.40}: {first!r:.40}: it must be a printable str of at most {_NAME_BYTES_MAX} "
                "bytes and a whole number of 32 bits"
            )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name.encode()) <= _NAME_BYTES_MAX


def _hook_problems(game: type[Rules], name: str, *arguments: str) -> Iterator[str]:
    hook = getattr(game, name)
    kind = kind_of_waiting(hook)
    if kind:
        yield f"{name} is {kind}: it must be an ordinary method, because a tick cannot wait"
        return
    try:
        inspect.signature(hook).bind(*arguments)
    except (TypeError, ValueError):
        yield f"{name} must accept the call {name}({', '.join(arguments[1:])})"
