"""Finds out whose process is at the other end of a TCP connection within this machine."""

from __future__ import annotations

import socket
import struct
from typing import Any

__all__ = ["find_user", "user_of_peer"]

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def user_of_peer(peer: tuple[Any, ...], own: tuple[Any, ...]) -> int | None:
    """The user id of the process that has the other end of a connection; None where the system does not tell.

    `peer` and `own` are the addresses of the two ends. It reads a table of all connections, so call it in a thread.
    """
    for path in _TABLES:
        try:
            with open(path, "rb") as table:
                uid = find_user(table.read(), peer, own)
        except OSError:
            continue
        if uid is not None:
            return uid
    return None


def find_user(table: bytes, peer: tuple[Any, ...], own: tuple[Any, ...]) -> int | None:
    """The user id in the row of a table of Linux that is the peer's end of a connection; None if there is none.

    Only an open end counts: the kernel says that an end which its process has closed belongs to root.
    """
    for local, remote in zip(_shown(peer), _shown(own), strict=True):
        # 01 is the state ESTABLISHED.
        start = table.find(f" {local} {remote} 01 ".encode())
        if start >= 0:
            # Columns: local address, remote address, state, queues, timer, retransmits, uid, timeout, inode, ...
            columns = table[start : start + 256].split(b"\n")[0].split()
            if columns[8] != b"0":
                return int(columns[6])
    return None


def _shown(address: tuple[Any, ...]) -> tuple[str, str]:
    """An address as the tables write it: of 4 bytes and of 16. A table has the words in the order of the machine."""
    host, port = address[:2]
    if ":" in host:
        wide = short = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    else:
        short = socket.inet_aton(host)
        wide = b"\0" * 10 + b"\xff\xff" + short
    return _hex(short, port), _hex(wide, port)


def _hex(address: bytes, port: int) -> str:
    words = struct.unpack(f"={len(address) // 4}I", address)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
