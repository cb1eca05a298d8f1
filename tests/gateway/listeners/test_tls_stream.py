"""The TLS stream, without a socket: it reads record by record, in whatever pieces its bytes arrive."""

from __future__ import annotations

import random
import ssl

import pytest
from helpers.tls import Pki
from zonetools.soak.tls_client import TlsEnd, client_context

from zoneserver.gateway.listeners.tls_stream import RECORD_DATA_BYTES_MAX, TlsStream

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def connected(pki: Pki, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[TlsEnd, TlsStream]:
    """Both ends of a connection whose handshake is done."""
    context = client_context()
    context.minimum_version = context.maximum_version = version
    client, stream = TlsEnd(context), TlsStream(pki.server_context())
    done, to_send = client.handshake()
    while not (done and stream.is_open):
        stream.receive(to_send)
        while stream.has_record:
            assert stream.read_record() == b""
        done, to_send = client.handshake(stream.ciphertext_to_send())
    return client, stream


def read_all(stream: TlsStream) -> list[bytes | None]:
    read = []
    while stream.has_record:
        read.append(stream.read_record())
    return read


@VERSIONS
@pytest.mark.parametrize("seed", range(5))
def test_stream_reads_the_same_records_from_any_split(pki: Pki, version: ssl.TLSVersion, seed: int) -> None:
    chance = random.Random(seed)
    client, stream = connected(pki, version)
    sent = [chance.randbytes(chance.choice([1, 2, 100, 5_000, RECORD_DATA_BYTES_MAX])) for _ in range(20)]
    ciphertext = b"".join(client.record(data) for data in sent)
    received: list[bytes | None] = []
    while ciphertext:
        size = chance.choice([1, 4, 5, 6, 1_000, 20_000])
        piece, ciphertext = ciphertext[:size], ciphertext[size:]
        stream.receive(piece)
        received += read_all(stream)
    assert received == sent


@VERSIONS
def test_handshake_is_done_when_it_arrives_byte_by_byte(pki: Pki, version: ssl.TLSVersion) -> None:
    context = client_context()
    context.maximum_version = version
    client, stream = TlsEnd(context), TlsStream(pki.server_context())
    done, to_send = client.handshake()
    while not (done and stream.is_open):
        for byte in to_send:
            stream.receive(bytes([byte]))
            read_all(stream)
        done, to_send = client.handshake(stream.ciphertext_to_send())
    stream.receive(client.record(b"hello"))
    assert read_all(stream) == [b"hello"]


@VERSIONS
def test_data_of_any_size_reach_the_peer(pki: Pki, version: ssl.TLSVersion) -> None:
    client, stream = connected(pki, version)
    for size in (1, 1_000, RECORD_DATA_BYTES_MAX):
        assert client.decrypt(stream.encrypt(bytes(size))) == bytes(size)


def test_close_notify_is_read_as_none(pki: Pki) -> None:
    client, stream = connected(pki)
    stream.receive(client.record(b"last") + client.close_notify())
    assert read_all(stream) == [b"last", None]


@VERSIONS
def test_both_ends_may_close(pki: Pki, version: ssl.TLSVersion) -> None:
    client, stream = connected(pki, version)
    stream.end()
    assert client.decrypt(stream.ciphertext_to_send()) == b""
    stream.receive(client.close_notify())
    assert read_all(stream) == [None]


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP_REQUEST"),
        (b"\x16\x03\x01\xff\xff", "PACKET_LENGTH_TOO_LONG"),
        (b"\x16\x03\x01\x00\x05hello", "UNEXPECTED_MESSAGE"),
        (bytes(5), "WRONG_VERSION_NUMBER"),
        # A greeting of SSL 2.
        (b"\x80\x2e\x01\x00\x02" + bytes(41), None),
    ],
)
def test_garbage_is_no_handshake(pki: Pki, garbage: bytes, reason: str | None) -> None:
    stream = TlsStream(pki.server_context())
    stream.receive(garbage)
    with pytest.raises(ssl.SSLError) as raised:
        read_all(stream)
    assert reason is None or raised.value.reason == reason


def test_oversized_record_is_refused_on_its_header(pki: Pki) -> None:
    _, stream = connected(pki)
    stream.receive(b"\x17\x03\x03\x48\x01")
    with pytest.raises(ssl.SSLError, match="LENGTH"):
        stream.read_record()


def test_record_that_was_changed_on_the_way_is_refused(pki: Pki) -> None:
    client, stream = connected(pki)
    record = bytearray(client.record(b"hello"))
    record[-1] ^= 1
    stream.receive(bytes(record))
    with pytest.raises(ssl.SSLError):
        stream.read_record()
    assert stream.ciphertext_to_send(), "the peer is told by an alert"
