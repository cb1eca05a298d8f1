"""How a command that connects to a zone gets in: by TLS, and with tickets that it makes itself."""

from __future__ import annotations

import argparse
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from zoneserver.cli.parser import Parser
from zoneserver.cli.secret import SECRET_VARIABLE, new_ticket, read_secret
from zoneserver.support.errors import CannotStartError, UsageError

__all__ = ["Access", "access_settings", "explain_connect_error", "read_access"]

# What OpenSSL says when the other end sends something else than TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
# The codes of X509_verify_cert for a certificate whose issuer is not known.
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)


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
        if not self.is_tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.tls_ca)
        except (OSError, ValueError) as error:
            what = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error
            reason = getattr(what, "strerror", None) or what
            raise CannotStartError(f"cannot read the authority's certificate in {self.tls_ca}: {reason}") from None

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


def explain_connect_error(error: Exception) -> str:
    """One sentence about a connection that did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "; name the authority's certificate with --tls-ca" if error.verify_code in _UNKNOWN_ISSUER else ""
        return f"the TLS certificate of the server is not accepted: {error.verify_message.rstrip('.')}{hint}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NO_TLS:
            return "the server does not speak TLS: leave out --tls and --tls-ca"
        return f"the TLS handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return getattr(error, "strerror", None) or str(error) or "no answer"
