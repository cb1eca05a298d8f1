"""The text by which people name a machine: an address or a name."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["is_loopback", "parse_host", "parse_origin"]

_USUAL_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]+")


def parse_host(text: str) -> str:
    """An IPv4 address, an IPv6 address with or without brackets, or the name of a machine. Raises ValueError otherwise.

    >>> parse_host("[::1]"), parse_host("localhost")
    ('::1', 'localhost')
    """
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        # Only an address has a colon, or nothing but digits and dots.
        if ":" in host or re.fullmatch(r"[0-9.]*", host) or host != text:
            ipaddress.ip_address(host)
        # Names travel in this encoding; it bounds the length of each part.
        elif not _NAME.fullmatch(host.encode("idna").decode()):
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not an address: write 127.0.0.1, ::1, 0.0.0.0 or a name") from None
    return host


def is_loopback(host: str) -> bool:
    """Whether `host` is certainly this machine. Names are not resolved: `localhost` is the only name accepted.

    >>> is_loopback("localhost"), is_loopback("127.3.4.5"), is_loopback("::1")
    (True, True, True)
    >>> is_loopback("192.0.2.7"), is_loopback("zone.example"), is_loopback("0.0.0.0")
    (False, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_origin(text: str) -> str:
    """Returns an origin as browsers write it: `https://play.example`, with a port where it is not the usual one.

    Raises ValueError for a text that is no origin. `null` is the origin of a page without an address.

    >>> parse_origin("HTTPS://Play.Example:443/"), parse_origin("http://play.example:8000")
    ('https://play.example', 'http://play.example:8000')
    """
    if text == "null":
        return text
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        is_bare = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
        if parts.scheme in _USUAL_PORTS and parts.hostname and is_bare:
            # Browsers write a name with other letters in this encoding.
            name = parse_host(parts.hostname).encode("idna").decode() if ":" not in parts.hostname else parts.hostname
            host = f"[{name}]" if ":" in name else name
            port = "" if parts.port in {None, _USUAL_PORTS[parts.scheme]} else f":{parts.port}"
            return f"{parts.scheme}://{host}{port}"
    raise ValueError(f"{text!r} is no origin: write it as https://play.example or http://play.example:8000")
