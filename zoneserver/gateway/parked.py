"""The players whose connection is lost and who may come back, as the gateway remembers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from zoneserver.gateway.address_limits import EXEMPT, SCALES
from zoneserver.support.addresses import address_networks

__all__ = ["Parked"]


class Parked:
    """The addresses of the players who were parked here, by ref. The zone decides how long.

    An address may have `address_max` parked players, so that it cannot fill the zone with players without connections.

    >>> parked = Parked(address_max=1)
    >>> [parked.add(ref, host) for ref, host in enumerate(("192.0.2.1", "192.0.2.1", "127.0.0.1"))]
    [True, False, True]
    >>> parked.forget(0)
    >>> parked.add(1, "192.0.2.1"), len(parked)
    (True, 2)
    """

    def __init__(self, address_max: int, exempt: Collection[str] = EXEMPT) -> None:
        self._address_max = address_max
        self._exempt = exempt
        self._hosts: dict[int, str] = {}
        # How many there are of each network. Exempt addresses are not counted.
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of parked players."""
        return len(self._hosts)

    def add(self, ref: int, host: str) -> bool:
        """Parks a player who was connected from this address. Returns False if there is no room for them."""
        networks = () if host in self._exempt else address_networks(host)
        for network, scale in zip(networks, SCALES, strict=False):
            if self._counts[network] >= self._address_max * scale:
                return False
        self._counts.update(networks)
        self._hosts[ref] = host
        return True

    def forget(self, ref: int) -> None:
        """The player has come back or has left the zone. It does nothing for one who was parked elsewhere."""
        host = self._hosts.pop(ref, None)
        if host is not None and host not in self._exempt:
            for network in address_networks(host):
                self._counts[network] -= 1
                if not self._counts[network]:
                    del self._counts[network]

    def clear(self) -> None:
        """All players have left the zone."""
        self._hosts.clear()
        self._counts.clear()
