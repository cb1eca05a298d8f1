"""The session: one connection, batched sends, and exactly one end.

A session knows bytes, framing and bounds. It does not know players, ticks or other sessions: its
`SessionHandler` interprets the payloads.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any, cast

from zoneserver.config import Limits
from zoneserver.gateway.batched_sender import BatchedSender, KernelSend
from zoneserver.gateway.session_handler import SessionHandler
from zoneserver.gateway.state import MAY_FOLLOW, SessionState
from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.framing import LENGTH_PREFIX, Framing, PayloadReader
from zoneserver.protocol.messages import Bye
from zoneserver.support.format import format_address
from zoneserver.support.logs import fields

__all__ = ["Session"]

log = logging.getLogger(__name__)

_numbers = itertools.count(1)

# What a closing session still reads and ignores: more than an honest client has on its way when it is told.
_DISCARDED_BYTES_MAX = 128 * 1024
_PEER_CLOSED = "the peer closed the connection"


class Session(BatchedSender):
    """One connection, from accept to the last byte."""

    __slots__ = (
        *("_deferred", "_discarded_bytes", "_handler", "_has_answered", "_is_held", "_linger", "_loop", "_reader"),
        "handshake_seconds",
        *(
            "address",
            "context",
            "host",
            "is_undecided",
            "label",
            "number",
            "overhead_bytes",
            "reason",
            "reason_text",
            "state",
        ),
    )

    def __init__(
        self,
        handler: SessionHandler[Session],
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        kernel_send: KernelSend | None = None,
        framing: Framing = LENGTH_PREFIX,
        address: tuple[Any, ...] = ("?", 0),
    ) -> None:
        super().__init__(limits, framing, kernel_send)
        self.number = next(_numbers)
        """Unique among all sessions of the process, ended ones included."""
        self.state = SessionState.NEW
        self.reason: CloseReason | GameReason | None = None
        """Why the session ended; the first reason wins."""
        self.reason_text = ""
        self._came_from(address)
        self.is_undecided = False
        """Whether the first bytes, which say what the connection is, have not arrived yet."""
        self.handshake_seconds = limits.handshake_seconds
        """How long the client may take until its HELLO is complete. What a TLS handshake took is not in it any more."""
        self.label = ""
        """What the log calls the peer beside its address; the handler may set it."""
        self.context: Any = None
        """An object of the handler's own."""
        self.overhead_bytes = framing.overhead_bytes
        self._handler = handler
        self._loop = loop
        self._reader = framing.reader(limits.client_frame_bytes)
        # True while whole payloads may wait in the reader; the transport's reading is paused then.
        self._deferred = False
        # True while answers are queued that leave when all payloads that arrived together are served.
        self._has_answered = False
        # True while the handler takes no payloads; they wait for `release`.
        self._is_held = False
        self._discarded_bytes = 0
        # Aborts the connection of a closing session that takes too long over its goodbye.
        self._linger: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        who = f"{self.label!r}, {self.address}" if self.label else self.address
        return f"session {self.number} ({who})"

    def log_fields(self, **more: object) -> dict[str, object]:
        """The fields of a log record about this session, for `extra`."""
        return fields(session=self.number, player=self.label, address=self.address, **more)

    def use(self, framing: Framing) -> PayloadReader:
        """Writes and reads with this framing from now on. Returns its reader, which has received nothing yet."""
        self.framing = framing
        self.overhead_bytes = framing.overhead_bytes
        self._reader = framing.reader(self._limits.client_frame_bytes)
        self.is_undecided = False
        return self._reader

    def open_with(self, opening: PayloadReader) -> None:
        """Gives the bytes of a new connection to a reader that finds out which framing the client uses."""
        self._reader = opening
        self.is_undecided = True

    def came_from(self, host: str) -> None:
        """Takes the address that a trusted proxy tells in place of its own."""
        if host != self.host:
            self._came_from((host, 0))

    def identify(self) -> bool:
        """The client is a player, and the address is known. Returns whether the handler lets the session go on."""
        self._handler.session_identified(self)
        return not self.is_over

    # --- State ------------------------------------------------------------------------------------

    def _advance(self, state: SessionState) -> None:
        assert state in MAY_FOLLOW[self.state], f"{state} cannot follow {self.state}"
        self.state = state

    @property
    def is_over(self) -> bool:
        """Whether the session has ended. It accepts no further bytes."""
        return self.reason is not None

    # --- Sending, see `BatchedSender` ---------------------------------------------------------------

    def _blocked(self) -> None:
        self._handler.session_blocked(self)

    def _cleared(self) -> None:
        self._handler.session_cleared(self)

    def _stalled(self) -> None:
        self._handler.session_stalled(self)

    def _drained(self) -> None:
        self._handler.session_drained(self)

    def _all_sent(self) -> None:
        # Not now: this may run within `resume_writing`, where asyncio does not expect a close.
        self._loop.call_soon(self._close_finish)

    def answer(self, payload: bytes) -> int:
        """Queues an answer, within `session_received`: answers to payloads that came together leave in one send."""
        self._has_answered = True
        return self.queue(payload)

    @property
    def socket(self) -> Any | None:
        """The socket, for `socket_options`; None where there is none."""
        return self._transport.get_extra_info("socket")

    # --- Receiving --------------------------------------------------------------------------------

    def accepted(self, address: tuple[Any, ...]) -> bool:
        """Whether the handler accepts this address. A TLS listener calls it before the handshake.

        If the handler rejects it, the session is over. The peer is not told why, since that would take a handshake.
        """
        self._came_from(address)
        objection = self._handler.session_accepted(self)
        if objection is not None:
            self.close_rejected(*objection)
        return objection is None

    def close_rejected(self, reason: CloseReason, text: str = "") -> None:
        """Ends a session whose TLS handshake failed. A listener calls it; it does nothing to an open session."""
        if self.state is SessionState.NEW:
            self._close_lost(reason, text or reason.text)
            self.connection_lost(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is established."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass of it
        # With these limits all bytes that the transport holds are in flight.
        transport.set_write_buffer_limits(high=0, low=0)
        self._advance(SessionState.OPEN)
        try:
            self._handler.session_opened(self)
        except Exception:
            self.fail("opening")

    def _came_from(self, address: tuple[Any, ...]) -> None:
        self.host, port = address[:2]
        # A proxy that tells an address in HTTP tells no port.
        self.address = format_address(self.host, port) if port else self.host
        """Host and port of the peer, for people to read."""

    def data_received(self, data: bytes) -> None:
        """asyncio: some bytes arrived."""
        if self.reason is not None:
            self._discard(len(data))
            return
        limit = self._limits.frames_per_callback
        try:
            payloads = self._reader.receive(data, limit)
            if self._reader.replies:
                self._reply()
            for payload in payloads:
                self._handler.session_received(self, payload)
                if self.reason is not None:
                    return
            if self._has_answered:
                self._has_answered = False
                self.flush()
        except Exception:
            self.fail("handling a packet")
        else:
            if self._reader.error is not None:
                if self._reader.is_ended:
                    self.end(CloseReason.CONNECTION_LOST, _PEER_CLOSED)
                else:
                    self.end(CloseReason.PROTOCOL_ERROR, self._reader.error)
            elif self._is_held or len(payloads) == limit:
                # The reader may hold more whole payloads. All other sessions have a turn before they are served,
                # and nothing further is read meanwhile.
                if not self._deferred:
                    self._deferred = True
                    self._transport.pause_reading()
                if not self._is_held:
                    self._loop.call_soon(self._receive_more)
            elif self._deferred:
                self._deferred = False
                self._transport.resume_reading()

    def _reply(self) -> None:
        """Queues what the framing itself answers, which goes before the answers to the payloads."""
        replies = self._reader.replies
        self._has_answered = True
        self.queue_bytes(b"".join(replies))
        replies.clear()

    def _discard(self, size: int) -> None:
        """Ignores bytes that arrive after the end, and stops reading a peer that sends too many of them."""
        if self._discarded_bytes <= _DISCARDED_BYTES_MAX < self._discarded_bytes + size:
            self._transport.pause_reading()
        self._discarded_bytes += size

    def _receive_more(self) -> None:
        if not self._is_held:
            self.data_received(b"")

    def hold(self) -> None:
        """Stops reading until `release`. The handler calls it within `session_received`.

        Payloads that were read already are still served. Later bytes wait in the kernel, and then at the peer.
        """
        self._is_held = True

    def release(self) -> None:
        """Ends a hold. Waiting payloads are served with the next turn of the loop."""
        if self._is_held:
            self._is_held = False
            if self._deferred:
                self._loop.call_soon(self._receive_more)

    def eof_received(self) -> bool:
        """asyncio: the peer sends nothing more. It counts as gone, even if it still reads."""
        if self.state is SessionState.CLOSING:
            return False  # The peer has read the goodbye, so the transport may close.
        self.end(CloseReason.CONNECTION_LOST, _PEER_CLOSED)
        return True

    # --- The end: begin, notify the handler, drain, finish ------------------------------------------

    def end(self, reason: CloseReason | GameReason, text: str = "") -> None:
        """Ends the session: tells the peer and the handler once, drains, closes. Later calls do nothing."""
        if self.is_over:
            return
        self._close_begin(reason, text or reason.text)
        self._linger = self._loop.call_later(self._limits.linger_seconds, self.abort)
        try:
            # The goodbye goes behind what was queued. The bounds of `queue_bytes` do not matter any more.
            bye = Bye(str(reason), self.reason_text[:200], reason.retry).encode()
            goodbye = self._reader.goodbye(bye, str(reason), reason.retry)
            self.accepted_bytes += len(goodbye)
            self._append(goodbye)
        except Exception:
            log.exception("%r: exception while saying goodbye", self, extra=self.log_fields())
        try:
            self._handler.session_ended(self)
            # Reading goes on, and the bytes are ignored: the kernel resets a connection that is closed with unread
            # bytes, and a reset can overtake the goodbye.
            if self._deferred:
                self._transport.resume_reading()
            self.flush()
            if not self.in_flight:
                self._all_sent()
        except Exception:
            log.exception("%r: exception while ending", self, extra=self.log_fields())
            self._loop.call_soon(self.abort)

    def _close_begin(self, reason: CloseReason | GameReason, text: str) -> None:
        """Sets the state and the reason. `is_over` holds afterwards."""
        self._advance(SessionState.CLOSING)
        self.reason, self.reason_text = reason, text

    def _close_finish(self) -> None:
        """Closes the sending side once everything is sent, and waits for the peer to close its side."""
        if self.state is SessionState.CLOSED:
            return
        if self.reason is CloseReason.CONNECTION_LOST:
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # The peer closed the connection first.
            self._transport.abort()

    def hand_over(self, protocol: asyncio.Protocol, received: bytes) -> None:
        """Gives the connection to a protocol that serves no player, and what was received to that protocol.

        The handler may refuse it; the session then ends. Otherwise the session is of no more use.
        """
        objection = self._handler.session_released(self)
        if objection is not None:
            self.end(*objection)
            return
        self._advance(SessionState.RELEASED)
        self._reader = self.framing.reader(1)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(received)

    def abort(self) -> None:
        """Drops the connection now, with everything unsent."""
        if self.state is not SessionState.CLOSED:
            self._transport.abort()

    def fail(self, doing: str) -> None:
        """Logs the exception that is being handled, and ends this session only."""
        log.exception("%r: exception while %s", self, doing, extra=self.log_fields())
        self.end(CloseReason.INTERNAL_ERROR)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is gone."""
        if self._linger is not None:
            self._linger.cancel()
        if not self.is_over:
            self._close_lost(CloseReason.CONNECTION_LOST, f"{exc}" if exc else CloseReason.CONNECTION_LOST.text)
        self._drop_all()
        self._advance(SessionState.CLOSED)
        # An opening has the session: without this reference the two are in no cycle.
        self._reader = self.framing.reader(1)
        self._close_notify(self._handler.session_gone)

    def _close_lost(self, reason: CloseReason | GameReason, text: str) -> None:
        """Ends the session when there is no peer to tell."""
        self._close_begin(reason, text)
        self._close_notify(self._handler.session_ended)

    def _close_notify(self, callback: Callable[[Session], None]) -> None:
        """Calls the handler when the session is over already, so an exception of the handler is only logged."""
        try:
            callback(self)
        except Exception:
            log.exception("%r: exception after the connection was lost", self, extra=self.log_fields())
