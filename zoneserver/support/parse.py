"""How people write values: durations, counts, sizes and ports, read and written."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fractions import Fraction
from typing import TypeVar

__all__ = [
    "above_zero",
    "duration_text",
    "nearest",
    "one_of",
    "parse_count",
    "parse_duration",
    "parse_integer",
    "parse_number",
    "parse_port",
    "parse_size",
    "size_text",
]

_Number = TypeVar("_Number", int, float)

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kM]?)")
_SIZE_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_SIZE_UNITS)})")
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def parse_duration(text: str) -> float:
    """Seconds from `30`, `30s`, `2m`, `1h30m` or `250ms`. Raises ValueError otherwise.

    >>> parse_duration("1h30m")
    5400.0
    """
    parts = [(text, "s")] if _NUMBER.fullmatch(text) else _DURATION_PART.findall(text)
    seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    if not parts or "".join(map("".join, parts)) not in {text, text + "s"} or math.isinf(seconds):
        raise ValueError(f"{text!r} is not a duration: write 30s, 2m or 1h30m")
    return seconds


def above_zero(parse: Callable[[str], _Number]) -> Callable[[str], _Number]:
    """The same parser, which takes nothing but numbers above zero.

    >>> above_zero(parse_count)("10k")
    10000
    """

    @functools.wraps(parse)
    def above_zero(text: str) -> _Number:
        value = parse(text)
        if not 0 < value < math.inf:
            raise ValueError(f"{text} is not above zero")
        return value

    return above_zero


def parse_count(text: str) -> int:
    """A whole number from `1000`, `10k` or `1.5M`. Raises ValueError otherwise.

    >>> parse_count("10k")
    10000
    """
    match = _COUNT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a count: write 1000, 10k or 1.5M")
    value = Fraction(match[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[match[2]]
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number")
    return value.numerator


def parse_integer(text: str) -> int:
    """A whole number, below zero too. Raises ValueError otherwise.

    >>> parse_integer("-3")
    -3
    """
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def parse_number(text: str) -> float:
    """A number from `5` or `0.5`. Raises ValueError otherwise.

    >>> parse_number("0.5")
    0.5
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number: write 5 or 0.5")
    return float(text)


def parse_port(text: str) -> int:
    """A port that somebody listens on. Raises ValueError for what is none.

    >>> parse_port("7777")
    7777
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is no port: write 1 to 65535")
    return int(text)


def parse_size(text: str) -> int:
    """Bytes from `65536`, `64KiB`, `1.5MiB` or `100kB`. Raises ValueError otherwise.

    >>> parse_size("64KiB")
    65536
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a size: write 65536, 64KiB or 1.5MiB")
    return int(Fraction(match[1]) * _SIZE_UNITS[match[2]])


def duration_text(seconds: float) -> str:
    """What `parse_duration` takes for so many seconds.

    >>> duration_text(5400), duration_text(0.25), duration_text(61.5)
    ('1h30m', '250ms', '1m1.5s')
    """
    if 0 < seconds < 1 and (1000 * seconds).is_integer():
        return f"{1000 * seconds:.0f}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(str(hours), "h"), (str(minutes), "m"), (f"{rest:g}", "s")]
    return "".join(number + unit for number, unit in parts if number != "0") or "0s"


def size_text(size: int) -> str:
    """What `parse_size` takes for so many bytes.

    >>> size_text(268435456), size_text(100_000), size_text(0)
    ('256MiB', '100kB', '0')
    """
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return str(size)


def one_of(names: Sequence[str], what: str = "choice") -> Callable[[str], str]:
    """A parser that takes these alone.

    >>> one_of(("text", "json"), "format")("jsn")
    Traceback (most recent call last):
    ValueError: there is no format 'jsn'; did you mean 'json'?
    """

    def one_of(text: str) -> str:
        if text not in names:
            raise ValueError(f"there is no {what} {text!r}; {nearest(text, names)}")
        return text

    return one_of


def nearest(text: str, names: Sequence[str]) -> str:
    """What is said to somebody who wrote `text` in place of one of these names.

    >>> nearest("prot", ["host", "port"]), nearest("xyz", ["host", "port"])
    ("did you mean 'port'?", 'there are host, port')
    """
    found = get_close_matches(text, names, 1)
    return f"did you mean {found[0]!r}?" if found else f"there are {', '.join(names)}"
