"""The players whose connection is lost and who may come back, as the gateway remembers them."""

from __future__ import annotations

from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.support.addresses import is_same_network

__all__ = ["Parked"]


class Parked:
    """The flood guards of parked players, by ref: who comes back gains nothing by it. The zone decides how long."""

    def __init__(self) -> None:
        self._guards: dict[int, tuple[FloodGuard, str]] = {}
        self._leaving: list[int] = []

    def __len__(self) -> int:
        """The number of parked players."""
        return len(self._guards)

    def add(self, ref: int, guard: FloodGuard, host: str) -> None:
        """Parks a player who was connected from this address."""
        self._guards[ref] = guard, host

    def take(self, ref: int) -> FloodGuard | None:
        """The guard of a player who comes back; None for one who was parked elsewhere."""
        guard, _ = self._guards.pop(ref, (None, ""))
        return guard

    def forget(self, ref: int) -> None:
        """The player has left the zone."""
        self._guards.pop(ref, None)

    def ban(self, host: str) -> None:
        """Lets the players leave who were connected from the network of this address."""
        for ref, (_, parked_host) in list(self._guards.items()):
            if is_same_network(parked_host, host):
                del self._guards[ref]
                self._leaving.append(ref)

    def take_leaving(self) -> list[int]:
        """The players who have to leave since the last call."""
        leaving, self._leaving = self._leaving, []
        return leaving
