"""Finds the kind of value that an annotation stands for, such as `Annotated[int, Between(1, 6)]`."""

from __future__ import annotations

import enum
import math
import sys
import types
import typing
from collections.abc import Container
from typing import Annotated, Any, Literal

from zoneserver.zone.arguments import (
    LIST_MAX,
    EnumArgument,
    ListArgument,
    NullableArgument,
    PlayerArgument,
    ThingArgument,
)
from zoneserver.zone.entities import Thing
from zoneserver.zone.plain_arguments import (
    INT64,
    Argument,
    BooleanArgument,
    BytesArgument,
    ChoiceArgument,
    IntegerArgument,
    NumberArgument,
    TextArgument,
)
from zoneserver.zone.rules import AtMost, Between, Player, Text

__all__ = ["argument_of"]

_KINDS = (
    "int, float, str, bool, bytes, Player, Thing, Literal[...], an enum, a list of one of these, or one of these and "
    "None; and Annotated[...] with one bound: Between, Text, AtMost or the kind of a Thing"
)
_UNBOUNDED: dict[Any, Argument] = {
    int: IntegerArgument(),
    float: NumberArgument(),
    str: TextArgument(),
    bool: BooleanArgument(),
    bytes: BytesArgument(),
    Player: PlayerArgument(),
    Thing: ThingArgument(),
}
_FLOAT_MAX = sys.float_info.max
_TEXT_BYTES_MAX = TextArgument().bytes_max


def argument_of(where: str, hint: Any, kinds: Container[str] = ()) -> Argument:
    """The kind of value that an annotation stands for. `kinds` are the kinds of things of the game.

    Raises TypeError, which begins with `where`, for an annotation that stands for none, or allows no value.
    """
    inner, *bounds = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    argument = None
    if not bounds:
        argument = _unbounded(where, inner, kinds)
    elif len(bounds) == 1:
        argument = _bounded(where, inner, bounds[0], kinds)
    if argument is None:
        raise TypeError(f"{where} is annotated {hint!r}: it can be {_KINDS}")
    return argument


def _unbounded(where: str, inner: Any, kinds: Container[str]) -> Argument | None:
    origin, parts = typing.get_origin(inner), typing.get_args(inner)
    if _is_nullable(inner):
        (hint,) = (part for part in parts if part is not type(None))
        return NullableArgument(argument_of(where, hint, kinds))
    if origin is list:
        return ListArgument(_item(where, inner, kinds))
    if origin is Literal:
        return ChoiceArgument(parts) if all(map(_is_choice, parts)) else None
    if isinstance(inner, enum.EnumType):
        members: tuple[enum.Enum, ...] = tuple(inner)
        is_choice = members and all(_is_choice(member.value) for member in members)
        return EnumArgument(members) if is_choice else None
    # A hint may be any object, such as a list, which is no key of a dict.
    return _UNBOUNDED.get(inner) if isinstance(inner, type) else None


def _bounded(where: str, inner: Any, bound: Any, kinds: Container[str]) -> Argument | None:
    match bound:
        case _ if _is_nullable(inner):
            (hint,) = (part for part in typing.get_args(inner) if part is not type(None))
            return NullableArgument(argument_of(where, Annotated[hint, bound], kinds))
        case Between() if inner in (int, float):
            return _number(where, inner, bound)
        case Text(bytes_max) if inner is str:
            return TextArgument(_size(where, bound, bytes_max))
        case AtMost(count) if inner is bytes:
            return BytesArgument(_size(where, bound, count))
        case AtMost(count) if typing.get_origin(inner) is list:
            return ListArgument(_item(where, inner, kinds), min(_size(where, bound, count), LIST_MAX))
        case str() if inner is Thing:
            if bound not in kinds:
                raise TypeError(f"{where} is a Thing of the kind {bound!r}, which is not in `kinds` of the game")
            return ThingArgument(bound)
    return None


def _is_nullable(inner: Any) -> bool:
    parts = typing.get_args(inner)
    is_union = typing.get_origin(inner) in {typing.Union, types.UnionType}
    return is_union and len(parts) == 2 and type(None) in parts


def _item(where: str, inner: Any, kinds: Container[str]) -> Argument:
    (hint,) = typing.get_args(inner)
    item = argument_of(f"an item of {where}", hint, kinds)
    if isinstance(item.kind if isinstance(item, NullableArgument) else item, ListArgument):
        raise TypeError(f"{where} is annotated {inner!r}: a list has no lists in it")
    return item


def _is_choice(value: object) -> bool:
    """Whether a value of a Literal or an enum can be sent."""
    if type(value) is str:
        return value.isprintable() and len(value.encode()) <= _TEXT_BYTES_MAX
    return type(value) is int and value in INT64


def _number(where: str, inner: type, bound: Between) -> Argument:
    low, high = bound.low, bound.high
    if {type(low), type(high)} <= {int, float} and low <= high:
        if inner is float and low <= _FLOAT_MAX and high >= -_FLOAT_MAX:
            return NumberArgument(_sendable(low), _sendable(high))
        low, high = max(low, INT64.start), min(high, INT64.stop - 1)
        if inner is int and low <= high and math.ceil(low) <= math.floor(high):
            return IntegerArgument(math.ceil(low), math.floor(high))
    raise _allows_no_value(where, bound)


def _sendable(bound: float) -> float:
    """The bound of a number; as a float where it is a whole number that no message can carry."""
    if type(bound) is float or bound in INT64:
        return bound
    return float(max(-_FLOAT_MAX, min(bound, _FLOAT_MAX)))


def _size(where: str, bound: object, count: object) -> int:
    if type(count) is int and count > 0:
        return count
    raise _allows_no_value(where, bound)


def _allows_no_value(where: str, bound: object) -> TypeError:
    return TypeError(f"{where} is bounded by {bound!r:.80}, which allows no value")
