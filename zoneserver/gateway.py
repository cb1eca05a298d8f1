"""The gateway: sessions on one side, the zone on the other, and one buffer a tick between them.

It admits players, hands their actions to the zone, and goes round with the frame. A session whose
last send is still in flight is not in the round: it skips frames, and when the send completes it
gets what it missed in one gather send. The tick waits for nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from zoneserver.closing import CloseReason, RefusalCode
from zoneserver.config import Config
from zoneserver.metrics import Counters, TickTimes
from zoneserver.session import Session, State
from zoneserver.wire.decoding import WireError, decode_client
from zoneserver.wire.framing import HEADER_BYTES, frame
from zoneserver.wire.messages import (
    ACTIONS_PER_PACKET,
    NAME_CHARACTERS,
    PROTOCOL_VERSION,
    Act,
    Goodbye,
    Hello,
    Op,
    Ping,
    Pong,
    Refusal,
    Welcome,
    op_of,
)
from zoneserver.zone import TickResult, Zone

__all__ = ["Gateway"]

log = logging.getLogger(__name__)

# So many packets are read before the tick asks for them: a bound on memory, and on the tick.
_INBOX_PACKETS_MAX = 1024
_ACT, _PLAYING = int(Op.ACT), State.PLAYING

# Ends that say nothing about a fault: not worth a line each.
_ORDINARY = {CloseReason.CLIENT_LEFT, CloseReason.CONNECTION_LOST, CloseReason.SERVER_STOPPING}


class Gateway:
    """Owns the sessions of one zone; implements `session.Owner`."""

    def __init__(self, zone: Zone, config: Config, loop: asyncio.AbstractEventLoop, connections_max: int) -> None:
        self.zone = zone
        self.counters = Counters()
        self.times = TickTimes(config.hz * 10)
        self.frame_bytes = 0
        self.players_peak = 0
        self._config = config
        self._limits = config.limits
        self._loop = loop
        self._connections_max = connections_max
        self._connections: set[Session] = set()
        # When each session that still shakes hands must be done with it, the earliest first.
        self._handshaking: dict[Session, float] = {}
        # Admitted sessions by the number under which the zone knows them, and by name.
        self._players: dict[int, Session] = {}
        self._names: dict[str, Session] = {}
        # Those who get every frame as it is made: everybody who plays and has no send in flight.
        self._round: dict[Session, None] = {}
        # Those who play and have one: since when it made no progress, and the bytes left then.
        self._stalled: dict[Session, tuple[float, int]] = {}
        # The tick that everybody in the round has been handed.
        self._sent_tick = zone.world.tick
        self._cpu_before = time.process_time()
        # ACT packets as they came, for the tick to read.
        self._inbox: list[tuple[Session, bytes]] = []
        # Set while nobody is connected: what a shutdown waits for.
        self._empty = asyncio.Event()
        self._empty.set()
        self._is_stopping = False
        # What each message means, and in which states a client may send it.
        self._handlers: dict[type, tuple[Callable[[Session, Any], None], tuple[State, ...]]] = {
            Act: (self._act, (State.PLAYING,)),
            Ping: (self._ping, (State.PLAYING,)),
            Hello: (self._hello, (State.HANDSHAKE,)),
            Goodbye: (self._goodbye, (State.HANDSHAKE, State.JOINING, State.PLAYING)),
        }

    # --- Figures ----------------------------------------------------------------------------------

    @property
    def players(self) -> int:
        """Players admitted and not gone."""
        return len(self._players)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    @property
    def handshaking(self) -> int:
        """Connections that have not said HELLO yet."""
        return len(self._handshaking)

    @property
    def stalled(self) -> int:
        """Players with a send in flight."""
        return len(self._stalled)

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the kernel to take them, over all players."""
        return sum(session.waiting_bytes for session in self._stalled)

    # --- What sessions say (session.Owner) --------------------------------------------------------

    def session_opened(self, session: Session) -> None:
        self._connections.add(session)
        self._empty.clear()
        self.counters.connections_total += 1
        if self._is_stopping:
            # It was accepted while the listener closed.
            session.end(CloseReason.SERVER_STOPPING)
            return
        if len(self._connections) > self._connections_max:
            session.end(CloseReason.SERVER_FULL, "no room for another connection")
            return
        self._handshaking[session] = self._loop.time() + self._limits.handshake_seconds

    def session_received(self, session: Session, payload: bytes) -> None:
        self.counters.packets_in_total += 1
        self.counters.bytes_in_total += len(payload) + HEADER_BYTES
        # What players do is for the tick to read: a hundred packets decoded in a row cost less than each
        # at its own moment, between two calls of the kernel.
        if op_of(payload) == _ACT and session.state is _PLAYING:
            self._inbox.append((session, payload))
            if len(self._inbox) >= _INBOX_PACKETS_MAX:
                self.read_inbox()
        else:
            self._read(session, payload)

    def read_inbox(self) -> None:
        """Reads the ACT packets that have come; every tick begins with it."""
        inbox, self._inbox = self._inbox, []
        for session, payload in inbox:
            if session.reason is None:
                try:
                    self._read(session, payload)
                except Exception:
                    session.fail("what it did was read")

    def _read(self, session: Session, payload: bytes) -> None:
        try:
            message = decode_client(payload)
        except WireError as error:
            session.end(CloseReason.PROTOCOL_ERROR, str(error))
            return
        handle, states = self._handlers[type(message)]
        if session.state in states:
            handle(session, message)
        else:
            what = type(message).__name__.upper()
            session.end(CloseReason.PROTOCOL_ERROR, f"{what} while in {session.state.value}")

    def session_stalled(self, session: Session) -> None:
        if session in self._round:
            del self._round[session]
            session.cursor = self._sent_tick
            self._stalled[session] = self._loop.time(), session.in_flight_bytes

    def session_drained(self, session: Session) -> None:
        if self._stalled.pop(session, None) is None:
            return
        self._round[session] = None
        missed = self.zone.history.since(session.cursor)
        if missed:
            self.counters.catch_ups_total += 1
            for data in missed:
                self._tell(session, data)

    def session_ended(self, session: Session) -> None:
        assert session.reason is not None
        self.counters.closes[str(session.reason)] += 1
        level = logging.DEBUG if session.reason in _ORDINARY else logging.INFO
        log.log(level, "%r: %s, %.120s", session, session.reason, session.reason_text)
        self._handshaking.pop(session, None)
        self._round.pop(session, None)
        self._stalled.pop(session, None)
        if self._players.pop(session.number, None) is not None:
            self.zone.leave(session.number)
            del self._names[session.name]

    def session_gone(self, session: Session) -> None:
        self._connections.discard(session)
        if not self._connections:
            self._empty.set()

    # --- What clients say -------------------------------------------------------------------------

    def _hello(self, session: Session, hello: Hello) -> None:
        if hello.version != PROTOCOL_VERSION:
            session.end(
                CloseReason.VERSION_MISMATCH,
                f"this server speaks version {PROTOCOL_VERSION}, the client {hello.version}",
            )
            return
        # A name is shown to other players and to operators: nothing in it may steer a terminal.
        name = hello.name
        if not 0 < len(name) <= NAME_CHARACTERS or not name.isprintable() or name != name.strip():
            text = f"a name has 1 to {NAME_CHARACTERS} printable characters, and no space around it"
            session.end(CloseReason.BAD_NAME, text)
            return
        namesake = self._names.get(name)
        if namesake is not None:
            namesake.end(CloseReason.REPLACED)
        if len(self._players) >= self._config.max_players:
            session.end(CloseReason.SERVER_FULL)
            return
        session.name = name
        session.advance(State.JOINING)
        del self._handshaking[session]
        self._players[session.number] = session
        self._names[session.name] = session
        self.players_peak = max(self.players_peak, len(self._players))
        self.zone.join(session.number, session.name)

    def _act(self, session: Session, act: Act) -> None:
        seq, actions = act
        if seq <= session.seq:
            session.end(CloseReason.PROTOCOL_ERROR, f"sequence {seq} after {session.seq}")
            return
        session.seq = seq + len(actions) - 1
        self.counters.actions_in_total += len(actions)
        if not self.zone.submit(session.number, seq, actions):
            for number in range(seq, session.seq + 1):
                refusal = Refusal(self._sent_tick, number, RefusalCode.TOO_MANY_ACTIONS, "wait for the tick")
                self._refuse(session, refusal)
            session.flush()

    def _ping(self, session: Session, ping: Ping) -> None:
        self._tell(session, frame(Pong(ping.token, self._sent_tick).encode()))
        session.flush()

    def _goodbye(self, session: Session, _goodbye: Goodbye) -> None:
        session.end(CloseReason.CLIENT_LEFT)

    # --- The tick ---------------------------------------------------------------------------------

    def tick(self, dilation_percent: int = 100) -> float:
        """Runs one tick of the zone and hands everything out; returns the seconds it took."""
        began = time.perf_counter()
        self.read_inbox()
        cpu, started = time.process_time(), time.perf_counter()
        self.zone.advance()
        ruled = time.perf_counter()
        result = self.zone.encode(dilation_percent)
        encoded = time.perf_counter()
        for ref, refusal in result.refused:
            if ref in self._players:
                self._refuse(self._players[ref], refusal)
        self._fan_out(result)
        self._admit(result)
        self._expire()
        done = time.perf_counter()
        self.times.record(cpu - self._cpu_before, ruled - started, encoded - ruled, done - encoded)
        self._cpu_before = time.process_time()
        return done - began

    def _fan_out(self, result: TickResult) -> None:
        """The round: the same buffer to everybody who can take it. This is what a tick costs."""
        data = result.frame
        self._sent_tick = result.tick
        # A send may end its session or find that it stalls: both change the round.
        receivers = tuple(self._round)
        for session in receivers:
            session.send(data)
        counters = self.counters
        counters.frames_out_total += len(receivers)
        counters.frames_skipped_total += len(self._stalled)
        counters.deliveries_out_total += len(receivers) * result.records
        counters.bytes_out_total += len(receivers) * len(data)
        self.frame_bytes = len(data)

    def _admit(self, result: TickResult) -> None:
        """Those who joined in this tick get the state after it, from one snapshot for all of them."""
        rules, world = self.zone.rules, self.zone.world
        for ref, slot in result.joined:
            session = self._players.get(ref)
            if session is None:
                continue  # It ended within this very tick; the zone has been told.
            welcome = Welcome(
                PROTOCOL_VERSION,
                slot,
                result.tick,
                self.zone.hz,
                self.zone.name,
                world.width,
                world.height,
                list(rules.stats.items()),
                self._limits.client_frame_bytes,
                ACTIONS_PER_PACKET,
            )
            session.advance(State.PLAYING)
            self.counters.joins_total += 1
            self._round[session] = None
            self._tell(session, frame(welcome.encode()))
            for data in self.zone.history.since(None):
                self._tell(session, data)
            session.flush()

    def _expire(self) -> None:
        """Ends the sessions whose time is up: slow to say HELLO, or stuck with a send in flight."""
        now = self._loop.time()
        while self._handshaking:
            session, deadline = next(iter(self._handshaking.items()))
            if deadline > now:
                break
            session.end(CloseReason.HANDSHAKE_TIMEOUT)
        if self._sent_tick % self.zone.hz:
            return
        for session, (since, left) in list(self._stalled.items()):
            if session.in_flight_bytes < left:
                self._stalled[session] = now, session.in_flight_bytes
            elif now - since > self._limits.stall_seconds:
                text = f"{session.waiting_bytes} bytes made no progress for {now - since:.1f} s"
                session.end(CloseReason.SLOW_CONSUMER, text)

    def _refuse(self, session: Session, refusal: Refusal) -> None:
        self.counters.refusals[refusal.code] += 1
        self._tell(session, frame(refusal.encode()))

    def _tell(self, session: Session, data: bytes) -> None:
        """Queues something for one session; it leaves with the next frame, or when it is flushed."""
        if session.enqueue(data):
            self.counters.bytes_out_total += len(data)

    # --- The end ----------------------------------------------------------------------------------

    async def close(self, deadline_seconds: float) -> None:
        """Tells everybody that the server stops; drops whoever has not gone by the deadline."""
        self._is_stopping = True
        for session in tuple(self._connections):
            session.end(CloseReason.SERVER_STOPPING)
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._empty.wait()
        except TimeoutError:
            for session in tuple(self._connections):
                session.abort()
            await self._empty.wait()
