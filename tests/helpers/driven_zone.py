"""A zone that a test runs tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoneserver.zone.frame_history import History
from zoneserver.zone.link import Join, Requests, TickInput, TickOutput
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

__all__ = ["DrivenZone"]


class DrivenZone(Zone):
    """Collects requests as a gateway does; `step` runs the next tick with them."""

    def __init__(self, rules: Rules, **settings: Any) -> None:
        super().__init__(rules, **settings)
        self.requests = Requests()
        self.history = History(256, self.snapshot)

    def join(self, ref: int, name: str, ticket: bytes = b"", host: str = "127.0.0.1") -> None:
        self.requests.joins.append(Join(ref, name, ticket, host))

    def come(self, ref: int, name: str, token: bytes = b"token", **more: Any) -> None:
        """Joins as a player who may come back; with `claim` they come back."""
        self.requests.joins.append(Join(ref, name, b"", "127.0.0.1", token=token, **more))

    def drop(self, ref: int) -> None:
        self.requests.drops.append(ref)

    def leave(self, ref: int) -> None:
        self.requests.leaves.append(ref)

    def submit(self, ref: int, seq: int, actions: Sequence[tuple[Any, ...]]) -> None:
        self.requests.actions.append((ref, seq, actions))

    def step(self, dilation_percent: int = 100, unix_seconds: float = 0.0) -> TickOutput:
        requests, self.requests = self.requests, Requests()
        output = self.tick(TickInput(self.world.tick + 1, unix_seconds, dilation_percent, requests))
        self.history.append(output.tick, output.frame)
        return output
