"""Certificates for tests, and the contexts of both ends."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Pki:
    cert: str
    key: str
    context: ssl.SSLContext
    """The TLS context of a client that trusts only the issuer of the certificate."""

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        return context


def issue_pki(folder: Path, name: str = "127.0.0.1") -> Pki:
    """Issues a certificate for an address or a name, and writes it and its key to the folder."""
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Pki(str(folder / "cert.pem"), str(folder / "key.pem"), context)
