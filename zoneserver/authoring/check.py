"""A check of a game, for its author: a description, and the problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoneserver.authoring.dry_run import PLAYERS, TICKS, Trial, digests_elsewhere, run_trial
from zoneserver.authoring.rerun_check import rerun_problems, rerun_trial
from zoneserver.protocol.codes import RefusalCode
from zoneserver.support.errors import GameError
from zoneserver.support.watchdog import Watchdog
from zoneserver.zone.actions import Parameter, action_methods, parameters_of, private_kinds
from zoneserver.zone.declared_events import events_of
from zoneserver.zone.game_class import can_save, new_game, problems_of
from zoneserver.zone.game_commands import command_methods, command_parameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.schema import schema_of, schema_text

__all__ = ["CheckResult", "check_game"]

# A tick of the dry run that takes so long has a rule that does not end.
_STALL_SECONDS = 10.0
# What differs in another process, by the name of the digest.
_OTHER = {
    "frame": "other bytes",
    "private": "other answers, refusals or messages to players alone",
    "saves": "other saved values of players",
}
# With these codes the zone refuses an action before its rule runs. A rule may use them too.
_REFUSED_BY_THE_ZONE = (RefusalCode.NO_TARGET, RefusalCode.BAD_PAYLOAD)


@dataclass(slots=True)
class CheckResult:
    """The result of a check, in lines for people."""

    has: list[tuple[str, str]] = field(default_factory=list)
    """(heading, text) of each line of the description; the heading is empty in the lines that continue a section."""
    problems: list[str] = field(default_factory=list)
    """Reasons not to run the game."""

    def to_json(self) -> dict[str, Any]:
        """The result as plain values, schema `zone-check/1`."""
        return {"schema": "zone-check/1", "has": [list(pair) for pair in self.has], "problems": self.problems}

    def render(self) -> str:
        """The result as text, the problems last."""
        problems = [("wrong", problem) for problem in self.problems] or [("fine", "nothing is wrong with it")]
        return "\n".join(f"{heading:9}{text}" for heading, text in [*self.has, *problems])


def check_game(
    game: type[Rules],
    target: str,
    stalled: Callable[[CheckResult], object],
    settings: Mapping[str, Any] | None = None,
    is_rerun: bool = False,
) -> CheckResult:
    """Describes a game and runs it twice with equal input, and with these values of its settings. The second run, in
    another process, loads it by `target`.

    With `is_rerun` it also tries out whether a server with a journal could be restarted in the middle of the game.

    Python cannot end a rule that loops for ever. `stalled` is then called in another thread, with the result so far.
    """
    result = CheckResult()

    def report_stall(seconds: float, place: str) -> None:
        result.problems.append(f"{place} has run for {seconds:.0f} s without an end")
        stalled(result)

    name = game.name or game.__name__.lower()
    result.has.append(("game", f"{name} ({target})"))
    result.problems += problems_of(game)
    if result.problems:
        return result
    result.has += [
        ("zone", f"{game.width:,} x {game.height:,}"),
        ("stats", ", ".join(f"{stat} = {first}" for stat, first in game.stats.items()) or "none"),
    ]
    if game.settings:
        values = dict(game.settings) | dict(settings or {})
        result.has.append(("settings", ", ".join(f"{name} = {value!r}" for name, value in values.items())))
    described = []
    try:
        rules = new_game(game)
        result.problems += problems_of(game, rules)
        for kind, method in action_methods(game).items():
            try:
                described.append((kind, _describe(parameters_of(game, method), kind in private_kinds(game))))
            except TypeError as error:
                result.problems.append(str(error))
        if not result.problems:
            try:
                schema_text(schema_of(rules))
            except TypeError as error:
                result.problems.append(str(error))
        if result.problems:
            result.has += _headed("actions", [f"{kind}{parameters}" for kind, parameters in described])
            return result
        with Watchdog(report_stall, _STALL_SECONDS / 2) as watchdog:
            trial = run_trial(rules, watchdog, settings)
            longer = rerun_trial(game, watchdog, settings) if is_rerun else None
            rerun_faults = [] if longer is None else rerun_problems(game, longer, watchdog)
    except GameError as error:
        # The game raised when it was made, or in on_start. The dry run collects what rules raise later.
        result.problems.append(str(error))
        return result
    lines = [f"{kind}{parameters}  {_outcome(trial, kind)}" for kind, parameters in described]
    result.has += _headed("actions", lines or ["none: players can only watch"])
    result.has += _headed("commands", _commands(game))
    result.has += _headed("events", _events(rules))
    result.has.append(("tried", f"twice {TICKS} ticks with {len(PLAYERS)} players and random actions"))
    untried = [kind for kind, _ in described if not _is_reached(trial, kind)]
    if untried:
        result.has.append(("untried", f"{', '.join(untried)}: no player of the trial got as far as the rule; test it"))
    if trial.failures:
        result.problems += trial.failures
        if trial.failures_total > len(trial.failures):
            result.problems.append(f"rules raised {trial.failures_total} times in total")
    result.problems += _restart_problems(game, trial, longer, rerun_faults, target, settings or {})
    if longer is not None:
        result.has += _headed("re-run", _rerun_lines(game, len(longer.digests)))
    return result


def _restart_problems(
    game: type[Rules], trial: Trial, longer: Trial | None, faults: list[str], target: str, settings: Mapping[str, Any]
) -> Iterator[str]:
    """What another process makes otherwise, and what a checkpoint cannot hold. One cause has one line: the longer run
    would differ as the short one does."""
    differences = list(_difference(trial, target, settings))
    yield from differences
    yield from faults
    if longer is None:
        if can_save(game) and trial.save_problem:
            yield trial.save_problem
    elif not (faults or differences):
        yield from _difference(longer, target, settings)


def _rerun_lines(game: type[Rules], ticks: int) -> list[str]:
    if can_save(game):
        return [f"{ticks:,} ticks, from the start and from checkpoints"]
    return [f"{ticks:,} ticks, from the start", "without save() and load(value) a restart runs all ticks again"]


def _describe(parameters: Sequence[Parameter], is_private: bool = False) -> str:
    return f"({', '.join(parameter.describe() for parameter in parameters)}){' in private' if is_private else ''}"


def _commands(game: type[Rules]) -> list[str]:
    return [f"{name}{_describe(command_parameters(game, method))}" for name, method in command_methods(game).items()]


def _events(rules: Rules) -> list[str]:
    return [f"{kind}({', '.join(each.describe() for each in values)})" for kind, values in events_of(rules).items()]


def _outcome(trial: Trial, kind: str) -> str:
    refused = trial.refused.get(kind, Counter[str]())
    codes = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
    return f"tried {trial.tried[kind]} times{f', refused {codes}' if codes else ''}"


def _is_reached(trial: Trial, kind: str) -> bool:
    """Whether the rule of an action has run. The zone refuses some actions itself, such as one on a thing where the
    zone has none."""
    refused = trial.refused.get(kind, Counter[str]())
    return trial.tried[kind] > sum(refused[code] for code in _REFUSED_BY_THE_ZONE)


def _headed(heading: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(heading if number == 0 else "", line) for number, line in enumerate(lines)]


def _difference(trial: Trial, target: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """The first tick in which another process tells or saves something else with equal input."""
    try:
        digests = digests_elsewhere(target, settings, len(trial.digests))
    except ValueError as error:
        yield f"the second run, in another process, failed: {error}"
        return
    for tick, (first, second) in enumerate(zip(trial.digests, digests, strict=True), 1):
        if first != second:
            what = next(_OTHER[name] for name in first._fields if getattr(first, name) != getattr(second, name))
            yield (
                f"tick {tick}: equal input gave {what} in the second run. Use self.tick for time and self.random "
                "for chance. A clock, the module random, the order of a set, and values kept on the class differ "
                "from run to run"
            )
            return
