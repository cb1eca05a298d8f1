"""The records of a journal, as bytes.

A segment begins with 24 bytes: `ZONEJRNL`, the version of the format in four bytes, the checksum of the salt in four,
and the salt: eight random bytes. Records follow. Each record is, in big-endian bytes:

| length | checksum | kind | tick | body |
|---|---|---|---|---|
| 4 bytes, of all behind the checksum | 4 bytes: the CRC-32 of the salt and of the same | 1 byte | 4 bytes | |

Nobody is told the salt. So nobody can send bytes that look like a record of this segment, and the search for a whole
record never stops within the words of a player.
"""

from __future__ import annotations

import enum
import os
import re
import struct
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple, NewType
from zlib import crc32

__all__ = [
    "FILE_HEAD_BYTES",
    "HEAD_BYTES",
    "Kind",
    "Record",
    "Salt",
    "find_record",
    "is_cut_head",
    "new_head",
    "read_head",
    "read_record",
    "record_bytes",
    "salt_of",
]

VERSION = 1
_FORMAT = b"ZONEJRNL" + VERSION.to_bytes(4)
_SALT_BYTES = 8
FILE_HEAD_BYTES = len(_FORMAT) + 4 + _SALT_BYTES
"""The bytes of a segment ahead of its first record."""

Salt = NewType("Salt", int)
"""The checksum of a salt, with which the checksum of each record begins."""

_HEAD = struct.Struct(">IIBI")
_KIND_AND_TICK = struct.Struct(">BI")
HEAD_BYTES = _HEAD.size
"""The bytes of a record ahead of its body."""
_COVERED_BYTES = _KIND_AND_TICK.size


class Kind(enum.IntEnum):
    """What a record holds."""

    HEADER = 1
    INPUT = 2
    OUTPUT = 3
    SNAPSHOT = 4
    STATE = 5
    SAVED = 6


_KINDS = frozenset(Kind)


class Record(NamedTuple):
    """One record that is whole."""

    kind: int
    tick: int
    body: bytes


def new_head() -> bytes:
    """The first bytes of a new segment."""
    salt = os.urandom(_SALT_BYTES)
    return _FORMAT + crc32(salt).to_bytes(4) + salt


def salt_of(head: bytes) -> Salt | None:
    """The salt of a segment that begins with these FILE_HEAD_BYTES; None if no segment of this version does."""
    checksum, salt = head[len(_FORMAT) : -_SALT_BYTES], head[-_SALT_BYTES:]
    is_whole = head.startswith(_FORMAT) and crc32(salt).to_bytes(4) == checksum
    return Salt(crc32(salt)) if is_whole else None


def is_cut_head(data: bytes) -> bool:
    """Whether a file of these bytes is a segment that ends within its first bytes; zeros may stand for the rest."""
    is_short = len(data) < FILE_HEAD_BYTES and data.startswith(_FORMAT)
    return is_short or _FORMAT.startswith(data.rstrip(b"\0"))


def record_bytes(kind: Kind, tick: int, body: bytes, salt: Salt) -> tuple[bytes, bytes]:
    """A record as two buffers: its head, and its body."""
    checksum = crc32(body, crc32(_KIND_AND_TICK.pack(kind, tick), salt))
    return _HEAD.pack(_COVERED_BYTES + len(body), checksum, kind, tick), body


def read_head(file: BinaryIO, room: int) -> tuple[int, int, int] | None:
    """The kind and the tick of the record at the position of the file, where `room` bytes are left, and how many bytes
    the whole record has. None if no head of a record is there. The checksum is not tried."""
    if room < HEAD_BYTES:
        return None
    length, _, kind, tick = _HEAD.unpack(file.read(HEAD_BYTES))
    record_bytes = HEAD_BYTES - _COVERED_BYTES + length
    is_head = kind in _KINDS and HEAD_BYTES <= record_bytes <= room
    return (kind, tick, record_bytes) if is_head else None


def read_record(file: BinaryIO, room: int, salt: Salt) -> Record | str:
    """Reads the record at the position of the file, where `room` bytes are left; for anything else than a whole record
    returns a sentence about it."""
    if room < HEAD_BYTES:
        return f"the record is cut off after {room} bytes"
    length, checksum, kind, tick = _HEAD.unpack(file.read(HEAD_BYTES))
    body_bytes = length - _COVERED_BYTES
    if not 0 <= body_bytes <= room - HEAD_BYTES:
        return f"the record is said to have {body_bytes:,} bytes, and {room - HEAD_BYTES:,} are left"
    body = file.read(body_bytes)
    if crc32(body, crc32(_KIND_AND_TICK.pack(kind, tick), salt)) != checksum:
        return "the checksum of the record is wrong"
    return Record(kind, tick, body)


def find_record(data: bytes, kinds: Iterable[Kind], tick: int, salt: Salt) -> int | None:
    """The place of the first whole record of these kinds in bytes that begin anywhere; None if there is none. `tick` is
    that of a record shortly before."""
    # A kind, and the upper half of a tick near this one: few other places look so.
    choice = b"".join(re.escape(bytes((kind,))) for kind in kinds)
    upper = b"|".join(re.escape((tick // 65536 + more).to_bytes(2)) for more in (0, 1))
    for match in re.finditer(b"[%b](?=(?:%b)..)" % (choice, upper), data, re.DOTALL):
        start = match.start()
        place = start - HEAD_BYTES + _COVERED_BYTES
        if place < 0:
            continue
        length, checksum, *_ = _HEAD.unpack_from(data, place)
        covered = memoryview(data)[start : start + length]
        if _COVERED_BYTES <= length == len(covered) and crc32(covered, salt) == checksum:
            return place
    return None
