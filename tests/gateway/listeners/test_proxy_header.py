"""The header of the PROXY protocol: what it says, wherever it is split, and what is not allowed."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.gateway.listeners.proxy_header import (
    HEADER_BYTES_MAX,
    LINE_BYTES_MAX,
    ProxyHeader,
    ProxyHeaderError,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LONGEST_LINE = b"PROXY UNKNOWN %b %b 65535 65535\r\n" % ((b":".join([b"ffff"] * 8),) * 2)


def line(text: str) -> bytes:
    return f"PROXY {text}\r\n".encode("latin-1")


def binary(block: bytes = b"", kind: int = 0x11, command: int = 1, version: int = 2, size: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version * 16 + command, kind, len(block) if size is None else size) + block


def addresses(source: str, port: int) -> bytes:
    packed = ipaddress.ip_address(source).packed
    return packed + bytes(len(packed)) + struct.pack("!HH", port, 7777)


ADDRESSES_4, ADDRESSES_6 = addresses("192.0.2.1", 80), addresses("2001:db8::1", 80)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (line("TCP4 192.0.2.1 192.0.2.2 80 0"), ("192.0.2.1", 80)),
        (line("TCP6 2001:DB8:0::1 ::1 65535 7777"), ("2001:db8::1", 65535)),
        (line("TCP6 ::ffff:192.0.2.1 ::1 80 7777"), ("192.0.2.1", 80)),
        (line("UNKNOWN"), None),
        (line("UNKNOWN whatever stands here\rand there"), None),
        (LONGEST_LINE, None),
        (binary(ADDRESSES_4), ("192.0.2.1", 80)),
        (binary(ADDRESSES_6, 0x21), ("2001:db8::1", 80)),
        (binary(addresses("::ffff:192.0.2.1", 80), 0x21), ("192.0.2.1", 80)),
        (binary(ADDRESSES_4 + b"\x04\0\x05#####"), ("192.0.2.1", 80)),
        (binary(ADDRESSES_4 + bytes(HEADER_BYTES_MAX - 28)), ("192.0.2.1", 80)),
        # Health checks, sockets of the file system, datagrams and what is unknown.
        (binary(command=0, kind=0), None),
        (binary(ADDRESSES_4, command=0), None),
        (binary(b"?", command=0, kind=0xFF), None),
        (binary(bytes(216), 0x31), None),
        (binary(bytes(216), 0x32), None),
        (binary(ADDRESSES_4, 0x12), None),
        (binary(ADDRESSES_6, 0x22), None),
        (binary(kind=0), None),
        (binary(ADDRESSES_4, 0x10), None),
    ],
)
def test_header_tells_the_source_wherever_it_is_split(header: bytes, source: tuple[str, int] | None) -> None:
    assert read_proxy_header(header) == read_proxy_header(header + b"\0\0\0\x05HELLO") == (len(header), source)
    assert not [split for split in range(len(header)) if read_proxy_header(header[:split]) is not None]


@pytest.mark.parametrize(
    "header",
    [
        line(""),
        line("TCP4"),
        line("tcp4 192.0.2.1 192.0.2.2 80 7777"),
        line("TCP5 192.0.2.1 192.0.2.2 80 7777"),
        line("TCP4  192.0.2.1 192.0.2.2 80 7777"),
        line("TCP4 192.0.2.1 192.0.2.2 80 7777 "),
        line("TCP4 192.0.2.1 192.0.2.2 80"),
        line("TCP4 192.0.2.01 192.0.2.2 80 7777"),
        line("TCP4 192.0.2.256 192.0.2.2 80 7777"),
        line("TCP4 2001:db8::1 ::1 80 7777"),
        line("TCP6 192.0.2.1 192.0.2.2 80 7777"),
        line("TCP6 fe80::1%eth0 ::1 80 7777"),
        line("TCP4 192.0.2.1 zone.example 80 7777"),
        line("TCP4 192.0.2.1 192.0.2.2 080 7777"),
        line("TCP4 192.0.2.1 192.0.2.2 80 65536"),
        line("TCP4 192.0.2.1 192.0.2.2 -1 7777"),
        line("TCP4 192.0.2.1 192.0.2.2 \xb2 7777"),
        line("UNKNOWNS"),
        b"PROXYING\r\n",
        b"PROXY UNKNOWN\n" + bytes(LINE_BYTES_MAX),
        b"PROXY UNKNOWN " + b"x" * LINE_BYTES_MAX + b"\r\n",
        binary(ADDRESSES_4, version=1),
        binary(ADDRESSES_4, version=3),
        binary(ADDRESSES_4, command=2),
        binary(ADDRESSES_4, kind=0x41),
        binary(ADDRESSES_4, kind=0x13),
        binary(ADDRESSES_4[:-1]),
        binary(ADDRESSES_4, kind=0x21),
        binary(ADDRESSES_4, size=HEADER_BYTES_MAX - 15),
    ],
)
def test_header_that_is_not_allowed_is_an_error(header: bytes) -> None:
    with pytest.raises(ProxyHeaderError, match="PROXY"):
        read_proxy_header(header)


def test_longest_line_has_the_bytes_of_the_norm() -> None:
    assert (len(LONGEST_LINE), LINE_BYTES_MAX) == (107, 107)


@pytest.mark.parametrize("data", [b"\0\0\0\x0c", b"GET / HTTP/1.1\r\n", b"POST /", b"\x16\x03\x01", b"\r\n\r\n\r\n"])
def test_other_bytes_are_no_header(data: bytes) -> None:
    assert read_proxy_header(data) == ProxyHeader(0, None)


@given(
    st.sampled_from(
        [b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11", SIGNATURE + b"\x21\x21\0\x24"]
    ),
    st.binary(max_size=150),
)
def test_any_bytes_are_an_error_or_a_header_within_its_bound(begin: bytes, rest: bytes) -> None:
    data = begin + rest
    try:
        header = read_proxy_header(data)
    except ProxyHeaderError:
        return
    if header is None:
        assert len(data) < (HEADER_BYTES_MAX if data.startswith(SIGNATURE) else LINE_BYTES_MAX)
        return
    assert header.size <= len(data)
    # What follows the header changes nothing, and nothing shorter decides it.
    assert not header.size or read_proxy_header(data[: header.size]) == header
    assert not header.size or read_proxy_header(data[: header.size - 1]) is None


@given(st.ip_addresses(), st.integers(0, 65535), st.booleans())
def test_any_address_is_told_by_both_versions(source: ipaddress.IPv4Address, port: int, is_line: bool) -> None:
    is_4 = source.version == 4
    if is_line:
        text = f"TCP{source.version} {source} {'192.0.2.2' if is_4 else '::1'} {port} 7777"
        header = read_proxy_header(line(text))
    else:
        header = read_proxy_header(binary(addresses(str(source), port), 0x11 if is_4 else 0x21))
    assert header is not None
    assert header.source == (str(getattr(source, "ipv4_mapped", None) or source), port)
