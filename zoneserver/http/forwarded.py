"""The address of a client behind proxies, as HTTP tells it: X-Forwarded-For, and Forwarded (RFC 7239). Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from zoneserver.support.addresses import parse_address

__all__ = ["forwarded_address"]

# An address with a port, which some proxies add: 192.0.2.1:80, [2001:db8::1] or [2001:db8::1]:80.
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([\d.]+):\d+")
# One pair of a header Forwarded, and what separates it from the next one.
_PAIR = re.compile(r"""\s*([^\s=",;]+)=("(?:[^"\\]|\\.)*"|[^\s",;]*)\s*([,;]|\Z)""")


def forwarded_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Container[str]) -> str:
    """The address of the client of a request that came from `peer`. `headers` have names in lower case.

    Each proxy appends the address from which it was asked, so only what stands behind the last address that is not
    trusted is true. That address is the client's. If all are trusted, it is the first one.

    Returns `peer` if it is not trusted, if no header tells an address, or if one tells something else in that place. A
    proxy that adds one of the headers lets the other one of the client pass. If both are there and differ, neither is
    believed.

    >>> headers = [(b"x-forwarded-for", b"203.0.113.9, 198.51.100.1, 127.0.0.2")]
    >>> forwarded_address("127.0.0.1", headers, {"127.0.0.1", "127.0.0.2"})
    '198.51.100.1'
    >>> forwarded_address("192.0.2.1", headers, {"127.0.0.1", "127.0.0.2"})
    '192.0.2.1'
    """
    if peer not in trusted:
        return peer
    chains: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in chains:
            chains[name] += (_nodes if name == b"forwarded" else _elements)(value.decode("latin-1"))
    found = {_first_true(chain, trusted) for chain in chains.values() if chain}
    return (found.pop() if len(found) == 1 else None) or peer


def _first_true(chain: list[str], trusted: Container[str]) -> str | None:
    """The first address of a chain that is certainly true; None if it is no address."""
    address: str | None = None
    for text in reversed(chain):
        found = _WITH_PORT.fullmatch(text)
        address = parse_address((found[1] or found[2] or "") if found else text)
        if address is None or address not in trusted:
            break
    return address


def _elements(value: str) -> list[str]:
    return [element.strip() for element in value.split(",")]


def _nodes(value: str) -> list[str]:
    """The `for` of each element of a header Forwarded; an empty text for an element without one.

    A header that is not well-formed is one empty text: a quote that a client opened could end within what the proxy
    appended, and hide it.
    """
    nodes, node, at = [], "", 0
    while (pair := _PAIR.match(value, at)) is not None:
        name, text, separator = pair.groups()
        if name.lower() == "for":
            node = re.sub(r"\\(.)", r"\1", text.strip('"'))
        if separator != ";":
            nodes.append(node)
            node = ""
        if not separator:
            return nodes
        at = pair.end()
    return [""]
