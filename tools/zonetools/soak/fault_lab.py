"""The fault lab: servers to attack, addresses to attack from, healthy players to compare, and findings."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from zoneserver.admin.stats import Stats
from zonetools.common.admin_client import AdminClient
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, RecordingClient
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

Reading = TypeVar("Reading")

# A comparison that fails is repeated and its median is judged, since the machine may have been busy.
_PAIRS_MAX, _PAIRS_MAX_QUICK = 5, 3
# An attack may make the latency of healthy players worse by 5 % or by 1 ms.
_SHARE_ALLOWED, _MS_ALLOWED = 1.05, 1.0

HEALTHY = Plan(port=0, ramp=1_000.0, seconds=0)
"""Healthy players, measured until they are stopped. Port 0 stands for the server's own port."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a scenario. `ok` is None if this machine cannot measure it; `measured` is text for people."""

    ok: bool | None
    measured: str


class Checks:
    """Collects conditions that must hold; the finding names those that do not.

    >>> checks = Checks()
    >>> checks.expect(2 + 2 == 4, "four"); checks.expect(1 > 2, "one is not above two")
    >>> checks.finding("two checks")
    Finding(ok=False, measured='two checks; BUT one is not above two')
    """

    def __init__(self) -> None:
        self._failures: list[str] = []

    def expect(self, holds: bool, failure: str) -> None:
        """Check one condition; `failure` says what is wrong if it does not hold."""
        if not holds and failure not in self._failures:
            self._failures.append(failure)

    def expect_no_traceback(self, server: ServerProcess) -> None:
        """Check the log of a server that has ended."""
        self.expect("Traceback" not in server.log, "the server logs a traceback")

    def finding(self, measured: str) -> Finding:
        """The finding over all conditions."""
        return Finding(not self._failures, "; BUT ".join([measured, *self._failures]))


class Lab:
    """What all scenarios of a run share: their size, their seed, and a supply of unused addresses."""

    def __init__(self, quick: bool, seed: int) -> None:
        self.quick = quick
        self.seed = seed
        self._addresses_used = 0

    def pick(self, full: Reading, quick: Reading) -> Reading:
        """The value for a full run, or the one for a quick run."""
        return quick if self.quick else full

    def address(self) -> str:
        """An unused address of this machine out of 127/8, free of bans and rate limits of other scenarios."""
        self._addresses_used += 1
        high, low = divmod(self._addresses_used, 65_536)
        return f"127.{1 + high}.{low >> 8}.{low & 255}"

    def server(self, *arguments: str, prefix: Iterable[str] = ()) -> ServerProcess:
        """A new server that logs its decisions."""
        return ServerProcess("--log-level", "info", "--seed", str(self.seed), *arguments, prefix=tuple(prefix))

    def plan(self, bots: int, **changes: Any) -> Plan:
        """The plan of this many healthy players, with changes to fields of HEALTHY."""
        return dataclasses.replace(HEALTHY, bots=bots, seed=self.seed, **changes)

    @contextlib.asynccontextmanager
    async def recorder(
        self, server: ServerProcess, name: str, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[RecordingClient]:
        """An honest player that records what arrives and when, and checks it against the state hash."""
        loop, address = asyncio.get_running_loop(), (self.address(), 0)
        _, client = await loop.create_connection(
            lambda: RecordingClient(name), "127.0.0.1", server.port, local_addr=address, ssl=tls
        )
        try:
            await client.until(lambda: client.replica is not None and client.replica.tick > 0)
            yield client
        finally:
            client.abort()

    async def raw(self, server: ServerProcess, *, address: str | None = None, receive_bytes: int = 0) -> RawClient:
        """A raw connection, from an unused address unless one is given."""
        return await RawClient.connect(server.port, address or self.address(), receive_bytes=receive_bytes)

    @contextlib.asynccontextmanager
    async def stuck(self, server: ServerProcess, count: int) -> AsyncIterator[list[RawClient]]:
        """This many players that join and never read, not even the answer."""
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
        *,
        joins_first: bool = False,
        web: float = 0.0,
    ) -> Comparison:
        """Compare the latency of healthy players without the attack and with it, in turn.

        The attack is under way when the measurement begins, so that its start is not measured. With `joins_first` it
        begins together with the measurement, because nobody could join during it. `web` is the share of the players
        that come over WebSocket.
        """
        pairs: list[tuple[float, float]] = []
        comparison = None
        pairs_max = self.pick(_PAIRS_MAX, _PAIRS_MAX_QUICK)
        while comparison is None or (not comparison.holds and len(pairs) < pairs_max):
            async with Crowd(server, self.plan(bots, web=web)) as control:
                await asyncio.sleep(seconds)
            crowd = Crowd(server, self.plan(bots, web=web))
            blocks = (crowd, attack()) if joins_first else (attack(), crowd)
            async with blocks[0], blocks[1]:
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
    """The 99th percentile of the latency of healthy players, in milliseconds: medians over pairs of runs."""

    control_ms: float
    attacked_ms: float
    pairs: int
    is_served: bool
    """Whether every healthy player got everything in the last pair."""

    @property
    def holds(self) -> bool:
        """Whether healthy players could not notice the attack."""
        return self.attacked_ms <= max(self.control_ms * _SHARE_ALLOWED, self.control_ms + _MS_ALLOWED)

    def __str__(self) -> str:
        pairs = f", median of {self.pairs} pairs" if self.pairs > 1 else ""
        return f"healthy p99 {self.attacked_ms:.1f} ms, control {self.control_ms:.1f} ms{pairs}"

    def check(self, checks: Checks) -> None:
        """Add the conditions that a comparison must fulfil."""
        checks.expect(self.holds, "healthy players notice it")
        checks.expect(self.is_served, "a healthy player missed something")


class Crowd:
    """Healthy players: a swarm in its own processes.

    All players have joined when the block begins. They are measured until it ends. The plan is `Lab.plan`, or
    HEALTHY with changes. `server` has the statistics; the players come to the port of the plan, or to its port.
    """

    def __init__(self, server: ServerProcess, plan: Plan) -> None:
        self.report: dict[str, Any] = {}
        """The swarm's report; set once the block has ended."""
        plan = dataclasses.replace(plan, port=plan.port or server.port)
        self._conductor = Conductor(plan, server.stats_port)
        self._running: asyncio.Task[Outcome]

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._conductor.run())
        try:
            while self._conductor.progress.measuring_for is None and not self._running.done():
                await asyncio.sleep(0.01)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._end()

    async def _end(self) -> None:
        self._conductor.stop()
        self.report = report.summary(await self._running)

    @property
    def p99_ms(self) -> float:
        """p99 of the time from the moment an action was due until its own player saw it."""
        return float(self.report["latency_ms"]["p99"])

    @property
    def is_served(self) -> bool:
        """Whether every player joined and got everything."""
        bots = self.report["bots"]
        return report.passed(self.report) and bots["joined"] == bots["requested"]


# --- Observing a server --------------------------------------------------------------------------


async def stats(server: ServerProcess) -> Stats:
    """The present statistics. Raises ServerUnreachable."""
    with contextlib.closing(AdminClient("127.0.0.1", server.stats_port)) as client:
        return await client.stats()


async def wait_for_stats(server: ServerProcess, condition: Callable[[Stats], bool], seconds: float = 10.0) -> Stats:
    """The first statistics that fulfil the condition. Raises TimeoutError."""
    found = await poll(lambda: stats(server), condition, seconds)
    if not condition(found):
        raise TimeoutError(f"waited {seconds:g} s; there are {found.players} players, closed {found.closes}")
    return found


async def poll(read: Callable[[], Awaitable[Reading]], condition: Callable[[Reading], bool], seconds: float) -> Reading:
    """Read about 50 times a second until a reading fulfils the condition; return the last reading."""
    deadline = time.monotonic() + seconds
    while not condition(reading := await read()) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    return reading


async def open_files(server: ServerProcess) -> int:
    """The number of open descriptors of the server; 0 if the system does not provide it.

    It is the lowest of several readings, since the connection of an earlier `stats` may still be open.
    """
    least = sys.maxsize
    for _ in range(10):
        try:
            least = min(least, len(os.listdir(f"/proc/{server.pid}/fd")))
        except OSError:
            return 0
        await asyncio.sleep(0.02)
    return least
