"""Batched sends: bytes wait in a queue, and one gather send is in flight at a time.

A gather send takes the whole queue; when it completes, the next one takes what was queued meanwhile. The write buffer
of the transport is limited to zero, so `pause_writing` means that the kernel did not take everything and a send is in
flight, and `resume_writing` is its completion. asyncio, uvloop and TLS behave alike in this.

A broadcast may pass the queue: while `is_clear` holds, nothing waits and no send is in flight, and bytes may go to
`kernel_send` directly. What the kernel does not take goes to `send_remainder`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.framing import Framing

__all__ = ["BatchedSender", "KernelSend"]

KernelSend = Callable[[bytes], int]
"""The non-blocking `send` of a socket: how many bytes the kernel took, or OSError."""


class BatchedSender(asyncio.Protocol):
    """The sending half of a session, which says when a connection is over and what that means."""

    __slots__ = (
        *("_limits", "_pending", "_queue", "_queue_bytes", "_transport", "accepted_bytes", "dropped_bytes", "framing"),
        *("in_flight", "kernel_send"),
    )

    def __init__(self, limits: Limits, framing: Framing, kernel_send: KernelSend | None) -> None:
        self.framing = framing
        self.kernel_send = kernel_send
        """Sends past the transport, which must hold nothing then; None where only the transport can send (TLS)."""
        self.in_flight = False
        """True exactly while the transport holds bytes that the kernel has not taken."""
        self.accepted_bytes = 0
        """Bytes that were queued. Code that sends past the queue adds those bytes too."""
        self.dropped_bytes = 0
        """Accepted bytes that never reached the kernel, known once the connection is gone."""
        # Bytes that wait for the send in flight to complete.
        self._queue: list[bytes] = []
        self._queue_bytes = 0
        # The bytes of the send in flight; empty when none is in flight.
        self._pending: list[bytes] = []
        self._limits = limits
        self._transport: asyncio.Transport

    # --- What the session does ----------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the session has ended. It accepts no further bytes."""
        raise NotImplementedError

    def end(self, reason: CloseReason | GameReason, text: str = "") -> None:
        """Ends the session."""
        raise NotImplementedError

    def fail(self, doing: str) -> None:
        """Logs the exception that is being handled, and ends the session."""
        raise NotImplementedError

    def _blocked(self) -> None:
        """`is_clear` no longer holds."""
        raise NotImplementedError

    def _cleared(self) -> None:
        """`is_clear` holds again."""
        raise NotImplementedError

    def _stalled(self) -> None:
        """The kernel did not take everything."""
        raise NotImplementedError

    def _drained(self) -> None:
        """The send in flight is complete."""
        raise NotImplementedError

    def _all_sent(self) -> None:
        """The session is over, and the last byte is sent."""
        raise NotImplementedError

    # --- The queue ----------------------------------------------------------------------------------

    @property
    def is_clear(self) -> bool:
        """Whether bytes may pass the queue: nothing waits in it, and no send is in flight."""
        return not self._queue and not self.in_flight

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the kernel has not taken yet: queued here or in flight."""
        return self._queue_bytes + (self._transport.get_write_buffer_size() if self.in_flight else 0)

    @property
    def sent_bytes(self) -> int:
        """Accepted bytes that the kernel has taken, ever."""
        return self.accepted_bytes - self.dropped_bytes - self.waiting_bytes

    def queue(self, payload: bytes) -> int:
        """Queues a payload for the next gather send. Returns its bytes on the wire.

        Returns 0 when the session is over, or is ended by this very call because too much waits for it.
        """
        return self.queue_bytes(self.framing.wrap(payload))

    def queue_bytes(self, data: bytes) -> int:
        """Queues bytes that have this session's framing already. Returns as `queue` does."""
        if self.is_over:
            return 0
        # The bound is on bytes that wait behind others. A single frame or snapshot, in flight or about to be, is
        # as large as the zone makes it.
        if self._queue and self._queue_bytes + len(data) > self._limits.send_hard_bytes:
            self.end(CloseReason.SLOW_CONSUMER, f"{self.waiting_bytes} bytes wait to be sent")
            return 0
        self.accepted_bytes += len(data)
        self._append(data)
        return len(data)

    def send_remainder(self, data: bytes, taken: int) -> None:
        """Queues and sends the rest of bytes that passed the queue and of which the kernel took only `taken`."""
        self._append(data[taken:])
        self.flush()

    def _append(self, data: bytes) -> None:
        if not self._queue and not self.in_flight:
            self._blocked()
        self._queue.append(data)
        self._queue_bytes += len(data)

    def flush(self) -> None:
        """Hands the whole queue over as one gather send, unless one is in flight."""
        if self.in_flight or not self._queue:
            return
        self._pending, self._queue, self._queue_bytes = self._queue, [], 0
        try:
            # Not `writelines`: in some releases of CPython it does not call `pause_writing` (gh-127655).
            self._transport.write(self._pending[0] if len(self._pending) == 1 else b"".join(self._pending))
        except Exception:
            self.fail("sending")
        if not self.in_flight:
            self._pending = []
            if not self.is_over:
                self._cleared()

    def pause_writing(self) -> None:
        """asyncio: the kernel did not take everything."""
        self.in_flight = True
        if not self.is_over:
            self._stalled()

    def resume_writing(self) -> None:
        """asyncio: the kernel has taken everything. The send in flight is complete."""
        # These come before anything that could fail: a completed send stays complete.
        self.in_flight = False
        self._pending = []
        try:
            unsent = self._transport.get_write_buffer_size()
            assert unsent == 0, f"a send completed with {unsent} bytes unsent"
            if not self.is_over:
                self._drained()
            self.flush()
            if self.is_over and not self.in_flight:
                self._all_sent()
        except Exception:
            self.fail("completing a send")

    def _drop_all(self) -> None:
        """Drops what waits, since the connection is gone.

        A lost transport has dropped its buffer, and how much of it was unsent is unknown. So all bytes of the send in
        flight count as dropped.
        """
        self.dropped_bytes += self._queue_bytes + sum(map(len, self._pending))
        self._queue, self._queue_bytes, self._pending = [], 0, []
        self.in_flight = False
