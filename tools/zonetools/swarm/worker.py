"""One process of the swarm: its share of the bots, over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import math
import random
import time
from collections import Counter
from typing import Any

from zoneclient.bots.action_tracker import ActionCounts, ActionTimes

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.messages import Bye, Refusal
from zoneserver.support.histogram import Histogram
from zoneserver.support.process import raise_open_files
from zonetools.swarm import commands as orders
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.commands import Measure, Order
from zonetools.swarm.frame_checker import FrameChecker
from zonetools.swarm.measure.errors import BEHAVIOUR, CLOSE, CONNECT, REFUSAL, Errors
from zonetools.swarm.measure.meter import Meter, Reading
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan, behaviour_of

__all__ = ["Worker"]

# After the last action, how long its answers may take; and a goodbye's after that.
_DRAIN_SECONDS = 5.0
_JOIN_SECONDS = 30.0
# How long from one PING of a process to the next, on average: they say what the way costs, and cost little.
_PING_SECONDS = 0.1


class Worker:
    """The bots of one process, from the ramp to the tally."""

    def __init__(self, plan: Plan, process: int) -> None:
        self.plan = plan
        self.behaviours = {role: behaviour_of(role) for role in plan.mix}
        """What bots do, by role."""
        self.frame_checker = FrameChecker()
        self.counts = ActionCounts()
        self._numbers = plan.numbers(process)
        self._bots: set[SwarmBot] = set()
        self._joined = 0
        self._catch_ups = 0
        self._ramp_began = 0.0
        self._join_seconds = 0.0
        self._failed = 0
        self._closed_early = 0
        self._broken = 0
        self._bytes_of_closed = 0
        self._closed: Counter[str] = Counter()
        self._errors = Errors()
        # Whether the very first connection was refused.
        self._nobody_listens = False
        self._loop_lag = Histogram()
        self._round_trip = Histogram()
        self._meter = Meter(self.counts, self._read)
        self._leaving = False
        # When each bot's next action is due, the earliest first.
        self._due: list[tuple[float, int, SwarmBot]] = []

    # --- What bots say ----------------------------------------------------------------------------

    def bot_joined(self, bot: SwarmBot) -> None:
        """It is in; from now on it acts, at its own phase of the period."""
        self._joined += 1
        self._join_seconds = time.monotonic() - self._ramp_began
        if not self._leaving:
            first = time.monotonic() + self.plan.phase(bot.number)
            heapq.heappush(self._due, (first, bot.number, bot))

    def bot_caught_up(self) -> None:
        """A snapshot took the place of frames that it did not get."""
        self._catch_ups += 1

    def bot_refused(self, bot: SwarmBot, refusal: Refusal) -> None:
        """One of its actions did not happen, or it is warned of all that it sends."""
        self._add_error(REFUSAL, refusal.code, refusal.text, bot)
        if refusal.code == RefusalCode.UNKNOWN_ACTION:
            assert bot.welcome is not None
            self._broken += 1
            text = (
                f"in {bot.welcome.game}, {refusal.text}: these bots are for another game; --bot module:Class takes "
                "bots of your own, --mix idle=1 ones that only watch"
            )
            self._add_error(BEHAVIOUR, refusal.code, text, bot)

    def bot_answered(self, seconds: float) -> None:
        """A PING came back so much later."""
        if self._meter.is_measuring:
            self._round_trip.record(int(seconds * 1e6))

    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None:
        """Its connection is gone."""
        self._bots.discard(bot)
        self._bytes_of_closed += bot.received_bytes
        self._closed[bye.code] += 1
        # Whoever is still joining when the run is ended has neither joined nor failed.
        if not (self._leaving and bye.code == CloseReason.CLIENT_LEFT):
            self._failed += bot.tick < 0
            self._closed_early += bot.tick >= 0
            self._add_error(CLOSE, bye.code, bye.text, bot)
        bot.tracker.close()

    def _add_error(self, kind: str, code: str, text: str, bot: SwarmBot) -> None:
        self._errors.add(kind, code, text, bot.name, time.monotonic())

    # --- The run ----------------------------------------------------------------------------------

    async def run(self, queue: asyncio.Queue[Order]) -> dict[str, Any]:
        """Ramps up, acts, and leaves: measured from the order to measure, ended by the order to stop."""
        raise_open_files(self.plan.open_files_per_process)
        jobs = (self._ramp(), self._act(), self._watch_loop(), self._ping(), self._cut_seconds())
        background = [asyncio.create_task(job) for job in jobs]
        try:
            while isinstance(order := await queue.get(), Measure):
                self.frame_checker.grid = order.grid
                self._meter.begin()
            self._meter.end()
            self._meter.cut(self._players)
        finally:
            self._leaving = True
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        await self._leave()
        return self.tally().to_json()

    async def _ramp(self) -> None:
        start = self._ramp_began = time.monotonic()
        connecting = set()
        for number in self._numbers:
            delay = start + self.plan.connects_at(number) - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            task = asyncio.create_task(self._connect(number))
            connecting.add(task)
            task.add_done_callback(connecting.discard)
        await asyncio.gather(*connecting)

    async def _connect(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                _, bot = await loop.create_connection(lambda: SwarmBot(self, number), self.plan.host, self.plan.port)
        except (OSError, TimeoutError) as error:
            self._failed += 1
            self._nobody_listens |= number == self._numbers[0] and isinstance(error, ConnectionRefusedError)
            text = getattr(error, "strerror", None) or str(error) or "timed out"
            self._errors.add(CONNECT, type(error).__name__, text, self.plan.name(number), time.monotonic())
            return
        if bot.bye is None:
            self._bots.add(bot)
        loop.call_later(_JOIN_SECONDS, lambda: bot.abort() if bot.tick < 0 and bot.bye is None else None)

    async def _act(self) -> None:
        while True:
            self.bots_may_act()
            wait = self._due[0][0] - time.monotonic() if self._due else 0.05
            await asyncio.sleep(max(0.001, min(0.05, wait)))

    def bots_may_act(self) -> None:
        """The open-loop schedule: an action is due when it is due, however late we or the server are."""
        due, period, now = self._due, 1.0 / self.plan.rate, time.monotonic()
        while due and due[0][0] <= now and not self._leaving:
            moment, number, bot = due[0]
            if bot.bye is not None:
                heapq.heappop(due)
                continue
            heapq.heapreplace(due, (moment + period, number, bot))
            assert self.frame_checker.replica is not None
            try:
                bot.perform(moment, self.frame_checker.replica)
            except Exception as error:
                self._broken += 1
                text = f"a {self.plan.role(number)} broke: {error!r}"
                self._add_error(BEHAVIOUR, type(error).__name__, text, bot)

    async def _watch_loop(self) -> None:
        """How late this process itself is: a timer that should come every 20 ms."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            if self._meter.is_measuring:
                self._loop_lag.record(int((time.monotonic() - before - 0.02) * 1e6))

    async def _ping(self) -> None:
        """How long the way is: whoever acts next sends a PING, at moments that have nothing to do with a tick."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _PING_SECONDS)
            if self._due:
                self._due[0][2].ping(int(time.monotonic() * 1e6))

    async def _cut_seconds(self) -> None:
        """Cuts what is counted at the whole seconds of the clock, as all processes of the swarm do."""
        boundary = math.floor(time.monotonic()) + 1
        while True:
            await asyncio.sleep(boundary - time.monotonic())
            self._meter.cut(self._players)
            boundary = max(boundary + 1, math.ceil(time.monotonic()))

    @property
    def _players(self) -> int:
        return self._joined - self._closed_early

    def _read(self) -> Reading:
        counts, frame_checker = self.counts, self.frame_checker
        return Reading(
            moment=time.monotonic(),
            cpu_seconds=time.process_time(),
            sent=counts.sent,
            delivered=counts.delivered,
            refused=sum(counts.refused.values()),
            lost=counts.lost,
            duplicated=counts.duplicated,
            deliveries=frame_checker.deliveries,
            frames=frame_checker.received,
            bytes=self._bytes_of_closed + sum(bot.received_bytes for bot in self._bots),
        )

    async def _leave(self) -> None:
        """Waits for what is outstanding, then says goodbye and waits for the answers."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while any(len(bot.tracker) for bot in self._bots):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        # What has had no answer by now is lost, whatever the goodbye brings.
        for bot in tuple(self._bots):
            bot.tracker.close()
            bot.leave()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._bots:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            for bot in tuple(self._bots):
                bot.abort()

    # --- What it tells ----------------------------------------------------------------------------

    def progress(self) -> dict[str, Any]:
        """How far it is; the digests of the frames, and the seconds, that are new since it was last asked."""
        digests, self.frame_checker.new_digests = self.frame_checker.new_digests, {}
        seconds, self._meter.seconds = self._meter.seconds, []
        return {
            "joined": self._joined,
            "failed": self._failed,
            "done": self._joined + self._failed >= len(self._numbers),
            "sent": self.counts.sent,
            "delivered": self.counts.delivered,
            "frames": self.frame_checker.received,
            "refused": sum(self.counts.refused.values()),
            "lost": self.counts.lost,
            "duplicated": self.counts.duplicated,
            "ramping_for": time.monotonic() - self._ramp_began if self._ramp_began else 0.0,
            "open": len(self._bots),
            "nobody_listens": self._nobody_listens,
            "digests": digests,
            "seconds": [second.to_json() for second in seconds],
        }

    def tally(self) -> Tally:
        """Everything it counted."""
        counts, frame_checker, measured, times = (
            self.counts,
            self.frame_checker,
            self._meter.measured,
            self._meter.times,
        )
        return Tally(
            requested=len(self._numbers),
            joined=self._joined,
            failed=self._failed,
            sent=counts.sent,
            delivered=counts.delivered,
            superseded=counts.superseded,
            lost=counts.lost,
            duplicated=counts.duplicated,
            reordered=counts.reordered,
            frames=frame_checker.received,
            mismatched=frame_checker.mismatched,
            gaps=frame_checker.gaps,
            catch_ups=self._catch_ups,
            hashes_checked=frame_checker.hashes_checked,
            diverged=frame_checker.diverged,
            deliveries_measured=measured.deliveries,
            bytes_measured=measured.bytes,
            seconds_measured=measured.moment,
            cpu_seconds=measured.cpu_seconds,
            join_seconds=self._join_seconds,
            closed_early=self._closed_early,
            broken=self._broken,
            refused=Counter(counts.refused),
            closed=self._closed,
            errors=self._errors,
            round_trip=self._round_trip,
            loop_lag=self._loop_lag,
            **{f.name: getattr(times, f.name) for f in dataclasses.fields(ActionTimes)},
        )


if __name__ == "__main__":
    orders.run(Worker)
