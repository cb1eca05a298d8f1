"""The values within actions, events and private messages: what they may be, and their encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

__all__ = [
    "ACTIONS_PER_PACKET",
    "EVENT_BYTES_MAX",
    "NESTING_MAX",
    "Plain",
    "Value",
    "array_header",
    "encode_action",
    "encode_event",
    "pack",
    "pack_checked",
]

ACTIONS_PER_PACKET = 16
"""The most actions in one ACT, and the most elements in any array that a client sends."""
EVENT_BYTES_MAX = 65_535
"""The largest event or private message, packed."""

NESTING_MAX = 16
"""How deep the lists within an action, an event or a private message are nested: readers of msgpack have bounds of
their own."""

Plain = int | float | str | bytes | bool | None
Value = Plain | Sequence[Plain]
"""An argument of an action: a plain value, or a list or tuple of at most ACTIONS_PER_PACKET plain values."""
_PLAIN_TYPES = frozenset({int, float, str, bytes, bool, type(None)})

# One packer for the process: creating one costs as much as packing a small message. It resets itself after each value
# and after an error.
pack = msgpack.Packer(autoreset=True).pack


def encode_action(kind: str, *arguments: Value) -> bytes:
    """Packs one action by itself, so that its size is known before it is put into a packet.

    Raises TypeError for an argument that is not a Value, ValueError for too many arguments or items and for a whole
    number beyond 64 bits.
    """
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an action must be a str, not {kind!r:.40}")
    if len(arguments) >= ACTIONS_PER_PACKET:
        raise ValueError(f"an action has at most {ACTIONS_PER_PACKET - 1} arguments")
    for argument in arguments:
        if isinstance(argument, list | tuple):
            if len(argument) > ACTIONS_PER_PACKET:
                raise ValueError(f"a list in an action has at most {ACTIONS_PER_PACKET} items")
            _check_plain("an item of a list in an action", argument)
        else:
            _check_plain("an argument of an action", (argument,))
    try:
        return pack((kind, *arguments))
    except OverflowError:
        raise ValueError("a whole number must fit 64 bits") from None


def _check_plain(what: str, values: Sequence[Any]) -> None:
    for value in values:
        if type(value) not in _PLAIN_TYPES:
            kind = type(value).__name__
            raise TypeError(f"{what} must be an int, float, str, bytes, bool or None, not {kind}")


def encode_event(slot: int | None, seq: int | None, kind: str, *values: Any) -> bytes:
    """Packs one event. An event is packed when it happens, so that an error is raised in the rule that caused it.

    A value is a number, a str, bytes, None, or a list or tuple of values. Raises TypeError for any other value,
    ValueError for a text that is no Unicode, for lists nested too deeply and for an event beyond EVENT_BYTES_MAX,
    OverflowError for a whole number beyond 64 bits: what this function packs, every client accepts.
    """
    return pack_checked((slot, seq, kind, *values), kind, values)


def pack_checked(message: tuple[Any, ...], kind: str, values: Sequence[Any]) -> bytes:
    """Packs a message that carries `values` of a game. `kind` names it in errors, which are those of `encode_event`."""
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an event must be a str, not {type(kind).__name__}")
    try:
        packed = pack(message)
    except TypeError:
        _check_values(values, kind)
        raise
    if len(packed) > EVENT_BYTES_MAX:
        raise ValueError(
            f"the event {kind[:32]!r} takes {len(packed):,} bytes, and an event has at most {EVENT_BYTES_MAX:,}"
        )
    if not _PLAIN_TYPES.issuperset(map(type, values)):
        # msgpack also packs maps and extensions.
        _check_values(values, kind)
    return packed


def _check_values(values: Sequence[Any], kind: str) -> None:
    """Raises TypeError for a value that has no form in this protocol, with its place in the event, and ValueError for
    lists that are nested too deeply."""
    unchecked = [("values", values, 0)]
    for place, parts, depth in unchecked:
        if depth > NESTING_MAX:
            raise ValueError(f"lists in the event {kind[:32]!r} are nested more than {NESTING_MAX} deep")
        for index, value in enumerate(parts):
            if isinstance(value, list | tuple) and not isinstance(value, msgpack.ExtType):
                unchecked.append((f"{place}[{index}]", value, depth + 1))
            elif not (value is None or isinstance(value, int | float | str | bytes)):
                raise TypeError(
                    f"{place}[{index}] of the event {kind[:32]!r} is of type {type(value).__name__}: an event carries "
                    "numbers, texts, bytes, None, and lists of these"
                )


def array_header(length: int) -> bytes:
    """The header of a msgpack array, to put packed elements behind."""
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2) if length < 65536 else b"\xdd" + length.to_bytes(4)
