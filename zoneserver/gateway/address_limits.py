"""Limits by address: connections, actions and violations, and a ban after a kick.

An address has a bound on its open connections and on new connections per second. Its sessions share budgets that
outlive them. Connections count from the moment they are accepted, so that a flood of them is rejected at the
lowest cost. All tables are bounded.

The loopback address is exempt, because load tests connect from it, and proxies of other servers. The address of a
trusted proxy is not. Pure: the time is passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from itertools import islice
from typing import Any

from zoneserver.config import Limits
from zoneserver.gateway.leaky_bucket import LeakyBucket
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.addresses import LOOPBACK, address_networks
from zoneserver.support.ban_list import BanList
from zoneserver.zone.link import NO_BANS, AddressBan

__all__ = ["EXEMPT", "SCALES", "AddressBudgets", "AddressLimits", "exempt_from"]

EXEMPT = LOOPBACK
"""The addresses that have no limits and cannot be banned, unless they are those of trusted proxies."""
# More than the zone keeps.
_BANS_MAX = 30_000
SCALES = (1, 2, 4)
"""How many times the limits an IPv6 network has: /64, /56, /48. A single host may own all addresses of any of them."""


def exempt_from(trusted: Container[str]) -> Collection[str]:
    """The addresses without limits where these are trusted proxies: players behind a proxy are counted.

    >>> sorted(exempt_from({"127.0.0.1", "::ffff:127.0.0.1"}))
    ['::1']
    """
    return frozenset(host for host in EXEMPT if host not in trusted)


class _Network:
    """The state of one network: an IPv4 address, or an IPv6 network with `scale` times the limits."""

    __slots__ = ("budgets", "connections", "connections_max", "handshaking", "made", "pages")

    def __init__(self, limits: Limits, scale: int) -> None:
        self.connections = 0
        self.connections_max = limits.address_connections_max * scale
        # The connections that have not said HELLO, the oldest first. Only the narrowest network of an address has them.
        self.handshaking: dict[Any, None] = {}
        self.made = LeakyBucket(limits.address_connections_per_second * scale, limits.address_connections_burst * scale)
        # Connections that asked for documents.
        self.pages = LeakyBucket(
            limits.address_page_connections_per_second * scale, limits.address_page_connections_burst * scale
        )
        self.budgets = AddressBudgets(limits, scale)

    def is_forgettable(self, now: float) -> bool:
        """Whether a new entry for the network would have equal state."""
        is_quiet = self.made.fill(now) == self.pages.fill(now) == 0.0 and self.budgets.is_drained(now)
        return is_quiet and not self.connections


class AddressBudgets:
    """Bounds what all sessions of one address do together, ended sessions included.

    A session's flood guard starts empty, so a client that reconnects again and again would escape it. A spent
    address budget never raises the penalty level of a session: it only bounds the actions that are accepted.

    >>> budgets = AddressBudgets(Limits(address_actions_burst=100))
    >>> budgets.admit(60, now=0.0), budgets.admit(60, now=0.0), budgets.admit(40, now=0.0)
    (True, False, True)
    """

    __slots__ = ("_actions", "_violations", "wider")

    def __init__(self, limits: Limits, scale: int = 1) -> None:
        self._actions = LeakyBucket(limits.address_actions_per_second * scale, limits.address_actions_burst * scale)
        self._violations = LeakyBucket(
            limits.address_violations_per_second * scale, limits.address_violations_burst * scale
        )
        self.wider: AddressBudgets | None = None
        """The budgets of the next wider network, which are charged as well."""

    def admit(self, count: int, now: float) -> bool:
        """Charges `count` actions and returns True, or returns False when there is no room for them."""
        if not self._actions.holds(count, now) or (self.wider is not None and not self.wider.admit(count, now)):
            return False
        self._actions.spend(count, now)
        return True

    def record_violation(self, now: float) -> None:
        """Counts a violation."""
        self._violations.spend(1, now)
        if self.wider is not None:
            self.wider.record_violation(now)

    def is_out(self, now: float) -> bool:
        """Whether there were more violations than an address is allowed."""
        return self._violations.fill(now) >= 1.0 or (self.wider is not None and self.wider.is_out(now))

    def is_drained(self, now: float) -> bool:
        """Whether both budgets are empty, as new ones are."""
        return self._actions.fill(now) == self._violations.fill(now) == 0.0

    def excuse(self, seconds: float, until: float) -> None:
        """Does not count a pause of the server against the address, as `LeakyBucket.excuse` says."""
        self._actions.excuse(seconds, until)
        self._violations.excuse(seconds, until)


class AddressLimits:
    """Counts connections by address.

    An IPv6 address counts as its /64 network, and also for its /56 and /48 networks, with higher limits. An
    IPv4-mapped IPv6 address counts as the IPv4 address. A connection is any object that can be a key.

    >>> address_limits = AddressLimits(Limits(address_connections_max=1), ban_seconds=60.0)
    >>> address_limits.opened("192.0.2.1", "a", now=0.0), address_limits.opened("192.0.2.1", "b", now=0.0)[1]
    (None, 'too many connections from 192.0.2.1 (limit: address_connections_max)')
    >>> address_limits.ban("192.0.2.1", now=0.0), address_limits.gone("192.0.2.1", now=0.0)
    (True, None)
    >>> address_limits.opened("192.0.2.1", "c", now=59.0)[0].value, address_limits.opened("192.0.2.1", "d", now=60.0)
    ('BANNED', None)
    """

    def __init__(self, limits: Limits, ban_seconds: float, exempt: Collection[str] = EXEMPT) -> None:
        self._limits = limits
        self._ban_seconds = ban_seconds
        self.exempt = exempt
        """The addresses without limits."""
        # The bans of networks: those of the zone, and those of this gateway that the zone is about to learn.
        self._bans = BanList(_BANS_MAX)
        # Networks that hold connections, so at most a few for each connection.
        self._present: dict[str, _Network] = {}
        # Networks without connections, in the order in which `_forget` examines them.
        self._absent: dict[str, _Network] = {}

    def __len__(self) -> int:
        """How many networks have an entry."""
        return len(self._present) + len(self._absent)

    def opened(self, host: str, connection: object, now: float) -> tuple[CloseReason, str] | None:
        """Counts an accepted connection, or returns why it is rejected: the text names the limit.

        A connection that counts must be taken back with `gone`.
        """
        if host in self.exempt:
            return None
        networks = self._networks(host)
        key, narrowest = next(iter(networks.items()))
        if (text := self._bans.objection(key, now)) is not None:
            return CloseReason.BANNED, text
        for key, network in networks.items():
            if network.connections >= network.connections_max:
                text = f"too many connections from {key} (limit: address_connections_max)"
                return CloseReason.TOO_MANY_CONNECTIONS, text
            if not network.made.holds(1, now):
                text = f"too many new connections from {key} (limit: address_connections_per_second)"
                return CloseReason.TOO_MANY_CONNECTIONS, text
        wider: AddressBudgets | None = None
        for key, network in reversed(networks.items()):
            network.made.spend(1, now)
            network.connections += 1
            network.budgets.wider, wider = wider, network.budgets
            self._absent.pop(key, None)
            self._present[key] = network
        narrowest.handshaking[connection] = None
        return None

    def released(
        self, host: str, connection: object, now: float, *, is_counted: bool
    ) -> tuple[CloseReason, str] | None:
        """A connection asks for documents, whether it counted before or not: it has a rate of its own.

        Returns why it is rejected, or None. A counted one must still be taken back with `gone`.
        """
        if host in self.exempt:
            return None
        networks = self._networks(host)
        for key, network in networks.items():
            if not network.pages.holds(1, now):
                text = f"too many pages for {key} (limit: address_page_connections_per_second)"
                return CloseReason.TOO_MANY_CONNECTIONS, text
        for key, network in networks.items():
            network.pages.spend(1, now)
            if is_counted:
                network.made.spend(-1, now)
            elif key not in self._present:
                self._absent[key] = network
                self._forget(now)
        if is_counted:
            self.greeted(host, connection)
        return None

    def _networks(self, host: str) -> dict[str, _Network]:
        """The networks of an address, the narrowest first. Those that were unknown are not in the tables."""
        return {
            key: self._present.get(key) or self._absent.get(key) or _Network(self._limits, scale)
            for key, scale in zip(address_networks(host), SCALES, strict=False)
        }

    def greeted(self, host: str, connection: object) -> None:
        """A counted connection has completed its handshake, or has ended before it did."""
        if host not in self.exempt:
            self._present[address_networks(host)[0]].handshaking.pop(connection, None)

    def handshaking(self, host: str) -> Collection[Any]:
        """The counted connections of the address that have not said HELLO, the oldest first."""
        network = self._present.get(address_networks(host)[0])
        return () if network is None else network.handshaking

    def budgets(self, host: str) -> AddressBudgets | None:
        """The budgets of the address of a counted connection; None for an exempt address."""
        return None if host in self.exempt else self._present[address_networks(host)[0]].budgets

    def gone(self, host: str, now: float) -> None:
        """A counted connection is gone."""
        if host in self.exempt:
            return
        for key in address_networks(host):
            network = self._present[key]
            network.connections -= 1
            if not network.connections:
                del self._present[key]
                self._absent[key] = network
                self._forget(now)

    def ban(self, host: str, now: float) -> bool:
        """Rejects new connections from the address for `ban_seconds`; open connections stay.

        Returns True when the address becomes banned. An exempt address is not.
        """
        if host in self.exempt:
            return False
        return self._bans.extend(address_networks(host)[0], now + self._ban_seconds, CloseReason.BANNED.text, now)

    def learn(self, bans: Iterable[AddressBan], now: float) -> list[AddressBan]:
        """Takes over what the zone says of bans. Returns those that are new here."""
        known, new = set[str](), []
        for ban in bans:
            if ban == NO_BANS:
                known = {network for network, _, _ in self._bans.present(now)}
                self._bans.clear()
            elif ban.seconds <= 0:
                self._bans.lift(ban.network, now)
            else:
                text = ban.text or CloseReason.BANNED.text
                is_new = self._bans.extend(ban.network, now + ban.seconds, text, now)
                new += [ban] if is_new and ban.network not in known else []
        return new

    def excuse(self, seconds: float, until: float) -> None:
        """Does not count a pause of the server against any address, as `LeakyBucket.excuse` says."""
        for network in self._present.values():
            network.made.excuse(seconds, until)
            network.budgets.excuse(seconds, until)

    def _forget(self, now: float) -> None:
        """Examines the two oldest entries without connections, each time an entry is added.

        An entry is dropped when it is forgettable or the table is full, and moves to the end otherwise. Two
        looks per added entry keep the table bounded.
        """
        for key in list(islice(self._absent, 2)):
            network = self._absent.pop(key)
            if len(self._absent) < self._limits.addresses_max and not network.is_forgettable(now):
                self._absent[key] = network
