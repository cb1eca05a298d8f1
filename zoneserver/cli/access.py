"""How a command that connects to a zone gets in: by TLS, and with tickets that it makes itself."""

from __future__ import annotations

import argparse
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from zoneserver.cli.parser import Parser
from zoneserver.cli.secret import SECRET_VARIABLE, new_ticket, read_secret
from zoneserver.support.errors import UsageError
from zoneserver.support.tls_client import client_context

__all__ = ["Access", "access_settings", "read_access"]


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs to get into one zone.

    >>> Access().context() is None, Access().ticket("ann")
    (True, b'')
    """

    is_tls: bool = False
    tls_ca: str | None = None
    """A PEM file with the certificates of the authorities to trust; None trusts those of the system."""
    secret: bytes = field(default=b"", repr=False)
    """The secret of the zone; empty for players without tickets."""
    zone: str = ""
    """The name of the zone. Empty if it is not known: the statistics of the server have it."""

    def context(self) -> ssl.SSLContext | None:
        """The TLS context; None for a connection without TLS. Raises CannotStartError."""
        return client_context(self.tls_ca) if self.is_tls else None

    def ticket(self, name: str) -> bytes:
        """A new ticket for a player, or nothing where there is no secret."""
        return new_ticket(self.secret, name, self.zone) if self.secret else b""


def access_settings(parser: Parser, zone: str) -> None:
    """Declares the settings of `read_access`. `zone` says in the help when the zone's name has to be given."""
    parser.switch("--tls", help="connect by TLS")
    text = "connect by TLS, and trust the authority whose certificate is in this PEM file"
    parser.setting("--tls-ca", metavar="FILE", help=text, shown="the authorities that this machine trusts")
    text = f"file with the zone's secret, with which to make tickets; without it {SECRET_VARIABLE} may have it"
    parser.setting("--secret-file", parse=Path, help=text)
    parser.setting("--zone", default="", metavar="NAME", help=f"name of the zone that the tickets are for{zone}")


def read_access(arguments: argparse.Namespace) -> Access:
    """The access that the settings describe. Raises CommandError."""
    try:
        secret = read_secret(arguments.secret_file)
    except ValueError as error:
        raise UsageError(str(error)) from None
    is_tls = arguments.tls or arguments.tls_ca is not None
    access = Access(is_tls, arguments.tls_ca, secret, arguments.zone)
    access.context()  # A file that cannot be read is told now.
    return access
