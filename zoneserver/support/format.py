"""Figures as people read them, in a few characters each. Everything here is pure."""

from __future__ import annotations

__all__ = ["count", "level", "milliseconds", "size", "span"]

# Stands where a figure is not known yet.
_UNKNOWN = "-"


def count(value: float | None) -> str:
    """A count or a rate in at most five characters.

    >>> [count(value) for value in (0, 2.345, 1234, 12_345, 999_999, 4_560_000)]
    ['0', '2.3', '1,234', '12.3k', '1.00M', '4.56M']
    """
    if value is None:
        return _UNKNOWN
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return f"{round(value):,}"
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P"))


def size(value: float | None) -> str:
    """Bytes in at most eight characters.

    >>> [size(value) for value in (0, 512, 2048, 123_456, 5_000_000_000)]
    ['0 B', '512 B', '2.00 KiB', '121 KiB', '4.66 GiB']
    """
    if value is None:
        return _UNKNOWN
    if round(value) < 1000:
        return f"{round(value)} B"
    return _scaled(value, 1024.0, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    """Three digits and a unit."""
    power = 0
    # 999.5 would be written with four digits.
    while value >= 999.5 and power < len(units) - 1:
        value /= base
        power += 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{units[power]}"


def milliseconds(value: float) -> str:
    """Milliseconds without their unit, in four characters up to ten seconds.

    >>> milliseconds(0.123), milliseconds(45.67), milliseconds(1234.5)
    ('0.12', '45.7', '1234')
    """
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def span(seconds: float) -> str:
    """A duration by its two largest units.

    >>> span(5), span(65), span(3_725), span(90_000)
    ('5s', '1m 05s', '1h 02m', '1d 01h')
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"


def level(share: float) -> tuple[str, str]:
    """How near a budget is, as a word and as the colour that goes with it.

    >>> level(0.2), level(0.5), level(0.9)
    (('fine', 'green'), ('busy', 'yellow'), ('over', 'red'))
    """
    if share < 0.5:
        return "fine", "green"
    if share < 0.9:
        return "busy", "yellow"
    return "over", "red"


# Loads the codec now: when it is first wanted there may be no descriptor left to load it with.
"".encode("unicode_escape")


def printable(text: str) -> str:
    """The text on one line, with whatever could steer a terminal written out.

    >>> print(printable("a\\nb\\x1b[31m"))
    a\\nb\\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
