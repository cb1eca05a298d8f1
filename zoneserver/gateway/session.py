"""The session: one connection, batched sends, and exactly one end.

The core of the lesson that this project grew from: what is to be sent waits in a queue; one gather
send is in flight at a time and takes the whole queue over; its completion takes what came
meanwhile. On asyncio a transport whose write buffer is limited to zero says all that is needed:
`pause_writing` means that the kernel did not take everything, so a send is in flight, and
`resume_writing` is its completion; asyncio, uvloop and TLS behave alike in this.

Frames come by a round (`round`), past the queue: as long as nothing waits and no send is in flight the
kernel takes them directly, and what it does not take is then the first thing in the queue.

A session knows bytes, frames and bounds. What the frames mean is its owner's affair (`SessionHandler`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any, Protocol, cast

from zoneserver.config import Limits
from zoneserver.gateway.broadcast_group import BroadcastGroup, KernelSend, never_ready
from zoneserver.gateway.flood import FloodGuard
from zoneserver.gateway.state import MAY_FOLLOW, State
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.framing import Deframer, frame
from zoneserver.protocol.messages import Bye
from zoneserver.support.logs import fields
from zoneserver.support.process import address_text

__all__ = ["Session", "SessionHandler"]

log = logging.getLogger(__name__)

_numbers = itertools.count(1)

# What a session that is over still reads: more than any honest client has on its way when it is told.
_DISCARDED_BYTES_MAX = 128 * 1024


class SessionHandler(Protocol):
    """Whom a session tells what happens to it."""

    def session_accepted(self, session: Session) -> CloseReason | None:
        """A connection is to shake hands by TLS, before it stands; what there is against that."""

    def session_opened(self, session: Session) -> None:
        """The connection stands."""

    def session_received(self, session: Session, payload: bytes) -> None:
        """One whole frame arrived. What is queued in answer leaves with the answers to those beside it."""

    def session_stalled(self, session: Session) -> None:
        """The kernel did not take everything: a send is in flight from now on."""

    def session_drained(self, session: Session) -> None:
        """That send is complete. What the owner queues now leaves in the next gather send."""

    def session_ended(self, session: Session) -> None:
        """The session is over, for `session.reason`. Said exactly once, before `session_gone`."""

    def session_gone(self, session: Session) -> None:
        """The connection is gone and its descriptor free. Said exactly once, last of all."""


class Session(asyncio.Protocol):
    """One connection of one player, from accept to the last byte."""

    __slots__ = (
        *("_deferred", "_deframer", "_discarded_bytes", "_has_answered", "_is_held", "_kernel_send", "_limits"),
        *("_linger", "_loop", "_own_bytes", "_owner", "_pending", "_queue", "_queue_bytes", "_transport"),
        *("address", "dropped_bytes", "guard", "host", "in_flight", "name", "number", "opened_at"),
        *("reason", "reason_text", "refusals_total", "round", "seq", "state", "wants_deflate"),
    )

    def __init__(
        self,
        owner: SessionHandler,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        kernel_send: KernelSend = never_ready,
    ) -> None:
        self.number = next(_numbers)
        """Tells this session from all others of the process; never used again."""
        self.state = State.NEW
        self.reason: CloseReason | None = None
        """Why it ended; the first reason wins."""
        self.reason_text = ""
        self.host = ""
        self.address = ""
        """Host and port of the peer, for people to read."""
        # For the owner alone: the session neither reads nor writes these six.
        self.name = ""
        self.seq = 0
        self.guard: FloodGuard | None = None
        self.opened_at = 0.0
        self.refusals_total = 0
        self.wants_deflate = False

        self.in_flight = False
        """True exactly while the transport holds bytes that the kernel has not taken."""
        self.round: BroadcastGroup[Session] | None = None
        """Where its frames come from; None while it gets none."""
        # Bytes accepted otherwise than by the round that it is in.
        self._own_bytes = 0
        self.dropped_bytes = 0
        """Bytes of those that never reached the kernel, known once the connection is gone."""
        # What waits for the send in flight to complete.
        self._queue: list[bytes] = []
        self._queue_bytes = 0
        # What was handed to the transport by the send in flight; empty when none is.
        self._pending: list[bytes] = []

        self._owner = owner
        self._limits = limits
        self._loop = loop
        # Past the transport, which then must hold nothing.
        self._kernel_send = kernel_send
        self._deframer = Deframer(limits.client_frame_bytes)
        self._transport: asyncio.Transport
        # True while whole frames may wait in the deframer; reading is paused so long.
        self._deferred = False
        # True while answers are queued that leave when all that arrived with what they answer is served.
        self._has_answered = False
        # True while the owner wants to hear nothing more; they then wait for `release`.
        self._is_held = False
        # Bytes that came after the end.
        self._discarded_bytes = 0
        # Aborts the connection of a closing session that takes too long over its goodbye.
        self._linger: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<session {self.number} {self.name!r} from {self.address}, {self.state.value}>"

    def log_fields(self, **more: object) -> dict[str, object]:
        """Who it is, and more, for the `extra` of a log call."""
        return fields(session=self.number, player=self.name, address=self.address, **more)

    # --- State ------------------------------------------------------------------------------------

    def advance(self, state: State) -> None:
        """The one place where the state changes."""
        assert state in MAY_FOLLOW[self.state], f"{state} cannot follow {self.state}"
        self.state = state

    @property
    def is_over(self) -> bool:
        """Whether the session has ended: nothing it is given is sent any more."""
        return self.reason is not None

    @property
    def accepted_bytes(self) -> int:
        """Bytes that `send`, `enqueue` and its rounds took, ever."""
        return self._own_bytes + (0 if self.round is None else self.round.bytes_total)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the send in flight that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self.in_flight else 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes accepted but not taken by the kernel yet: queued here or in flight."""
        return self._queue_bytes + self.in_flight_bytes

    @property
    def sent_bytes(self) -> int:
        """Bytes the kernel has taken, ever."""
        return self.accepted_bytes - self.dropped_bytes - self.waiting_bytes

    # --- Sending ----------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """Queues `data` and sends whatever waits, unless a send is in flight already.

        False when the session is over, or is ended by this very call because too much waits for it.
        """
        if not self.enqueue(data):
            return False
        self.flush()
        return True

    def enqueue(self, data: bytes) -> bool:
        """Queues `data` for the next gather send. False as for `send`."""
        if self.is_over:
            return False
        # The bound is on what comes to wait behind something: a frame or a snapshot by itself, in flight
        # or about to be, is as large as the zone makes it.
        if self._queue and self._queue_bytes + len(data) > self._limits.send_hard_bytes:
            self.end(CloseReason.SLOW_CONSUMER, f"{self.waiting_bytes} bytes wait to be sent")
            return False
        self._own_bytes += len(data)
        self._append(data)
        return True

    def _append(self, data: bytes) -> None:
        self._queue.append(data)
        self._queue_bytes += len(data)
        if self.round is not None:
            # No frame overtakes what waits.
            self.round.route(self, never_ready)

    def enter(self, round_: BroadcastGroup[Session] | None) -> None:
        """Gets its frames from this round from now on, or from none. What waits comes first."""
        if self.round is not None:
            self.round.remove(self)
        accepted_bytes, self.round = self.accepted_bytes, round_
        self._own_bytes += accepted_bytes - self.accepted_bytes
        if round_ is not None:
            round_.route(self, never_ready if self._queue or self.in_flight else self._kernel_send)

    def send_remainder(self, data: bytes, taken: int) -> None:
        """For its round: of this frame the kernel took so many bytes. The rest goes behind what waits."""
        self._append(data[taken:])
        self.flush()

    def answer(self, data: bytes) -> bool:
        """For the owner, within `session_received`: queues `data`, for one gather send with the answers to
        all that arrived together. False as for `send`."""
        self._has_answered = True
        return self.enqueue(data)

    def flush(self) -> None:
        """Hands the whole queue over as one gather send, unless one is in flight."""
        if self.in_flight or not self._queue:
            return
        self._pending, self._queue, self._queue_bytes = self._queue, [], 0
        try:
            # Not `writelines`: CPython's forgets to pause us in some releases (gh-127655), and joins
            # the list by itself in others.
            self._transport.write(self._pending[0] if len(self._pending) == 1 else b"".join(self._pending))
        except Exception:
            self.fail("it was sent to")
        if not self.in_flight:
            self._pending = []
            if self.round is not None:
                self.round.route(self, self._kernel_send)

    def pause_writing(self) -> None:
        """asyncio: the kernel did not take everything."""
        self.in_flight = True
        if not self.is_over:
            self._owner.session_stalled(self)

    def resume_writing(self) -> None:
        """asyncio: the kernel has taken everything. The completion of the send in flight."""
        # The pending list is given up before anything that could fail: what was sent stays sent.
        self.in_flight = False
        self._pending = []
        try:
            unsent = self._transport.get_write_buffer_size()
            assert unsent == 0, f"a send completed with {unsent} bytes unsent"
            if not self.is_over:
                self._owner.session_drained(self)
            self.flush()
            if self.state is State.CLOSING and not self.in_flight:
                self._loop.call_soon(self._finish)
        except Exception:
            self.fail("its send completed")

    @property
    def socket(self) -> Any | None:
        """What `sockets` can ask, and tell, about the connection; None where there is no socket."""
        return self._transport.get_extra_info("socket")

    # --- Receiving --------------------------------------------------------------------------------

    def accepted(self, address: tuple[Any, ...]) -> bool:
        """For the door: somebody from this address wants to shake hands by TLS. False: it is over already.
        Nothing could be said before the handshake, and that is what it would cost to say why."""
        self._came_from(address)
        against = self._owner.session_accepted(self)
        if against is not None:
            self.not_opened(against)
        return against is None

    def not_opened(self, reason: CloseReason, text: str = "") -> None:
        """For the door: the handshake failed, and the connection is gone. Nothing if it stood already."""
        if self.state is State.NEW:
            self._lose(reason, text or reason.text)
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        self._transport = transport
        # Whatever is held back is in flight. Both loops pause TLS at the limit, and everything else beyond it.
        transport.set_write_buffer_limits(high=0 if transport.get_extra_info("sslcontext") is None else 1, low=0)
        self._came_from(transport.get_extra_info("peername") or ("?", 0))
        self.advance(State.HANDSHAKE)
        try:
            self._owner.session_opened(self)
        except Exception:
            self.fail("it was opened")

    def _came_from(self, address: tuple[Any, ...]) -> None:
        self.host, port = address[:2]
        self.address = address_text(self.host, port)

    def data_received(self, data: bytes) -> None:
        """asyncio: some bytes arrived."""
        if self.reason is not None:
            self._discard(len(data))
            return
        limit = self._limits.frames_per_callback
        try:
            payloads = self._deframer.receive(data, limit)
            for payload in payloads:
                self._owner.session_received(self, payload)
                if self.reason is not None:
                    return
            if self._has_answered:
                self._has_answered = False
                self.flush()
        except Exception:
            self.fail("it was served")
        else:
            if self._deframer.error is not None:
                self.end(CloseReason.PROTOCOL_ERROR, self._deframer.error)
            elif self._is_held or len(payloads) == limit:
                # There may be more whole frames. Everybody else has a turn before they are served,
                # and nothing further is read meanwhile.
                if not self._deferred:
                    self._deferred = True
                    self._transport.pause_reading()
                if not self._is_held:
                    self._loop.call_soon(self._receive_rest)
            elif self._deferred:
                self._deferred = False
                self._transport.resume_reading()

    def _discard(self, size: int) -> None:
        """Throws away what comes after the end; whoever sends on and on is not read any more."""
        if self._discarded_bytes <= _DISCARDED_BYTES_MAX < self._discarded_bytes + size:
            self._transport.pause_reading()
        self._discarded_bytes += size

    def _receive_rest(self) -> None:
        if not self._is_held:
            self.data_received(b"")

    def hold(self) -> None:
        """For the owner, within `session_received`: what is read already is still served, and nothing
        more before `release`. The peer's bytes wait in the kernel, and at last in the peer."""
        self._is_held = True

    def release(self) -> None:
        """Ends a hold; what waits is served with the next turn of the loop."""
        if self._is_held:
            self._is_held = False
            if self._deferred:
                self._loop.call_soon(self._receive_rest)

    def eof_received(self) -> bool:
        """asyncio: the peer sends nothing more. It has left, whether or not it can still read."""
        if self.state is State.CLOSING:
            return False  # The peer has read our goodbye: the transport may close at last.
        self.end(CloseReason.CONNECTION_LOST, "the peer closed the connection")
        # By TLS a connection cannot stay half open.
        return self._transport.get_extra_info("sslcontext") is None

    # --- The end ----------------------------------------------------------------------------------

    def end(self, reason: CloseReason, text: str = "") -> None:
        """Ends the session: tells the peer, tells the owner once, drains, closes. Later calls do nothing."""
        if self.is_over:
            return
        self._be_over(reason, text or reason.text)
        # The goodbye goes behind what was queued; the bounds that `enqueue` keeps do not matter any more.
        goodbye = frame(Bye(str(reason), self.reason_text[:200], reason.retry).encode())
        self._own_bytes += len(goodbye)
        self._append(goodbye)
        self._linger = self._loop.call_later(self._limits.linger_seconds, self.abort)
        try:
            self._owner.session_ended(self)
            # Reading goes on, into the void: a socket that is closed with unread bytes in it resets
            # the connection, and a reset can overtake the goodbye.
            if self._deferred:
                self._transport.resume_reading()
            self.flush()
            if not self.in_flight:
                # Not now: we may be within `resume_writing`, where asyncio does not expect to be closed.
                self._loop.call_soon(self._finish)
        except Exception:
            log.exception("%r failed when it was ended", self, extra=self.log_fields())
            self._loop.call_soon(self.abort)

    def _be_over(self, reason: CloseReason, text: str) -> None:
        """From here on `is_over` holds, and no frame comes any more."""
        self.advance(State.CLOSING)
        self.reason, self.reason_text = reason, text
        self.enter(None)

    def _finish(self) -> None:
        """Everything is sent: says so, and waits for the peer to close its side."""
        if self.state is State.CLOSED:
            return
        if not self._transport.can_write_eof() or self.reason is CloseReason.CONNECTION_LOST:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # The peer was faster: its side is closed already.
            self._transport.abort()

    def abort(self) -> None:
        """Drops the connection now, whatever is unsent."""
        if self.state is not State.CLOSED:
            self._transport.abort()

    def fail(self, when: str) -> None:
        """For an exception that is being handled: logs it, and ends this session and no other."""
        log.exception("%r failed when %s", self, when, extra=self.log_fields())
        self.end(CloseReason.INTERNAL_ERROR)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone, for whatever cause."""
        if self._linger is not None:
            self._linger.cancel()
        if not self.is_over:
            self._lose(CloseReason.CONNECTION_LOST, f"{exc}" if exc else CloseReason.CONNECTION_LOST.text)
        # A transport that is gone has dropped its buffer; what was unsent is then no longer known
        # exactly, and all that was handed over last counts as dropped.
        self.dropped_bytes += self._queue_bytes + sum(map(len, self._pending))
        self._queue, self._queue_bytes, self._pending = [], 0, []
        self.in_flight = False
        self.advance(State.CLOSED)
        self._tell(self._owner.session_gone)

    def _lose(self, reason: CloseReason, text: str) -> None:
        """It is over, and nobody is there to be told but the owner."""
        self._be_over(reason, text)
        self._tell(self._owner.session_ended)

    def _tell(self, callback: Callable[[Session], None]) -> None:
        """For what is said when nothing can be ended any more: a failure of the owner stays its own."""
        try:
            callback(self)
        except Exception:
            log.exception("%r failed when its connection was lost", self, extra=self.log_fields())
