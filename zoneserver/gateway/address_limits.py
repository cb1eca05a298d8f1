"""Limits by address: connections, actions and refusals, and a ban after a kick.

An address has a bound on its open connections, on those that have not said HELLO, and on new connections per
second. Its sessions share budgets that outlive them. Connections count from the moment they are accepted, so
that a flood of them is rejected at the lowest cost. All tables are bounded.

The loopback address is exempt: load tests and proxies connect from it. Pure: the time is passed in.
"""

from __future__ import annotations

import ipaddress
from itertools import islice

from zoneserver.config import Limits
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason

__all__ = ["AddressBudgets", "AddressLimits"]

_EXEMPT = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


class _Address:
    """The state of one address."""

    __slots__ = ("banned_until", "budgets", "connections", "handshaking", "made")

    def __init__(self, limits: Limits) -> None:
        self.connections = 0
        self.handshaking = 0
        self.made = LeakyBucket(limits.address_connections_per_second, limits.address_connections_burst)
        self.banned_until = 0.0
        self.budgets = AddressBudgets(limits)

    def is_forgettable(self, now: float) -> bool:
        """Whether a new entry for the address would have equal state."""
        is_quiet = self.made.fill(now) == 0.0 and self.budgets.is_drained(now)
        return is_quiet and not self.connections and self.banned_until <= now


class AddressBudgets:
    """Bounds what all sessions of one address do together, ended sessions included.

    A session's flood guard starts empty, so a client that reconnects again and again would escape it. A spent
    address budget never raises the penalty level of a session: it only bounds the actions that are accepted.

    >>> budgets = AddressBudgets(Limits(address_actions_burst=100))
    >>> budgets.admit(60, now=0.0), budgets.admit(60, now=0.0), budgets.admit(40, now=0.0)
    (True, False, True)
    """

    __slots__ = ("_actions", "_violations")

    def __init__(self, limits: Limits) -> None:
        self._actions = LeakyBucket(limits.address_actions_per_second, limits.address_actions_burst)
        self._violations = LeakyBucket(limits.address_violations_per_second, limits.address_violations_burst)

    def admit(self, count: int, now: float) -> bool:
        """Charges `count` actions and returns True, or returns False when there is no room for them."""
        if not self._actions.holds(count, now):
            return False
        self._actions.spend(count, now)
        return True

    def record_refusal(self, weight: float, now: float) -> None:
        """Counts a refused action by its weight."""
        self._violations.spend(weight, now)

    def is_out(self, now: float) -> bool:
        """Whether more actions were refused than an address is allowed."""
        return self._violations.fill(now) >= 1.0

    def is_drained(self, now: float) -> bool:
        """Whether both budgets are empty, as new ones are."""
        return self._actions.fill(now) == self._violations.fill(now) == 0.0


class AddressLimits:
    """Counts connections by address.

    An IPv6 address counts as its /64 network, and an IPv4-mapped IPv6 address counts as the IPv4 address.

    >>> address_limits = AddressLimits(Limits(address_connections_max=1), ban_seconds=60.0)
    >>> address_limits.opened("192.0.2.1", now=0.0), address_limits.opened("192.0.2.1", now=0.0).value
    (None, 'TOO_MANY_CONNECTIONS')
    >>> address_limits.ban("192.0.2.1", now=0.0), address_limits.gone("192.0.2.1", now=0.0)
    (True, None)
    >>> address_limits.opened("192.0.2.1", now=59.0).value, address_limits.opened("192.0.2.1", now=60.0)
    ('BANNED', None)
    """

    def __init__(self, limits: Limits, ban_seconds: float) -> None:
        self._limits = limits
        self._ban_seconds = ban_seconds
        # Addresses that hold connections, so at most as many as there are connections.
        self._present: dict[str, _Address] = {}
        # Addresses without connections, in the order in which `_forget` examines them.
        self._absent: dict[str, _Address] = {}

    def __len__(self) -> int:
        """How many addresses have an entry."""
        return len(self._present) + len(self._absent)

    def opened(self, host: str, now: float) -> CloseReason | None:
        """Counts an accepted connection, or returns a reason to reject it.

        A connection that counts must be taken back with `gone`.
        """
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
        """A counted connection has completed its handshake, or has ended before it did."""
        if host not in _EXEMPT:
            self._present[_key(host)].handshaking -= 1

    def budgets(self, host: str) -> AddressBudgets | None:
        """The budgets of the address of a counted connection; None for an exempt address."""
        return None if host in _EXEMPT else self._present[_key(host)].budgets

    def gone(self, host: str, now: float) -> None:
        """A counted connection is gone."""
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
        """Rejects new connections from the address for `ban_seconds`; open connections stay.

        Returns True when the address becomes banned. An address that is exempt, or holds no connection, is not.
        """
        address = self._present.get(_key(host))
        if address is None:
            return False
        was_banned = address.banned_until > now
        address.banned_until = now + self._ban_seconds
        return not was_banned

    def _forget(self, now: float) -> None:
        """Examines the two oldest entries without connections, each time an entry is added.

        An entry is dropped when it is forgettable or the table is full, and moves to the end otherwise. Two
        looks per added entry keep the table bounded, although bans stay in it.
        """
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
