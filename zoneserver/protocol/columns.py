"""Columns: one field of many players, its values packed side by side in the order of their slots.

Columns are little-endian. Nearly every machine holds arrays in this order, so that packing is a copy.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = ["ColumnError", "pack_column", "pack_slots", "unpack_column", "unpack_slots"]

_BITMAP, _LIST = b"\x00", b"\x01"
# For each value of a byte, the numbers of the bits that are set, the lowest first.
_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]


class ColumnError(ValueError):
    """The bytes are not a column or a set of slots."""


def pack_column(typecode: str, values: Iterable[int]) -> bytes:
    """Packs values as an array of this `typecode` of the module `array`: b B are 1 byte, h H 2 bytes, i I 4 bytes."""
    if isinstance(values, array) and values.typecode == typecode and sys.byteorder == "little":
        return values.tobytes()
    column = array(typecode, values)
    if sys.byteorder != "little":
        column.byteswap()
    return column.tobytes()


def unpack_column(typecode: str, data: bytes) -> array[int]:
    """The array that `pack_column` packed. Raises ColumnError if the length is not a multiple of the value's size."""
    column: array[int] = array(typecode)
    try:
        column.frombytes(data)
    except ValueError:
        raise ColumnError(f"{len(data)} bytes are not a whole number of {typecode!r} values") from None
    if sys.byteorder != "little":
        column.byteswap()
    return column


def pack_slots(slots: Sequence[int]) -> bytes:
    """Packs a set of slots, given in rising order, as a bitmap, or as a list if that is shorter."""
    if not slots:
        return _LIST
    bitmap_bytes = slots[-1] // 8 + 1
    if len(slots) * 2 < bitmap_bytes:
        return _LIST + pack_column("H", slots)
    bitmap = bytearray(bitmap_bytes)
    for slot in slots:
        bitmap[slot >> 3] |= 1 << (slot & 7)
    return _BITMAP + bitmap


def unpack_slots(data: bytes) -> list[int]:
    """The slots that `pack_slots` packed, in rising order. Raises ColumnError for any other form."""
    form, body = data[:1], data[1:]
    if form == _LIST:
        slots = list(unpack_column("H", body))
        if any(low >= high for low, high in pairwise(slots)):
            raise ColumnError("a list of slots must be in rising order")
        return slots
    if form != _BITMAP or len(body) > 8192:
        raise ColumnError("a set of slots must be a bitmap or a list")
    return [base + bit for base, byte in zip(range(0, 65536, 8), body, strict=False) for bit in _BITS[byte]]
