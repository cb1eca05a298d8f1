"""Who may ask a port for something, by the `Host` and the `Origin` of the request.

A browser sends requests to any address that a page names, so two headers decide. `Origin` is the page that asks. `Host`
is the name under which the browser found this server: a page may give its own name the server's address (DNS
rebinding), but its requests carry that name.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Access", "parse_origin"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_USUAL_PORTS = {"http": 80, "https": 443}


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
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            port = "" if parts.port in {None, _USUAL_PORTS[parts.scheme]} else f":{parts.port}"
            return f"{parts.scheme}://{host}{port}"
    raise ValueError(f"{text!r} is no origin: write it as https://play.example or http://play.example:8000")


@dataclass(frozen=True, slots=True)
class Access:
    """What the headers of a request have to be.

    With `is_loopback` only the names of this machine are accepted as `Host`, and otherwise any address. The names of
    `origins` are accepted as well, and their pages.

    >>> access = Access(is_loopback=True)
    >>> access.objection("localhost:7777", "http://localhost:7777"), access.objection("localhost:7777", None)
    (None, None)
    >>> access.objection("localhost:7777", "https://evil.example")
    'a page of https://evil.example may not use this server (--origin https://evil.example allows it)'
    """

    is_loopback: bool
    origins: frozenset[str] = frozenset()
    _hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        hosts = (urlsplit(origin).hostname for origin in self.origins)
        object.__setattr__(self, "_hosts", frozenset(host for host in hosts if host))

    @classmethod
    def of(cls, *, is_loopback: bool, origins: Iterable[str]) -> Access:
        """The access to a port for the pages of these origins, which may be written in any way."""
        return cls(is_loopback, frozenset(map(parse_origin, origins)))

    def objection(self, host: str | None, origin: str | None) -> str | None:
        """Returns why a request with these headers is refused, or None. Programs that are no browser send no origin."""
        if host is not None and not self._is_host(host):
            return (
                f"this server is not known under the name {host!r:.100}: use an address of it, "
                f"or start it with --origin http://{host:.100}"
            )
        if origin is None or origin in self.origins:
            return None
        if host is not None and origin.partition("://")[2].lower() == host.lower():
            return None
        return f"a page of {origin:.100} may not use this server (--origin {origin:.100} allows it)"

    def _is_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        return name in _LOOPBACK or name in self._hosts or (not self.is_loopback and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
