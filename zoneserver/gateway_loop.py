"""The beat of a gateway process: a batch of requests leaves shortly before each tick of the zone is due."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from zoneserver.admin.cpu_meter import CpuMeter
from zoneserver.admin.tick_times import TickTimes
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.packet_rest import PacketRest
from zoneserver.link.remote_link import RemoteZoneLink
from zoneserver.zone.link import TickOutput

__all__ = ["GatewayLoop"]

# A zone is silent that has sent no tick for so long.
_SILENT_SECONDS = 1.0


class GatewayLoop:
    """Drives the gateway of this process by the ticks of its zone, and by itself while there are none.

    It subscribes to the link behind the gateway.
    """

    def __init__(self, link: RemoteZoneLink, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self.times = TickTimes(link.info.hz * 10)
        self.ticks_total = 0
        self._link = link
        self._gateway = gateway
        self._loop = loop
        self._period = 1 / link.info.hz
        self._timer: asyncio.TimerHandle | None = None
        # Whether a batch has left since the last tick.
        self._has_sent = True
        self._is_stopped = False
        self._rest = PacketRest(gateway.counters, loop)
        self._cpu = CpuMeter(loop.time())
        self._cpu_before = time.process_time()
        self._deflate_before = 0.0
        link.subscribe(self._on_tick)

    def start(self) -> None:
        """Begins to send batches."""
        self._schedule(self._loop.time() + self._period)

    def stop(self) -> None:
        """Sends no further batch by itself."""
        self._is_stopped = True
        self._rest.stop()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def silent_seconds(self) -> float:
        """How long the zone has sent no tick; 0 while it sends them."""
        seconds = time.monotonic() - self._link.heard_at
        return round(seconds, 3) if seconds > _SILENT_SECONDS else 0.0

    def _schedule(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_stopped:
            self._timer = self._loop.call_at(when, self._beat)

    def _beat(self) -> None:
        self._send()
        # The next tick says when the next batch is to leave. Without one, it leaves all the same.
        self._schedule(self._loop.time() + self._period)

    def _send(self) -> None:
        self._has_sent = True
        self._gateway.send_requests()
        self._cpu.sample(self._loop.time())

    def _on_tick(self, output: TickOutput) -> None:
        self.ticks_total += 1
        if not output.is_last:
            return
        deflate = self._gateway.counters.deflate_seconds_total
        deflated, self._deflate_before = deflate - self._deflate_before, deflate
        cpu = time.process_time()
        # The loop's own clock may have whole milliseconds, and both count from one moment.
        fan_out = time.monotonic() - self._link.heard_at - deflated
        self.times.record(max(0.0, cpu - self._cpu_before - fan_out - deflated), 0.0, 0.0, 0.0, deflated, fan_out)
        self._cpu_before = cpu
        if not self._has_sent:
            # The tick was earlier than expected. What has arrived since the last batch is for the next one.
            self._send()
        self._has_sent = False
        leaves = self._link.due - self._link.lead.seconds
        self._schedule(leaves)
        self._rest.begin(leaves)

    def figures(self) -> dict[str, Any]:
        """The figures of ticks and CPU time, by the names that they have in `Stats`."""
        return self.times.figures() | {
            "tick_due_monotonic_s": round(self._link.due, 6),
            "dilation": 1.0,
            "ticks_total": self.ticks_total,
            "ticks_skipped_total": self._link.counters.ticks_missed_total,
            "ticks_failed_total": 0,
            "overruns_total": 0,
            "cpu_percent": self._cpu.percent,
        }
