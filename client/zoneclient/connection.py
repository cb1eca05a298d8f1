"""The client library: `async with connect(...) as zone`, then act and listen.

async with connect("127.0.0.1", 7777, name="ann") as zone:
    zone.act("say", "hello")
    async for update in zone:
        for event in update.events:
            print(event.name, event.kind, event.values)
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from zoneclient.errors import JoinRefusedError, ZoneClosedError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica
from zoneserver.protocol import decoding
from zoneserver.protocol.messages import DEFLATE, Bye, Pong, Refusal, Snapshot, Tick, Value, Welcome
from zoneserver.protocol.tickets import ticket_from_text
from zoneserver.support.process import address_text

__all__ = ["Event", "Update", "ZoneConnection", "connect"]

# Ticks that may wait for the program to take them. Beyond that we stop reading, and the server
# sees a slow client and spares us frames: the program falls behind, memory does not grow.
_WAITING_MAX = 64


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: an action of a player, or the zone's own doing (slot and name None).

    >>> event = Event(0, "ann", "say", ("hello",))
    >>> f"{event.name}: {event.values[0]}"
    'ann: hello'
    """

    slot: int | None
    name: str | None
    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """One tick as the program sees it; the replica stands at its end.

    >>> update = Update(7, 1.0, {0: "ann"}, {}, [Event(0, "ann", "say", ("hello",))], [])
    >>> [f"{event.name}: {event.values[0]}" for event in update.events if event.kind == "say"]
    ['ann: hello']
    """

    tick: int
    dilation: float
    """1.0 when the zone runs at full speed."""
    joined: dict[int, str]
    left: dict[int, str]
    events: list[Event]
    refused: list[Refusal]
    """Our own actions that did not happen, since the last update."""
    resynced: bool = False
    """True when the state was replaced as a whole: at the start, and after falling far behind."""


class _Receiver(ClientProtocol):
    """Puts what arrives where the connection's program finds it."""

    def __init__(self, name: str, ticket: bytes, deflate: bool) -> None:
        super().__init__(name, ticket, deflate=deflate)
        self.waiting: deque[bytes | Refusal] = deque()
        self.arrived = asyncio.Event()
        self.pongs: dict[int, asyncio.Future[int]] = {}
        self.closed: asyncio.Future[Bye] = self._loop.create_future()
        # True while the program is so far behind that nothing more is read.
        self._is_paused = False
        # True once nobody wants to know any more.
        self._is_leaving = False

    def on_welcome(self, welcome: Welcome) -> None:
        self.arrived.set()

    def on_snapshot(self, payload: bytes) -> None:
        # Whatever waited is contained in it, but for the refusals, which are ours alone.
        self.waiting = deque(item for item in self.waiting if isinstance(item, Refusal))
        self._put(payload)

    def on_tick(self, payload: bytes) -> None:
        self._put(payload)

    def on_refused(self, refusal: Refusal) -> None:
        self._put(refusal)

    def on_pong(self, pong: Pong) -> None:
        waiter = self.pongs.pop(pong.token, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(pong.tick)

    def on_closed(self, bye: Bye) -> None:
        self.closed.set_result(bye)
        self.arrived.set()
        for waiter in self.pongs.values():
            if not waiter.done():
                waiter.set_exception(ZoneClosedError(*bye))

    def leave(self) -> None:
        self._is_leaving = True
        self.waiting.clear()
        super().leave()
        # The server's goodbye cannot be read while reading is paused.
        self.resume()

    def _put(self, item: bytes | Refusal) -> None:
        if self._is_leaving:
            return
        self.waiting.append(item)
        self.arrived.set()
        if len(self.waiting) >= _WAITING_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def take(self) -> bytes | Refusal | None:
        """What arrived first and was not taken yet."""
        if not self.waiting:
            return None
        item = self.waiting.popleft()
        if len(self.waiting) <= _WAITING_MAX // 2:
            self.resume()
        return item

    def resume(self) -> None:
        """Reads on, if reading is paused."""
        if self._is_paused and not self._is_lost:
            self._transport.resume_reading()
        self._is_paused = False


class ZoneConnection:
    """A player in a zone; made by `connect`. Iterate over it: each step is one tick.

    >>> async def follow(zone: ZoneConnection, name: str) -> None:
    ...     async for update in zone:
    ...         slot = zone.replica.slot(name)
    ...         if slot is not None:
    ...             print(update.tick, zone.replica.position(slot))
    """

    def __init__(self, receiver: _Receiver, welcome: Welcome) -> None:
        self._receiver = receiver
        self._pings = 0
        # What was refused since the last update: kept here, for a wait may be cancelled.
        self._refused: list[Refusal] = []
        self.name = receiver.name
        self.slot = welcome.slot
        """Who we are in the frames."""
        self.hz = welcome.hz
        self.game = welcome.game
        self.is_deflated = DEFLATE in welcome.encodings
        """Whether the server deflates what it sends: only where `connect` was asked to ask for it."""
        self.replica = Replica(welcome)
        """The zone as of the last update that the iteration gave."""

    def act(self, kind: str, *arguments: Value) -> int:
        """Does something; returns its sequence, which a refusal would name.

        All that is done within one client frame (the server's tick) leaves as one packet. Raises
        TypeError or ValueError for what cannot be sent, ZoneClosedError when the connection is over.
        """
        self._check_open()
        return self._receiver.act(kind, *arguments)

    def flush(self) -> None:
        """Sends what was done so far at once, rather than at the end of the client frame."""
        self._receiver.flush()

    async def ping(self) -> float:
        """The time there and back, in seconds, while somebody iterates. Raises ZoneClosedError."""
        self._check_open()
        self._pings += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[int] = loop.create_future()
        self._receiver.pongs[self._pings] = answer
        started = loop.time()
        self._receiver.ping(self._pings)
        await answer
        return loop.time() - started

    def _check_open(self) -> None:
        if self._receiver.bye is not None:
            raise ZoneClosedError(*self._receiver.bye)

    def __aiter__(self) -> ZoneConnection:
        return self

    async def __anext__(self) -> Update:
        """The next tick. Raises ZoneClosedError when the server ended it, DivergedError, ValueError."""
        while True:
            item = self._receiver.take()
            if isinstance(item, Refusal):
                self._refused.append(item)
            elif item is not None:
                refused, self._refused = self._refused, []
                return self._update(item, refused)
            elif self._receiver.closed.done():
                raise ZoneClosedError(*self._receiver.closed.result())
            else:
                self._receiver.arrived.clear()
                await self._receiver.arrived.wait()

    def _update(self, payload: bytes, refused: list[Refusal]) -> Update:
        replica = self.replica
        message = decoding.decode_server(payload)
        if isinstance(message, Snapshot):
            before = replica.players
            replica.restore(message)
            now = replica.players
            joined = {slot: name for slot, name in now.items() if before.get(slot) != name}
            left = {slot: name for slot, name in before.items() if now.get(slot) != name}
            return Update(replica.tick, 1.0, joined, left, [], refused, resynced=True)
        assert isinstance(message, Tick)
        left = {slot: replica.name(slot) or "" for slot in message.leaves}
        replica.apply(message)
        joined = dict(message.joins)
        events = [
            Event(slot, None if slot is None else replica.name(slot), kind, tuple(values))
            for slot, _seq, kind, *values in message.events
        ]
        return Update(message.tick, message.dilation_percent / 100, joined, left, events, refused)


@contextlib.asynccontextmanager
async def _answering(host: str, port: int, seconds: float) -> AsyncIterator[None]:
    """Raises a TimeoutError that says who did not answer, and for how long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise TimeoutError(f"no answer from {address_text(host, port)} within {seconds:g} s") from error


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    name: str,
    ticket: bytes | str = b"",
    tls: ssl.SSLContext | None = None,
    deflate: bool = False,
    timeout: float = 10.0,
) -> AsyncIterator[ZoneConnection]:
    """Joins a zone; leaving the block leaves the zone.

    >>> async def greet() -> None:
    ...     async with connect("127.0.0.1", 7777, name="ann") as zone:
    ...         zone.act("say", "hello")
    ...         async for update in zone:
    ...             if any(event.name == "ann" for event in update.events):
    ...                 return

    `ticket` is what the zone asks for where it asks for one: the bytes, or the text that `zoneserver
    ticket` prints. `tls` is the context to connect with where the zone speaks TLS. With `deflate` the server
    is asked for fewer bytes, which take a little longer to read; one that cannot do it sends them as ever.

    Raises JoinRefusedError when the server does not let us in, OSError when there is none, TimeoutError
    when it does not answer within `timeout` seconds, and TypeError or ValueError for a name or ticket that
    cannot be sent.
    """
    receiver = _Receiver(name, ticket_from_text(ticket) if isinstance(ticket, str) else ticket, deflate)
    async with _answering(host, port, timeout):
        await asyncio.get_running_loop().create_connection(lambda: receiver, host, port, ssl=tls)
        try:
            while receiver.welcome is None and not receiver.closed.done():
                receiver.arrived.clear()
                await receiver.arrived.wait()
        except BaseException:
            receiver.abort()
            raise
    if receiver.welcome is None:
        raise JoinRefusedError(*receiver.closed.result())
    try:
        yield ZoneConnection(receiver, receiver.welcome)
    finally:
        receiver.leave()
        try:
            async with asyncio.timeout(2.0):
                await asyncio.shield(receiver.closed)
        except TimeoutError:
            receiver.abort()
            await receiver.closed
