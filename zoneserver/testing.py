"""Fixtures for the tests of a game: pytest finds them by itself wherever zoneserver is installed.

    def test_everybody_hears_what_ann_says(zone_server, zone_client):
        zone_server(Chat)
        ann, bob = zone_client("ann"), zone_client("bob")
        ann.act("say", "hello")
        assert bob.hears("say").values == ("hello",)

A whole server and real sockets, on an event loop in a thread of its own: a test is an ordinary function,
with any plugin for async tests or none. One that is async itself may also `client.connect` to the port.

Nothing has to be waited for by sleeping: `act` returns when it has happened, and whatever client is asked
then, answers as of that moment or later.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Protocol, Self, TypeVar

import pytest
from zoneclient.connection import Event, ZoneConnection, connect
from zoneclient.replica import Replica

from zoneserver.protocol.messages import Refusal, Value
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Refused, Rules

__all__ = ["StartClient", "StartServer", "TestClient", "zone_client", "zone_server"]

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 10.0
"""How long anything may take before the test fails."""
_HZ, _PLAYERS_MAX = 100, 100


class StartServer(Protocol):
    """The fixture `zone_server`."""

    def __call__(self, rules: Rules | type[Rules], **settings: Any) -> ZoneServer:
        """Runs a game until the end of the test; settings are the fields of `Config`.

        Unless they say otherwise it is on a free port, and runs at 100 ticks a second, so that a test
        is over soon. A rule that raises fails the test.
        """


class StartClient(Protocol):
    """The fixture `zone_client`."""

    def __call__(self, name: str, server: ZoneServer | None = None) -> TestClient:
        """Lets a player into a zone: that of the server which was started last, unless one is given."""


class _Background:
    """An event loop in a thread of its own, what is open on it, and how far the test has come."""

    def __init__(self) -> None:
        self.server: ZoneServer | None = None
        """The one that was started last."""
        self.ticks: dict[ZoneServer, int] = {}
        """The newest tick of each zone in which the test did something: who is asked there has seen it."""
        self._loop: asyncio.AbstractEventLoop
        self._is_over: asyncio.Event
        self.stack = contextlib.AsyncExitStack()
        """What `close` leaves, the last first."""
        is_running = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(is_running),), name="zone", daemon=True)
        self._thread.start()
        is_running.wait()

    async def _run(self, is_running: threading.Event) -> None:
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        is_running.set()
        await self._is_over.wait()

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Runs it on the loop; returns its answer, raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def did(self, server: ZoneServer, tick: int) -> None:
        """The test did something, of which this tick of the zone tells."""
        self.ticks[server] = max(self.ticks.get(server, 0), tick)

    def close(self) -> None:
        """Leaves all blocks and ends the thread."""
        try:
            self.call(self.stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._is_over.set)
            self._thread.join()


class TestClient:
    """A player in the hand of a test. What it is asked it answers as of the newest action of any client.

    Every method raises AssertionError when what it waits for does not come within ten seconds, and
    ZoneClosedError when the server has ended the session.
    """

    __test__ = False  # for pytest, which takes a class of this name for tests

    def __init__(
        self, background: _Background, server: ZoneServer, zone: ZoneConnection, stack: contextlib.AsyncExitStack
    ) -> None:
        self.name = zone.name
        self.slot = zone.slot
        """Who it is in the frames, and in actions that are about a player."""
        self._background = background
        self._server = server
        self._zone = zone
        # What `leave` leaves: the zone, and following it.
        self._stack = stack
        # What it has heard, but for what `hears` has returned; and what was refused, by sequence.
        self._events: list[Event] = []
        self._refusals: dict[int, Refusal] = {}
        # Why there is no more to come.
        self._over: Exception | None = None
        # Told whenever any of these, or the replica, is another.
        self._changed = asyncio.Condition()
        self._following = asyncio.create_task(self._follow())

    def act(self, kind: str, *arguments: Value) -> None:
        """Does something, and returns when it has happened. Raises Refused as the rule did, when it did."""

        async def act() -> None:
            seq = self._zone.act(kind, *arguments)
            self._zone.flush()
            slot, replica = self.slot, self._zone.replica
            await self._until(
                lambda: seq in self._refusals or replica.world.seq[slot] == seq & 0xFF,
                f"its {kind!r} neither happened nor was refused",
            )
            self._background.did(self._server, replica.tick)
            refusal = self._refusals.pop(seq, None)
            if refusal is not None:
                raise Refused(refusal.code, refusal.text)

        self._background.call(act())

    def hears(self, kind: str) -> Event:
        """The next event of this kind that it has not returned yet; those of other kinds are kept."""

        async def hears() -> Event:
            await self._until(lambda: any(event.kind == kind for event in self._events), f"it heard no {kind!r}")
            event = next(event for event in self._events if event.kind == kind)
            self._events.remove(event)
            return event

        return self._background.call(hears())

    @property
    def events(self) -> list[Event]:
        """What it has heard so far, but for what `hears` has returned."""
        return self._ask(lambda _replica: list(self._events))

    @property
    def players(self) -> dict[int, str]:
        """The name of everybody in the zone, by slot."""
        return self._ask(lambda replica: replica.players)

    def position(self, name: str | None = None) -> tuple[int, int]:
        """Where somebody is as this client sees it; where it is itself unless it is asked for another."""
        return self._ask(lambda replica: replica.position(self._slot_of(name)))

    def stat(self, stat: str, name: str | None = None) -> int:
        """One of the numbers that everybody sees of somebody; its own unless it is asked for another's."""
        return self._ask(lambda replica: replica.stat(self._slot_of(name), stat))

    def wait(self, ticks: int) -> None:
        """Lets so many ticks go by: for what a game does by itself."""

        async def wait() -> None:
            replica = self._zone.replica
            due = max(replica.tick, self._background.ticks[self._server]) + ticks
            await self._until(lambda: replica.tick >= due, f"tick {due} did not come", ticks / self._zone.hz)
            self._background.did(self._server, replica.tick)

        self._background.call(wait())

    def leave(self) -> None:
        """Says goodbye. Nothing more may be asked of it."""

        async def leave() -> None:
            await self._stack.aclose()
            # The player goes with the tick after its session.
            self._background.did(self._server, self._server.zone.world.tick + 1)

        self._background.call(leave())

    def _ask(self, question: Callable[[Replica], Answer]) -> Answer:
        async def ask() -> Answer:
            tick, replica = self._background.ticks[self._server], self._zone.replica
            await self._until(lambda: replica.tick >= tick, f"tick {tick} did not come")
            return question(replica)

        return self._background.call(ask())

    def _slot_of(self, name: str | None) -> int:
        slot = self.slot if name is None else self._zone.replica.slot(name)
        assert slot is not None, f"nobody in the zone is called {name!r}: {self._zone.replica.players}"
        return slot

    async def _until(self, condition: Callable[[], object], complaint: str, expected_seconds: float = 0.0) -> None:
        patience = PATIENCE_SECONDS + expected_seconds
        try:
            async with asyncio.timeout(patience), self._changed:
                await self._changed.wait_for(lambda: self._over is not None or condition())
        except TimeoutError:
            heard = ", ".join(f"{event.kind} {event.values}" for event in self._events[-5:]) or "nothing"
            text = f"{self.name}: {complaint} within {patience:.0f} s; it heard {heard}"
            raise AssertionError(text) from None
        if not condition():
            assert self._over is not None
            raise self._over

    @classmethod
    async def joined(cls, background: _Background, server: ZoneServer, name: str) -> Self:
        """A player in the zone of a server, until it leaves or the background closes."""
        stack = contextlib.AsyncExitStack()
        background.stack.push_async_callback(stack.aclose)
        zone = await stack.enter_async_context(connect("127.0.0.1", server.port, name=name))
        client = cls(background, server, zone, stack)
        await client._until(lambda: client._zone.replica.tick > 0, "the zone did not show itself")
        background.did(server, zone.replica.tick)
        return client

    async def _follow(self) -> None:
        """Takes all that comes, until there is an end of it."""
        try:
            async for update in self._zone:
                async with self._changed:
                    self._events += update.events
                    self._refusals |= {refusal.seq: refusal for refusal in update.refused}
                    self._changed.notify_all()
        except Exception as error:
            async with self._changed:
                self._over = error
                self._changed.notify_all()


@pytest.fixture
def _zone_background() -> Iterator[_Background]:
    background = _Background()
    try:
        yield background
    finally:
        background.close()


@pytest.fixture
def zone_server(_zone_background: _Background) -> Iterator[StartServer]:
    """Runs games for a test: `zone_server(Tag)`. Each is there until the test ends."""
    servers = []

    def zone_server(rules: Rules | type[Rules], **settings: Any) -> ZoneServer:
        server = ZoneServer(rules, **{"port": 0, "stats_port": None, "hz": _HZ, "max_players": _PLAYERS_MAX} | settings)
        _zone_background.server = _zone_background.call(_zone_background.stack.enter_async_context(server))
        servers.append(server)
        return server

    yield zone_server
    failures = sum(server.zone.counters.rule_failures_total for server in servers)
    assert not failures, f"rules of the game raised {failures} times: the log says where"


@pytest.fixture
def zone_client(_zone_background: _Background) -> StartClient:
    """Lets players into the zone that `zone_server` runs: `ann = zone_client("ann")`."""

    def zone_client(name: str, server: ZoneServer | None = None) -> TestClient:
        server = server or _zone_background.server
        assert server is not None, "there is no zone yet: zone_server(...) comes first"
        return _zone_background.call(TestClient.joined(_zone_background, server, name))

    return zone_client
