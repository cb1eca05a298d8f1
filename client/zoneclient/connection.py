"""The client library: join with `async with connect(...) as zone`, act, and iterate over the ticks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from zoneclient.errors import JoinRefusedError, ZoneClosedError, ZoneError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica
from zoneserver.protocol import decoding
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import DEFLATE, Bye, Op, Pong, Refusal, Snapshot, Tick, Value, Welcome, op_of
from zoneserver.protocol.tickets import ticket_from_text
from zoneserver.support.format import format_address

__all__ = ["Event", "Update", "ZoneConnection", "connect"]

_log = logging.getLogger(__name__)

# How many messages, and how many of their bytes, may wait for the program. At these limits reading stops; the server
# then sees a slow client and skips frames for it. So a program that is too slow falls behind, but its memory does not
# grow. Deflated messages wait as they came.
_WAITING_MAX = 64
_WAITING_BYTES_MAX = 4 * 1024 * 1024
# What a waiting message takes beyond its payload.
_MESSAGE_BYTES = 256
# How many bytes of refusals may come without a frame: an honest server sends a frame with every tick.
_REFUSED_BYTES_MAX = 4 * 1024 * 1024
# After so many bytes of frames the other tasks of the program get their turn.
_TURN_BYTES = 256 * 1024
# How many outstanding actions the low byte of a sequence tells apart.
_SEQ_BYTES = 256


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


def _size_of(item: bytes | Refusal) -> int:
    """The bytes that a waiting message counts for."""
    return _MESSAGE_BYTES + (len(item.code) + len(item.text) if isinstance(item, Refusal) else len(item))


class _Receiver(ClientProtocol):
    """Keeps the messages of a connection until the program takes them."""

    def __init__(self, name: str, ticket: bytes, deflate: bool) -> None:
        super().__init__(name, ticket, deflate=deflate)
        self.waiting: deque[bytes | Refusal] = deque()
        self.waiting_bytes = 0
        self.arrived = asyncio.Event()
        self.pongs: dict[int, asyncio.Future[int]] = {}
        self.closed: asyncio.Future[Bye] = self.loop.create_future()
        # True while reading is paused because too many messages wait.
        self._is_paused = False
        # True after `leave`: messages are dropped.
        self._is_leaving = False

    def on_welcome(self, welcome: Welcome) -> None:
        self.arrived.set()

    def on_deflated(self, payload: bytes) -> None:
        # Inflated, 64 messages could take a gigabyte.
        self._put(payload)

    def on_snapshot(self, payload: bytes) -> None:
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
        self._discard()
        super().leave()
        # The server's BYE cannot be read while reading is paused.
        self.resume()

    def fail(self, text: str) -> Bye:
        """End the connection, because the server has sent something wrong; return that as a reason."""
        reason = Bye(str(CloseReason.PROTOCOL_ERROR), f"from the server: {text}", False)
        self.record_end(reason)
        self._is_leaving = True
        self._discard()
        self.abort()
        return reason

    def _put(self, item: bytes | Refusal) -> None:
        if self._is_leaving:
            return
        self.waiting.append(item)
        self.waiting_bytes += _size_of(item)
        self.arrived.set()
        if len(self.waiting) >= _WAITING_MAX or self.waiting_bytes >= _WAITING_BYTES_MAX:
            self._pause()

    def _pause(self) -> None:
        if not self._is_paused and not self.is_lost:
            self._is_paused = True
            self.transport.pause_reading()

    def _discard(self) -> None:
        self.waiting.clear()
        self.waiting_bytes = 0

    def take(self) -> bytes | Refusal | None:
        """Return the oldest waiting message, or None."""
        if not self.waiting:
            return None
        item = self.waiting.popleft()
        self.waiting_bytes -= _size_of(item)
        if len(self.waiting) <= _WAITING_MAX // 2 and self.waiting_bytes <= _WAITING_BYTES_MAX // 2:
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
        self._refused_bytes = 0
        # The sequences that were refused last: as many as the server can hold for one player, and more.
        self._refused_seqs: deque[int] = deque(maxlen=_SEQ_BYTES)
        # Bytes of frames since the other tasks had their turn.
        self._turn_bytes = 0
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

    @property
    def unsettled(self) -> int:
        """How many of the last actions have no known fate yet, as of the last update: no frame has told them, and they
        were not refused."""
        world, last = self.replica.world, self._receiver.next_seq - 1
        # A player's actions happen in the order of their sequences; superseded ones need no word of their own.
        happened = world.seq[self.slot] if world.has(self.slot) else 0
        outstanding = min(last, (last - happened) % _SEQ_BYTES)
        return outstanding - sum(last - outstanding < seq <= last for seq in set(self._refused_seqs))

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
        """Return the next tick. Raises ZoneClosedError at the end, DivergedError for a replica that is wrong."""
        while True:
            if (update := self._next()) is not None:
                if self._turn_bytes > _TURN_BYTES:
                    self._turn_bytes = 0
                    await asyncio.sleep(0)
                return update
            if not self._receiver.waiting:
                await self._receive()

    def _next(self) -> Update | None:
        """Take one waiting message. Return its update; None if there is none, or if the message was a refusal."""
        item = self._receiver.take()
        if item is None:
            return None
        try:
            if not isinstance(item, Refusal):
                refused, self._refused, self._refused_bytes = self._refused, [], 0
                return self._update(item, refused)
        except (ArithmeticError, LookupError, ValueError) as error:
            raise ZoneClosedError(*self._receiver.fail(str(error))) from error
        self._refused.append(item)
        self._refused_seqs.append(item.seq)
        self._refused_bytes += _size_of(item)
        if self._refused_bytes > _REFUSED_BYTES_MAX:
            text = f"{len(self._refused):,} refusals came without a frame"
            self._refused, self._refused_bytes = [], 0
            raise ZoneClosedError(*self._receiver.fail(text))
        return None

    async def _receive(self) -> None:
        """Wait until something arrives. Raises ZoneClosedError at the end of the connection."""
        receiver = self._receiver
        if receiver.closed.done():
            raise ZoneClosedError(*receiver.closed.result())
        receiver.arrived.clear()
        await receiver.arrived.wait()

    async def _settle(self) -> None:
        """Wait for the fate of every action. Another task may iterate meanwhile."""
        self.flush()
        while self.unsettled:
            if self._next() is None and not self._receiver.waiting:
                await self._receive()

    def _update(self, payload: bytes, refused: list[Refusal]) -> Update:
        if op_of(payload) == Op.DEFLATED:
            payload = self._receiver.inflate(payload)
        self._turn_bytes += len(payload)
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
    leave_timeout: float = 5.0,
) -> AsyncIterator[ZoneConnection]:
    """Join a zone. The end of the block leaves the zone, once the server has told the fate of every action.

    >>> async def greet() -> None:
    ...     async with connect("127.0.0.1", 7777, name="ann") as zone:
    ...         zone.act("say", "hello")
    ...         async for update in zone:
    ...             print(update.events)

    `ticket` is for a zone that requires tickets: the bytes, or the text that `zoneserver ticket` prints. `tls` is
    the context for a zone that uses TLS. `deflate` asks the server for compressed messages: fewer bytes, a little
    more CPU. A server that does not support it sends them uncompressed.

    The block waits for the fate of the last actions for at most `leave_timeout` seconds; with 0 it leaves at once, and
    the server may discard them. A block that ends with an exception leaves at once, too.

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
    zone = ZoneConnection(receiver, receiver.welcome)
    try:
        yield zone
        if leave_timeout > 0:
            await _settle(zone, leave_timeout)
    finally:
        receiver.leave()
        try:
            async with asyncio.timeout(2.0):
                await asyncio.shield(receiver.closed)
        except TimeoutError:
            receiver.abort()
            await receiver.closed


async def _settle(zone: ZoneConnection, seconds: float) -> None:
    """Wait for the fate of the last actions: the server discards what waits when a player leaves."""
    try:
        async with asyncio.timeout(seconds):
            await zone._settle()
    except TimeoutError:
        text = "%s leaves without knowing the fate of the last %d actions: the server told none within %g s"
        _log.warning(text, zone.name, zone.unsettled, seconds)
    except ZoneError as error:
        if zone.unsettled:
            _log.warning("%s does not know the fate of the last %d actions: %s", zone.name, zone.unsettled, error)
