"""Certificates and keys in files, made for one test."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


class Pki:
    """An authority whose certificate is in `ca.pem`, and what it issues, in files of one folder."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._folder = folder
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(
        self,
        name: str = "",
        days: float = 90,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
        passphrase: bytes = b"",
    ) -> tuple[str, str]:
        """The paths of a certificate for this machine and of its key: `NAMEcert.pem` and `NAMEkey.pem`."""
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        issued = self._authority.issue_cert("127.0.0.1", "::1", "localhost", not_after=until, key_type=key_type)
        certificate, key = self._folder / f"{name}cert.pem", self._folder / f"{name}key.pem"
        issued.cert_chain_pems[0].write_to_path(certificate)
        data = issued.private_key_pem.bytes()
        if passphrase:
            data = serialization.load_pem_private_key(data, None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(passphrase),
            )
        key.write_bytes(data)
        return str(certificate), str(key)
