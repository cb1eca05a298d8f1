"""The address at which gateways find a zone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from zoneserver.support.host import is_loopback, parse_host

__all__ = ["LinkAddress", "parse_gateway_name", "parse_link", "shown_link"]

_FORMS = "unix:PATH, tcp:HOST:PORT or nats://HOST:PORT/ZONE"
# What the system takes as the path of a socket, besides the zero byte at its end.
_PATH_BYTES_MAX = 107
_NATS_PORT = 4222
# A part of a subject of NATS, and without any sign that has a meaning there.
_ZONE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """An address, taken apart. Which fields are set depends on the scheme.

    >>> LinkAddress.parse("tcp:[::1]:7900")
    LinkAddress(scheme='tcp', path='', host='::1', port=7900, zone='')
    >>> str(LinkAddress.parse("nats://ann:secret@broker/plaza"))
    'nats://broker:4222/plaza'
    """

    SCHEMES: ClassVar[tuple[str, ...]] = ("unix", "tcp", "nats", "tls")

    scheme: str
    """One of SCHEMES. `nats` and `tls` are addresses of a broker, which `tls` reaches by TLS."""
    path: str = ""
    """The file of the socket, for `unix`."""
    host: str = ""
    port: int = 0
    """For `tcp` a zone may give 0, which takes any free port."""
    zone: str = ""
    """The name of the zone at its broker."""
    user: str = field(default="", repr=False)
    """What stands before the @ of a broker's address: `NAME:PASSWORD`, or a token. It is never shown."""

    @classmethod
    def parse(cls, text: str) -> LinkAddress:
        """Raises ValueError with a sentence that shows no password."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in cls.SCHEMES:
            raise ValueError(f"{_hidden(text)!r:.80} is no address of a link: write {_FORMS}")
        if scheme == "unix":
            return cls(scheme, path=_parse_path(rest))
        if scheme == "tcp":
            host, port = _parse_place(text, rest)
            return cls(scheme, host=host, port=port)
        return _parse_broker(text)

    @property
    def is_broker(self) -> bool:
        """Whether a broker of NATS is between the zone and its gateways."""
        return self.scheme in {"nats", "tls"}

    @property
    def server(self) -> str:
        """The URL of a broker with all that it needs to be reached, for its client library. It is never shown."""
        return f"{self.scheme}://{self.user}{'@' if self.user else ''}{self._place}"

    @property
    def _place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def absolute(self) -> LinkAddress:
        """This address with an absolute path, so that it is found from any folder."""
        return replace(self, path=str(Path(self.path).absolute())) if self.path else self

    def zone_objection(self, cert: str | None) -> str | None:
        """Why a zone may not listen at this address with this certificate; None if it may."""
        if self.scheme != "tcp" or cert is not None or is_loopback(self.host):
            return None
        return f"without TLS anyone between could read the token and all players at {self}: set --link-cert"

    def __str__(self) -> str:
        """The address for people, without a password."""
        if self.scheme == "unix":
            return f"unix:{self.path}"
        return f"{self.scheme}://{self._place}/{self.zone}" if self.is_broker else f"tcp:{self._place}"


def parse_link(text: str) -> str:
    """Returns the address of a link unchanged; empty for none. Raises ValueError if LinkAddress cannot read it."""
    if text:
        LinkAddress.parse(text)
    return text


def parse_gateway_name(text: str) -> str:
    """Returns the name of a gateway unchanged. Raises ValueError if a broker could not take it."""
    if not _ZONE.fullmatch(text):
        raise ValueError(f"{text!r:.80} is no name of a gateway: write 1 to 64 letters, digits, _ and -")
    return text


def shown_link(text: str) -> str:
    """The address of a link without its password, for what people see.

    >>> shown_link("nats://ann:secret@broker:4222/plaza")
    'nats://broker:4222/plaza'
    """
    return str(LinkAddress.parse(text)) if text else ""


def _parse_path(path: str) -> str:
    if not path or path.startswith("//") or "\0" in path:
        raise ValueError(f"'unix:{path:.80}' names no file: write unix:PATH, as in unix:/run/zone.sock")
    size = len(os.fsencode(path))
    if size > _PATH_BYTES_MAX:
        raise ValueError(
            f"the path of a socket may have {_PATH_BYTES_MAX} bytes, and this one has {size}: {path}; "
            "give a shorter one, or one that is relative to the current folder"
        )
    return path


def _parse_place(text: str, place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    is_bare_address = ":" in host and not host.startswith("[")
    if not colon or host.startswith("//") or is_bare_address or not _is_port(port):
        raise ValueError(f"{text!r:.80} names no host and port: write tcp:HOST:PORT, as in tcp:127.0.0.1:7900")
    return parse_host(host), int(port)


def _parse_broker(text: str) -> LinkAddress:
    try:
        parts = urlsplit(text)
        user, _, place = parts.netloc.rpartition("@")
        if not parts.hostname or parts.query or parts.fragment:
            raise ValueError
        # Where a port is missing, so is the colon before it.
        host, port = parts.hostname, parts.port if parts.port is not None else _NATS_PORT
        if not port or place.endswith(":"):
            raise ValueError
    except ValueError:
        raise ValueError(f"{_hidden(text)!r:.80} names no broker: write nats://HOST:PORT/ZONE") from None
    zone = parts.path.removeprefix("/")
    if not _ZONE.fullmatch(zone):
        raise ValueError(
            f"{_hidden(text)!r:.80} names no zone: write nats://HOST:PORT/ZONE, "
            "where ZONE has 1 to 64 letters, digits, _ and -"
        )
    return LinkAddress(parts.scheme, host=parse_host(host), port=port, zone=zone, user=user)


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and int(text) <= 65_535


def _hidden(text: str) -> str:
    """The text without what stands before an @, which may be a password."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else text.rpartition("@")[2]
