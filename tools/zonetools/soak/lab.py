"""The fault lab: servers to attack, addresses to do it from, healthy players to compare, and a verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from zoneserver.admin.stats import Stats
from zonetools.common.admin_client import AdminClient
from zonetools.common.server_process import ServerProcess
from zonetools.soak.peers import RawClient, RecordingClient
from zonetools.swarm.conductor import Conductor, Outcome, Progress
from zonetools.swarm.plan import DEFAULT_MIX, Plan, parse_mix
from zonetools.swarm.report import build as report

__all__ = ["Checks", "Comparison", "Crowd", "Finding", "Lab", "Scenario", "files", "polled", "stats", "until_stats"]

Reading = TypeVar("Reading")

# A comparison that does not hold at first is repeated, and its median judged: the machine may have been busy.
_PAIRS_MAX, _PAIRS_MAX_QUICK = 5, 3
# What a healthy player may notice of an attack: a twentieth, or a millisecond.
_SHARE_ALLOWED, _MS_ALLOWED = 1.05, 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a scenario came to: `ok` is None where this machine cannot measure it."""

    ok: bool | None
    figure: str


class Checks:
    """Collects what must hold; what does not is named in the figure.

    >>> checks = Checks()
    >>> checks.expect(2 + 2 == 4, "four"); checks.expect(1 > 2, "one is not above two")
    >>> checks.finding("two checks")
    Finding(ok=False, figure='two checks; BUT one is not above two')
    """

    def __init__(self) -> None:
        self._broken: list[str] = []

    def expect(self, holds: bool, otherwise: str) -> None:
        """Notes one thing that must hold, and what it means if it does not."""
        if not holds and otherwise not in self._broken:
            self._broken.append(otherwise)

    def finding(self, figure: str) -> Finding:
        """The verdict over all of them."""
        return Finding(not self._broken, "; BUT ".join([figure, *self._broken]))


class Lab:
    """What all scenarios of a run share: how large they are to be, and addresses that nobody used yet."""

    def __init__(self, quick: bool, seed: int) -> None:
        self.quick = quick
        self.seed = seed
        self._addresses_used = 0

    def pick(self, full: Reading, quick: Reading) -> Reading:
        """One figure of a scenario: in full, or shortened."""
        return quick if self.quick else full

    def address(self) -> str:
        """An address of this machine from which nothing has connected in this run: a ban or a budget of
        another scenario does not matter then. All of 127/8 is ours."""
        self._addresses_used += 1
        high, low = divmod(self._addresses_used, 65_536)
        return f"127.{1 + high}.{low >> 8}.{low & 255}"

    def server(self, *arguments: str, prefix: Iterable[str] = ()) -> ServerProcess:
        """A server of its own, which logs what it decides."""
        return ServerProcess("--log-level", "info", "--seed", str(self.seed), *arguments, prefix=tuple(prefix))

    @contextlib.asynccontextmanager
    async def witness(self, server: ServerProcess, name: str) -> AsyncIterator[RecordingClient]:
        """An honest player who writes down what arrives and when, and holds it against the state hash."""
        loop, address = asyncio.get_running_loop(), (self.address(), 0)
        _, witness = await loop.create_connection(
            lambda: RecordingClient(name), "127.0.0.1", server.port, local_addr=address
        )
        try:
            await witness.until(lambda: witness.replica is not None and witness.replica.tick > 0)
            yield witness
        finally:
            witness.abort()

    async def raw(self, server: ServerProcess, *, address: str | None = None, receive_bytes: int = 0) -> RawClient:
        """A connection, from an address of its own unless one is given."""
        return await RawClient.connect(server.port, address or self.address(), receive_bytes=receive_bytes)

    @contextlib.asynccontextmanager
    async def stuck(self, server: ServerProcess, count: int) -> AsyncIterator[list[RawClient]]:
        """So many players who join and never read, not even the answer."""
        clients = []
        try:
            for number in range(count):
                client = await self.raw(server, receive_bytes=2048)
                clients.append(client)
                await client.hello(f"stuck-{id(clients)}-{number}"[-24:])
            yield clients
        finally:
            for client in clients:
                client.close()

    async def compare(
        self,
        server: ServerProcess,
        bots: int,
        attack: Callable[[], AbstractAsyncContextManager[object]],
        seconds: float,
    ) -> Comparison:
        """The latency of so many healthy players without the attack and with it, by turns."""
        pairs: list[tuple[float, float]] = []
        comparison = None
        pairs_max = self.pick(_PAIRS_MAX, _PAIRS_MAX_QUICK)
        while comparison is None or (not comparison.holds and len(pairs) < pairs_max):
            async with Crowd(server, bots, seed=self.seed) as control:
                await asyncio.sleep(seconds)
            # It is under way when the measurement begins: how it began is not what is measured.
            async with attack(), Crowd(server, bots, seed=self.seed) as crowd:
                await asyncio.sleep(seconds)
            pairs.append((control.p99_ms, crowd.p99_ms))
            comparison = Comparison(
                statistics.median(before for before, _ in pairs),
                statistics.median(attacked for _, attacked in pairs),
                len(pairs),
                control.is_served and crowd.is_served,
            )
        return comparison


Scenario = Callable[[Lab], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The 99th percentile of healthy players' latency, in milliseconds: medians over so many pairs of runs."""

    control_ms: float
    attacked_ms: float
    pairs: int
    is_served: bool
    """Whether every healthy player got everything, in the last pair."""

    @property
    def holds(self) -> bool:
        """Whether they could not tell."""
        return self.attacked_ms <= max(self.control_ms * _SHARE_ALLOWED, self.control_ms + _MS_ALLOWED)

    def __str__(self) -> str:
        pairs = f", median of {self.pairs} pairs" if self.pairs > 1 else ""
        return f"healthy p99 {self.attacked_ms:.1f} ms, control {self.control_ms:.1f} ms{pairs}"

    def check(self, checks: Checks) -> None:
        """What both figures must fulfil."""
        checks.expect(self.holds, "healthy players notice")
        checks.expect(self.is_served, "a healthy player missed something")


class Crowd:
    """Healthy players, a swarm in a process of its own: all in when the block begins, measured until it ends."""

    def __init__(
        self,
        server: ServerProcess,
        bots: int,
        *,
        seed: int = 1,
        rate: float = 5.0,
        ramp: float = 1_000.0,
        mix: str = DEFAULT_MIX,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.report: dict[str, Any] = {}
        """The swarm's report, once the block has ended."""
        plan = Plan(
            host=host,
            port=port or server.port,
            bots=bots,
            ramp=ramp,
            seconds=0,
            rate=rate,
            seed=seed,
            mix=parse_mix(mix),
        )
        self._conductor = Conductor(plan, server.stats_port)
        self._running: asyncio.Task[Outcome]

    async def __aenter__(self) -> Self:
        measuring = asyncio.Event()

        def look(progress: Progress) -> None:
            if progress.measuring_for is not None:
                measuring.set()

        self._running = asyncio.create_task(self._conductor.run(look))
        waiting = asyncio.create_task(measuring.wait())
        try:
            await asyncio.wait({self._running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self._end()
            raise
        finally:
            waiting.cancel()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        self._conductor.stop()
        self.report = report.summary(await self._running)

    @property
    def p99_ms(self) -> float:
        """From the moment an action was due until its own player saw it, in milliseconds."""
        return float(self.report["latency_ms"]["p99"])

    @property
    def is_served(self) -> bool:
        """Whether everybody came in and got everything."""
        bots = self.report["bots"]
        return report.passed(self.report) and bots["joined"] == bots["requested"]


# --- Looking at a server --------------------------------------------------------------------------


async def stats(server: ServerProcess) -> Stats:
    """The present statistics. Raises ServerUnreachable."""
    with contextlib.closing(AdminClient("127.0.0.1", server.stats_port)) as source:
        return await source.stats()


async def until_stats(server: ServerProcess, condition: Callable[[Stats], bool], seconds: float = 10.0) -> Stats:
    """The first statistics of which something holds. Raises TimeoutError."""
    found = await polled(lambda: stats(server), condition, seconds)
    if not condition(found):
        raise TimeoutError(f"not within {seconds:g} s; there are {found.players} players, closed {found.closes}")
    return found


async def polled(read: Callable[[], Awaitable[Reading]], holds: Callable[[Reading], bool], seconds: float) -> Reading:
    """The first reading of which something holds, of fifty a second or so; the last one if none does in time."""
    deadline = time.monotonic() + seconds
    while not holds(reading := await read()) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return reading


async def files(server: ServerProcess) -> int:
    """Descriptors that the server holds, where the system tells; 0 elsewhere. The least of some readings,
    for our last question about its statistics may hold one for a moment."""
    least = sys.maxsize
    for _ in range(10):
        try:
            least = min(least, len(os.listdir(f"/proc/{server.pid}/fd")))
        except OSError:
            return 0
        await asyncio.sleep(0.02)
    return least
