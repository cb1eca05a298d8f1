"""IP addresses: how they are written, how they are counted, and which networks they lie in."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable

__all__ = ["LOOPBACK", "Networks", "address_networks", "is_same_network", "parse_address", "parse_network"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
"""The addresses of the machine itself."""
# One host has a /64 network to itself and changes its address in it (RFC 8981); homes and companies get a /56 or a /48.
_PREFIXES = (64, 56, 48)


@functools.lru_cache(maxsize=4_096)
def address_networks(host: str) -> tuple[str, ...]:
    """The networks that an address belongs to, the narrowest first.

    An IPv4 address, an IPv4-mapped IPv6 address and any other text have one network: the address itself.

    >>> address_networks("::ffff:192.0.2.1")
    ('192.0.2.1',)
    >>> address_networks("2001:db8:1:2::3%eth0")
    ('2001:db8:1:2::/64', '2001:db8:1::/56', '2001:db8:1::/48')
    """
    if ":" not in host:
        return (host,)
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return (host,)
    if address.ipv4_mapped is not None:
        return (str(address.ipv4_mapped),)
    return tuple(str(ipaddress.IPv6Network((address, prefix), strict=False)) for prefix in _PREFIXES)


def is_same_network(host: str, other: str) -> bool:
    """Whether two addresses count as one: they are equal, or lie in one IPv6 /64 network.

    >>> is_same_network("2001:db8::1", "2001:db8::2"), is_same_network("192.0.2.1", "192.0.2.2")
    (True, False)
    """
    return host == other or address_networks(host)[0] == address_networks(other)[0]


def parse_address(text: str) -> str | None:
    """An IP address in its usual form, an IPv4-mapped IPv6 address as the IPv4 address; None for any other text.

    >>> parse_address("::ffff:192.0.2.1"), parse_address("2001:DB8:0::1"), parse_address("zone.example")
    ('192.0.2.1', '2001:db8::1', None)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        # The zone of an address may be any text, and names a network card of the machine that wrote it.
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    return str(address)


def parse_network(text: str) -> str:
    """An IP address or a network in its usual form. Raises ValueError for any other text.

    >>> parse_network("127.0.0.1"), parse_network("2001:DB8::/32")
    ('127.0.0.1', '2001:db8::/32')
    """
    try:
        if "%" in text:
            raise ValueError
        return parse_address(text.strip()) or str(ipaddress.ip_network(text.strip()))
    except ValueError:
        raise ValueError(
            f"{text!r} is neither an address nor a network: write 127.0.0.1, ::1, 10.0.0.0/8 or 2001:db8::/32"
        ) from None


class Networks:
    """Addresses and networks, each as `parse_network` returns it. `in` finds an address in any of them.

    >>> networks = Networks(["127.0.0.1", "2001:db8::/32"])
    >>> [host in networks for host in ("127.0.0.1", "::ffff:127.0.0.1", "2001:db8::7", "127.0.0.2", "?")]
    [True, True, True, False, False]
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, host: object) -> bool:
        text = parse_address(str(host).partition("%")[0]) if self._networks else None
        if text is None:
            return False
        address = ipaddress.ip_address(text)
        return any(address in network for network in self._networks)
