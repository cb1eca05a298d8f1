"""Three ways to deliver what players do, for the comparison: when the zone ticks, and how frames are sent.

- `zone`: the server as it is. Everything that everybody does within a tick is one buffer.
- `immediate`: each packet of actions makes a frame of its own, sent to each session at once.
- `session`: each packet of actions makes a frame of its own, queued for each session; what waits there when a
  turn of the loop is over leaves in one gather send. The session batches, and not the zone.

In the latter two a tick is a packet, so a tick number counts frames and not time: a game whose rules ask for
the time (cooldowns, timers) runs faster in them. A client cannot tell in which of the three it plays.

`python -m zonetools.compare.delivery STRATEGY [flags of zoneserver run]` runs such a server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable

from zoneserver.cli.main import main
from zoneserver.config import Config
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.session import Session
from zoneserver.server import ZoneServer
from zoneserver.zone.frame_history import History


class ImmediateGateway(Gateway):
    """Has the zone tick for each packet of actions; the tick loop goes on for players who join and leave."""

    run_tick: Callable[[], object] = bool

    def session_received(self, session: Session, payload: bytes) -> None:
        super().session_received(session, payload)
        if self.has_actions:
            self.run_tick()


class SessionGateway(ImmediateGateway):
    """Also has each session gather what it is sent within a turn of the loop."""

    def make_broadcaster(self, history: History, config: Config, counters: GatewayCounters) -> Broadcaster:
        return GatheringBroadcaster(history, config, counters, self._loop)


class GatheringBroadcaster(Broadcaster):
    """Queues frames, and sends once per turn of the loop."""

    def __init__(
        self, history: History, config: Config, counters: GatewayCounters, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(history, config, counters)
        self._loop = loop
        # Sessions that something was queued for since the last gather sends; those are due while there are any.
        self._gathering: dict[Session, None] = {}

    def _deliver(self, group: BroadcastGroup[Session], data: bytes, first: Iterable[Session]) -> None:
        for session in tuple(group):
            if not self._gathering:
                self._loop.call_soon(self._flush)
            self._gathering[session] = None
            session.queue_bytes(data)

    def _flush(self) -> None:
        gathering, self._gathering = self._gathering, {}
        for session in gathering:
            # An answer to the session meanwhile, or its end, may have taken the queue along.
            if session.waiting_bytes and not session.in_flight:
                self._counters.sends_total += 1
                session.flush()


class ImmediateServer(ZoneServer):
    """A server with one of these gateways."""

    gateway_class = ImmediateGateway

    async def start(self) -> None:
        await super().start()
        assert isinstance(self.gateway, ImmediateGateway)
        self.gateway.run_tick = self.tick_loop.run_tick


class SessionServer(ImmediateServer):
    gateway_class = SessionGateway


SERVERS: dict[str, type[ZoneServer]] = {"zone": ZoneServer, "session": SessionServer, "immediate": ImmediateServer}
"""The servers by the names of their strategies."""


if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[2:]], SERVERS[sys.argv[1]]))
