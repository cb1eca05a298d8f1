"""The header of the PROXY protocol, versions 1 and 2: a proxy begins a connection with it, to tell where it is from.

The norm is `proxy-protocol.txt` of HAProxy. Pure.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import NamedTuple

from zoneserver.support.addresses import parse_address

__all__ = ["HEADER_BYTES_MAX", "LINE_BYTES_MAX", "ProxyHeader", "ProxyHeaderError", "read_proxy_header"]

LINE_BYTES_MAX = 107
"""The most bytes of a header of version 1, with its CR and LF."""
HEADER_BYTES_MAX = 4096
"""The most bytes of a header of version 2. The norm fits addresses and usual TLVs in 536; a certificate is larger."""

_WORD = b"PROXY"
_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: .*)?|TCP([46]) (\S+) (\S+) (\S+) (\S+))\r\n", re.DOTALL)
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# Signature, version and command, family and transport, the bytes of all that follows.
_FIXED = struct.Struct(f"!{len(_SIGNATURE)}sBBH")
_VERSION, _LOCAL, _PROXY = 2, 0, 1
_FAMILY_MAX, _TRANSPORT_MAX = 3, 2
# The addresses of TCP over IPv4 and over IPv6: source and destination, then both ports.
_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}


class ProxyHeaderError(ValueError):
    """A connection begins with a PROXY header that is not allowed. The text says why."""


class ProxyHeader(NamedTuple):
    """What the first bytes of a connection say."""

    size: int
    """The bytes of the header; 0 where there is none."""
    source: tuple[str, int] | None
    """Address and port from which the connection comes; None if it keeps its own, as that of a health check."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Reads the header with which a connection begins. Returns None while the bytes do not decide it.

    Raises ProxyHeaderError for a header that is not allowed.

    >>> read_proxy_header(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 7777\\r\\n" + b"HELLO")
    ProxyHeader(size=43, source=('192.0.2.1', 56324))
    >>> read_proxy_header(b"PRO") is None, read_proxy_header(b"GET / HTTP/1.1")
    (True, ProxyHeader(size=0, source=None))
    """
    if data.startswith(_SIGNATURE):
        return _read_binary(data)
    if data.startswith(_WORD):
        return _read_line(data)
    return None if _SIGNATURE.startswith(data) or _WORD.startswith(data) else ProxyHeader(0, None)


def _read_line(data: bytes) -> ProxyHeader | None:
    """Version 1."""
    line, end, _ = data[:LINE_BYTES_MAX].partition(b"\r\n")
    if not end:
        if len(data) < LINE_BYTES_MAX:
            return None
        raise ProxyHeaderError(f"the line of a PROXY header is longer than {LINE_BYTES_MAX} bytes")
    line += end
    found = _LINE.fullmatch(line)
    if found is None:
        raise ProxyHeaderError(f"{line!r} is no line of a PROXY header")
    if found[1] is None:
        return ProxyHeader(len(line), None)
    source, destination, *ports = (part.decode("latin-1") for part in found.groups()[1:])
    is_right = all(_is_of_version(address, int(found[1])) for address in (source, destination))
    if not is_right or not all(_PORT.fullmatch(port) and int(port) <= 65_535 for port in ports):
        raise ProxyHeaderError(f"{line!r} has no addresses and ports of TCP{found[1].decode()}")
    return ProxyHeader(len(line), (parse_address(source) or source, int(ports[0])))


def _is_of_version(text: str, version: int) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _read_binary(data: bytes) -> ProxyHeader | None:
    """Version 2."""
    if len(data) < _FIXED.size:
        return None
    _, version_and_command, kind, rest = _FIXED.unpack_from(data)
    version, command = divmod(version_and_command, 16)
    size = _FIXED.size + rest
    if version != _VERSION or command not in {_LOCAL, _PROXY}:
        raise ProxyHeaderError(f"a PROXY header has version {version} and command {command}")
    if size > HEADER_BYTES_MAX:
        raise ProxyHeaderError(f"a PROXY header of {size} bytes is longer than {HEADER_BYTES_MAX}")
    addresses = None
    if command == _PROXY:
        if kind >> 4 > _FAMILY_MAX or kind & 15 > _TRANSPORT_MAX:
            raise ProxyHeaderError(f"a PROXY header has family {kind >> 4} and transport {kind & 15}")
        addresses = _ADDRESSES.get(kind)
        if addresses is not None and rest < addresses.size:
            raise ProxyHeaderError(f"a PROXY header has {rest} bytes of addresses, not {addresses.size}")
    if len(data) < size:
        return None
    if addresses is None:
        return ProxyHeader(size, None)
    packed, _, port, _ = addresses.unpack_from(data, _FIXED.size)
    text = str(ipaddress.ip_address(packed))
    return ProxyHeader(size, (parse_address(text) or text, port))
