"""What a game has, and what is wrong with it: for its author, before anybody plays it."""

from __future__ import annotations

import difflib
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoneserver.authoring.dry_run import PLAYERS, TICKS, Trial, digests_elsewhere, run_trial
from zoneserver.support.errors import GameError
from zoneserver.zone.actions import Parameter, handlers_of, parameters_of
from zoneserver.zone.rules import Between, Rules, Text
from zoneserver.zone.zone import new_game

__all__ = ["Checkup", "check_game"]

_INT32 = range(-(2**31), 2**31)
_HOOKS = ("on_start", "on_join", "on_leave", "on_tick")


@dataclass(slots=True)
class Checkup:
    """What was found, as lines for a person."""

    has: list[tuple[str, str]] = field(default_factory=list)
    """(heading, text) of what the game has; the heading is empty where the one before goes on."""
    problems: list[str] = field(default_factory=list)
    """Each a reason not to run it."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, schema `zone-check/1`."""
        return {"schema": "zone-check/1", "has": [list(pair) for pair in self.has], "problems": self.problems}

    def render(self) -> str:
        """All of it, the problems last."""
        problems = [("wrong", problem) for problem in self.problems] or [("fine", "nothing is wrong with it")]
        return "\n".join(f"{heading:9}{text}" for heading, text in [*self.has, *problems])


def check_game(game: type[Rules], target: str) -> Checkup:
    """Looks at a game, and tries it out twice; `target` is what another process finds it by."""
    checkup = Checkup()
    name = game.name or game.__name__.lower()
    checkup.has.append(("game", f"{name} ({target})"))
    checkup.problems += _class_problems(game)
    if checkup.problems:
        return checkup
    checkup.has += [
        ("zone", f"{game.width:,} x {game.height:,}"),
        ("stats", ", ".join(f"{stat} = {first}" for stat, first in game.stats.items()) or "none"),
    ]
    try:
        rules = new_game(game)
    except GameError as error:
        checkup.problems.append(str(error))
        return checkup
    described = []
    for kind, handler in handlers_of(rules).items():
        try:
            described.append((kind, ", ".join(map(_describe, parameters_of(handler)))))
        except TypeError as error:
            checkup.problems.append(str(error))
    if checkup.problems:
        checkup.has += _headed("actions", [f"{kind}({parameters})" for kind, parameters in described])
        return checkup
    try:
        trial = run_trial(rules)
    except GameError as error:
        # As it started: whatever raises later is caught by the zone, and told in the trial.
        checkup.problems.append(str(error))
        return checkup
    lines = [f"{kind}({parameters})  {_fate(trial, kind)}" for kind, parameters in described]
    checkup.has += _headed("actions", lines or ["none: players can only watch"])
    checkup.has.append(("tried", f"{TICKS} ticks with {len(PLAYERS)} players who do anything at random, twice"))
    if trial.failures:
        checkup.problems += dict.fromkeys(trial.failures)
        if trial.failures_total > len(trial.failures):
            checkup.problems.append(f"rules raised {trial.failures_total} times in all")
    checkup.problems += _difference(trial, target)
    return checkup


def _class_problems(game: type[Rules]) -> Iterator[str]:
    """What is wrong with the class as it is written."""
    for name in ("width", "height"):
        size = getattr(game, name)
        if type(size) is not int or not 0 < size < _INT32.stop:
            yield f"{name} is {size!r}: a whole number from 1 to {_INT32.stop - 1}"
    if not isinstance(game.name, str):
        yield f"name is {game.name!r}: a text"
    if not isinstance(game.stats, Mapping):
        yield f"stats is {game.stats!r}: names with their first values"
    else:
        for stat, first in game.stats.items():
            if not isinstance(stat, str) or type(first) is not int or first not in _INT32:
                yield f"the stat {stat!r} begins at {first!r}: a name and a whole number of 32 bits"
    for name in sorted(set(dir(game)) - set(dir(Rules))):
        value: Any = inspect.getattr_static(game, name)
        if isinstance(value, staticmethod | classmethod) and hasattr(value.__func__, "__zone_action__"):
            yield f"{name} is marked as an action and is no ordinary method: nobody can send it"
        if name.startswith("on_") and callable(value) and not hasattr(value, "__zone_action__"):
            meant = difflib.get_close_matches(name, _HOOKS, n=1)
            yield f"{name} is never called{f': is {meant[0]} meant?' if meant else ''}"
    for name in dir(Rules):
        value = inspect.getattr_static(game, name)
        if hasattr(value, "__zone_action__"):
            yield f"{name} cannot be an action: every game has something of this name"
    for name in _HOOKS:
        yield from _hook_problems(game, name)


def _hook_problems(game: type[Rules], name: str) -> Iterator[str]:
    hook, arguments = getattr(game, name), inspect.signature(getattr(Rules, name)).parameters
    if inspect.iscoroutinefunction(hook):
        yield f"{name} is async: rules are ordinary functions, for a tick waits for nobody"
        return
    try:
        inspect.signature(hook).bind(*arguments)
    except TypeError:
        yield f"{name} is called as {name}({', '.join(list(arguments)[1:])}), and cannot be"


def _describe(parameter: Parameter) -> str:
    what = parameter.type.__name__
    match parameter.bound:
        case Between(low, high):
            what = f"{what} {low}..{high}"
        case Text(bytes_max):
            what = f"{what} of 1..{bytes_max} bytes"
    return f"{parameter.name}: {what}"


def _fate(trial: Trial, kind: str) -> str:
    refused = trial.refused.get(kind, Counter[str]())
    codes = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
    return f"tried {trial.tried[kind]} times{f', refused {codes}' if codes else ''}"


def _headed(heading: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(heading if number == 0 else "", line) for number, line in enumerate(lines)]


def _difference(trial: Trial, target: str) -> Iterator[str]:
    """Whether the same input gives the same bytes in another process."""
    try:
        elsewhere = digests_elsewhere(target)
    except ValueError as error:
        yield f"tried a second time, in another process, it fails: {error}"
        return
    for tick, (here, there) in enumerate(zip(trial.digests, elsewhere, strict=True), 1):
        if here != there:
            yield (
                f"tick {tick}: the same input gave other bytes the second time. Time is self.tick, chance is "
                "self.random; a clock, the module random, the order of a set, and what is kept from game to "
                "game, as on the class, are another every time"
            )
            return
