"""A gateway as the zone's end of a link knows it."""

from __future__ import annotations

import logging
from typing import Any

from zoneserver.link.messages import Attach
from zoneserver.support.logs import fields

__all__ = ["AttachedGateway"]

log = logging.getLogger(__name__)


class AttachedGateway:
    """What the hub knows of one gateway that has attached, and the lines of the log about it."""

    def __init__(self, message: Attach, peer: str, taken: int, now: float) -> None:
        self.number = message.gateway
        self.name = message.name
        self.peer = peer
        """The way to it; empty while it is away."""
        self.figures = message.figures
        """What it said last about itself, for operators."""
        self.figures_at = self.attached_at = now
        self.taken = taken
        """The number of the newest batch that was handed to the zone."""
        self.taken_at = now
        self.tick = 0
        """The newest tick that it has."""
        self.silent_ticks = 0
        self.lost_at: float | None = None
        """When its lease ended; None while it is there."""
        self.waited_us = 0
        """How long its last batch lay there before the tick was due."""
        self.answered_at = -1
        """The tick after which it was answered last."""
        self.asks_total = 0
        self.resent_total = 0

    def is_here(self, ticks: int) -> bool:
        """Whether the way to it stands, and a batch of it has come within so many ticks."""
        return self.peer != "" and self.silent_ticks <= ticks

    def log_fields(self) -> dict[str, Any]:
        """The fields of a line of the log about this gateway."""
        return fields(gateway=self.name, gateway_number=self.number)

    def report_attached(self) -> None:
        """Logs that the gateway has attached."""
        where, pid = self.figures.get("address") or "no port", self.figures.get("pid", "?")
        log.info("gateway %s attached (pid %s), players at %s", self.name, pid, where, extra=self.log_fields())

    def report_lost(self, parked: int, hz: int) -> None:
        """Logs that the gateway is lost, and how many of its players the zone has parked."""
        who = "its player is" if parked == 1 else f"its {parked:,} players are"
        fate = f"{who} parked until it or they come back" if parked else "no player was left there"
        seconds, told = self.silent_ticks / hz, self.log_fields() | fields(players=parked)
        log.warning("gateway %s is lost: no batch for %.1f s; %s", self.name, seconds, fate, extra=told)
