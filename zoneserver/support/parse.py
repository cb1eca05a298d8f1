"""How values are read that people write: durations, counts, sizes, ports. The way back is in `format`."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from typing import TypeVar

__all__ = [
    "NUMBER_MAX",
    "SIZE_UNITS",
    "above_zero",
    "at_most",
    "nearest",
    "one_of",
    "parse_count",
    "parse_duration",
    "parse_integer",
    "parse_number",
    "parse_port",
    "parse_said",
    "parse_size",
    "take_option",
]

_Number = TypeVar("_Number", int, float)

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kM]?)")
SIZE_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
"""The bytes of each unit in which a size may be written."""
_SIZE = re.compile(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(SIZE_UNITS)})")
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


NUMBER_MAX = 10**18
"""The largest number that is read, of any kind."""
_DURATION_MAX = 36_525 * 86_400.0
_DIGITS_MAX = 400
_SAID_BYTES_MAX = 1024


def _match(pattern: re.Pattern[str], text: str, what: str) -> re.Match[str]:
    # Python refuses to read thousands of digits, in words of its own.
    match = pattern.fullmatch(text[: _DIGITS_MAX + 1])
    if match is None:
        raise ValueError(f"{text!r} is not {what}")
    return match


def _in_range(text: str, value: _Number) -> _Number:
    if len(text) > _DIGITS_MAX or abs(value) > NUMBER_MAX:
        raise ValueError(f"{text:.40} is too large: the largest number is {NUMBER_MAX:,}")
    return value


def parse_duration(text: str) -> float:
    """Seconds from `30`, `30s`, `2m`, `1h30m` or `250ms`, up to a hundred years. Raises ValueError otherwise."""
    parts = [(text, "s")] if _NUMBER.fullmatch(text) else _DURATION_PART.findall(text)
    seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    if not parts or "".join(map("".join, parts)) not in {text, text + "s"}:
        raise ValueError(f"{text!r} is not a duration: write 30s, 2m or 1h30m")
    if seconds > _DURATION_MAX:
        raise ValueError(f"{text:.40} is too long: the longest duration is {_DURATION_MAX / 86_400:.0f}d")
    return seconds


def parse_count(text: str) -> int:
    """A whole number from `1000`, `10k` or `1.5M`. Raises ValueError otherwise."""
    match = _match(_COUNT, text, "a count: write 1000, 10k or 1.5M")
    value = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number")
    return _in_range(text, value.numerator)


def parse_integer(text: str) -> int:
    """A whole number, which may be negative. Raises ValueError otherwise."""
    return _in_range(text, int(_match(_INTEGER, text, "a whole number")[0]))


def parse_number(text: str) -> float:
    """A number from `5` or `0.5`. Raises ValueError otherwise."""
    return _in_range(text, float(_match(_NUMBER, text, "a number: write 5 or 0.5")[0]))


def parse_port(text: str) -> int:
    """A port number from 1 to 65535. Raises ValueError otherwise."""
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) < 65536):
        raise ValueError(f"{text!r} is not a port: write 1 to 65535")
    return int(text)


def parse_size(text: str) -> int:
    """Bytes from `65536`, `64KiB`, `1.5MiB` or `100kB`, rounded down. Raises ValueError otherwise."""
    match = _match(_SIZE, text, "a size: write 65536, 64KiB or 1.5MiB")
    size = Fraction(match[1]) * SIZE_UNITS[match[2]]
    if 0 < size < 1:
        # As 0 it would mean that there is no bound.
        raise ValueError(f"{text} is less than one byte")
    return _in_range(text, int(size))


def above_zero(parse: Callable[[str], _Number]) -> Callable[[str], _Number]:
    """A parser that reads what `parse` reads, and raises ValueError unless the number is above zero."""

    @functools.wraps(parse)
    def above_zero(text: str) -> _Number:
        value = parse(text)
        if not 0 < value < math.inf:
            raise ValueError(f"{text} is not above zero")
        return value

    return above_zero


def at_most(most: int, parse: Callable[[str], _Number]) -> Callable[[str], _Number]:
    """A parser that reads what `parse` reads, and raises ValueError for a number above `most`."""

    @functools.wraps(parse)
    def at_most(text: str) -> _Number:
        value = parse(text)
        if value > most:
            raise ValueError(f"{text} is too large: at most {most:,}")
        return value

    return at_most


def one_of(names: Sequence[str], what: str = "choice") -> Callable[[str], str]:
    """A parser that takes only these names; `what` is the noun for them in its error."""

    def one_of(text: str) -> str:
        if text not in names:
            raise ValueError(f"there is no {what} {text!r}; {nearest(text, names)}")
        return text

    return one_of


def parse_said(words: Sequence[str]) -> str:
    """What people are told: the words as one text. Raises ValueError for a text that may not be shown.

    >>> parse_said(["be", "nice"])
    'be nice'
    """
    text = " ".join(words)
    if not text.isprintable() or len(text.encode()) > _SAID_BYTES_MAX:
        raise ValueError(f"TEXT must be printable and have at most {_SAID_BYTES_MAX} bytes")
    return text


def take_option(words: Sequence[str], option: str) -> tuple[str | None, list[str]]:
    """Takes an option and its value out of the words: the value, or None without the option, and the other words.

    Raises ValueError for an option without a value.

    >>> take_option(("ann", "--for", "1h", "be", "nice"), "--for")
    ('1h', ['ann', 'be', 'nice'])
    """
    left = list(words)
    if option not in left:
        return None, left
    place = left.index(option)
    if place + 1 == len(left):
        raise ValueError(f"{option} needs a value")
    value = left[place + 1]
    del left[place : place + 2]
    return value, left


def nearest(text: str, names: Sequence[str], show: Callable[[str], str] = repr) -> str:
    """The end of an error about a name that does not exist: the existing name that is most like it, else all of them.

    >>> nearest("prot", ["host", "port"]), nearest("xyz", ["host", "port"])
    ("did you mean 'port'?", 'there are host, port')
    >>> nearest("--prot", ["--host", "--port"], show=str)
    'did you mean --port?'
    """
    found = get_close_matches(text, names, 1)
    return f"did you mean {show(found[0])}?" if found else f"there are {', '.join(dict.fromkeys(names))}"
