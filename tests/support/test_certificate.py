"""The certificate of a server: what is said about its files, when it expires, and how it is read again."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from helpers.pki import Pki

from zoneserver.support.certificate import ServerCertificate

Files = tuple[str, str | None]


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def shaken(certificate: ServerCertificate, server_name: str | None = None) -> bytes:
    """The certificate that a client gets in a handshake, as DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    found = client.getpeercert(binary_form=True)
    assert found
    return found


def der(path: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(path).read_text())


def written(name: str, content: str) -> str:
    Path(name).write_text(content)
    return name


# Each case has the name of the files, and what is said of them.
WRONG: dict[str, tuple[Callable[[Pki], Files], str]] = {
    "no certificate": (lambda _: ("none.pem", None), "cannot read the certificate none.pem: No such file"),
    "a folder": (lambda _: (".", None), "cannot read the certificate .: Is a directory"),
    "NUL in a name": (lambda _: ("a\0b", None), "cannot read the certificate a\0b: embedded null byte"),
    "no end": (lambda _: ("/dev/zero", None), "cannot read the certificate /dev/zero: it is larger than"),
    "empty": (lambda _: (written("c.pem", ""), None), "c.pem holds no certificate in PEM form"),
    "key for certificate": (
        lambda pki: (pki.issue()[1], pki.issue()[0]),
        "holds no certificate, but a key: are --tls-",
    ),
    "no key": (lambda pki: (pki.issue()[0], None), "holds no key: name the file of the key with --tls-key"),
    "key is not there": (lambda pki: (pki.issue()[0], "none.pem"), "cannot read the key none.pem: No such file"),
    "certificate for key": (lambda pki: (pki.issue()[0], pki.issue()[0]), "holds no key, but a certificate; --tls-key"),
    "empty key": (lambda pki: (pki.issue()[0], written("k.pem", "")), "k.pem holds no key in PEM form; --tls-key"),
    "another's key": (lambda pki: (pki.issue("a")[0], pki.issue("b")[1]), "does not belong to the certificate in"),
    "encrypted key": (lambda pki: pki.issue(passphrase=b"secret"), "is encrypted, and a server cannot ask"),
    "damaged": (
        lambda pki: (pki.issue()[0], written("k.pem", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n")),
        "cannot use the certificate",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_files_that_cannot_be_used_are_told_in_one_line(
    case: str, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files, words = WRONG[case]
    certificate, key = files(pki)
    with pytest.raises(OSError, match=re.escape(words)) as caught:
        ServerCertificate(certificate, key)
    assert caught.value.filename in (certificate, key)
    assert "\n" not in str(caught.value.strerror)


def test_certificate_and_key_may_be_in_one_file(pki: Pki, tmp_path: Path) -> None:
    certificate, key = pki.issue()
    both = written(str(tmp_path / "both.pem"), Path(key).read_text() + Path(certificate).read_text())
    found = ServerCertificate(both)
    assert shaken(found) == der(certificate)
    assert found.objection() is None


@pytest.mark.parametrize(
    ("days", "words"),
    [(90, None), (15, None), (13, " UTC: renew it, then send SIGHUP"), (-1, "clients reject it"), (-400, "expired at")],
)
def test_objection_tells_that_the_certificate_expires(days: float, words: str | None, pki: Pki) -> None:
    objection = ServerCertificate(*pki.issue(days=days)).objection()
    assert objection is None if words is None else objection is not None and words in objection


def test_objection_reads_a_year_of_four_digits(pki: Pki) -> None:
    assert ServerCertificate(*pki.issue(days=365 * 40)).objection() is None


@pytest.mark.parametrize("server_name", [None, "localhost"])
@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_reloaded_certificate_is_in_the_next_handshake(
    key_type: trustme.KeyType, server_name: str | None, pki: Pki
) -> None:
    certificate = ServerCertificate(*pki.issue())
    for _ in range(2):
        path, _ = pki.issue(key_type=key_type)
        certificate.reload()
        assert shaken(certificate, server_name) == der(path)


def test_reload_waits_for_no_pipe(pki: Pki) -> None:
    path, key = pki.issue()
    certificate = ServerCertificate(path, key)
    for file in (path, key):
        text = Path(file).read_text()
        Path(file).unlink()
        os.mkfifo(file)
        with pytest.raises(OSError, match="is no ordinary file"):
            certificate.reload()
        Path(file).unlink()
        Path(file).write_text(text)
    certificate.reload()


def test_key_of_another_kind_is_told_as_not_belonging_to_the_certificate(pki: Pki) -> None:
    path, _ = pki.issue()
    _, key = pki.issue("other", key_type=trustme.KeyType.RSA)
    with pytest.raises(OSError, match="does not belong to the certificate"):
        ServerCertificate(path, key)


def test_reload_of_broken_files_keeps_the_certificate(pki: Pki) -> None:
    path, key = pki.issue()
    before = der(path)
    certificate = ServerCertificate(path, key)
    Path(key).write_text("")
    with pytest.raises(OSError, match="holds no key"):
        certificate.reload()
    assert shaken(certificate) == before
