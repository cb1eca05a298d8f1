"""The client library: join with `async with connect(...) as zone`, act, and iterate over the ticks."""

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
from zoneserver.support.format import format_address

__all__ = ["Event", "Update", "ZoneConnection", "connect"]

# How many messages may wait for the program. At this limit reading stops; the server then sees a slow client and
# skips frames for it. So a program that is too slow falls behind, but its memory does not grow.
_WAITING_MAX = 64


@dataclass(frozen=True, slots=True)
class Event:
    """An action of a player, or an event of the zone itself (then `slot` and `name` are None).

    >>> Event(0, "ann", "say", ("hello",)).values
    ('hello',)
    """

    slot: int | None
    name: str | None
    kind: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """One tick as the program sees it. The replica has the state at the end of this tick.

    >>> update = Update(7, 1.0, {0: "ann"}, {}, [Event(0, "ann", "say", ("hello",))], [])
    >>> [event.name for event in update.events]
    ['ann']
    """

    tick: int
    dilation: float
    """1.0 when the zone runs at full speed."""
    joined: dict[int, str]
    left: dict[int, str]
    events: list[Event]
    refused: list[Refusal]
    """The refusals of our own actions since the last update."""
    resynced: bool = False
    """True when a snapshot replaced the whole state: at the start, and after falling far behind."""


class _Receiver(ClientProtocol):
    """Keeps the messages of a connection until the program takes them."""

    def __init__(self, name: str, ticket: bytes, deflate: bool) -> None:
        super().__init__(name, ticket, deflate=deflate)
        self.waiting: deque[bytes | Refusal] = deque()
        self.arrived = asyncio.Event()
        self.pongs: dict[int, asyncio.Future[int]] = {}
        self.closed: asyncio.Future[Bye] = self.loop.create_future()
        # True while reading is paused because too many messages wait.
        self._is_paused = False
        # True after `leave`: messages are dropped.
        self._is_leaving = False

    def on_welcome(self, welcome: Welcome) -> None:
        self.arrived.set()

    def on_snapshot(self, payload: bytes) -> None:
        # A snapshot replaces every waiting frame. It does not contain the refusals.
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
        for waiter in (waiter for waiter in self.pongs.values() if not waiter.done()):
            waiter.set_exception(ZoneClosedError(*bye))

    def leave(self) -> None:
        self._is_leaving = True
        self.waiting.clear()
        super().leave()
        # The server's BYE cannot be read while reading is paused.
        self.resume()

    def _put(self, item: bytes | Refusal) -> None:
        if self._is_leaving:
            return
        self.waiting.append(item)
        self.arrived.set()
        if len(self.waiting) >= _WAITING_MAX and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def take(self) -> bytes | Refusal | None:
        """Return the oldest waiting message, or None."""
        if not self.waiting:
            return None
        item = self.waiting.popleft()
        if len(self.waiting) <= _WAITING_MAX // 2:
            self.resume()
        return item

    def resume(self) -> None:
        """Continue reading if it is paused."""
        if self._is_paused and not self.is_lost:
            self.transport.resume_reading()
        self._is_paused = False


class ZoneConnection:
    """A player in a zone, returned by `connect`. Iterate over it: each step is one tick.

    >>> async def follow(zone: ZoneConnection) -> None:
    ...     async for update in zone:
    ...         print(update.tick, zone.replica.position(zone.slot))
    """

    def __init__(self, receiver: _Receiver, welcome: Welcome) -> None:
        self._receiver = receiver
        self._pings = 0
        # The refusals since the last update. Kept here so that a cancelled wait does not lose them.
        self._refused: list[Refusal] = []
        self.name = receiver.name
        self.slot = welcome.slot
        """The slot of this player in the frames."""
        self.hz = welcome.hz
        self.game = welcome.game
        self.is_deflated = DEFLATE in welcome.encodings
        """Whether the server deflates its messages, which `connect(..., deflate=True)` asks for."""
        self.replica = Replica(welcome)
        """The state of the zone at the last update of the iteration."""

    def act(self, kind: str, *arguments: Value) -> int:
        """Do an action; return its sequence, which a refusal would name.

        All actions of one client frame (as long as a tick of the server) leave as one packet. Raises TypeError or
        ValueError for values that cannot be sent, ZoneClosedError after the end of the connection.
        """
        self._check_open()
        return self._receiver.act(kind, *arguments)

    def flush(self) -> None:
        """Send the collected actions now instead of at the end of the client frame."""
        self._receiver.flush()

    async def ping(self) -> float:
        """Return the round-trip time in seconds. The program must iterate meanwhile. Raises ZoneClosedError."""
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
        """Return the next tick. Raises ZoneClosedError at the end, DivergedError and ValueError for a bad frame."""
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
    """Join a zone. The end of the block leaves the zone.

    >>> async def greet() -> None:
    ...     async with connect("127.0.0.1", 7777, name="ann") as zone:
    ...         zone.act("say", "hello")
    ...         async for update in zone:
    ...             print(update.events)

    `ticket` is for a zone that requires tickets: the bytes, or the text that `zoneserver ticket` prints. `tls` is
    the context for a zone that uses TLS. `deflate` asks the server for compressed messages: fewer bytes, a little
    more CPU. A server that does not support it sends them uncompressed.

    Raises JoinRefusedError when the server refuses the player, OSError when there is no server, TimeoutError
    when it does not answer within `timeout` seconds, and TypeError or ValueError for a name or ticket that
    cannot be sent.
    """
    receiver = _Receiver(name, ticket_from_text(ticket) if isinstance(ticket, str) else ticket, deflate)
    try:
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().create_connection(lambda: receiver, host, port, ssl=tls)
            try:
                while receiver.welcome is None and not receiver.closed.done():
                    receiver.arrived.clear()
                    await receiver.arrived.wait()
            except BaseException:
                receiver.abort()
                raise
    except TimeoutError as error:
        raise TimeoutError(f"no answer from {format_address(host, port)} within {timeout:g} s") from error
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
