"""The certificate of a server: its files, what is wrong with them, and how they are read again."""

from __future__ import annotations

import calendar
import errno
import re
import ssl
import time

from zoneserver.support.files import may_block

__all__ = ["ServerCertificate"]

# No certificate chain and no key comes near this size; a device has no end.
_FILE_BYTES_MAX = 1024 * 1024
_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# In a certificate only its validity is two times in a row: its begin and its end, with the year in two or four digits.
_VALIDITY = re.compile(rb"[\x17\x18].[0-9]{12,14}Z([\x17\x18]).([0-9]{12,14})Z", re.DOTALL)
_WARN_SECONDS = 14 * 86_400
# What OpenSSL says of a key that is not the certificate's: one of the same kind, and one of another kind.
_MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class ServerCertificate:
    """A certificate with its key, and the TLS context that presents it.

    `flag` is how the settings of the files begin. Raises OSError with one sentence, and `filename` set, for files that
    cannot be used.
    """

    def __init__(self, certificate: str, key: str | None = None, flag: str = "--tls") -> None:
        self._files = certificate, key, flag
        self.context = _context(certificate, key, flag)
        """The context of the next connection; `reload` replaces it."""

    def reload(self) -> None:
        """Reads the files again: connections that begin from now on get the new certificate.

        Raises OSError as the constructor does; the certificate then stays as it was.
        """
        for file in filter(None, self._files[:2]):
            if may_block(file):
                raise _error(file, f"{file} is no ordinary file, and a running server waits for no other")
        # A new context, since the old one would go on presenting a certificate with another kind of key.
        self.context = _context(*self._files)

    def objection(self) -> str | None:
        """What is wrong with the time for which the certificate is valid: it is over, or will soon be."""
        name, found = self._files[0], _expires_at(_read(self._files[0], "the certificate"))
        if found is None or (left := found - time.time()) > _WARN_SECONDS:
            return None
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found))
        if left <= 0:
            return f"the certificate {name} expired at {day}: clients reject it; renew it, then send SIGHUP"
        return f"the certificate {name} expires at {day}: renew it, then send SIGHUP"


class _EncryptedKey(Exception):
    """The key asks for a passphrase."""


def _context(certificate: str, key: str | None, flag: str) -> ssl.SSLContext:
    chain = _read(certificate, "the certificate")
    if not _CERTIFICATE.search(chain):
        hint = f", but a key: are {flag}-cert and {flag}-key exchanged?" if _KEY.search(chain) else " in PEM form"
        raise _error(certificate, f"{certificate} holds no certificate{hint}")
    if key is None and not _KEY.search(chain):
        raise _error(certificate, f"{certificate} holds no key: name the file of the key with {flag}-key")
    if key is not None and not _KEY.search(keys := _read(key, "the key")):
        hint = ", but a certificate" if _CERTIFICATE.search(keys) else " in PEM form"
        raise _error(key, f"{key} holds no key{hint}; {flag}-key names the file of the key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # A peer could ask for handshake after handshake within one connection of TLS 1.2.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key, password=_refuse_passphrase)
    except _EncryptedKey:
        text = "is encrypted, and a server cannot ask for its passphrase; write it without one: openssl pkey -in"
        file = key or certificate
        raise _error(file, f"the key in {file} {text} {file} -out FILE") from None
    except OSError as error:
        if getattr(error, "reason", "") in _MISMATCHES:
            text = f"the key in {key or certificate} does not belong to the certificate in {certificate}"
        else:
            text = f"cannot use the certificate {certificate} and its key: {_reason(error)}"
        raise _error(certificate, text) from None
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the PEM form is damaged").replace("_", " ").lower()
    return error.strerror or str(error)


def _refuse_passphrase() -> str:
    """Called for an encrypted key. Without it OpenSSL would ask at the terminal."""
    raise _EncryptedKey


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise _error(path, f"cannot read {what} {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise _error(path, f"cannot read {what} {path}: it is larger than {_FILE_BYTES_MAX:,} bytes")
    return data


def _error(path: str, text: str) -> OSError:
    return OSError(errno.EINVAL, text, path)


def _expires_at(chain: bytes) -> float | None:
    """When the first certificate of a chain expires, in seconds since 1970; None if that cannot be read."""
    block = _BLOCK.search(chain)
    found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(block[0].decode())) if block else None
    if found is None:
        return None
    # A year of two digits is from 1950 to 2049.
    century = "" if found[1] == b"\x18" else "19" if found[2] >= b"50" else "20"
    return calendar.timegm(time.strptime(century + found[2].decode(), "%Y%m%d%H%M%S"))
