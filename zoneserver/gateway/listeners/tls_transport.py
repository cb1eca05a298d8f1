"""The TLS transport: a socket below, a session above, and a TLS stream between them.

It replaces the TLS transports of asyncio and uvloop. Those decrypt everything that has arrived in one turn of the
loop, count nothing but data, and asyncio's keeps buffers of 256 KB for each connection. Here ciphertext waits for
its turn, and the socket is not read meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from zoneserver.config import Limits
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.gateway.listeners.tls_sender import TlsSender
from zoneserver.gateway.listeners.tls_stream import TlsStream
from zoneserver.gateway.listeners.turn_queue import TurnQueue
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason

__all__ = ["TlsTransport"]

# The ciphertext that is read at once.
_READ_BYTES = 4 * 1024
# How many records a client may send for each packet that it may send, in the long run and at once. A client that
# writes without a buffer sends a record for each field.
_RECORDS_PER_PACKET, _RECORDS_PER_PACKET_BURST = 4, 16
# A record without data weighs as much as so many others. Honest clients send a few in a day, to change their keys.
_EMPTY_RECORD_WEIGHT = 64
# The ciphertext that is read and ignored after the end. An honest client has less on its way when it is told.
_DISCARDED_BYTES_MAX = 128 * 1024
# When the deadline of a handshake is checked again that waits for its turn.
_CHECK_AGAIN_SECONDS = 0.1


class TlsTransport(asyncio.Transport):
    """One TLS connection, from accept to the last byte.

    `handshake_ended` is called when the handshake is done, before `connection_made` of the session, and when it
    has failed, before `close_rejected` of the session. The session has at most one send in flight.
    """

    __slots__ = (
        *("_address", "_bucket", "_context", "_deadline", "_discarded_bytes", "_ending", "_handshake_ended"),
        *("_handshakes", "_has_ended", "_is_at_end", "_is_discarding", "_is_lost", "_is_open", "_is_paused"),
        *("_is_peer_done", "_is_reading", "_is_stalled", "_late", "_loop", "_queued_at", "_records"),
        *("_protocol", "_records_per_turn", "_sender", "_session", "_sock", "_stream"),
    )

    def __init__(
        self,
        sock: socket.socket,
        address: tuple[Any, ...],
        context: ssl.SSLContext,
        session: Session,
        limits: Limits,
        handshakes: TurnQueue,
        records: TurnQueue,
        handshake_ended: Callable[[TlsTransport], object],
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._address = address
        self._context = context
        # None once the connection is gone, or another protocol has it.
        self._session: Session | None = session
        # What gets the data: the session, until `set_protocol`; None once the connection is gone.
        self._protocol: asyncio.Protocol | None = session
        self._stream = TlsStream(context)
        self._handshakes = handshakes
        self._records = records
        self._handshake_ended = handshake_ended
        # True once the session knows of the connection.
        self._is_open = False
        # True once the connection is gone, or about to be: nothing is sent or read any more.
        self._is_lost = False

        # True while the loop watches the socket for bytes of the peer.
        self._is_reading = False
        # When the records that have arrived began to wait for their turn; None while none wait.
        self._queued_at: float | None = None
        # True while the session takes no data.
        self._is_paused = False
        # True when the peer has ended its stream by a close_notify.
        self._is_peer_done = False
        # True when nothing further is read.
        self._is_at_end = False
        # True when what the peer sends no longer matters. It is read and ignored, because the kernel resets a
        # connection that is closed with unread bytes, and a reset can overtake the goodbye.
        self._is_discarding = False
        self._discarded_bytes = 0
        self._records_per_turn = limits.frames_per_callback
        packets, burst = limits.frames_per_second, limits.frames_burst
        self._bucket = LeakyBucket(packets * _RECORDS_PER_PACKET, burst * _RECORDS_PER_PACKET_BURST)

        self._sender = TlsSender(self._loop, sock, self._stream, self._drained, self._break)
        # True from `pause_writing` to `resume_writing`.
        self._is_stalled = False
        # What follows when everything is sent; None while the connection goes on.
        self._ending: Callable[[], None] | None = None
        # True once the stream has been ended by a close_notify.
        self._has_ended = False

        # Only the peer's own time counts: the deadline moves while the handshake waits for its turn.
        self._deadline = self._loop.time() + limits.handshake_seconds
        self._late = self._loop.call_at(self._deadline, self._check_deadline)
        self._go_on()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hands the data to another protocol than the session from now on."""
        self._protocol, self._session = cast("asyncio.Protocol", protocol), None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The peername, socket, sslcontext or ssl_object."""
        match name:
            case "socket":
                return self._sock
            case "peername":
                return self._address
            case "sslcontext":
                return self._context
            case "ssl_object":
                return self._stream.ssl_object
        return default

    # --- The handshake ----------------------------------------------------------------------------

    def _check_deadline(self) -> None:
        if self._queued_at is not None:
            self._late = self._loop.call_later(_CHECK_AGAIN_SECONDS, self._check_deadline)
        elif self._loop.time() < self._deadline:
            self._late = self._loop.call_at(self._deadline, self._check_deadline)
        else:
            self.reject(CloseReason.HANDSHAKE_TIMEOUT, "the TLS handshake took too long")

    def reject(self, reason: CloseReason, text: str = "") -> None:
        """Ends a connection whose handshake is not done, at once."""
        session, self._session, self._protocol = self._session, None, None
        assert session is not None and not self._is_open
        self._let_go()
        self._sock.close()
        self._handshake_ended(self)
        session.close_rejected(reason, text)

    def _open(self) -> None:
        assert self._session is not None
        self._is_open = True
        self._late.cancel()
        self._handshake_ended(self)
        self._session.handshake_seconds = max(0.0, self._deadline - self._loop.time())
        self._session.connection_made(self)

    # --- Receiving --------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Hands the session no data until `resume_reading`."""
        self._is_paused = True
        self._unwatch()

    def resume_reading(self) -> None:
        """Hands the session data again, from the next turn of the loop."""
        self._is_paused = False
        self._go_on()

    def is_reading(self) -> bool:
        """Whether the session takes data."""
        return not self._is_paused

    def _go_on(self) -> None:
        """Queues the records that wait. Where there are none, watches the socket for more."""
        if self._is_paused or self._is_at_end or self._queued_at is not None:
            return
        if self._is_peer_done:
            # Not now: this may run within a call of the session.
            self._is_at_end = True
            self._loop.call_soon(self._receive_end)
        elif self._stream.has_record:
            self._queued_at = self._loop.time()
            (self._records if self._is_open else self._handshakes).add(self._read_records)
        elif not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._sock, self._read_ready)

    def _unwatch(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._sock)

    def _read_ready(self) -> None:
        if self._queued_at is not None:
            self._unwatch()  # Earlier records still wait for their turn.
            return
        try:
            ciphertext = self._sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._break(error)
            return
        if not ciphertext:
            self._receive_end()
        elif self._is_discarding:
            self._discarded_bytes += len(ciphertext)
            if self._discarded_bytes > _DISCARDED_BYTES_MAX:
                self._is_at_end = True
                self._unwatch()
        else:
            self._stream.receive(ciphertext)
            self._go_on()

    def _read_records(self) -> None:
        """Takes a turn: hands the session the data of some records."""
        now = self._loop.time()
        assert self._queued_at is not None
        self._deadline += now - self._queued_at
        self._queued_at = None
        if self._is_paused or self._is_lost:
            return
        pieces: list[bytes] = []
        is_flooder, broken = False, None
        try:
            is_flooder = not self._decrypt(pieces, now)
        except ssl.SSLError as error:
            broken = error
        self._send_ciphertext()
        if self._stream.is_open and not self._is_open and not self._is_lost:
            self._open()
        if pieces and self._protocol is not None:
            self._protocol.data_received(b"".join(pieces))
        if broken is not None:
            self._break(broken)
        elif is_flooder and not self._is_lost:
            self._end_flooder()
        self._go_on()

    def _decrypt(self, pieces: list[bytes], now: float) -> bool:
        """Appends the data of some records. Returns False when the peer may not send so many records."""
        for _ in range(self._records_per_turn):
            if not self._stream.has_record:
                break
            data = self._stream.read_record()
            weight = 1 if data or not self._is_open else _EMPTY_RECORD_WEIGHT
            if self._bucket.spend(weight, now) >= 1.0:
                return False
            if not data:
                # Reading it may have cost more than the others.
                self._is_peer_done = data is None
                break
            pieces.append(data)
        return True

    def _end_flooder(self) -> None:
        text = "too many TLS records for what they carry"
        if not self._is_open:
            self.reject(CloseReason.FLOOD, text)
        elif self._session is None:
            self.abort()
        else:
            self._discard()
            self._session.end(CloseReason.FLOOD, text)

    def _receive_end(self) -> None:
        """The peer sends nothing more."""
        self._is_at_end = True
        self._unwatch()
        if self._is_lost:
            return
        if not self._is_open:
            self.reject(CloseReason.CONNECTION_LOST, "the TLS handshake failed: the peer closed the connection")
            return
        assert self._protocol is not None
        if not self._protocol.eof_received():
            self.close()

    def _discard(self) -> None:
        self._is_discarding = True
        self._stream.discard()
        self._go_on()

    # --- Sending ----------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Accepts limits of zero, which always hold."""
        assert not high and not low, "a write buffer that is not limited to zero"

    def get_write_buffer_size(self) -> int:
        """How many bytes of the send in flight the kernel has not taken."""
        return self._sender.waiting_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Begins a send. None may be in flight."""
        if self._is_lost:
            return
        assert not self._has_ended, "written to after the end"
        try:
            self._is_stalled = not self._sender.send(bytes(data))
        except OSError as error:
            self._break(error)
            return
        if self._is_stalled:
            assert self._protocol is not None
            self._protocol.pause_writing()

    def _drained(self) -> None:
        if self._is_stalled:
            assert self._protocol is not None
            self._is_stalled = False
            self._protocol.resume_writing()
        if self._ending is not None:
            self._finish()

    def _send_ciphertext(self) -> None:
        try:
            self._sender.send_ciphertext()
        except OSError as error:
            self._break(error)

    # --- The end ----------------------------------------------------------------------------------

    def can_write_eof(self) -> bool:
        """Returns True."""
        return True

    def write_eof(self) -> None:
        """Ends what is sent, by a close_notify and then the end of the TCP stream. What arrives is ignored."""
        if self._ending is None:
            self._ending = self._shut_down
            self._discard()
            self._finish()

    def is_closing(self) -> bool:
        """Whether the connection is gone, or will be when everything is sent."""
        return self._is_lost or self._ending == self._lose

    def close(self) -> None:
        """Reads nothing more, and closes the connection when everything is sent."""
        if not self.is_closing():
            self._ending = self._lose
            self._is_at_end = True
            self._unwatch()
            self._finish()

    def abort(self) -> None:
        """Drops the connection, with everything unsent."""
        self._lose()

    def _finish(self) -> None:
        """Ends the stream, and does what follows, once everything is sent."""
        if self._is_lost or not self._sender.is_clear:
            return
        if not self._has_ended:
            self._has_ended = True
            self._stream.end()
            self._send_ciphertext()
            if self._is_lost or not self._sender.is_clear:
                return
        if self._ending is not None:
            self._ending()

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:  # The peer closed the connection first.
            self._break(error)

    def _break(self, error: OSError) -> None:
        """Ends a connection that an error of the socket or of TLS has broken."""
        if self._is_open:
            self._lose(error)
        elif not self._is_lost:
            is_tls = isinstance(error, ssl.SSLError)
            reason = CloseReason.PROTOCOL_ERROR if is_tls else CloseReason.CONNECTION_LOST
            self.reject(reason, f"the TLS handshake failed: {getattr(error, 'reason', None) or error}")

    def _lose(self, error: OSError | None = None) -> None:
        if not self._is_lost:
            self._let_go()
            self._loop.call_soon(self._connection_lost, error)

    def _let_go(self) -> None:
        """Leaves the socket to nobody, and drops everything unsent."""
        self._is_lost = self._is_at_end = True
        self._late.cancel()
        self._unwatch()
        self._sender.close()

    def _connection_lost(self, error: OSError | None) -> None:
        # Without this reference the two are in no cycle, so they are freed without the garbage collector.
        protocol, self._protocol, self._session = self._protocol, None, None
        assert protocol is not None
        self._sock.close()
        protocol.connection_lost(error)
