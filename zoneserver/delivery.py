"""Three ways to deliver what players do, for comparison: when the gateway ticks, and how its round sends.

- `zone`: the gateway as it is. Everything that everybody does within a tick is one buffer.
- `immediate`: each action is a frame of its own, written to each session at once.
- `session`: each action is a frame of its own, queued to each session; what waits there when a turn of
  the loop is over leaves in one gather send. The session batches, and not the zone.

In the latter two a tick is an action, so that a tick number counts frames and not time: a game whose
rules ask for the time (cooldowns, timers) runs faster in them. The frames are numbered without a gap all
the same, and a client cannot tell which of the three it plays in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from zoneserver.config import Config
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import Counters
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.session import Session
from zoneserver.zone.history import History
from zoneserver.zone.zone import Zone

__all__ = ["GATEWAYS"]


class ImmediateGateway(Gateway):
    """Tells everybody of each packet as it comes; the beat goes on for those who join and leave."""

    def session_received(self, session: Session, payload: bytes) -> None:
        super().session_received(session, payload)
        if self._inbox:
            self.tick()


class SessionGateway(ImmediateGateway):
    """The same, but each session gathers what it is told within a turn of the loop."""

    def __init__(self, zone: Zone, config: Config, loop: asyncio.AbstractEventLoop, connections_max: int) -> None:
        super().__init__(zone, config, loop, connections_max)
        self.broadcaster = GatheringBroadcaster(zone.history, config, self.counters, loop)


class GatheringBroadcaster(Broadcaster):
    """A round that queues, and sends once per turn of the loop."""

    def __init__(self, history: History, config: Config, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(history, config, counters)
        self._loop = loop
        # Those for whom something was queued since the last gather sends, which are due while there are any.
        self._gathering: dict[Session, None] = {}

    def _deliver(self, members: BroadcastGroup[Session], data: bytes, first: Iterable[Session]) -> None:
        for session in tuple(members):
            if not self._gathering:
                self._loop.call_soon(self._flush)
            self._gathering[session] = None
            session.enqueue(data)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, {}
        for session in gathering:
            # What a session was told meanwhile, or its end, may have taken the queue along.
            if session.waiting_bytes and not session.in_flight:
                self._counters.sends_total += 1
                session.flush()


GATEWAYS: dict[str, type[Gateway]] = {"zone": Gateway, "session": SessionGateway, "immediate": ImmediateGateway}
"""By the names in `config.DELIVERIES`."""
