"""The client library: join with `async with connect(...) as zone`, act, and iterate over the ticks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from zoneclient.errors import ActionRefusedError, DivergedError, JoinRefusedError, ZoneClosedError, ZoneError
from zoneclient.outcomes import Outcomes
from zoneclient.receiver import MESSAGE_BYTES, Receiver
from zoneclient.replica import Replica
from zoneclient.update import Event, Update, merged
from zoneserver.protocol import decoding
from zoneserver.protocol.messages import DEFLATE, Answered, Op, Refusal, Snapshot, Tick, Told, Welcome, op_of
from zoneserver.protocol.tickets import ticket_from_text
from zoneserver.protocol.values import Value
from zoneserver.support.format import format_address

__all__ = ["ZoneConnection", "connect"]

_log = logging.getLogger(__name__)

# How many bytes of private messages may come without a frame: an honest server sends a frame with every tick.
_PRIVATE_BYTES_MAX = 4 * 1024 * 1024
# How many bytes of frames may wait, decoded, for a program that waits for `done` or `ask` and does not iterate.
_READY_BYTES_MAX = 1024 * 1024
# After so many bytes of frames the other tasks of the program get their turn.
_TURN_BYTES = 256 * 1024


class ZoneConnection:
    """A player in a zone, or a watcher, returned by `connect`. Iterate over it: each step is one tick.

    >>> async def follow(zone: ZoneConnection) -> None:
    ...     async for update in zone:
    ...         print(update.tick, zone.replica.position(zone.slot))
    """

    def __init__(self, receiver: Receiver, welcome: Welcome) -> None:
        self._receiver = receiver
        self._outcomes = Outcomes()
        # The answers that `ask` waits for, by sequence; None until they come.
        self._asked: dict[int, tuple[Any, ...] | None] = {}
        # The private messages since the last update. Kept here so that a cancelled wait does not lose them.
        self._private: list[Refusal | Told | Answered] = []
        self._private_bytes = 0
        # The updates that the iteration has not handed out yet, and the bytes of their frames.
        self._ready: deque[Update] = deque()
        self._ready_bytes = 0
        # The newest tick that a private message was of: its frame comes behind it.
        self._told_tick = 0
        # Bytes of frames since the other tasks had their turn.
        self._turn_bytes = 0
        # The error that a frame has shown in the replica.
        self._diverged: DivergedError | None = None
        self.name = receiver.name
        """The name of this player; empty for a watcher."""
        self.slot = welcome.slot
        """The slot of this player in the frames; None for a watcher."""
        self.hz = welcome.zone.hz
        self.game = welcome.zone.name
        self.game_version = welcome.zone.version
        self.is_deflated = DEFLATE in welcome.options
        """Whether the server deflates its messages, which `connect(..., deflate=True)` asks for."""
        self.replica = Replica(welcome)
        """The state of the zone at the last update that was received."""

    # --- Acting -----------------------------------------------------------------------------------

    def act(self, kind: str, *arguments: Value) -> int:
        """Do an action; return its sequence, for `done`.

        All actions of one client frame (as long as a tick of the server) leave as one packet. Raises TypeError or
        ValueError for values that cannot be sent, ZoneClosedError after the end of the connection, RuntimeError for a
        watcher.
        """
        self._check_open()
        seq = self._receiver.act(kind, *arguments)
        self._outcomes.sent(seq)
        return seq

    def flush(self) -> None:
        """Send the collected actions now instead of at the end of the client frame."""
        self._receiver.flush()

    async def done(self, seq: int, *, timeout: float = 10.0) -> bool:
        """Wait until the zone has told what became of the action with this sequence.

        Returns True if it happened, and False if it is past without a sign of its own: a newer action of this player
        superseded it, or the frame of its tick was skipped. The replica has the state at the end of its tick. Raises
        ActionRefusedError if the zone refused it, TimeoutError if nothing was told in time, ZoneClosedError at the end
        of the connection, ValueError for a sequence that `act` has not returned of late.

        The program may iterate in another task, or wait within its `async for`: the updates that are received meanwhile
        are handed out by the iteration afterwards.
        """
        try:
            async with asyncio.timeout(timeout):
                while (fate := self._outcomes.fate(seq)) is None:
                    await self._process_one()
                with contextlib.suppress(ZoneError):  # The end of the session takes back no answer.
                    while self.replica.tick < self._told_tick:
                        await self._process_one()
        except TimeoutError:
            raise TimeoutError(f"the server has not told within {timeout:g} s what became of action {seq}") from None
        except LookupError:
            raise ValueError(f"there was no action {seq} of late") from None
        if isinstance(fate, Refusal):
            raise ActionRefusedError(fate.code, fate.text)
        return fate

    async def ask(self, kind: str, *arguments: Value, timeout: float = 10.0) -> tuple[Any, ...]:
        """Do a private action, and return its answer: a tuple of values. It waits and raises as `act` and `done` do.

        Raises ValueError if the action is not a private one; it has happened then.
        """
        seq = self.act(kind, *arguments)
        self._asked[seq] = None
        try:
            await self.done(seq, timeout=timeout)
            answer = self._asked[seq]
        finally:
            del self._asked[seq]
        if answer is None:
            raise ValueError(f"the action {kind!r} is not private, so it has no answer: use act() and done()")
        return answer

    @property
    def unsettled(self) -> int:
        """How many of the last actions have no known fate yet, as of the last update: no frame and no answer has told
        them, and they were not refused."""
        return len(self._outcomes)

    # --- Time -------------------------------------------------------------------------------------

    @property
    def rtt(self) -> float | None:
        """The seconds of the last round trip to the server, measured every two seconds; None before the first one."""
        return self._receiver.clock.rtt

    def now(self) -> float:
        """Return the tick at which the zone is at this moment, with its fraction: half way from tick 12 to tick 13 is
        12.5. It never decreases, and follows the dilation of the zone."""
        return self._receiver.clock.now(time.monotonic())

    async def ping(self) -> float:
        """Return the seconds of a round trip to the server. The program must iterate meanwhile. Raises
        ZoneClosedError."""
        self._check_open()
        return await self._receiver.answered_ping()

    # --- Iterating --------------------------------------------------------------------------------

    def __aiter__(self) -> ZoneConnection:
        return self

    async def __anext__(self) -> Update:
        """Return the next tick. Raises ZoneClosedError at the end, DivergedError for a replica that is wrong."""
        while not self._ready:
            await self._process_one()
        if len(self._ready) == 1:
            self._ready_bytes = 0
        return self._ready.popleft()

    def _check_open(self) -> None:
        if self._receiver.bye is not None:
            raise ZoneClosedError(*self._receiver.bye)

    async def _process_one(self) -> None:
        """Process one message; wait for it if there is none. Raises ZoneError at the end of the connection.

        Several tasks may do this at once. A cancelled one loses nothing.
        """
        receiver = self._receiver
        if self._diverged is not None:
            raise self._diverged
        if not receiver.waiting:
            if receiver.closed.done():
                raise ZoneClosedError(*receiver.closed.result())
            receiver.arrived.clear()
            await receiver.arrived.wait()
            return
        payload, arrived = receiver.take()
        try:
            self._process(payload, arrived)
        except DivergedError as error:
            self._diverged = error
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ZoneClosedError(*receiver.fail(str(error))) from error
        if self._turn_bytes > _TURN_BYTES:
            self._turn_bytes = 0
            await asyncio.sleep(0)

    def _process(self, payload: bytes, arrived: float) -> None:
        if op_of(payload) == Op.DEFLATED:
            payload = self._receiver.inflate(payload)
        message = decoding.decode_server(payload)
        if isinstance(message, Refusal | Told | Answered):
            self._keep(message, MESSAGE_BYTES + len(payload))
            return
        assert isinstance(message, Snapshot | Tick)
        update = self._update(message)
        self._receiver.clock.tick_arrived(update.tick, update.dilation, arrived)
        self._private, self._private_bytes = [], 0
        self._turn_bytes += len(payload)
        self._ready.append(update)
        self._ready_bytes += MESSAGE_BYTES + len(payload)
        if self._ready_bytes > _READY_BYTES_MAX and len(self._ready) > 1:
            # The program does not iterate: it has fallen behind, as one that does not read.
            self._ready = deque([merged(self._ready)])
            self._ready_bytes = 0

    def _keep(self, message: Refusal | Told | Answered, size: int) -> None:
        """Keep a message to this player alone for the next update."""
        self._told_tick = max(self._told_tick, message.tick)
        if isinstance(message, Refusal):
            self._outcomes.refused(message)
        elif isinstance(message, Answered):
            if message.seq in self._asked:
                self._asked[message.seq] = tuple(message.values)
            self._outcomes.answered(message.seq)
        self._private.append(message)
        self._private_bytes += size
        if self._private_bytes > _PRIVATE_BYTES_MAX:
            count, self._private = len(self._private), []
            raise ValueError(f"{count:,} refusals and private messages came without a frame")

    def _update(self, message: Snapshot | Tick) -> Update:
        """Bring the replica and the fates of our own actions to the tick of a message."""
        replica, slot = self.replica, self.slot
        if isinstance(message, Snapshot):
            before = replica.players
            replica.restore(message)
            now = replica.players
            joined = {slot: name for slot, name in now.items() if before.get(slot) != name}
            left = {slot: name for slot, name in before.items() if now.get(slot) != name}
            if slot is not None and replica.world.has(slot):
                self._outcomes.in_snapshot(message.seq[slot])
            return Update(message.tick, 1.0, joined, left, [], *self._private_lists(), resynced=True)
        names = ((slot, replica.name(slot)) for slot in message.leaves)
        left = {slot: name for slot, name in names if name is not None}
        replica.apply(message)
        joined = {slot: holder for slot, holder in message.joins if isinstance(holder, str)}
        events = [
            Event(slot, None if slot is None else replica.name(slot), kind, tuple(values))
            for slot, _seq, kind, *values in message.events
        ]
        if slot is not None:
            own = [seq for mover, seq in zip(message.movers, message.seqs, strict=True) if mover == slot]
            self._outcomes.in_frame(own + [seq for actor, seq, *_ in message.events if actor == slot])
        return Update(message.tick, message.dilation_percent / 100, joined, left, events, *self._private_lists())

    def _private_lists(self) -> tuple[list[Refusal], list[Told], list[Answered]]:
        return (
            [message for message in self._private if isinstance(message, Refusal)],
            [message for message in self._private if isinstance(message, Told)],
            [message for message in self._private if isinstance(message, Answered)],
        )

    async def _settle(self) -> None:
        """Wait for the fate of every action. Another task may iterate meanwhile."""
        self.flush()
        while self._outcomes:
            await self._process_one()


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    name: str | None = None,
    ticket: bytes | str = b"",
    tls: ssl.SSLContext | None = None,
    deflate: bool = False,
    watch: bool = False,
    game_version: str = "",
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
    more CPU. A server that does not support it sends them uncompressed. With `watch` you see the zone, and have neither
    a player in it nor a name. `game_version` is the version of the game that the program was written for: a server
    that runs another one refuses the player with GAME_VERSION.

    The block waits for the fate of the last actions for at most `leave_timeout` seconds; with 0 it leaves at once, and
    the server may discard them. A block that ends with an exception leaves at once, too.

    Raises JoinRefusedError when the server refuses the player, OSError when there is no server, TimeoutError
    when it does not answer within `timeout` seconds, and TypeError or ValueError for a name, a ticket or a version that
    cannot be sent.
    """
    if name is None and not watch:
        raise TypeError("connect() needs the name of your player, or watch=True")
    ticket = ticket_from_text(ticket) if isinstance(ticket, str) else ticket
    receiver = Receiver("" if name is None else name, ticket, deflate=deflate, watch=watch, game_version=game_version)
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
