"""The gateway: sessions on one side, the zone on the other, and one buffer a tick between them.

It admits players, hands their actions to the zone, and has the frame go round (`fanout`). What a
client may send is bounded here, before anybody else pays for it: by address (`pending`) and by session
(`guard`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from zoneserver.admin.session_list import SessionDirectory
from zoneserver.admin.stats import SessionList
from zoneserver.config import Config
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import Counters, TickTimes
from zoneserver.gateway.flood import FloodGuard, PenaltyLevel
from zoneserver.gateway.handshake import PendingConnections
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import State
from zoneserver.protocol.codes import ORDINARY_CLOSES, CloseReason, RefusalCode
from zoneserver.protocol.decoding import WireError, decode_act, decode_client
from zoneserver.protocol.framing import HEADER_BYTES, frame
from zoneserver.protocol.messages import (
    ACTIONS_PER_PACKET,
    DEFLATE,
    PROTOCOL_VERSION,
    Goodbye,
    Hello,
    Op,
    Ping,
    Pong,
    Refusal,
    Welcome,
    op_of,
)
from zoneserver.protocol.names import NAME_TEXT, is_name
from zoneserver.zone.ticket_verifier import TicketVerifier
from zoneserver.zone.zone import TickResult, Zone

__all__ = ["Gateway"]

log = logging.getLogger(__name__)

# So many packets are read before the tick asks for them: a bound on memory, and on the tick.
_INBOX_PACKETS_MAX = 1024
_ACT, _PLAYING = int(Op.ACT), State.PLAYING

# The longest that one tick moves our clock. While the process was stopped, or the tick took for ever,
# nobody could reach us: that time counts against nobody.
_STEP_SECONDS_MAX = 1.0
# What the packet of an ordinary action takes.
_BYTES_PER_ACTION = 16
# Kicks after which nobody else from that address is wanted for a while.
_BANNING = {CloseReason.FLOOD, CloseReason.PROTOCOL_ERROR}


class Gateway:
    """Owns the sessions of one zone; implements `session.Owner`."""

    def __init__(self, zone: Zone, config: Config, loop: asyncio.AbstractEventLoop, connections_max: int) -> None:
        self.zone = zone
        self.counters = Counters()
        self.times = TickTimes(config.hz * 10)
        self.players_peak = 0
        self._config = config
        self._limits = config.limits
        self._loop = loop
        self._connections: set[Session] = set()
        # Admitted sessions by the number under which the zone knows them, and by name.
        self._players: dict[int, Session] = {}
        self._names: dict[str, Session] = {}
        # Sessions that are not read before the next tick.
        self._held: set[Session] = set()
        self.pending = PendingConnections(config, self.counters, connections_max)
        # Who wants in goes through it; None: anyone may.
        self._verifier = TicketVerifier(config.secret, zone.name) if config.secret else None
        self.broadcaster = Broadcaster(zone.history, config, self.counters)
        self._roster = SessionDirectory(zone)
        # Our clock, in seconds: the loop's as of the tick, but for the times when we were stopped.
        self._now = 0.0
        self._ticked_at = loop.time()
        # Every so many ticks it is seen whose time is up.
        self._expire_ticks = max(1, config.hz // 4)
        self._cpu_before = time.process_time()
        # ACT packets as they came, for the tick to read.
        self._inbox: list[tuple[Session, bytes]] = []
        # Whose actions the next tick takes: they see its frame first.
        self._acting: dict[Session, None] = {}
        # Set while nobody is connected: what a shutdown waits for.
        self._empty = asyncio.Event()
        self._empty.set()
        self._is_stopping = False
        # What each message means, and in which states a client may send it. ACT is not among them: where
        # it may be sent, it goes by way of the inbox.
        self._handlers: dict[type, tuple[Callable[[Session, Any], None], tuple[State, ...]]] = {
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

    def sessions(self, sort: str, limit: int) -> SessionList:
        """The first few players by one figure, and who went last. Raises ValueError as `Roster.listing` does."""
        return self._roster.listing(self._players.values(), self.broadcaster, self._loop.time(), sort, limit)

    # --- What sessions say (session.Owner) --------------------------------------------------------

    def session_accepted(self, session: Session) -> CloseReason | None:
        session.opened_at = self._loop.time()
        return self.pending.count(session, self._now)

    def session_opened(self, session: Session) -> None:
        session.opened_at = self._loop.time()
        self._connections.add(session)
        self._empty.clear()
        if self._is_stopping:
            # It was accepted while the listener closed.
            self.pending.count(session, self._now)
            session.end(CloseReason.SERVER_STOPPING)
        else:
            self.pending.enter(session, len(self._connections), self._now)

    def session_received(self, session: Session, payload: bytes) -> None:
        size = len(payload) + HEADER_BYTES
        self.counters.packets_in_total += 1
        self.counters.bytes_in_total += size
        guard = session.guard
        if guard is not None:
            if guard.frame(size, self._now):
                self._restrain(session, guard)
            if guard.standing:
                # From the brim on it is read once a tick, and the flood backs up to where it comes from.
                session.hold()
                self._held.add(session)
        # What players do is for the tick to read: a hundred packets decoded in a row cost less than each
        # at its own moment, between two calls of the kernel.
        if op_of(payload) == _ACT and session.state is _PLAYING:
            self._inbox.append((session, payload))
            if len(self._inbox) >= _INBOX_PACKETS_MAX:
                self.read_inbox()
        elif session.reason is None:
            self._read(session, payload)

    def _restrain(self, session: Session, guard: FloodGuard) -> None:
        """A session has come to stand worse with its guard than before: tells it, or ends it."""
        if guard.standing is PenaltyLevel.OUT:
            session.end(guard.reason, guard.text)
            return
        code = RefusalCode.WARNED if guard.standing is PenaltyLevel.WARNED else RefusalCode.MUTED
        self.counters.restraints[code] += 1
        # The code is part of the format, so that each has its own share of the lines of a second.
        told = session.log_fields(code=str(code), reason=guard.text)
        log.info(f"{code}: %r, %s", session, guard.text, extra=told)
        self._tell(session, frame(Refusal(self.broadcaster.tick, 0, code, guard.text).encode()), now=True)

    def read_inbox(self) -> None:
        """Reads the ACT packets that have come; every tick begins with it."""
        inbox, self._inbox = self._inbox, []
        for session, payload in inbox:
            if session.reason is None:
                try:
                    self._act(session, len(payload), *decode_act(payload))
                except WireError as error:
                    session.end(CloseReason.PROTOCOL_ERROR, str(error))
                except Exception:
                    session.fail("what it did was read")

    def _read(self, session: Session, payload: bytes) -> None:
        try:
            message = decode_client(payload)
        except WireError as error:
            session.end(CloseReason.PROTOCOL_ERROR, str(error))
            return
        handle, states = self._handlers.get(type(message), (None, ()))
        if handle is not None and session.state in states:
            handle(session, message)
        else:
            what = type(message).__name__.upper()
            session.end(CloseReason.PROTOCOL_ERROR, f"{what} while in {session.state.value}")

    def session_stalled(self, session: Session) -> None:
        self.broadcaster.stalled(session, self._now)

    def session_drained(self, session: Session) -> None:
        self.broadcaster.drained(session, self._now)

    def session_ended(self, session: Session) -> None:
        assert session.reason is not None
        self.counters.closes[str(session.reason)] += 1
        level = logging.DEBUG if session.reason in ORDINARY_CLOSES else logging.INFO
        told = session.log_fields(code=str(session.reason), reason=session.reason_text)
        log.log(level, f"{session.reason}: %r, %s", session, session.reason_text, extra=told)
        self._roster.ended(session, self._loop.time())
        self.pending.leave(session)
        self.broadcaster.leave(session)
        # Only who was in is thrown out. Anything may knock: a page can have its visitor's browser do it.
        if session.reason in _BANNING and session.guard is not None:
            self.pending.ban(session, session.reason_text, self._now)
        if self._players.pop(session.number, None) is not None:
            self.zone.leave(session.number)
            del self._names[session.name]

    def session_gone(self, session: Session) -> None:
        self._connections.discard(session)
        self.pending.gone(session, self._now)
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
        name = hello.name
        if not is_name(name):
            session.end(CloseReason.BAD_NAME, NAME_TEXT)
            return
        if self._verifier is not None:
            objection = self._verifier.objection(name, hello.ticket, time.time())
            if objection is not None:
                session.end(CloseReason.BAD_TICKET, objection)
                return
        namesake = self._names.get(name)
        if namesake is not None:
            if self._verifier is None and namesake.host != session.host:
                # Without a ticket anybody could throw out anybody by calling himself the same.
                session.end(CloseReason.BAD_NAME, "somebody at another address has this name")
                return
            namesake.end(CloseReason.REPLACED)
        if len(self._players) >= self._config.max_players:
            session.end(CloseReason.SERVER_FULL)
            return
        if self._verifier is not None:
            self._verifier.redeem(hello.ticket)
        session.name = name
        session.wants_deflate = DEFLATE in hello.encodings
        session.guard = FloodGuard(self._limits, self.pending.shared(session))
        session.advance(State.JOINING)
        self.pending.leave(session)
        self._players[session.number] = session
        self._names[session.name] = session
        self.players_peak = max(self.players_peak, len(self._players))
        self.zone.join(session.number, session.name)

    def _act(self, session: Session, size: int, seq: int, actions: Sequence[tuple[Any, ...]]) -> None:
        if seq <= session.seq:
            session.end(CloseReason.PROTOCOL_ERROR, f"sequence {seq} after {session.seq}")
            return
        session.seq = seq + len(actions) - 1
        self.counters.actions_in_total += len(actions)
        guard = session.guard
        assert guard is not None
        # Everybody is told of it, so its length counts too.
        count = max(len(actions), size // _BYTES_PER_ACTION)
        if guard.actions(count, self._now):
            self._restrain(session, guard)
        if guard.standing >= PenaltyLevel.MUTED:
            # It has been told so once; that it goes on does not help it.
            if session.reason is None and guard.ignored(self._now):
                self._restrain(session, guard)
        elif not guard.admits(count, self._now):
            # It may be that only others at its address do: that does not count against it.
            self._refuse_all(session, seq, "too much comes from this address", counts=False)
        elif self.zone.submit(session.number, seq, actions):
            self._acting[session] = None
        else:
            self._refuse_all(session, seq, "wait for the tick")

    def _refuse_all(self, session: Session, seq: int, text: str, counts: bool = True) -> None:
        """Refuses all actions from `seq` on to the session's newest."""
        for number in range(seq, session.seq + 1):
            refusal = Refusal(self.broadcaster.tick, number, RefusalCode.TOO_MANY_ACTIONS, text)
            self._refuse(session, refusal, counts=counts)
        session.flush()

    def _ping(self, session: Session, ping: Ping) -> None:
        data = frame(Pong(ping.token, self.broadcaster.tick).encode())
        if session.answer(data):
            self.counters.bytes_out_total += len(data)

    def _goodbye(self, session: Session, _goodbye: Goodbye) -> None:
        session.end(CloseReason.CLIENT_LEFT)

    # --- The tick ---------------------------------------------------------------------------------

    def tick(self, dilation_percent: int = 100) -> float:
        """Runs one tick of the zone and hands everything out; returns the seconds it took."""
        loop_now = self._loop.time()
        self._now += min(loop_now - self._ticked_at, _STEP_SECONDS_MAX)
        self._ticked_at = loop_now
        began = time.perf_counter()
        self.read_inbox()
        cpu, started = time.process_time(), time.perf_counter()
        self.zone.advance()
        ruled = time.perf_counter()
        result = self.zone.encode(dilation_percent)
        encoded = time.perf_counter()
        for ref, refusal, is_violation in result.refused:
            if ref in self._players:
                self._refuse(self._players[ref], refusal, is_violation)
        deflate_before = self.counters.deflate_seconds_total
        acting, self._acting = self._acting, {}
        self.broadcaster.send(result.records, self._now, acting)
        self._admit(result)
        self._expire(result.tick)
        held, self._held = self._held, set()
        for session in held:
            session.release()
        done = time.perf_counter()
        deflate = self.counters.deflate_seconds_total - deflate_before
        self.times.record(cpu - self._cpu_before, ruled - started, encoded - ruled, deflate, done - encoded - deflate)
        self._cpu_before = time.process_time()
        return done - began

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
                (DEFLATE,) if session.wants_deflate else (),
            )
            session.advance(State.PLAYING)
            self.counters.joins_total += 1
            self._tell(session, frame(welcome.encode()), now=True)
            self.broadcaster.join(session, self._now)
            session.flush()

    def _expire(self, tick: int) -> None:
        """Ends the sessions whose time is up: slow to say HELLO, or behind for too long."""
        self.pending.expire(self._now)
        if tick % self._expire_ticks == 0:
            self.broadcaster.expire(self._now)

    def _refuse(self, session: Session, refusal: Refusal, is_violation: bool = False, counts: bool = True) -> None:
        self.counters.refusals[refusal.code] += 1
        session.refusals_total += 1
        self._tell(session, frame(refusal.encode()))
        guard = session.guard
        assert guard is not None
        if counts and guard.refused(refusal.code, is_violation, self._now):
            self._restrain(session, guard)
        if guard.is_address_out(self._now):
            self.pending.ban(session, "too many actions from there are refused", self._now)

    def _tell(self, session: Session, data: bytes, *, now: bool = False) -> None:
        """Queues something for one session; it leaves with the next frame, or now."""
        if session.send(data) if now else session.enqueue(data):
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
