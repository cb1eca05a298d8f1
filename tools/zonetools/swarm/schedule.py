"""When each bot of a process acts next. Pure.

The schedule is open-loop: a late server or a late swarm does not shift it.
"""

from __future__ import annotations

import bisect
from collections import deque


class Schedule:
    """The next action of each bot, in the order of their times. Each bot acts once in `period_seconds`.

    >>> schedule = Schedule(period_seconds=1.0)
    >>> schedule.add(7, at=0.5); schedule.add(3, at=0.25)
    >>> schedule.take(now=0.75), schedule.take(now=0.75), schedule.take(now=0.75), schedule.next_at
    ((0.25, 3), (0.5, 7), None, 1.25)
    >>> schedule.remove(7); schedule.next_number
    3
    """

    def __init__(self, period_seconds: float) -> None:
        self._period_seconds = period_seconds
        # Times and numbers of bots, in order. All bots have one period, so that a bot that has acted goes to the end,
        # unless it acted late and others have joined since.
        self._due: deque[tuple[float, int]] = deque()

    def add(self, number: int, at: float) -> None:
        """Add a bot that acts for the first time at `at`."""
        if not self._due or self._due[-1] <= (at, number):
            self._due.append((at, number))
        else:
            bisect.insort(self._due, (at, number))

    def take(self, now: float) -> tuple[float, int] | None:
        """Return the time and the bot of the next action if it is due, and schedule the bot's next one."""
        if not self._due or self._due[0][0] > now:
            return None
        moment, number = self._due.popleft()
        self.add(number, moment + self._period_seconds)
        return moment, number

    def remove(self, number: int) -> None:
        """Remove a bot."""
        self._due.remove(next(each for each in reversed(self._due) if each[1] == number))

    @property
    def next_at(self) -> float | None:
        """The time of the next action; None if there is no bot."""
        return self._due[0][0] if self._due else None

    @property
    def next_number(self) -> int | None:
        """The bot that acts next; None if there is none."""
        return self._due[0][1] if self._due else None
