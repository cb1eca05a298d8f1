"""The kinds of values that an action takes and an event carries: their interface, and those that travel as they are.

`arguments` has the other kinds. `annotations` finds the kind that an annotation stands for.
"""

from __future__ import annotations

import math
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.rules import Refused, Rules

__all__ = [
    "INT64",
    "Argument",
    "BooleanArgument",
    "BytesArgument",
    "ChoiceArgument",
    "Converter",
    "IntegerArgument",
    "NumberArgument",
    "TextArgument",
    "misfit",
]

Converter = Callable[[Any], Any]
"""A function of one value. It raises Refused for a value that does not fit, whatever the value is."""
INT64 = range(-(2**63), 2**63)
"""The whole numbers that a message can carry."""

# The bound on a text or on bytes without a bound of its own: more than any packet of a client holds.
_BYTES_MAX = 1024
_FLOAT_MAX = sys.float_info.max
_WORDS = ("hello", "who is there?", "över hier", "x")


class Argument(ABC):
    """One kind of value."""

    @abstractmethod
    def converter(self, where: str, rules: Rules) -> Converter:
        """Makes what a client sent into what the handler gets. `where` names the parameter in refusals."""

    @abstractmethod
    def teller(self, where: str) -> Converter:
        """Makes a value of a rule into the value that an event carries. `where` names the value in refusals."""

    @abstractmethod
    def describe(self) -> str:
        """The kind with its bounds, for people."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The kind with its bounds, as plain values."""

    @abstractmethod
    def example(self, rules: Rules, chance: random.Random) -> Any:
        """A random value that a client might send; often it lies at a bound."""

    @abstractmethod
    def read(self, word: str, rules: Rules) -> Any:
        """The value that a client would send for a word that somebody typed. It may still exceed the bounds.

        Raises ValueError with what was expected in place of the word, and Refused for the name of nobody in the zone.
        """


def misfit(where: str, expected: str) -> Refused:
    """The refusal of a value that is not what was expected."""
    return Refused(RefusalCode.BAD_PAYLOAD, f"{where} must be {expected}", violation=True)


class _PlainArgument(Argument):
    """A kind whose values travel, and reach the handler, as they are."""

    @abstractmethod
    def checker(self, where: str) -> Converter:
        """Returns the value if it fits."""

    def converter(self, where: str, rules: Rules) -> Converter:
        return self.checker(where)

    def teller(self, where: str) -> Converter:
        return self.checker(where)


@dataclass(frozen=True, slots=True)
class IntegerArgument(_PlainArgument):
    low: int = INT64.start
    high: int = INT64.stop - 1

    def checker(self, where: str) -> Converter:
        low, high = self.low, self.high

        def check(value: Any) -> Any:
            # A bool is an int in Python, but not a number of an action.
            if type(value) is int and low <= value <= high:
                return value
            raise misfit(where, f"a whole number from {low} to {high}")

        return check

    def describe(self) -> str:
        return "int" if self == IntegerArgument() else f"int {self.low}..{self.high}"

    def to_json(self) -> dict[str, Any]:
        bounds = {"min": self.low, "max": self.high}
        return {"type": "int", **{name: bound for name, bound in bounds.items() if abs(bound) < INT64.stop - 1}}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        low, high = (-1_000, 1_000) if self == IntegerArgument() else (self.low, self.high)
        # Values near zero are more frequent: many rules refuse large ones.
        near = max(low, min(high, chance.randint(-9, 9)))
        return chance.choice((low, high, near, near, chance.randint(low, high)))

    def read(self, word: str, rules: Rules) -> Any:
        try:
            return int(word)
        except ValueError:
            raise ValueError("a whole number") from None


@dataclass(frozen=True, slots=True)
class NumberArgument(_PlainArgument):
    low: float = -math.inf
    high: float = math.inf

    def checker(self, where: str) -> Converter:
        low, high = max(self.low, -_FLOAT_MAX), min(self.high, _FLOAT_MAX)

        def check(value: Any) -> Any:
            # No comparison with a NaN holds, so this refuses it too.
            if type(value) in {int, float} and low <= value <= high:
                return value
            raise misfit(where, "a number" if self == NumberArgument() else f"a number from {self.low} to {self.high}")

        return check

    def describe(self) -> str:
        return "float" if self == NumberArgument() else f"float {self.low}..{self.high}"

    def to_json(self) -> dict[str, Any]:
        bounds = {"min": self.low, "max": self.high}
        return {"type": "float", **{name: bound for name, bound in bounds.items() if math.isfinite(bound)}}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        between = chance.uniform(max(self.low, -1_000.0), min(self.high, 1_000.0))
        values = (float(self.low), float(self.high), between)
        fitting = [value for value in values if math.isfinite(value) and self.low <= value <= self.high]
        return chance.choice(fitting or [self.low])

    def read(self, word: str, rules: Rules) -> Any:
        try:
            return float(word)
        except ValueError:
            raise ValueError("a number") from None


@dataclass(frozen=True, slots=True)
class TextArgument(_PlainArgument):
    bytes_max: int = _BYTES_MAX

    def checker(self, where: str) -> Converter:
        bytes_max = self.bytes_max

        def check(value: Any) -> Any:
            # Half of a surrogate pair is not printable, and could not be encoded.
            if type(value) is str and value.isprintable() and 0 < len(value.encode()) <= bytes_max:
                return value
            raise misfit(where, f"printable text of 1 to {bytes_max} bytes")

        return check

    def describe(self) -> str:
        return "str" if self == TextArgument() else f"str of 1..{self.bytes_max} bytes"

    def to_json(self) -> dict[str, Any]:
        return {"type": "str", "bytes_max": self.bytes_max}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.choice(_WORDS).encode()[: self.bytes_max].decode(errors="ignore") or "x"

    def read(self, word: str, rules: Rules) -> Any:
        return word


@dataclass(frozen=True, slots=True)
class BooleanArgument(_PlainArgument):
    def checker(self, where: str) -> Converter:
        def check(value: Any) -> Any:
            if type(value) is bool:
                return value
            raise misfit(where, "true or false")

        return check

    def describe(self) -> str:
        return "bool"

    def to_json(self) -> dict[str, Any]:
        return {"type": "bool"}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.random() < 0.5

    def read(self, word: str, rules: Rules) -> Any:
        if word.lower() not in {"true", "false"}:
            raise ValueError("true or false")
        return word.lower() == "true"


@dataclass(frozen=True, slots=True)
class BytesArgument(_PlainArgument):
    bytes_max: int = _BYTES_MAX

    def checker(self, where: str) -> Converter:
        bytes_max = self.bytes_max

        def check(value: Any) -> Any:
            if type(value) is bytes and len(value) <= bytes_max:
                return value
            raise misfit(where, f"at most {bytes_max} bytes")

        return check

    def describe(self) -> str:
        return "bytes" if self == BytesArgument() else f"bytes, at most {self.bytes_max}"

    def to_json(self) -> dict[str, Any]:
        return {"type": "bytes", "bytes_max": self.bytes_max}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.randbytes(min(self.bytes_max, chance.choice((0, 1, 16, 64))))

    def read(self, word: str, rules: Rules) -> Any:
        try:
            return bytes.fromhex(word)
        except ValueError:
            raise ValueError("bytes as pairs of hexadecimal digits") from None


@dataclass(frozen=True, slots=True)
class ChoiceArgument(_PlainArgument):
    """One of the values of a Literal."""

    values: tuple[int | str, ...]

    def checker(self, where: str) -> Converter:
        values, kinds = frozenset(self.values), frozenset(map(type, self.values))

        def check(value: Any) -> Any:
            # The type first: True equals 1, and a list cannot be looked up in a set.
            if type(value) in kinds and value in values:
                return value
            raise misfit(where, f"one of {', '.join(map(repr, self.values))}")

        return check

    def describe(self) -> str:
        return " | ".join(map(repr, self.values))

    def to_json(self) -> dict[str, Any]:
        return {"type": "choice", "values": list(self.values)}

    def example(self, rules: Rules, chance: random.Random) -> Any:
        return chance.choice(self.values)

    def read(self, word: str, rules: Rules) -> Any:
        by_word = {str(value): value for value in self.values}
        if word not in by_word:
            raise ValueError(f"one of {', '.join(by_word)}")
        return by_word[word]
