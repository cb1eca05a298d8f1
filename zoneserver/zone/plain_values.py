"""Plain values: what a game may save. They become text or bytes, and equal values again."""

from __future__ import annotations

import math
from typing import Any

import msgpack

__all__ = ["check_plain", "pack_plain", "unpack_plain"]

# A value with more levels than this is taken for one that contains itself.
_DEPTH_MAX = 100


def pack_plain(value: object, place: str) -> bytes:
    """The bytes of a value of dicts with texts as keys, lists, tuples, texts, bytes, numbers, booleans and None.

    Raises TypeError or ValueError for any other value, with the place in it; `place` names the whole value.
    """
    check_plain(value, place, "a checkpoint")
    try:
        packed: bytes = msgpack.packb(value)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"a checkpoint cannot hold {place}: {error}") from None
    return packed


def unpack_plain(packed: bytes) -> Any:
    """The value of `pack_plain`. A tuple has become a list."""
    return msgpack.unpackb(packed)


def check_plain(value: object, place: str, form: str = "JSON", depth: int = 0) -> None:
    """Raises TypeError or ValueError for a value that JSON cannot hold, or would return as another value. The text has
    the place. Any other `form`, which the text names, also holds bytes and numbers that are not finite."""
    is_json = form == "JSON"
    if depth > _DEPTH_MAX:
        raise ValueError(f"{place[:80]}... is nested too deeply")
    if isinstance(value, dict):
        for key, element in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r:.40}, {_kind(key)}: keys are texts in {form}")
            if not isinstance(element, str | int | None):
                check_plain(element, f"{place}[{key!r:.40}]", form, depth + 1)
    elif isinstance(value, list | tuple):
        for index, element in enumerate(value):
            if not isinstance(element, str | int | None):
                check_plain(element, f"{place}[{index}]", form, depth + 1)
    elif isinstance(value, float):
        if is_json and not math.isfinite(value):
            raise ValueError(f"{place} is {value}: JSON has no such number")
    elif not isinstance(value, str | int | None) and (is_json or not isinstance(value, bytes)):
        raise TypeError(f"{place} is {_kind(value)}: {form} cannot hold it")


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
