"""Who may ask a port for something, by the `Host` and the `Origin` of the request.

A browser sends requests to any address that a page names, so two headers decide. `Origin` is the page that asks. `Host`
is the name under which the browser found this server: a page may give its own name the server's address (DNS
rebinding), but its requests carry that name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["Access"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Access:
    """What the headers of a request have to be.

    With `is_loopback` only the names of this machine are accepted as `Host`, and otherwise any address. The names in
    `origins` are accepted as well, and their pages. An origin is written as `parse_origin` returns it.

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
