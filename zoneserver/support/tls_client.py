"""The end of a TLS connection that connects: its context, and what is said of a connection that did not come about."""

from __future__ import annotations

import ssl

from zoneserver.support.errors import CannotStartError

__all__ = ["client_context", "explain_connect_error"]

# What OpenSSL says when the other end sends something else than TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
# The codes of X509_verify_cert for a certificate whose issuer is not known.
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)


def client_context(ca: str | None) -> ssl.SSLContext:
    """A context that trusts the authorities in a PEM file, or those of the system. Raises CannotStartError."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        what = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error
        reason = getattr(what, "strerror", None) or what
        raise CannotStartError(f"cannot read the authority's certificate in {ca}: {reason}") from None


def explain_connect_error(
    error: Exception,
    ca_flag: str = "--tls-ca",
    without_tls: str = "leave out --tls and --tls-ca",
    who: str = "the server",
) -> str:
    """One sentence about a connection that did not come about. `without_tls` says what to do if the other end, which
    is called `who`, does not speak TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = f"; name the authority's certificate with {ca_flag}" if error.verify_code in _UNKNOWN_ISSUER else ""
        return f"the TLS certificate of the server is not accepted: {error.verify_message.rstrip('.')}{hint}"
    if isinstance(error, ssl.SSLError):
        if error.reason in _NO_TLS:
            return f"{who} does not speak TLS: {without_tls}"
        return f"the TLS handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return getattr(error, "strerror", None) or str(error) or "no answer"
