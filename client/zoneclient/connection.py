"""The connection of a program to a zone: act, and iterate over the ticks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Any

from zoneclient.errors import ActionRefusedError, DivergedError, ZoneClosedError, ZoneError
from zoneclient.line import Line
from zoneclient.outcomes import Outcomes
from zoneclient.private_messages import PrivateMessage, PrivateMessages
from zoneclient.receiver import MESSAGE_BYTES, Receiver
from zoneclient.replica import Replica
from zoneclient.update import Event, Update, merged
from zoneserver.protocol import decoding
from zoneserver.protocol.messages import DEFLATE, Answered, Op, Refusal, Snapshot, Tick, Told, Welcome, op_of
from zoneserver.protocol.values import Value

__all__ = ["ZoneConnection"]

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

    def __init__(self, line: Line) -> None:
        self._line = line
        line.subscribe(self._send_again, self._refuse)
        self._outcomes = Outcomes()
        # The answers that `ask` waits for, by sequence; None until they come.
        self._asked: dict[int, tuple[Any, ...] | None] = {}
        # The private messages since the last update. Kept here so that a cancelled wait does not lose them.
        self._private = PrivateMessages()
        # The WELCOME with which the client came back, until the first update after it.
        self._return: Welcome | None = None
        # The updates that the iteration has not handed out yet, and the bytes of their frames.
        self._ready: deque[Update] = deque()
        self._ready_bytes = 0
        # The newest tick that a private message was of: its frame comes behind it.
        self._told_tick = 0
        # Bytes of frames since the other tasks had their turn.
        self._turn_bytes = 0
        # The error that a frame has shown in the replica.
        self._diverged: DivergedError | None = None
        welcome = line.welcome
        self.name = line.receiver.name
        """The name of this player; empty for a watcher."""
        self.slot = welcome.slot
        """The slot of this player in the frames; None for a watcher."""
        self.hz = welcome.zone.hz
        self.game = welcome.zone.name
        self.game_version = welcome.zone.version
        self.is_deflated = DEFLATE in welcome.options
        """Whether the server deflates its messages, which `connect(..., deflate=True)` asks for."""
        self.replica = Replica(welcome)
        """The state of the zone at the last update that was received. It is another object if a client comes back after
        the game has changed."""

    # --- Acting -----------------------------------------------------------------------------------

    @property
    def _receiver(self) -> Receiver:
        return self._line.receiver

    def act(self, kind: str, *arguments: Value) -> int:
        """Do an action; return its sequence, for `done`.

        All actions of one client frame (as long as a tick of the server) leave as one packet. While the client is away
        up to 16 actions are kept for two seconds each; then they are refused with AWAY. While 255 actions have no
        outcome yet, further ones are refused with TOO_MANY_ACTIONS. Raises TypeError or ValueError for values that
        cannot be sent, ZoneClosedError after the end of the connection, RuntimeError for a watcher.
        """
        self._check_open()
        action = self._receiver.encoded(kind, *arguments)
        seq = self._receiver.next_seq
        if not self._outcomes.takes(seq):
            self._receiver.skip_to(seq + 1)
            self._outcomes.sent(seq)
            self._refuse(seq, "TOO_MANY_ACTIONS", "255 actions have no outcome yet")
            return seq
        self._receiver.send_action(action)
        self._outcomes.sent(seq, action)
        if self.is_away:
            self._line.keep(seq)
        return seq

    def flush(self) -> None:
        """Send the collected actions now instead of at the end of the client frame."""
        self._receiver.flush()

    async def done(self, seq: int, *, timeout: float = 10.0) -> bool:
        """Wait until the zone has told what became of the action with this sequence.

        Returns True if it happened, and False if it is past without a sign of its own: a newer action of this player
        superseded it, or the frame of its tick was skipped. The replica has the state at the end of its tick. Raises
        ActionRefusedError if the zone refused it, TimeoutError if nothing was told in time, ZoneClosedError at the end
        of the connection, ValueError for a sequence that `act` has not returned of late. It goes on waiting while the
        client is away.

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
            if seq not in self._asked:
                raise TimeoutError(f"the answer to action {seq} was lost with the connection")
            answer = self._asked[seq]
        finally:
            self._asked.pop(seq, None)
        if answer is None:
            raise ValueError(f"the action {kind!r} is not private, so it has no answer: use act() and done()")
        return answer

    @property
    def is_away(self) -> bool:
        """Whether the connection is lost and the client tries to come back, as `connect(..., resume=True)` asks."""
        return self._line.is_away

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
        12.5. It never decreases, unless the zone begins again at an earlier tick, and follows the dilation of the
        zone."""
        return self._receiver.clock.now(time.monotonic())

    async def ping(self) -> float:
        """Return the seconds of a round trip to the server, after the return if the client is away. The program must
        iterate meanwhile. Raises ZoneClosedError."""
        return await self._line.ping()

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
        if self._line.end is not None:
            raise ZoneClosedError(*self._line.end)

    async def _process_one(self) -> None:
        """Process one message; wait for it if there is none. Raises ZoneError at the end of the connection.

        Several tasks may do this at once. A cancelled one loses nothing.
        """
        receiver = self._receiver
        if self._diverged is not None:
            raise self._diverged
        if not receiver.waiting:
            if receiver.closed.done():
                self._check_open()
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
            raise ZoneClosedError(*self._line.fail(str(error))) from error
        if self._turn_bytes > _TURN_BYTES:
            self._turn_bytes = 0
            await asyncio.sleep(0)

    def _process(self, payload: bytes, arrived: float) -> None:
        if op_of(payload) == Op.DEFLATED:
            payload = self._receiver.inflate(payload)
        message = decoding.decode_server(payload)
        if isinstance(message, Welcome):
            self._go_on(message)
            return
        if isinstance(message, Refusal | Told | Answered):
            self._keep(message, payload)
            return
        assert isinstance(message, Snapshot | Tick)
        update = self._update(message, arrived)
        self._line.tick = update.tick
        self._turn_bytes += len(payload)
        self._ready.append(update)
        self._ready_bytes += MESSAGE_BYTES + len(payload)
        if self._ready_bytes > _READY_BYTES_MAX and len(self._ready) > 1:
            # The program does not iterate: it has fallen behind, as one that does not read.
            self._ready = deque([merged(self._ready)])
            self._ready_bytes = 0

    def _keep(self, message: PrivateMessage, payload: bytes) -> None:
        """Keep a message to this player alone for the next update."""
        self._told_tick = max(self._told_tick, message.tick)
        if not self._private.add(message, payload):
            return
        if isinstance(message, Refusal):
            self._outcomes.refused(message)
        elif isinstance(message, Answered):
            if message.seq in self._asked:
                self._asked[message.seq] = tuple(message.values)
            self._outcomes.answered(message.seq)

    def _update(self, message: Snapshot | Tick, arrived: float) -> Update:
        """Bring the replica and the fates of our own actions to the tick of a message."""
        replica, slot, clock = self.replica, self.slot, self._receiver.clock
        came_back, self._return = self._return, None
        rest: dict[str, Any] = {"resumed": came_back is not None}
        if isinstance(message, Snapshot):
            before, missed = replica.players, message.tick - replica.tick
            if missed < 0:
                clock.restart(message.tick, arrived)
            if came_back is not None and came_back.zone != replica.world.info:
                self.replica = replica = Replica(came_back)  # The server was restarted with another game.
            replica.restore(message)
            now = replica.players
            joined = {slot: name for slot, name in now.items() if before.get(slot) != name}
            left = {slot: name for slot, name in before.items() if now.get(slot) != name}
            if slot is not None and replica.world.has(slot):
                self._outcomes.in_snapshot(message.seq[slot])
            rest |= {"resynced": True, "missed": max(0, missed) if self._line.tick else 0}
            dilation, events = 1.0, []
        else:
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
            dilation = message.dilation_percent / 100
        clock.tick_arrived(message.tick, dilation, arrived)
        for lost in self._outcomes.lost(message.tick):
            self._asked.pop(lost, None)
        return Update(message.tick, dilation, joined, left, events, *self._private.take(message.tick), **rest)

    async def _settle(self) -> None:
        """Wait for the fate of every action, and for the return of a client that is away. Another task may iterate
        meanwhile."""
        self.flush()
        while self._outcomes or self.is_away:
            await self._process_one()

    # --- Coming back ------------------------------------------------------------------------------

    def _send_again(self, receiver: Receiver) -> None:
        """The client has come back: the actions that the zone has not taken are sent again."""
        assert receiver.welcome is not None
        if receiver.welcome.resume is not None:
            for seq, action in self._outcomes.unanswered().items():
                if seq > receiver.welcome.resume.seq:
                    receiver.send_action(action, seq)

    def _refuse(self, seq: int, code: str = "AWAY", text: str = "the connection was lost for too long") -> None:
        """Refuse an action without the server."""
        refusal = Refusal(self.replica.tick, seq, code, f"{text}, and this was not sent")
        self._outcomes.refused(refusal)
        self._private.add_own(refusal)
        self._receiver.arrived.set()

    def _go_on(self, welcome: Welcome) -> None:
        """What follows comes from the connection with this WELCOME."""
        self._return = welcome
        self._private.expect_again()
        self._told_tick = 0
        self.hz, self.game, self.game_version = welcome.zone.hz, welcome.zone.name, welcome.zone.version
        if welcome.resume is not None:
            self._outcomes.resumed(welcome.resume.seq, welcome.tick + welcome.zone.hz)
