"""A worker: the process that runs its share of the honest bots over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable
from typing import Any

from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.connection import ZoneConnection

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.messages import Bye, Refusal
from zoneserver.support.errors import raised_by
from zoneserver.support.process import raise_open_files
from zoneserver.support.tls_client import explain_connect_error
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.client_bot import run_client
from zonetools.swarm.commands import Command, Measure, Stop, run_worker
from zonetools.swarm.crowd_reader import CrowdReader
from zonetools.swarm.frame_checker import FrameChecker
from zonetools.swarm.measure.clockwork import cut_seconds, measure_lag
from zonetools.swarm.measure.errors import BEHAVIOUR, CLOSE, CONNECT, REFUSAL
from zonetools.swarm.measure.meter import Meter, Reading
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan, load_role
from zonetools.swarm.returns import Returns
from zonetools.swarm.schedule import Schedule
from zonetools.swarm.total import total

# How long to wait for the answers to the last actions, and after that for the ends of the sessions.
_DRAIN_SECONDS = 5.0
_JOIN_SECONDS = 30.0
# The mean time between two PINGs of a process. They measure the round trip, and cost little.
_PING_SECONDS = 0.1
# How many actions are done before the event loop has a turn: a process that is behind goes on to read.
_ACTIONS_PER_TURN = 256


class Worker:
    """The bots of one process, from the ramp to the tally."""

    def __init__(self, plan: Plan, process: int) -> None:
        self.plan = plan
        self.roles = {role: load_role(role) for role in plan.mix}
        """The class of a bot's behaviour, or the function that is its client, by role."""
        self.frame_checker = FrameChecker()
        self.counts = ActionCounts()
        self._numbers = plan.numbers(process)
        # The bots that are in, by number, also those that are away.
        self._bots: dict[int, SwarmBot] = {}
        # The clients of the user's own that run, with their numbers.
        self._clients: dict[asyncio.Task[None], int] = {}
        # What this class counts itself. `tally` adds the counts of the bots, the frame checker and the meter.
        self._tally = Tally(requested=len(self._numbers), places=Places([Place() for _ in plan.addresses]))
        self.places = self._tally.places
        """The counts by address."""
        for number in self._numbers:
            self.places.each[plan.place(number)].bots += 1
        self.returns = Returns(plan, self._tally, self._open, self._bot_ended)
        """The bots and clients that are away."""
        self._ramp_began = 0.0
        self._bytes_of_closed = 0
        # True if the very first connection was refused.
        self._nobody_listens = False
        self._meter = Meter(self.counts, self._read)
        self.reader = CrowdReader(self.bots_may_act)
        """Reads the sockets of the bots."""
        self._leaving = False
        self._tls: ssl.SSLContext | None = None
        self._schedule = Schedule(1.0 / plan.rate)

    # --- Reports of the bots ----------------------------------------------------------------------

    def bot_joined(self, bot: SwarmBot) -> None:
        """The bot joined: schedule its first action, at its own phase of the action period."""
        self._count_join(bot.place)
        self._tally.joined_web += bot.is_web
        if not self._leaving:
            self._schedule.add(bot.number, time.monotonic() + self.plan.phase(bot.number))

    def bot_caught_up(self) -> None:
        """A bot received a snapshot in place of frames."""
        self._tally.catch_ups += 1

    def bot_returned(self, bot: SwarmBot) -> None:
        """A bot came back after the loss of its connection."""
        self._bots[bot.number] = bot
        self.returns.record_return(bot.number, bot.place)

    def bot_missed(self, ticks: int) -> None:
        """A bot came back with a snapshot in place of the frames of so many ticks."""
        self.returns.record_missed(ticks)

    def bot_refused(self, bot: SwarmBot, refusal: Refusal) -> None:
        """Count a refusal. An unknown action, or one with wrong arguments, means that the behaviour is for another
        game."""
        self._add_error(REFUSAL, refusal.code, refusal.text, bot.name)
        if refusal.code in (RefusalCode.UNKNOWN_ACTION, RefusalCode.BAD_PAYLOAD):
            assert bot.welcome is not None
            self._tally.broken += 1
            text = (
                f"in {bot.welcome.zone.name}, {refusal.text}: these bots are for another game; use --bot module:Class "
                "for bots of your own, or --mix idle=1 for bots that only watch"
            )
            self._add_error(BEHAVIOUR, refusal.code, text, bot.name)

    def bot_told(self, payload: bytes) -> None:
        """The game told a bot something that it tells nobody else."""
        self._tally.told += 1
        self._tally.told_bytes += len(payload)

    def bot_broken(self, bot: SwarmBot, error: BaseException) -> None:
        """The behaviour of a bot raised an exception."""
        text = f"the behaviour of a {self.plan.role(bot.number)} raised {raised_by(error)}"
        self._add_broken(error, text, bot.name)

    def bot_saw(self, bot: SwarmBot, microseconds: int) -> None:
        """An action of a bot was seen or answered after so long."""
        if self._meter.is_measuring:
            self.places.each[bot.place].latency.record(microseconds)

    def bot_answered(self, seconds: float) -> None:
        """A PONG came `seconds` after its PING: record the round trip."""
        if self._meter.is_measuring:
            self._tally.round_trip.record(int(seconds * 1e6))

    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None:
        """Count the end of a session: as an error, unless the bot left or comes back."""
        self._bytes_of_closed += bot.received_bytes
        bot.received_bytes = 0
        if not self.returns.take(bot, bye):
            self._bot_ended(bot, bye)

    def _bot_ended(self, bot: SwarmBot, bye: Bye) -> None:
        """Count the end of a bot. `bye` is the end of its session, or of its last attempt to come back."""
        self._bots.pop(bot.number, None)
        # A bot that was still joining at the end of the run has neither joined nor failed.
        self._count_end(bye, bot.name, bot.place, has_joined=bot.tick >= 0, left=self._leaving)
        here = self.places.each[bot.place]
        here.connected -= bot.tick >= 0 and not self._leaving and bot.number not in self.returns
        bot.tracker.close(is_away=bot.number in self.returns)

    def _count_end(self, bye: Bye, bot: str, place: int, *, has_joined: bool, left: bool) -> None:
        """Count the end of a session: as an error, unless the bot `left`."""
        self._tally.closed[bye.code] += 1
        if not (left and bye.code == CloseReason.CLIENT_LEFT):
            self._tally.failed += not has_joined
            self._tally.closed_early += has_joined
            self.places.each[place].failed += not has_joined
            self.places.each[place].closed_early += has_joined
            self._add_error(CLOSE, bye.code, bye.text, bot)

    # --- Reports of the clients -------------------------------------------------------------------

    def client_joined(self, number: int) -> None:
        self._count_join(self.plan.place(number))
        self._tally.clients += 1

    def _count_failure(self, number: int) -> None:
        self._tally.failed += 1
        self.places.each[self.plan.place(number)].failed += 1

    def _count_join(self, place: int) -> None:
        self._tally.joined += 1
        self._tally.join_seconds = time.monotonic() - self._ramp_began
        self.places.each[place].joined += 1
        self.places.each[place].connected += 1

    def client_failed(self, number: int, error: BaseException) -> None:
        """The function raised an exception."""
        text = f"the client {self.plan.role(number)} raised {raised_by(error)}"
        self._add_broken(error, text, self.plan.name(number))

    def client_closed(
        self, number: int, bye: Bye, zone: ZoneConnection | None, has_diverged: bool, is_away: bool = False
    ) -> None:
        """Count the end of a session. A client may leave at any time, also while it `is_away`; `zone` is None if it has
        not joined."""
        if not is_away:
            place = self.plan.place(number)
            self._count_end(bye, self.plan.name(number), place, has_joined=zone is not None, left=True)
            self.places.each[place].connected -= zone is not None and not self._leaving
        self.returns.forget(number, has_failed=not is_away)
        self._tally.diverged += has_diverged
        self._tally.hashes_checked += 0 if zone is None else zone.replica.hashes_checked

    def _add_broken(self, error: BaseException, text: str, bot: str) -> None:
        self._tally.broken += 1
        self._tally.errors.add(BEHAVIOUR, type(error).__name__, text, bot, time.monotonic())

    def _add_error(self, kind: str, code: str, text: str, bot: str) -> None:
        self._tally.errors.add(kind, code, text, bot, time.monotonic())

    # --- The run ----------------------------------------------------------------------------------

    async def run(self, commands: asyncio.Queue[Command]) -> Tally:
        """Connect the bots, let them act, measure upon Measure, leave upon Stop; return the tally."""
        raise_open_files(self.plan.open_files_per_process)
        self._tls = self.plan.access.context()
        clockwork = measure_lag(self._meter, self._tally.loop_lag), cut_seconds(self._meter, lambda: self._players)
        jobs = (self._ramp(), self._act(), self._ping(), *clockwork)
        background = [asyncio.create_task(job) for job in jobs]
        failures = list[BaseException]()

        def on_end(job: asyncio.Task[None]) -> None:
            if not job.cancelled() and (error := job.exception()) is not None:
                failures.append(error)
                commands.put_nowait(Stop())

        for task in background:
            task.add_done_callback(on_end)
        try:
            while isinstance(command := await commands.get(), Measure):
                self.frame_checker.grid = command.grid
                self._meter.begin()
            if failures:
                raise failures[0]
            self._meter.end()
            self._meter.cut(self._players)
        finally:
            self._leaving = True
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        await self._leave()
        return self.tally()

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
        plan, role = self.plan, self.plan.role(number)
        made = self.roles[role]
        if not isinstance(made, type):
            client = asyncio.create_task(run_client(self, number, made, self._tls, _JOIN_SECONDS))
            self._clients[client] = number
            client.add_done_callback(self._clients.pop)
            return
        try:
            behaviour = made()
        except BaseException as error:  # SystemExit as well: the class is the user's.
            self._count_failure(number)
            self._add_broken(error, f"the class {role} raised {raised_by(error)}", plan.name(number))
            return
        bot = SwarmBot(self, number, behaviour, place=plan.place(number))
        try:
            async with asyncio.timeout(_JOIN_SECONDS):
                await self._open(bot)
        except OSError as error:  # A TimeoutError as well.
            self.connect_failed(number, error)
            return
        if bot.bye is None:
            self._bots[number] = bot
        bot.loop.call_later(_JOIN_SECONDS, lambda: bot.abort() if bot.tick < 0 and bot.bye is None else None)

    async def _open(self, bot: SwarmBot) -> None:
        """Open the connection of a bot. Raises OSError."""
        host, port = self.plan.addresses[bot.place]
        await bot.loop.create_connection(lambda: bot, host, port, ssl=self._tls)

    def connect_failed(self, number: int, error: OSError) -> None:
        """Count a bot that could not connect."""
        self._count_failure(number)
        self._nobody_listens |= number == self._numbers[0] and isinstance(error, ConnectionRefusedError)
        text = "timed out" if isinstance(error, TimeoutError) else explain_connect_error(error)
        self._add_error(CONNECT, type(error).__name__, text, self.plan.name(number))

    async def _act(self) -> None:
        while True:
            self.bots_may_act()
            at = self._schedule.next_at
            wait = 0.05 if at is None else at - time.monotonic()
            # While actions are late there is no pause: a process that gets little CPU may be away for long.
            await asyncio.sleep(max(0.001, min(0.05, wait)) if wait > 0 else 0)

    def bots_may_act(self) -> None:
        """Do some of the actions that are due."""
        now = time.monotonic()
        for _ in range(_ACTIONS_PER_TURN):
            due = None if self._leaving else self._schedule.take(now)
            if due is None:
                return
            moment, number = due
            bot = self._bots.get(number)
            if bot is None:
                self._schedule.remove(number)
            elif bot.bye is None:  # Else the bot is away, and lets this turn pass.
                assert self.frame_checker.replica is not None
                try:
                    bot.perform(moment, self.frame_checker.replica)
                except BaseException as error:  # SystemExit as well: the class is the user's.
                    self.bot_broken(bot, error)

    async def _ping(self) -> None:
        """Let the bot that acts next send a PING, at random times that do not depend on the ticks."""
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _PING_SECONDS)
            number = self._schedule.next_number
            bot = None if number is None else self._bots.get(number)
            if bot is not None:
                bot.ping(int(time.monotonic() * 1e6))

    async def _leave(self) -> None:
        """Wait for outstanding answers, then leave and wait for the ends of the sessions."""
        for client in tuple(self._clients):
            client.cancel()
        for bot in self._bots.values():
            bot.stop_telling()
        await self._drain(lambda: not self.returns and not any(len(bot.tracker) for bot in self._bots.values()))
        await self.returns.stop()
        # An action without an answer by now is lost, even if it is answered while the bot leaves.
        for number, bot in tuple(self._bots.items()):
            bot.tracker.close(is_away=number in self.returns)
            if number in self.returns:
                del self._bots[number]
            else:
                bot.leave()
        await self._drain(lambda: not self._bots and not self._clients)
        for bot in tuple(self._bots.values()):
            bot.abort()
        self.reader.close()
        for number in self._clients.values():
            self.client_failed(number, TimeoutError("it goes on, although it was cancelled at the end of the run"))

    @staticmethod
    async def _drain(is_done: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not is_done():
                    await asyncio.sleep(0.02)

    # --- What it counted --------------------------------------------------------------------------

    @property
    def _players(self) -> int:
        return self._tally.joined - self._tally.closed_early - len(self.returns)

    def _read(self) -> Reading:
        counts, checker = self.counts, self.frame_checker
        return Reading(
            moment=time.monotonic(),
            cpu_seconds=time.process_time(),
            sent=counts.sent,
            delivered=counts.delivered,
            refused=sum(counts.refused.values()),
            lost=counts.lost,
            duplicated=counts.duplicated,
            deliveries=checker.deliveries,
            frames=checker.received,
            bytes=self._bytes_of_closed + sum(bot.received_bytes for bot in self._bots.values()),
        )

    def progress(self) -> dict[str, Any]:
        """Return the progress; the frame digests and the seconds are those since the last call."""
        digests, self.frame_checker.new_digests = self.frame_checker.new_digests, {}
        seconds, self._meter.seconds = self._meter.seconds, []
        counts = self.counts
        return {
            "joined": self._tally.joined,
            "failed": self._tally.failed,
            "done": self._tally.joined + self._tally.failed >= len(self._numbers),
            "refused": sum(counts.refused.values()),
            "drops": self._tally.drops,
            "resumed": self._tally.resumed,
            "places": self.places,
            **{name: getattr(counts, name) for name in ("sent", "delivered", "lost", "duplicated")},
            "ramping_for": time.monotonic() - self._ramp_began if self._ramp_began else 0.0,
            "open": len(self._bots) + len(self._clients),
            "nobody_listens": self._nobody_listens,
            "digests": digests,
            "seconds": seconds,
        }

    def tally(self) -> Tally:
        """Return everything that this worker counted."""
        return total(self._tally, self.counts, self.frame_checker, self._meter)


if __name__ == "__main__":
    run_worker(Worker)
