"""Deflate: the same bytes in fewer, for who asked for it. Raw, as RFC 1951 has it: no header, no checksum.

Each piece stands for itself. A window that is shared from one frame to the next would be shorter still, but
whoever skips a frame would have lost the stream, and no two clients could be sent the same bytes.
"""

from __future__ import annotations

import zlib

__all__ = ["DeflateError", "deflate", "inflate"]

# The least effort there is: the highest takes twice the time for one percent less.
_LEVEL = 1
# Without header and checksum, with the largest window.
_RAW = -15


class DeflateError(ValueError):
    """Bytes that are not deflated, not whole, more than one piece, or too much once they are inflated."""


def deflate(data: bytes) -> bytes:
    """The data, deflated.

    >>> len(deflate(bytes(1000))) < 20
    True
    """
    return zlib.compress(data, _LEVEL, _RAW)


def inflate(data: bytes, bytes_max: int) -> bytes:
    """What was deflated, which may be `bytes_max` long: no more than that is ever made of it.

    Raises DeflateError, whatever the bytes are.

    >>> inflate(deflate(b"abc"), 3)
    b'abc'
    """
    inflater = zlib.decompressobj(_RAW)
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
