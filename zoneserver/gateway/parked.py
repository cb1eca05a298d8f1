"""The players whose connection is lost and who may come back, as the gateway remembers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from zoneserver.gateway.address_limits import EXEMPT, SCALES
from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.support.addresses import address_networks

__all__ = ["Parked"]


class Parked:
    """The flood guards of parked players, by ref: who comes back gains nothing by it. The zone decides how long.

    An address may have `address_max` parked players, so that it cannot fill the zone with players without connections.

    >>> from zoneserver.config import Limits
    >>> parked = Parked(address_max=1)
    >>> guards = [FloodGuard(Limits()) for _ in range(3)]
    >>> hosts = "192.0.2.1", "192.0.2.1", "127.0.0.1"
    >>> [parked.add(ref, guard, host) for ref, (guard, host) in enumerate(zip(guards, hosts))]
    [True, False, True]
    >>> parked.take(0) is guards[0], parked.add(1, guards[1], "192.0.2.1"), len(parked)
    (True, True, 2)
    """

    def __init__(self, address_max: int, exempt: Collection[str] = EXEMPT) -> None:
        self._address_max = address_max
        self._exempt = exempt
        # The guard and the address of each.
        self._guards: dict[int, tuple[FloodGuard, str]] = {}
        # How many there are of each network. Exempt addresses are not counted.
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of parked players."""
        return len(self._guards)

    def add(self, ref: int, guard: FloodGuard, host: str) -> bool:
        """Parks a player who was connected from this address. Returns False if there is no room for them."""
        networks = () if host in self._exempt else address_networks(host)
        for network, scale in zip(networks, SCALES, strict=False):
            if self._counts[network] >= self._address_max * scale:
                return False
        self._counts.update(networks)
        self._guards[ref] = guard, host
        return True

    def take(self, ref: int) -> FloodGuard | None:
        """The guard of a player who comes back; None for one who was parked elsewhere."""
        guard, host = self._guards.pop(ref, (None, ""))
        if guard is not None and host not in self._exempt:
            for network in address_networks(host):
                self._counts[network] -= 1
                if not self._counts[network]:
                    del self._counts[network]
        return guard

    def forget(self, ref: int) -> None:
        """The player has left the zone."""
        self.take(ref)

    def clear(self) -> None:
        """All players have left the zone."""
        self._guards.clear()
        self._counts.clear()
