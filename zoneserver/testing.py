"""Fixtures for the tests of a game. pytest finds them wherever zoneserver is installed.

    def test_say_reaches_every_player(zone_server, zone_client):
        zone_server(Chat)
        ann, bob = zone_client("ann"), zone_client("bob")
        ann.act("say", "hello")
        assert bob.hears("say").values == ("hello",)

The server and the sockets are real. They run on an event loop in another thread, so that a test is an ordinary
function, with any plugin for async tests or without one. An async test may also `zoneclient.connect` to the port.

A test never needs to sleep: `act` returns when the action has happened, and afterwards every client answers as of that
moment or later.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Protocol, Self, TypeVar

import pytest
from zoneclient.connection import ZoneConnection
from zoneclient.errors import ActionRefusedError
from zoneclient.join import connect
from zoneclient.replica import Replica
from zoneclient.update import Event

from zoneserver.control.desk import Desk
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Told
from zoneserver.protocol.values import Value
from zoneserver.server import ZoneServer
from zoneserver.store.backend import MemoryStore
from zoneserver.support.errors import Exit
from zoneserver.zone.rules import Refused, Rules

__all__ = ["MemoryStore", "StartClient", "StartServer", "TestClient", "zone_client", "zone_server"]

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 10.0
"""A test fails if a step takes this long."""


class StartServer(Protocol):
    """The type of the fixture `zone_server`."""

    def __call__(self, rules: Rules | type[Rules], **settings: Any) -> ZoneServer:
        """Runs a game until the end of the test; `settings` are fields of `Config`.

        By default the server uses a free port and runs at 100 ticks per second, so that tests are short. An exception
        of a rule fails the test.
        """

    def stop(self, server: ZoneServer | None = None) -> None:
        """Stops a server, by default the one that was started last, as Ctrl-C does: what the game saves is then in its
        store. Another server may be started with the same one."""

    def command(self, *words: object, server: ZoneServer | None = None) -> str:
        """Gives a server a command, by default the one that was started last, as `zoneserver ctl` does, and returns
        the answer: `zone_server.command("give", "ann", 5)`. Raises Refused if the command was not done; its code is
        `usage` for words that do not fit."""


class StartClient(Protocol):
    """The type of the fixture `zone_client`."""

    def __call__(self, name: str, server: ZoneServer | None = None) -> TestClient:
        """Lets a player join the zone of `server`, by default of the server that was started last."""


class _Background:
    """An event loop in another thread, its open servers and clients, and the newest tick that the test knows of."""

    def __init__(self) -> None:
        self.server: ZoneServer | None = None
        """The server that was started last."""
        self.ticks: dict[ZoneServer, int] = {}
        """For each zone, the tick of the test's last action. A client answers as of this tick or a later one."""
        self._loop: asyncio.AbstractEventLoop
        self._is_over: asyncio.Event
        self.stack = contextlib.AsyncExitStack()
        """The servers and clients that `close` closes, the newest first."""
        is_running = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(is_running),), name="zone", daemon=True)
        self._thread.start()
        is_running.wait()

    async def _run(self, is_running: threading.Event) -> None:
        self._loop, self._is_over = asyncio.get_running_loop(), asyncio.Event()
        is_running.set()
        await self._is_over.wait()

    def call(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Runs a coroutine on the loop; returns its result or raises its exception."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def note_tick(self, server: ZoneServer, tick: int) -> None:
        """Notes that an action of the test shows in the frame of this tick."""
        self.ticks[server] = max(self.ticks.get(server, 0), tick)

    def close(self) -> None:
        """Closes all servers and clients, and ends the thread."""
        try:
            self.call(self.stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._is_over.set)
            self._thread.join()


class TestClient:
    """A player that a test controls. It answers every question as of the newest action of any client.

    Every method raises AssertionError after ten seconds without the result it waits for, and ZoneClosedError if the
    server has ended the session.
    """

    __test__ = False  # pytest would collect a class of this name.

    def __init__(
        self, background: _Background, server: ZoneServer, zone: ZoneConnection, stack: contextlib.AsyncExitStack
    ) -> None:
        self.name = zone.name
        assert zone.slot is not None
        self.slot = zone.slot
        """The slot of this player in frames, and in actions that name a player."""
        self._background = background
        self._server = server
        self._zone = zone
        # Closes the connection.
        self._stack = stack
        # Set while the client need not stay away: see `drop`.
        self._may_return = asyncio.Event()
        self._may_return.set()
        self._returns = 0
        # What `hears` and `receives` have not returned yet.
        self._events: list[Event] = []
        self._told: list[Told] = []
        # The exception that ended the session.
        self._over: Exception | None = None
        # Notified of each change of the attributes above, and of the replica.
        self._changed = asyncio.Condition()
        self._following = asyncio.create_task(self._follow())

    def act(self, kind: str, *arguments: Value) -> None:
        """Sends an action, and returns when it has happened. Raises Refused if the zone has refused it."""

        zone = self._zone
        self._do(kind, lambda: zone.done(zone.act(kind, *arguments), timeout=PATIENCE_SECONDS))

    def ask(self, kind: str, *arguments: Value) -> tuple[Any, ...]:
        """Sends a private action, and returns its answer. Raises Refused if the zone has refused it."""
        return self._do(kind, lambda: self._zone.ask(kind, *arguments, timeout=PATIENCE_SECONDS))

    def receives(self, kind: str) -> Told:
        """The next message of this kind that the game has told this player alone. Others are kept for later calls."""

        async def receives() -> Told:
            await self._until(lambda: any(told.kind == kind for told in self._told), f"nothing {kind!r} was told")
            told = next(told for told in self._told if told.kind == kind)
            self._told.remove(told)
            return told

        return self._background.call(receives())

    @property
    def told(self) -> list[Told]:
        """What the game has told this player alone, and `receives` has not returned yet."""
        return self._ask(lambda _replica: list(self._told))

    def hears(self, kind: str) -> Event:
        """The next event of this kind. Events of other kinds are kept for later calls."""

        async def hears() -> Event:
            await self._until(lambda: any(event.kind == kind for event in self._events), f"there was no event {kind!r}")
            event = next(event for event in self._events if event.kind == kind)
            self._events.remove(event)
            return event

        return self._background.call(hears())

    @property
    def events(self) -> list[Event]:
        """The events that `hears` has not returned yet."""
        return self._ask(lambda _replica: list(self._events))

    @property
    def players(self) -> dict[int, str]:
        """The names of all players in the zone, by slot."""
        return self._ask(lambda replica: replica.players)

    def things(self, kind: str | None = None) -> dict[int, str]:
        """The kind of each thing in the zone by slot, of all or of one kind."""
        return self._ask(lambda replica: replica.things(kind))

    @property
    def board(self) -> Mapping[str, int | str]:
        """The entries of the board, by name."""
        return self._ask(lambda replica: replica.board)

    def position(self, name: str | int | None = None) -> tuple[int, int]:
        """The position of a player or of the thing in a slot, by default of the client's own player."""
        return self._ask(lambda replica: replica.position(self._slot_of(name)))

    def stat(self, stat: str, name: str | int | None = None) -> int:
        """A stat of a player or of the thing in a slot, by default of the client's own player."""
        return self._ask(lambda replica: replica.stat(self._slot_of(name), stat))

    def wait(self, ticks: int) -> None:
        """Waits for this many ticks, for what a game does without an action."""

        async def wait() -> None:
            replica = self._zone.replica
            due = max(replica.tick, self._background.ticks[self._server]) + ticks
            await self._until(lambda: replica.tick >= due, f"tick {due} did not arrive", ticks / self._zone.hz)
            self._background.note_tick(self._server, replica.tick)

        self._background.call(wait())

    def drop(self) -> None:
        """Loses the connection, and stays away until `come_back`. The player stays in the zone, for 15 seconds unless
        the setting `resume_seconds` of the server says otherwise; with 0 the player leaves."""

        async def drop() -> None:
            self._may_return.clear()
            self._zone._line.receiver.abort()
            gateway = self._server.gateway
            async with asyncio.timeout(PATIENCE_SECONDS):
                while any(player.name == self.name for player in gateway.players):
                    await asyncio.sleep(0.001)
            # The zone is told at the beginning of the next tick.
            self._background.note_tick(self._server, self._server.zone.world.tick + 1)

        self._background.call(drop())

    def come_back(self) -> None:
        """Comes back to the player after `drop`. Raises ZoneClosedError if that is too late."""

        async def come_back() -> None:
            returns = self._returns
            self._may_return.set()
            await self._until(lambda: self._returns > returns, "the connection did not come back")
            self._background.note_tick(self._server, self._zone.replica.tick)

        self._background.call(come_back())

    async def _pause(self, attempt: int) -> None:
        await asyncio.sleep(0.01 * attempt)
        await self._may_return.wait()

    def leave(self) -> None:
        """Leaves the zone. Every later call of a method raises ZoneClosedError."""

        async def leave() -> None:
            await self._stack.aclose()
            # The player leaves the zone in the tick after the end of the session.
            self._background.note_tick(self._server, self._server.zone.world.tick + 1)

        self._background.call(leave())

    def _ask(self, question: Callable[[Replica], Answer]) -> Answer:
        async def ask() -> Answer:
            tick, replica = self._background.ticks[self._server], self._zone.replica
            await self._until(lambda: replica.tick >= tick, f"tick {tick} did not arrive")
            return question(replica)

        return self._background.call(ask())

    def _do(self, kind: str, action: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Does an action, and notes its tick."""

        async def do() -> Answer:
            asyncio.get_running_loop().call_soon(self._zone.flush)
            try:
                return await action()
            except ActionRefusedError as error:
                raise Refused(error.code, error.text) from None
            except TimeoutError:
                raise AssertionError(f"{self.name}: the action {kind!r} neither happened nor was refused") from None
            finally:
                self._background.note_tick(self._server, self._zone.replica.tick)

        return self._background.call(do())

    def _slot_of(self, name: str | int | None) -> int:
        if isinstance(name, int):
            return name
        slot = self.slot if name is None else self._zone.replica.slot(name)
        assert slot is not None, f"there is no player {name!r} in the zone: {self._zone.replica.players}"
        return slot

    async def _until(self, condition: Callable[[], object], failure: str, expected_seconds: float = 0.0) -> None:
        patience = PATIENCE_SECONDS + expected_seconds
        try:
            async with asyncio.timeout(patience), self._changed:
                await self._changed.wait_for(lambda: self._over is not None or condition())
        except TimeoutError:
            events = ", ".join(f"{event.kind} {event.values}" for event in self._events[-5:]) or "none"
            text = f"{self.name}: {failure} within {patience:.0f} s; the last events were: {events}"
            raise AssertionError(text) from None
        if not condition():
            assert self._over is not None
            raise self._over

    @classmethod
    async def joined(cls, background: _Background, server: ZoneServer, name: str) -> Self:
        """A client that has joined the zone of a server. It stays until `leave` or the end of the test."""
        stack = contextlib.AsyncExitStack()
        background.stack.push_async_callback(stack.aclose)
        zone = await stack.enter_async_context(connect("127.0.0.1", server.port or 0, name=name, resume=True))
        client = cls(background, server, zone, stack)
        # Only a lost connection is followed by another one.
        zone._line.drops, zone._line.pause = frozenset({CloseReason.CONNECTION_LOST}), client._pause
        # One that is away at the end stays away.
        stack.callback(setattr, zone._line, "drops", frozenset())
        await client._until(lambda: client._zone.replica.tick > 0, "the first frame did not arrive")
        background.note_tick(server, zone.replica.tick)
        return client

    async def _follow(self) -> None:
        """Receives updates until the session ends."""
        try:
            async for update in self._zone:
                async with self._changed:
                    self._events += update.events
                    self._told += update.told
                    self._returns += update.resumed
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


class _Servers:
    """The fixture `zone_server`."""

    def __init__(self, background: _Background) -> None:
        self._background = background
        self.started: list[ZoneServer] = []
        self._desks: dict[ZoneServer, Desk] = {}

    def __call__(self, rules: Rules | type[Rules], **settings: Any) -> ZoneServer:
        server = ZoneServer(rules, **{"port": 0, "stats_port": None, "hz": 100, "max_players": 100} | settings)
        self._background.server = self._background.call(self._start(server))
        self.started.append(server)
        return server

    async def _start(self, server: ZoneServer) -> ZoneServer:
        stack = self._background.stack
        await stack.enter_async_context(server)
        desk = self._desks[server] = Desk(server.link, server.gateway, server.loop, server)
        stack.callback(desk.close)
        return server

    def stop(self, server: ZoneServer | None = None) -> None:
        self._background.call((server or self.started[-1]).stop())

    def command(self, *words: object, server: ZoneServer | None = None) -> str:
        server = server or self.started[-1]
        code, text = self._background.call(self._desks[server].run(list(map(str, words))))
        self._background.note_tick(server, server.zone.world.tick)
        if code == Exit.OK:
            return text
        # The text of a refusal begins with its code, that of wrong words with `usage`.
        code_name, _, rest = text.partition(": ")
        raise Refused(code_name, rest) if " " not in code_name else Refused(Refused.code, text)


@pytest.fixture
def zone_server(_zone_background: _Background) -> Iterator[StartServer]:
    """Runs games for a test: `zone_server(Tag)`. Each server runs until the end of the test."""
    servers = _Servers(_zone_background)
    yield servers
    failures = sum(server.zone.counters.rule_failures_total for server in servers.started)
    assert not failures, f"rules of the game raised {failures} times: see the log"


@pytest.fixture
def zone_client(_zone_background: _Background) -> StartClient:
    """Lets players join the zone that `zone_server` runs: `ann = zone_client("ann")`."""

    def zone_client(name: str, server: ZoneServer | None = None) -> TestClient:
        server = server or _zone_background.server
        assert server is not None, "there is no zone: call zone_server(...) first"
        return _zone_background.call(TestClient.joined(_zone_background, server, name))

    return zone_client
