"""Turns the bytes of a fuzzer into scripts and into payloads that resemble golden messages."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgpack

__all__ = ["GOLDEN", "RECIPE", "Script", "payload_of"]

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors.json").read_text(encoding="utf-8"))
GOLDEN = [
    bytes.fromhex(vector["hex"])
    for section in ("messages", "client_refuses", "server_refuses")
    for vector in VECTORS[section]
]
"""Every golden message, and every golden payload that decoders must reject."""
RECIPE = b"\xc1"
"""The first byte of a recipe. No msgpack value begins with it."""


class Script:
    """Bytes that are read one after the other. After the last byte it reads zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def has_more(self) -> bool:
        return self._place < len(self._data)

    def byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1] if self._place <= len(self._data) else 0

    def signed(self) -> int:
        return (self.byte() ^ 0x80) - 0x80

    def bytes(self) -> bytes:
        """Reads a byte with a length, and then that many bytes."""
        count = self.byte()
        self._place += count
        return self._data[self._place - count : self._place]


# Values at the limits of what is allowed, and values that are allowed nowhere.
INTEGERS = [
    0,
    1,
    2,
    16,
    100,
    127,
    128,
    255,
    -1,
    -128,
    -129,
    *(sign * 2**bits for bits in (15, 16, 31, 32) for sign in (1, -1)),
]
HUGE = [2**32 - 17, 2**32 - 16, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
ODD = [
    None,
    True,
    False,
    0.5,
    1.0,
    math.nan,
    math.inf,
    -math.inf,
    {},
    {1: 2},
    msgpack.ExtType(5, b""),
    msgpack.Timestamp(1),
]
TEXTS = ["", "a", "move", "strike", "say", "\x1b[2J", "\u202e", "é" * 24, "x" * 25, b"", b"\0", b"\1\0\0", bytes(8)]
ARRAYS = [(), ((),), (1, 2, 3), ("move", 1, 2), (0, 0, "say"), (None, None, "say"), (0,) * 17]
VALUES = [*INTEGERS, *HUGE, *ODD, *TEXTS, *ARRAYS]


def payload_of(data: bytes) -> bytes:
    """Returns the bytes unchanged, or the payload that they describe if they are a recipe.

    A recipe names a golden message by one byte. Two further bytes for each change name a value and its new value.
    """
    if data[:1] != RECIPE:
        return data
    script = Script(data[1:])
    message = [msgpack.unpackb(UNPACKABLE[script.byte() % len(UNPACKABLE)])]
    places = places_in(message)
    while script.has_more and 0 < len(places) < PLACES_MAX:
        values, index = places[script.byte() % len(places)]
        what = script.byte()
        if what < 128:
            values[index] = VALUES[what % len(VALUES)]
        elif what < 144:
            del values[index]
        elif what < 160:
            values[index:index] = [values[index]] * (what - 143)
        else:
            values[index] = [values[index]] * (what % 20)
        places = places_in(message)
    return msgpack.packb(message[0]) if message else b""


def places_in(message: list[Any]) -> list[tuple[list[Any], int]]:
    """Returns each value in nested lists as (list, index), outer lists first."""
    places, lists = [], [message]
    for values in lists:
        places += [(values, index) for index in range(len(values))]
        lists += [value for value in values if type(value) is list]
    return places


def is_unpackable(payload: bytes) -> bool:
    try:
        return type(msgpack.unpackb(payload)) is list
    except ValueError:
        return False


UNPACKABLE = list(filter(is_unpackable, GOLDEN))
PLACES_MAX = 500
"""A message with more values than this is not changed further, since repeated repetitions grow without end."""
