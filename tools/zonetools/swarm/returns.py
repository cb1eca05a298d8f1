"""Brings the bots of a worker back whose connection was lost, and counts drops and returns."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable

from zoneclient.line import AWAY_SECONDS_MAX, BUSY, DROPS, pause

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Bye
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan

_ANSWER_SECONDS = 10.0


def next_place(plan: Plan, place: int, attempt: int) -> int:
    """Return at which address of the plan a bot tries to come back whose connection to `place` was lost.

    It tries the same address first, unless the bots of the plan roam; then another one; then any.
    """
    places = range(len(plan.addresses))
    if len(places) == 1 or (attempt == 0 and not plan.roam):
        return place
    return random.choice([each for each in places if each != place or attempt > 1])


class Returns:
    """The bots of a worker that are away: their connection was lost, and they come back.

    `connect` opens the connection of a bot; it may raise OSError. `on_failed` is told of a bot that cannot come back,
    before it is forgotten. A client of the user's own comes back by itself, and is only counted.
    """

    def __init__(
        self,
        plan: Plan,
        tally: Tally,
        connect: Callable[[SwarmBot], Awaitable[object]],
        on_failed: Callable[[SwarmBot, Bye], None],
    ) -> None:
        # When and at which address each of them lost its connection, by the number of the bot.
        self._away: dict[int, tuple[float, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self._plan = plan
        self._tally = tally
        self._connect = connect
        self._on_failed = on_failed

    def __len__(self) -> int:
        """The number of bots that are away."""
        return len(self._away)

    def __contains__(self, number: int) -> bool:
        """Whether the bot with this number is away."""
        return number in self._away

    def take(self, bot: SwarmBot, bye: Bye) -> bool:
        """Whether a bot comes back after this end of its connection. If it does, the work has begun."""
        if bye.code not in DROPS or not bot.may_return or self._is_stopped:
            return False
        self.record_drop(bot.number, bye, bot.place)
        task = asyncio.create_task(self._bring_back(bot))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def record_drop(self, number: int, bye: Bye, place: int) -> None:
        """The bot with this number has lost its connection to the address `place`, and is away."""
        self._tally.drops += 1
        self._tally.closed[bye.code] += 1
        self._away[number] = time.monotonic(), place
        self._tally.places.each[place].drops += 1
        self._tally.places.each[place].connected -= 1

    def record_return(self, number: int, place: int) -> None:
        """The bot with this number is back, at the address `place`."""
        lost_at, lost_place = self._away.pop(number)
        away, places = time.monotonic() - lost_at, self._tally.places.each
        before, now = places[lost_place], places[place]
        self._tally.resumed += 1
        self._tally.moved += place != lost_place
        self._tally.away.record(int(away * 1e6))
        before.away.record(int(away * 1e6))
        before.moved += place != lost_place
        now.returned += 1
        now.connected += 1

    def record_missed(self, ticks: int) -> None:
        """A bot came back with a snapshot in place of the frames of so many ticks."""
        self._tally.ticks_missed += ticks

    def forget(self, number: int, *, has_failed: bool) -> None:
        """A bot that may be away ends: `has_failed` if it could not come back."""
        self._tally.resumes_failed += has_failed and number in self._away
        self._away.pop(number, None)

    async def stop(self) -> None:
        """Give up on all that are away. From now on nobody comes back."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _bring_back(self, lost: SwarmBot) -> None:
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        for attempt in itertools.count():
            await pause(attempt)
            bot = lost.successor(next_place(self._plan, lost.place, attempt))
            bye = await self._try(bot)
            if bye is None:
                await self._settle(bot)
                return
            if bye.code not in DROPS | BUSY or time.monotonic() > deadline:
                self._on_failed(lost, bye)
                self.forget(lost.number, has_failed=True)
                return

    async def _try(self, bot: SwarmBot) -> Bye | None:
        """Come back once. Return None, or why it failed."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._connect(bot)
                return await bot.attempt
        except OSError as error:  # A TimeoutError as well.
            return Bye(CloseReason.CONNECTION_LOST, f"the bot could not come back: {error or 'no answer'}", True)
        finally:
            if bot.welcome is None and hasattr(bot, "transport"):
                bot.abort()

    async def _settle(self, bot: SwarmBot) -> None:
        """Wait until everything has arrived that was kept for a bot, and give up what has no outcome by then."""
        assert bot.welcome is not None and bot.welcome.resume is not None
        while bot.tick < bot.welcome.tick + bot.welcome.zone.hz and bot.bye is None:
            await asyncio.sleep(0.2)
        if bot.bye is None:
            bot.tracker.give_up(bot.welcome.resume.seq)
