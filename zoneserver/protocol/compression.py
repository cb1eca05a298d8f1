"""Deflate for snapshots and ticks: raw, as RFC 1951 has it, without header and checksum.

Each message is compressed by itself. A window shared by successive frames would save more, but a client that skips a
frame would lose the stream, and no two clients could be sent the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgpack

__all__ = ["DeflateError", "deflate", "inflate", "seams_of"]

# The lowest level that compresses: the highest saves one more percent of a frame in a quarter more time, and a tenth
# of a snapshot in ten times the time.
_LEVEL = 1
# Half of the largest window and memory: a frame gets no byte longer, and takes some tenths less time, because the
# caches are cold when a tick comes. A negative window means no header and no checksum.
_WINDOW, _MEMORY = -14, 7
# The largest window, which a peer may have used.
_WINDOW_MAX = -15
# An element of this size deserves Huffman codes of its own: their table takes some fifty bytes.
_LONG_ELEMENT_BYTES = 128


class DeflateError(ValueError):
    """The bytes are not deflated, cut short, followed by others, or too many once they are inflated."""


def deflate(data: bytes, seams: Iterable[int] = ()) -> bytes:
    """Compresses the data. A new deflate block starts at each of the seams, which are offsets in rising order.

    A block has Huffman codes of its own, which saves bytes where the kind of the data changes.
    """
    deflater, view, start = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY), memoryview(data), 0
    deflated = list[bytes]()
    for seam in seams:
        deflated += deflater.compress(view[start:seam]), deflater.flush(zlib.Z_BLOCK)
        start = seam
    return b"".join((*deflated, deflater.compress(view[start:]), deflater.flush()))


def seams_of(payload: bytes) -> list[int]:
    """Offsets at which to start a new deflate block of a message: before and after each element of 128 bytes or
    more, usually a column. Shorter elements share the block of the element that follows.

    >>> seams_of(msgpack.packb([18, 7, bytes(200), bytes(300), 1]))
    [205, 508]
    """
    unpacker = msgpack.Unpacker(max_buffer_size=len(payload))
    unpacker.feed(payload)
    seams = [0]
    for _ in range(unpacker.read_array_header()):
        start = unpacker.tell()
        unpacker.skip()
        end = unpacker.tell()
        if end - start >= _LONG_ELEMENT_BYTES:
            seams += [start, end] if start - seams[-1] >= _LONG_ELEMENT_BYTES else [end]
    return [seam for seam in seams if 0 < seam < len(payload)]


def inflate(data: bytes, bytes_max: int) -> bytes:
    """Decompresses data that `deflate` made, and never produces more than `bytes_max` + 1 bytes.

    Raises DeflateError for any other data, and for data longer than `bytes_max` once it is inflated.
    """
    inflater = zlib.decompressobj(_WINDOW_MAX)
    try:
        # One byte more than allowed: the end mark may follow right behind the last byte that is allowed.
        inflated = inflater.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise DeflateError(f"the data is not deflated: {error}") from None
    if len(inflated) > bytes_max:
        raise DeflateError(f"the data has more than {bytes_max} bytes once it is inflated")
    if not inflater.eof:
        raise DeflateError("the deflated data is cut short")
    if inflater.unused_data:
        raise DeflateError(f"{len(inflater.unused_data)} bytes follow the end of the deflated data")
    return inflated
