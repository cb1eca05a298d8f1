"""Access to a port is decided by the `Host` and the `Origin` of a request.

A browser sends requests to any address that a page names, so two headers decide. `Origin` is the page that asks. `Host`
is the name under which the browser found this server: a page may give its own name the server's address (DNS
rebinding), but its requests carry that name.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from zoneserver.support.host import is_loopback

__all__ = ["Access"]


@dataclass(frozen=True, slots=True)
class Access:
    """What the headers of a request have to be.

    With `is_local` only the names of this machine are accepted as `Host`, and otherwise any address. The names in
    `origins` are accepted as well, and their pages. An origin is written as `parse_origin` returns it; None is for a
    port that has no such setting.

    >>> access = Access(is_local=True, origins=frozenset())
    >>> access.objection("localhost:7777", "http://localhost:7777"), access.objection("localhost:7777", None)
    (None, None)
    >>> access.objection("localhost:7777", "https://evil.example")
    'a page of https://evil.example may not use this server (--origin https://evil.example allows it)'
    """

    is_local: bool
    origins: frozenset[str] | None = None
    _hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        hosts = (urlsplit(origin).hostname for origin in self.origins or ())
        object.__setattr__(self, "_hosts", frozenset(host for host in hosts if host))

    def objection(self, host: str | None, origin: str | None) -> str | None:
        """Returns why a request with these headers is refused, or None. Programs that are no browser send no origin."""
        if host is not None and not self._is_host(host):
            told = f"this server is not known under the name {host!r:.100}: use an address of it"
            name = origin if origin and origin.endswith(f"//{host}") else f"http://{host}"
            return told if self.origins is None else f"{told}, or start it with --origin {name:.100}"
        if origin is None or (self.origins is not None and origin in self.origins):
            return None
        if host is not None and origin.partition("://")[2].lower() == host.lower():
            return None
        told = f"a page of {origin:.100} may not use this server"
        return told if self.origins is None else f"{told} (--origin {origin:.100} allows it)"

    def _is_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        return is_loopback(name) or name in self._hosts or (not self.is_local and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
