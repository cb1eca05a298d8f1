"""Admission: who may connect, by address.

A bound on how many connections one address holds, has not said HELLO on, and makes per second; what
its sessions may do together, in budgets that outlive them; and a short ban after a kick. Connections
are counted here from the moment they are accepted, so that a flood of them is turned away before it
costs more than that. All tables are bounded.

This machine's own address is exempt: behind it stand load tests, and proxies with everybody behind
them. Pure: the caller says what time it is.
"""

from __future__ import annotations

import ipaddress
from itertools import islice

from zoneserver.config import Limits
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason

__all__ = ["AddressBudgets", "Admission"]

_EXEMPT = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


class _Address:
    """What is known of one address."""

    __slots__ = ("banned_until", "budgets", "connections", "handshaking", "made")

    def __init__(self, limits: Limits) -> None:
        self.connections = 0
        self.handshaking = 0
        self.made = LeakyBucket(limits.address_connections_per_second, limits.address_connections_burst)
        self.banned_until = 0.0
        self.budgets = AddressBudgets(limits)

    def is_forgettable(self, now: float) -> bool:
        """Whether nothing would change if we had never seen it."""
        is_quiet = self.made.fill(now) == 0.0 and self.budgets.is_drained(now)
        return is_quiet and not self.connections and self.banned_until <= now


class AddressBudgets:
    """What all sessions of one address may do together, those that are gone among them: a guard is a new one
    with each session, and whoever came back all the time would never come to the end of it.

    Nobody stands worse for what others at his address did: it only says what there is room for.

    >>> budgets = AddressBudgets(Limits(address_actions_burst=100))
    >>> budgets.admit(60, now=0.0), budgets.admit(60, now=0.0), budgets.admit(40, now=0.0)
    (True, False, True)
    """

    __slots__ = ("_actions", "_violations")

    def __init__(self, limits: Limits) -> None:
        self._actions = LeakyBucket(limits.address_actions_per_second, limits.address_actions_burst)
        self._violations = LeakyBucket(limits.address_violations_per_second, limits.address_violations_burst)

    def admit(self, count: int, now: float) -> bool:
        """Whether there is room for so many actions; then they are charged."""
        if not self._actions.holds(count, now):
            return False
        self._actions.spend(count, now)
        return True

    def refused(self, weight: float, now: float) -> None:
        """An action came to nothing."""
        self._violations.spend(weight, now)

    def is_out(self, now: float) -> bool:
        """Whether more actions came to nothing than an address is allowed."""
        return self._violations.fill(now) >= 1.0

    def is_drained(self, now: float) -> bool:
        """Whether nothing would change if it began anew."""
        return self._actions.fill(now) == self._violations.fill(now) == 0.0


class Admission:
    """Counts connections by address. An IPv6 address counts as the /64 that it lies in, and one that stands
    for an IPv4 address as that.

    >>> admission = Admission(Limits(address_connections_max=1), ban_seconds=60.0)
    >>> admission.opened("192.0.2.1", now=0.0), admission.opened("192.0.2.1", now=0.0).value
    (None, 'TOO_MANY_CONNECTIONS')
    >>> admission.ban("192.0.2.1", now=0.0), admission.gone("192.0.2.1", now=0.0)
    (True, None)
    >>> admission.opened("192.0.2.1", now=59.0).value, admission.opened("192.0.2.1", now=60.0)
    ('BANNED', None)
    """

    def __init__(self, limits: Limits, ban_seconds: float) -> None:
        self._limits = limits
        self._ban_seconds = ban_seconds
        # Addresses that hold connections: no more than there are connections.
        self._present: dict[str, _Address] = {}
        # Those that hold none and are remembered, in the order in which they are looked at.
        self._absent: dict[str, _Address] = {}

    def __len__(self) -> int:
        """How many addresses are known now."""
        return len(self._present) + len(self._absent)

    def opened(self, host: str, now: float) -> CloseReason | None:
        """A connection was accepted: it counts from now on and `gone` must follow, unless a reason
        against it is returned."""
        if host in _EXEMPT:
            return None
        key, limits = _key(host), self._limits
        address = self._present.get(key) or self._absent.get(key) or _Address(limits)
        if address.banned_until > now:
            return CloseReason.BANNED
        if (
            not address.made.holds(1, now)
            or address.connections >= limits.address_connections_max
            or address.handshaking >= limits.address_handshakes_max
        ):
            return CloseReason.TOO_MANY_CONNECTIONS
        address.made.spend(1, now)
        address.connections += 1
        address.handshaking += 1
        self._absent.pop(key, None)
        self._present[key] = address
        return None

    def greeted(self, host: str) -> None:
        """A connection that counts is through with its handshake, or has given it up."""
        if host not in _EXEMPT:
            self._present[_key(host)].handshaking -= 1

    def budgets(self, host: str) -> AddressBudgets | None:
        """What a connection that counts shares with all others from its address; None where that is exempt."""
        return None if host in _EXEMPT else self._present[_key(host)].budgets

    def gone(self, host: str, now: float) -> None:
        """A connection that counted is gone."""
        if host in _EXEMPT:
            return
        key = _key(host)
        address = self._present[key]
        address.connections -= 1
        if not address.connections:
            del self._present[key]
            self._absent[key] = address
            self._forget(now)

    def ban(self, host: str, now: float) -> bool:
        """Nobody comes in from this address for a while, by a connection that counts; who is in stays. Whether
        it was not banned already."""
        address = self._present.get(_key(host))
        if address is None:
            return False
        was_banned = address.banned_until > now
        address.banned_until = now + self._ban_seconds
        return not was_banned

    def _forget(self, now: float) -> None:
        """Looks at the two that it has not looked at for longest, when one more came: whoever need not be
        remembered, or is beyond what the table holds, is dropped; a ban goes to the end and does not keep
        others in."""
        for key in list(islice(self._absent, 2)):
            address = self._absent.pop(key)
            if len(self._absent) < self._limits.addresses_max and not address.is_forgettable(now):
                self._absent[key] = address


def _key(host: str) -> str:
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
