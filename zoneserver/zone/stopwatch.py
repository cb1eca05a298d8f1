"""Finds out which part of a tick, and which rule in it, took longest.

The rules never see this clock. The results are for the log, and appear in no output of the zone.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Stopwatch", "no_clock"]


def no_clock() -> float:
    """The clock of a zone that is not measured."""
    return 0.0


class Stopwatch:
    """Measures one tick at a time: the parts that follow each other, and within each part one rule after the other.

    >>> moments = iter([0.0, 0.0, 0.5, 2.5, 2.5, 3.0])
    >>> watch = Stopwatch(lambda: next(moments))
    >>> watch.start()
    >>> watch.rule("on_join"); watch.rule("on_leave"); watch.part("joins and leaves"); watch.part("the actions")
    >>> watch.slowest()
    ('on_leave', 2.0)
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.start()

    def start(self) -> None:
        """Call it when a tick begins."""
        # When the part began, and when the newest rule of it ended.
        self._began = self.ruled = self.clock()
        # The longest part so far, and its longest rule.
        self._part, self._seconds = "nothing", 0.0
        self._rule: object = ""
        self._rule_seconds = 0.0
        # The longest rule of the part that runs.
        self.longest: object = ""
        self.longest_seconds = 0.0

    def rule(self, what: object) -> None:
        """Call it when a rule has ended. `str(what)` names the rule."""
        now = self.clock()
        if now - self.ruled > self.longest_seconds:
            self.longest, self.longest_seconds = what, now - self.ruled
        self.ruled = now

    def part(self, what: str) -> None:
        """Call it when a part has ended and the next one begins."""
        now = self.clock()
        if now - self._began > self._seconds:
            self._part, self._seconds = what, now - self._began
            self._rule, self._rule_seconds = self.longest, self.longest_seconds
        self._began = self.ruled = now
        self.longest, self.longest_seconds = "", 0.0

    def slowest(self) -> tuple[str, float]:
        """Name and seconds of the longest rule if it took at least half of its part, else those of the longest part."""
        if self._rule_seconds >= self._seconds / 2 and self._rule:
            return str(self._rule), self._rule_seconds
        return self._part, self._seconds
