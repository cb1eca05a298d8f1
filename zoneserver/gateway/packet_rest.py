"""The rest between two ticks: while a crowd sends, the process sleeps so that packets collect."""

from __future__ import annotations

import asyncio
import time

from zoneserver.gateway.counters import GatewayCounters

__all__ = ["PacketRest"]

# With at least this many packets per tick, the process sleeps between reads of the sockets: this long at a time,
# and not within the last moment before a tick.
_CROWD_PACKETS = 32
_SLEEP_SECONDS = 0.004
_AWAKE_SECONDS = 0.001


class PacketRest:
    """Sleeps again and again until the next tick is due, if a crowd sends to the gateway with these counters.

    A packet that wakes the process by itself costs about twice as much as one that is read together with others, and
    no packet is needed before the tick.
    """

    def __init__(self, counters: GatewayCounters, loop: asyncio.AbstractEventLoop) -> None:
        self._counters = counters
        self._loop = loop
        self._is_stopped = False
        self._packets_before = 0
        self._connections_before = 0

    def begin(self, due: float) -> None:
        """Begins to rest until a tick is due, by the loop's clock. Called once after each tick."""
        packets = self._counters.packets_in_total
        if packets - self._packets_before >= _CROWD_PACKETS:
            self._loop.call_soon(self._sleep, due)
        self._packets_before = packets

    def stop(self) -> None:
        """Does not sleep any more."""
        self._is_stopped = True

    def _sleep(self, due: float) -> None:
        seconds = min(_SLEEP_SECONDS, due - self._loop.time() - _AWAKE_SECONDS)
        if seconds <= 0 or self._is_stopped:
            return
        connections = self._counters.connections_total
        # One turn of the loop accepts a bounded number of connections, so there is no sleep while new ones arrive.
        if connections == self._connections_before:
            time.sleep(seconds)
        self._connections_before = connections
        self._loop.call_soon(self._sleep, due)
