"""What shows that a game cannot run before any of its rules runs: sizes, stats, hooks and actions of its class."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from zoneserver.zone.actions import kind_of_waiting
from zoneserver.zone.commands import BUILT_IN
from zoneserver.zone.game_settings import setting_problems
from zoneserver.zone.rules import Rules

__all__ = ["HOOKS", "problems_of"]

HOOKS = ("on_start", "on_join", "on_leave", "on_tick", "on_stop")
"""The methods that the zone calls by itself."""

_SET_BY_THE_ZONE = {
    "hz": "it is the tick rate that the server was started with (--hz)",
    "players": "it is the zone's own view of its players",
    "setting": "it has the values of `settings` on this server",
    "random": "it is the source of chance that the zone seeds",
    "tick": "it is the number of the current tick",
}
_INT32 = range(-(2**31), 2**31)
_NAME_BYTES_MAX = 64
# Every client is told every stat of every player, and one snapshot must hold them all.
_STATS_MAX = 32


def problems_of(game: type[Rules], rules: Rules | None = None) -> Iterator[str]:
    """The problems of a game's class, each in one line. Sizes and stats are those of `rules` if it is given."""
    figures = game if rules is None else rules
    for name in ("width", "height"):
        size = getattr(figures, name)
        if type(size) is not int or not 0 < size < _INT32.stop:
            yield f"{name} is {size!r:.40}: it must be a whole number from 1 to {_INT32.stop - 1}"
    if figures.name != "" and not _is_name(figures.name):
        yield f"name is {figures.name!r:.40}: it must be a printable str of at most {_NAME_BYTES_MAX} bytes"
    yield from _stat_problems(figures.stats)
    yield from setting_problems(figures.settings)
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
    for name in dir(Rules):
        if _is_marked(inspect.getattr_static(game, name)):
            yield f"{name} cannot be the name of an action or a command: Rules has an attribute of this name"
    for name, setter in _SET_BY_THE_ZONE.items():
        if inspect.getattr_static(game, name, None) is not inspect.getattr_static(Rules, name, None):
            yield f"{name} cannot be defined by a game: {setter}"
    for name in HOOKS:
        yield from _hook_problems(game, name)


def _is_marked(value: object) -> bool:
    return hasattr(value, "__zone_action__") or hasattr(value, "__zone_command__")


def _stat_problems(stats: object) -> Iterator[str]:
    if not isinstance(stats, Mapping):
        yield f"stats is {stats!r:.40}: it must be a dict of names and initial values"
        return
    if len(stats) > _STATS_MAX:
        yield f"stats has {len(stats)} names: at most {_STATS_MAX} are told to every player"
    for stat, first in stats.items():
        if not _is_name(stat) or type(first) is not int or first not in _INT32:
            yield (
                f"stats has {stat!r:.40}: {first!r:.40}: it must be a printable str of at most {_NAME_BYTES_MAX} bytes "
                "and a whole number of 32 bits"
            )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name.encode()) <= _NAME_BYTES_MAX


def _hook_problems(game: type[Rules], name: str) -> Iterator[str]:
    hook, arguments = getattr(game, name), inspect.signature(getattr(Rules, name)).parameters
    kind = kind_of_waiting(hook)
    if kind:
        yield f"{name} is {kind}: it must be an ordinary method, because a tick cannot wait"
        return
    try:
        inspect.signature(hook).bind(*arguments)
    except (TypeError, ValueError):
        yield f"{name} must accept the call {name}({', '.join(list(arguments)[1:])})"
