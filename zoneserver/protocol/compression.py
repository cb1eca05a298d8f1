"""Deflate: the same bytes in fewer, for who asked for it. Raw, as RFC 1951 has it: no header, no checksum.

Each piece stands for itself. A window that is shared from one frame to the next would be shorter still, but
whoever skips a frame would have lost the stream, and no two clients could be sent the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

__all__ = ["DeflateError", "deflate", "inflate"]

# The least effort there is: the most takes a quarter longer for one percent less of a frame, and ten times as
# long for a tenth less of a snapshot.
_LEVEL = 1
# Half of the window and memory that there could be: a frame takes no byte more for it, and some tenths less time,
# for when a tick comes the caches are cold.
_WINDOW, _MEMORY = -14, 7
# What a peer may have used. Below zero both are without header and checksum.
_WINDOW_MAX = -15


class DeflateError(ValueError):
    """Bytes that are not deflated, not whole, more than one piece, or too much once they are inflated."""


def deflate(data: bytes, seams: Iterable[int] = ()) -> bytes:
    """The data, deflated. Seams are where, in rising order, something of another kind begins: each kind gets
    codes of its own, which is shorter where it is long.

    >>> len(deflate(bytes(1000))) < 20
    True
    """
    deflater, view, start = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY), memoryview(data), 0
    deflated = list[bytes]()
    for seam in seams:
        deflated += deflater.compress(view[start:seam]), deflater.flush(zlib.Z_BLOCK)
        start = seam
    return b"".join((*deflated, deflater.compress(view[start:]), deflater.flush()))


def inflate(data: bytes, bytes_max: int) -> bytes:
    """What was deflated, which may be `bytes_max` long: no more than that is ever made of it.

    Raises DeflateError, whatever the bytes are.

    >>> inflate(deflate(b"abc"), 3)
    b'abc'
    """
    inflater = zlib.decompressobj(_WINDOW_MAX)
    try:
        # One more, for an end that comes right behind the last byte that is allowed is no error.
        inflated = inflater.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise DeflateError(f"not deflated: {error}") from None
    if len(inflated) > bytes_max:
        raise DeflateError(f"more than {bytes_max} bytes once it is inflated")
    if not inflater.eof:
        raise DeflateError("deflated, and cut short")
    if inflater.unused_data:
        raise DeflateError(f"{len(inflater.unused_data)} bytes behind what was deflated")
    return inflated
