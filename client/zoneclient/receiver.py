"""The receiving end of a connection: it keeps messages until the program takes them, and watches over the server."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import Any

from zoneclient.clock import Clock
from zoneclient.errors import ZoneClosedError
from zoneclient.protocol import ClientProtocol
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Bye, Op, Pong, Snapshot, Tick, Welcome, op_of

__all__ = ["MESSAGE_BYTES", "PING_SECONDS", "SILENT_SECONDS_MAX", "Receiver"]

# How many messages, and how many of their bytes, may wait for the program. At these limits reading stops; the server
# then sees a slow client and skips frames for it. So a program that is too slow falls behind, but its memory does not
# grow. Deflated messages wait as they came.
_WAITING_MAX = 64
_WAITING_BYTES_MAX = 4 * 1024 * 1024
MESSAGE_BYTES = 256
"""What a waiting message takes beyond its payload."""
PING_SECONDS = 2.0
"""The client sends a PING this often, unless one is unanswered."""
SILENT_SECONDS_MAX = 30.0
"""A server that sends nothing for so long, not even a PONG, is gone."""
RETURN_SECONDS = 10.0
"""A player who may come back waits shorter, since the server keeps the place for a while only."""
# The messages that wait for the program, in their order. The others are read when they arrive.
_WAITING_OPS = {Op.SNAPSHOT, Op.TICK, Op.REFUSED, Op.TOLD, Op.ANSWERED}

HELD_SECONDS = 5.0
"""How long a connection has to hold, so that the waits before the next return begin anew."""


class Receiver(ClientProtocol):
    """Keeps the messages of a connection until the program takes them."""

    def __init__(self, name: str, ticket: bytes, **settings: Any) -> None:
        super().__init__(name, ticket, **settings)
        # Payloads, and when they arrived.
        self.waiting: deque[tuple[bytes, float]] = deque()
        self.waiting_bytes = 0
        self.arrived = asyncio.Event()
        """Set when something has arrived, and when the connection has ended."""
        self.closed: asyncio.Future[Bye] = self.loop.create_future()
        self.clock: Clock
        """Set by WELCOME."""
        self.is_served = False
        """Whether the server has answered a PING on this connection, some seconds after WELCOME. A server that lets
        everybody in and then fails is not asked more often for it."""
        self._held_at = math.inf
        # When each PING without a PONG was sent, and who waits for the PONG.
        self._pings: dict[int, tuple[float, asyncio.Future[float] | None]] = {}
        self._pings_sent = 0
        self._next_ping: asyncio.TimerHandle | None = None
        # How many regular PINGs in a row have been due without a byte from the server in between.
        self._silent_pings = 0
        # True while reading is paused because too many messages wait.
        self._is_paused = False
        # True after `leave`: messages are dropped.
        self._is_leaving = False

    # --- What arrives -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._silent_pings = 0
        super().data_received(data)

    def on_payload(self, payload: bytes) -> None:
        if op_of(payload) in _WAITING_OPS:
            self._put(payload)
        else:
            super().on_payload(payload)

    def on_deflated(self, payload: bytes) -> None:
        # Inflated, 64 messages could take a gigabyte.
        self._put(payload)

    def on_welcome(self, welcome: Welcome) -> None:
        # uvloop's own time counts whole milliseconds.
        self.clock = Clock(welcome.zone.hz, welcome.tick, time.monotonic())
        self._held_at = time.monotonic() + HELD_SECONDS
        self._ping_again()
        self.arrived.set()

    def on_pong(self, pong: Pong) -> None:
        self.is_served = time.monotonic() >= self._held_at
        sent, waiter = self._pings.pop(pong.token, (None, None))
        if sent is not None:
            now = time.monotonic()
            self.clock.pong_arrived(pong.tick, pong.microseconds, sent, now)
            if waiter is not None and not waiter.done():
                waiter.set_result(now - sent)

    def on_closed(self, bye: Bye) -> None:
        if self._next_ping is not None:
            self._next_ping.cancel()
        self.closed.set_result(bye)
        self.arrived.set()
        for _, waiter in self._pings.values():
            if waiter is not None and not waiter.done():
                waiter.set_exception(ZoneClosedError(*bye))

    # --- What the connection does -----------------------------------------------------------------

    async def answered_ping(self) -> float:
        """Send a PING; return the seconds until its PONG. Raises ZoneClosedError."""
        answer: asyncio.Future[float] = self.loop.create_future()
        token = self._send_ping(answer)
        try:
            return await answer
        finally:
            self._pings.pop(token, None)

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

    def take(self) -> tuple[bytes, float]:
        """Return the oldest waiting payload, and when it arrived."""
        item = self.waiting.popleft()
        self.waiting_bytes -= MESSAGE_BYTES + len(item[0])
        if len(self.waiting) <= _WAITING_MAX // 2 and self.waiting_bytes <= _WAITING_BYTES_MAX // 2:
            self.resume()
        return item

    def newest_tick(self) -> int | None:
        """Return the tick of the newest frame or snapshot that waits; None if none waits. Raises ValueError."""
        for payload, _ in reversed(self.waiting):
            inflated = self.inflate(payload) if op_of(payload) == Op.DEFLATED else payload
            if op_of(inflated) in {Op.SNAPSHOT, Op.TICK}:
                message = decode_server(inflated)
                assert isinstance(message, Snapshot | Tick)
                return message.tick
        return None

    def follow(self, former: Receiver) -> None:
        """Hand out what the lost connection `former` has left, then our WELCOME, then what comes."""
        assert self.welcome is not None
        self.clock.follow(former.clock)
        self._prepend(self.welcome.encode(), time.monotonic())
        for payload, arrived in reversed(former.waiting):
            self._prepend(payload, arrived)
        former._discard()
        # A task that waits for a message waits for one of this connection from now on.
        former.arrived.set()
        self.arrived.set()

    def resume(self) -> None:
        """Continue reading if it is paused."""
        if self._is_paused and not self.is_lost:
            self.transport.resume_reading()
        self._is_paused = False

    def _put(self, payload: bytes) -> None:
        if self._is_leaving:
            return
        self.waiting.append((payload, time.monotonic()))
        self.waiting_bytes += MESSAGE_BYTES + len(payload)
        self.arrived.set()
        if len(self.waiting) >= _WAITING_MAX or self.waiting_bytes >= _WAITING_BYTES_MAX:
            self._pause()

    def _prepend(self, payload: bytes, arrived: float) -> None:
        self.waiting.appendleft((payload, arrived))
        self.waiting_bytes += MESSAGE_BYTES + len(payload)

    def _pause(self) -> None:
        if not self._is_paused and not self.is_lost:
            self._is_paused = True
            self.transport.pause_reading()

    def _discard(self) -> None:
        self.waiting.clear()
        self.waiting_bytes = 0

    def _send_ping(self, waiter: asyncio.Future[float] | None = None) -> int:
        self._pings_sent += 1
        self._pings[self._pings_sent] = time.monotonic(), waiter
        self.ping(self._pings_sent)
        return self._pings_sent

    def _ping_again(self) -> None:
        """Send the next of the regular PINGs, or end the connection to a server that is silent."""
        if self.is_lost or self._is_leaving:
            return
        # While nothing is read, nothing can be heard, and a PONG would come late.
        if not self._is_paused:
            may_return = self.welcome is not None and self.welcome.resume is not None
            patience_seconds = RETURN_SECONDS if may_return else SILENT_SECONDS_MAX
            if self._silent_pings * PING_SECONDS >= patience_seconds:
                text = f"the server has sent nothing for {patience_seconds:g} s"
                self.record_end(Bye(str(CloseReason.CONNECTION_LOST), text, True))
                self.abort()
                return
            self._silent_pings += 1
            if not self._pings:
                self._send_ping()
        self._next_ping = self.loop.call_later(PING_SECONDS, self._ping_again)
