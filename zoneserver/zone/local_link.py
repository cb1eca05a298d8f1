"""The link between a zone and a gateway that run in one process."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from zoneserver.zone.link import Requests, TickInput, TickOutput
from zoneserver.zone.ticked_zone import TickedZone

__all__ = ["LocalZoneLink"]


class LocalZoneLink:
    """The link of a zone in this process. A snapshot is made from the zone's own world. `first_ref` is above the refs
    of all earlier starts of the zone.

    The tick loop takes the input of each tick from the link, and publishes the output to it.
    """

    def __init__(self, zone: TickedZone, epoch: int = 1, first_ref: int = 1) -> None:
        self.info = zone.info
        self.epoch = epoch
        self.commands = zone.commands
        self.has_room = True
        self.former_tick = zone.world.tick
        self._zone = zone
        self._refs = itertools.count(first_ref)
        self._requests = Requests()
        self._receivers: list[Callable[[TickOutput], None]] = []

    def next_ref(self) -> int:
        return next(self._refs)

    def send(self, requests: Requests) -> None:
        self._requests.add(requests)

    def subscribe(self, receive: Callable[[TickOutput], None]) -> None:
        self._receivers.append(receive)

    def snapshot(self) -> bytes:
        return self._zone.snapshot()

    def take_input(self, unix_seconds: float, dilation_percent: int = 100) -> TickInput:
        """The input of the zone's next tick: everything that was sent since the last one."""
        requests, self._requests = self._requests, Requests()
        return TickInput(self._zone.world.tick + 1, unix_seconds, dilation_percent, requests)

    def publish(self, output: TickOutput) -> None:
        """Hands the output of a tick to every gateway."""
        for receive in self._receivers:
            receive(output)
