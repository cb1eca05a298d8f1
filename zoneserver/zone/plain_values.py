"""Plain values: what a game may save. They become text or bytes, and equal values again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgpack

from zoneserver.support.unicode_text import is_unicode

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


def check_plain(value: object, place: str, form: str = "JSON", bytes_max: int | None = None) -> None:
    """Raises TypeError or ValueError for a value that JSON cannot hold, or would return as another value. The text has
    the place. Any other `form`, which the text names, also holds bytes and numbers that are not finite.

    A value that has more than `bytes_max` bytes is refused before its text is made.
    """
    _check(value, (place,), form, math.inf if bytes_max is None else bytes_max, bytes_max)


# The way to a value: what the game returned, then the keys and the indexes.
_Place = tuple[Any, ...]


def _check(value: object, place: _Place, form: str, room: float, bytes_max: int | None) -> float:
    """Returns what is left of `room` bytes. Raises as `check_plain` does."""
    if len(place) > _DEPTH_MAX + 1:
        raise ValueError(f"{_shown(place[:8])}... is nested too deeply")
    parts: Iterable[tuple[Any, object]] = ()
    is_json = form == "JSON"
    if isinstance(value, dict):
        parts = value.items()
        room = _check_texts(value, place, form, room)
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    elif isinstance(value, str):
        room = _check_texts((value,), place, form, room)
    elif isinstance(value, float):
        if is_json and not math.isfinite(value):
            raise ValueError(f"{_shown(place)} is {value}: JSON has no such number")
    elif not isinstance(value, int | None) and (is_json or not isinstance(value, bytes)):
        raise TypeError(f"{_shown(place)} is {_kind(value)}: {form} cannot hold it")
    for key, part in chain(parts, (("", None),)):
        if room < 0:
            raise ValueError(f"{place[0]} is more than {bytes_max:,} bytes as {form}: at most {bytes_max:,} are saved")
        room = (room if isinstance(part, int | None) else _check(part, (*place, key), form, room, bytes_max)) - 1
    return room


def _check_texts(texts: Iterable[object], place: _Place, form: str, room: float) -> float:
    """Checks a text or the keys of a dict. Returns what is left of `room`."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{_shown(place)} has the key {text!r:.40}, {_kind(text)}: keys are texts in {form}")
        if not is_unicode(text):
            raise ValueError(f"{_shown(place)} has the text {text!r:.40}, which is no Unicode: {form} cannot hold it")
        room -= len(text)
    return room


def _shown(place: _Place) -> str:
    """The place for people, as `to_save()['items'][1]`."""
    returned, *keys = place
    return f"{returned}{''.join(f'[{key!r:.40}]' for key in keys)}"


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
