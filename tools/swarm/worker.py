"""One process of the swarm: its share of the bots, over real sockets.

It reads its plan and its orders from stdin and writes what it sees to stdout, a JSON object a line:

    in   {"plan": {...}, "process": 0}, then {"order": "measure"}, then {"order": "stop"} or the end
    out  {"joined", "failed", "done", "digests", ...} four times a second, at last {"tally": {...}}

`obey` is that conversation; whatever takes such orders (`Obedient`) can be at this end of it.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from client.bot import Bot, Fates
from tools.swarm.ledger import Ledger
from tools.swarm.plan import Plan, behaviour_of
from tools.swarm.tally import Tally
from zoneserver.closing import CloseReason, RefusalCode
from zoneserver.metrics import Histogram
from zoneserver.process import discard_output, loop_factory, raise_open_files
from zoneserver.wire.messages import Bye, Refusal, Welcome

__all__ = ["Obedient", "SwarmBot", "Worker", "obey"]

# After the last action, how long its answers may take; and a goodbye's after that.
_DRAIN_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_REPORT_SECONDS = 0.25


class Obedient(Protocol):
    """What runs in a process of the swarm."""

    async def run(self, orders: asyncio.Queue[str]) -> dict[str, Any]:
        """Runs from now to the order `stop`; returns the tally as plain values."""

    def progress(self) -> dict[str, Any]:
        """How far it is."""


class SwarmBot(Bot):
    """A bot that checks every frame against the ledger of its process."""

    def __init__(self, worker: Worker, number: int) -> None:
        plan = worker.plan
        behaviour = worker.behaviours[plan.role(number)]()
        super().__init__(plan.name(number), behaviour, worker.fates, seed=plan.seed * 7_919 + number)
        self.number = number
        self.tick = -1
        """The newest tick this bot has."""
        self._worker = worker
        self._ledger = worker.ledger

    def on_welcome(self, welcome: Welcome) -> None:
        super().on_welcome(welcome)
        self._ledger.welcome(welcome)

    def on_snapshot(self, payload: bytes) -> None:
        snapshot = self._ledger.snapshot(payload)
        if self.tick < 0:
            self._worker.bot_joined(self)
        else:
            self._worker.catch_ups += 1
            self.book.caught_up(snapshot.seq[self.slot])
        self.tick = snapshot.tick

    def on_tick(self, payload: bytes) -> None:
        self.tick, record = self._ledger.frame(self.tick + 1, payload)
        mine = record.by_slot.get(self.slot)
        if mine is not None:
            now = time.monotonic()
            for seq, is_motion in mine:
                self.book.seen(seq, is_motion, now)

    def on_refused(self, refusal: Refusal) -> None:
        super().on_refused(refusal)
        if refusal.code == RefusalCode.UNKNOWN_ACTION:
            self._worker.bot_misplaced(self, refusal)

    def on_closed(self, bye: Bye) -> None:
        self._worker.bot_closed(self, bye)


class Worker:
    """The bots of one process, from the ramp to the tally."""

    def __init__(self, plan: Plan, process: int) -> None:
        self.plan = plan
        self.behaviours = {role: behaviour_of(role) for role in plan.mix}
        """What bots do, by role."""
        self.ledger = Ledger()
        self.fates = Fates()
        self.catch_ups = 0
        self._numbers = plan.numbers(process)
        self._bots: set[SwarmBot] = set()
        self._joined = 0
        self._ramp_began = 0.0
        self._join_seconds = 0.0
        self._failed = 0
        self._closed_early = 0
        self._broken = 0
        self._bytes_of_closed = 0
        self._closed: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        # Whether the very first connection was refused.
        self._nobody_listens = False
        self._loop_lag = Histogram()
        self._leaving = False
        # When each bot's next action is due, the earliest first.
        self._due: list[tuple[float, int, SwarmBot]] = []
        self._began: tuple[float, float, int, int] | None = None
        self._measured = (0.0, 0.0, 0, 0)

    # --- What bots say ----------------------------------------------------------------------------

    def bot_joined(self, bot: SwarmBot) -> None:
        """It is in; from now on it acts, at its own phase of the period."""
        self._joined += 1
        self._join_seconds = time.monotonic() - self._ramp_began
        if not self._leaving:
            first = time.monotonic() + self.plan.phase(bot.number)
            heapq.heappush(self._due, (first, bot.number, bot))

    def bot_misplaced(self, bot: SwarmBot, refusal: Refusal) -> None:
        """It does what this game does not know."""
        assert bot.welcome is not None
        self._broken += 1
        self._errors[
            f"in {bot.welcome.game}, {refusal.text}: these bots are for another game; --bot module:Class takes "
            "bots of your own, --mix idle=1 ones that only watch"
        ] += 1

    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None:
        """Its connection is gone."""
        self._bots.discard(bot)
        self._bytes_of_closed += bot.received_bytes
        self._closed[bye.code] += 1
        # Whoever is still joining when the run is ended has neither joined nor failed.
        if not (self._leaving and bye.code == CloseReason.CLIENT_LEFT):
            self._failed += bot.tick < 0
            self._closed_early += bot.tick >= 0
            self._errors[f"{bye.code}: {bye.text}"] += 1
        bot.book.close()

    # --- The run ----------------------------------------------------------------------------------

    async def run(self, orders: asyncio.Queue[str]) -> dict[str, Any]:
        """Ramps up, acts, and leaves: measured from the order `measure`, ended by the order `stop`."""
        raise_open_files(self.plan.open_files_per_process)
        background = [asyncio.create_task(task) for task in (self._ramp(), self._act(), self._watch_loop())]
        try:
            while (order := await orders.get()) != "stop":
                if order == "measure":
                    self._measure()
            self._end_measure()
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
            self._errors[f"cannot connect: {getattr(error, 'strerror', None) or error or 'timed out'}"] += 1
            return
        if bot.bye is None:
            self._bots.add(bot)
        loop.call_later(_JOIN_SECONDS, lambda: bot.abort() if bot.tick < 0 and bot.bye is None else None)

    async def _act(self) -> None:
        """The open-loop schedule: an action is due when it is due, however late we or the server are."""
        due, period = self._due, 1.0 / self.plan.rate
        while True:
            now = time.monotonic()
            while due and due[0][0] <= now:
                moment, number, bot = due[0]
                if bot.bye is not None:
                    heapq.heappop(due)
                    continue
                heapq.heapreplace(due, (moment + period, number, bot))
                assert self.ledger.replica is not None
                try:
                    bot.perform(moment, self.ledger.replica)
                except Exception as error:
                    self._broken += 1
                    self._errors[f"a {self.plan.role(number)} broke: {error!r}"] += 1
            await asyncio.sleep(max(0.001, min(0.05, due[0][0] - now) if due else 0.05))

    async def _watch_loop(self) -> None:
        """How late this process itself is: a timer that should come every 20 ms."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            if self.fates.measuring:
                self._loop_lag.record(int((time.monotonic() - before - 0.02) * 1e6))

    def _measure(self) -> None:
        self.fates.measuring = True
        self._began = self._now()

    def _end_measure(self) -> None:
        if self._began is not None:
            began, ended = self._began, self._now()
            self.fates.measuring = False
            self._measured = (
                ended[0] - began[0],
                ended[1] - began[1],
                ended[2] - began[2],
                ended[3] - began[3],
            )

    def _now(self) -> tuple[float, float, int, int]:
        received = self._bytes_of_closed + sum(bot.received_bytes for bot in self._bots)
        return time.monotonic(), time.process_time(), received, self.ledger.deliveries

    async def _leave(self) -> None:
        """Waits for what is outstanding, then says goodbye and waits for the answers."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while any(len(bot.book) for bot in self._bots):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        # What has had no answer by now is lost, whatever the goodbye brings.
        for bot in tuple(self._bots):
            bot.book.close()
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
        """How far it is, and the digests of the frames that are new since it was last asked."""
        digests, self.ledger.new_digests = self.ledger.new_digests, {}
        return {
            "joined": self._joined,
            "failed": self._failed,
            "done": self._joined + self._failed >= len(self._numbers),
            "sent": self.fates.sent,
            "delivered": self.fates.delivered,
            "frames": self.ledger.received,
            "open": len(self._bots),
            "nobody_listens": self._nobody_listens,
            "digests": digests,
        }

    def tally(self) -> Tally:
        """Everything it counted."""
        fates, ledger = self.fates, self.ledger
        seconds, cpu_seconds, received, deliveries = self._measured
        return Tally(
            requested=len(self._numbers),
            joined=self._joined,
            failed=self._failed,
            sent=fates.sent,
            delivered=fates.delivered,
            superseded=fates.superseded,
            lost=fates.lost,
            duplicated=fates.duplicated,
            reordered=fates.reordered,
            frames=ledger.received,
            mismatched=ledger.mismatched,
            gaps=ledger.gaps,
            catch_ups=self.catch_ups,
            hashes_checked=ledger.hashes_checked,
            diverged=ledger.diverged,
            deliveries_measured=deliveries,
            bytes_measured=received,
            seconds_measured=seconds,
            cpu_seconds=cpu_seconds,
            join_seconds=self._join_seconds,
            closed_early=self._closed_early,
            broken=self._broken,
            refused=Counter(fates.refused),
            closed=self._closed,
            errors=self._errors,
            latency=fates.latency,
            latency_uncorrected=fates.latency_uncorrected,
            send_delay=fates.send_delay,
            loop_lag=self._loop_lag,
        )


def say(message: dict[str, Any]) -> None:
    """One line to whoever started us."""
    try:
        sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever started us is gone: the end of stdin says so too, and is what ends us.
        discard_output()


async def obey(make: Callable[[Plan, int], Obedient]) -> None:
    """Runs a process of the swarm over its standard streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task = json.loads(await reader.readline())
    worker = make(Plan(**task["plan"]), task["process"])
    orders: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        # The end of stdin is an order too: whoever started us is gone.
        while line := await reader.readline():
            orders.put_nowait(json.loads(line)["order"])
        orders.put_nowait("stop")

    async def report() -> None:
        while True:
            say(worker.progress())
            await asyncio.sleep(_REPORT_SECONDS)

    background = [asyncio.create_task(listen()), asyncio.create_task(report())]
    try:
        tally = await worker.run(orders)
    finally:
        for job in background:
            job.cancel()
    say(worker.progress())
    say({"tally": tally})


if __name__ == "__main__":
    # Ctrl-C is for the process that gives the orders.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(obey(Worker))
