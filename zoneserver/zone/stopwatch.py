"""Finds out which part of a tick, and which rule in it, took longest.

The zone reads no clock for its game: what is measured here is for the log, and appears in no output.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Stopwatch", "no_clock"]


def no_clock() -> float:
    """The clock of a zone that nobody measures."""
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
        """A tick begins."""
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
        """A rule has ended, which `str(what)` names."""
        now = self.clock()
        if now - self.ruled > self.longest_seconds:
            self.longest, self.longest_seconds = what, now - self.ruled
        self.ruled = now

    def part(self, what: str) -> None:
        """A part has ended, and the next begins."""
        now = self.clock()
        if now - self._began > self._seconds:
            self._part, self._seconds = what, now - self._began
            self._rule, self._rule_seconds = self.longest, self.longest_seconds
        self._began = self.ruled = now
        self.longest, self.longest_seconds = "", 0.0

    def slowest(self) -> tuple[str, float]:
        """What took longest, for people, and its seconds: a rule if it took half of its part or more, else the part."""
        if self._rule_seconds >= self._seconds / 2 and self._rule:
            return str(self._rule), self._rule_seconds
        return self._part, self._seconds
