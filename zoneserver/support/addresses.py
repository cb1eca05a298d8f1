"""IP addresses as they are counted: an IPv6 address counts as its network."""

from __future__ import annotations

import functools
import ipaddress

__all__ = ["address_networks", "is_same_network"]

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
