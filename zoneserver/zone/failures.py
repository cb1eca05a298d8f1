"""Calls rules of a game so that a rule that raises does not end the tick."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.world import World
from zoneserver.support.errors import raised_by
from zoneserver.support.logs import fields, place_of
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.rules import Refused
from zoneserver.zone.stopwatch import Stopwatch

__all__ = ["Failures", "RuleFailure", "as_told", "log_failure"]

log = logging.getLogger(__name__)

# The number of places of failures that are remembered. No game has so many lines that raise.
_PLACES_MAX = 1_000


class RuleFailure(NamedTuple):
    """A rule that raised an exception."""

    tick: int
    what: str
    """Names the rule, for people."""
    error: BaseException
    about: dict[str, object]
    """The player and the action, if the rule was an action."""
    failures_total: int


def log_failure(failure: RuleFailure) -> None:
    """Logs the failure with its traceback."""
    about = failure.about | {"tick": failure.tick, "failures_total": failure.failures_total}
    about["error"] = raised_by(failure.error)
    text = "%s failed in tick %d (failure %d)"
    log.error(
        *(text, failure.what, failure.tick, failure.failures_total), exc_info=failure.error, extra=fields(**about)
    )


# The characters of a code or a text of the game that one player is told.
_TEXT_MAX = 200


def as_told(refused: Refused) -> tuple[str, str, bool]:
    """Code, text and violation of a refusal as its player is told them: bounded, and valid Unicode.

    It never raises, since a game may define a refusal of its own.
    """
    try:
        code, text = (
            str(said)[:_TEXT_MAX].encode("utf-8", "replace").decode() for said in (refused.code, refused.text)
        )
        return code or Refused.code, text, refused.violation is True
    except Exception:
        return RefusalCode.RULE_FAILED, "the refusal cannot be shown", False


class Failures:
    """Counts the rules that raise, and reports them: each place in the code at most once a second."""

    def __init__(
        self,
        world: World,
        hz: int,
        counters: ZoneCounters,
        watch: Stopwatch,
        report: Callable[[RuleFailure], None] = log_failure,
    ) -> None:
        self._world = world
        self._hz = hz
        self._counters = counters
        self._watch = watch
        self._report = report
        # The tick in which a failure was last reported, by its place.
        self._reported: dict[object, int] = {}

    def guard(self, what: object, call: Callable[..., object], *arguments: object) -> None:
        """Calls and measures a rule, which `str(what)` names. An exception is counted as a failure and ends here."""
        try:
            call(*arguments)
        except KeyboardInterrupt:
            raise  # The operator's, and not the rule's.
        except BaseException as error:
            self.add(str(what), error)
        self._watch.rule(what)

    def add(self, what: str, error: BaseException, **about: object) -> None:
        """Counts a rule that raised, and reports it unless its place was reported within the last second."""
        self._counters.rule_failures_total += 1
        place, reported, tick = place_of(error), self._reported, self._world.tick
        if tick - reported.get(place, -self._hz) >= self._hz:
            if len(reported) >= _PLACES_MAX:
                reported.clear()
            reported[place] = tick
            self._report(RuleFailure(tick, what, error, about, self._counters.rule_failures_total))
