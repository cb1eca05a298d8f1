"""How values are written for people: numbers, sizes, times, addresses, text from others. The functions are pure.

The way back is `parse`. `exact_duration` and `exact_size` lose nothing: `parse` reads the value again. All others
round, so that a number takes few characters.
"""

from __future__ import annotations

from zoneserver.support.parse import SIZE_UNITS

__all__ = [
    "exact_duration",
    "exact_size",
    "format_address",
    "format_count",
    "format_decimal",
    "format_duration",
    "format_milliseconds",
    "format_size",
    "level",
    "printable",
]

# Stands in the place of a value that is not known.
_UNKNOWN = "-"


def format_count(value: float | None) -> str:
    """A count or a rate in at most five characters.

    >>> [format_count(value) for value in (0, 2.345, 1234, 12_345, 999_999, 4_560_000, None)]
    ['0', '2.3', '1,234', '12.3k', '1.00M', '4.56M', '-']
    """
    if value is None:
        return _UNKNOWN
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return f"{round(value):,}"
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P"))


def format_decimal(value: float | None, digits: int = 0) -> str:
    """A number with a fixed number of digits behind the point.

    >>> format_decimal(1234.5, 1), format_decimal(0.5, 2), format_decimal(None)
    ('1,234.5', '0.50', '-')
    """
    return _UNKNOWN if value is None else f"{value:,.{digits}f}"


def format_size(value: float | None) -> str:
    """A number of bytes in at most eight characters.

    >>> [format_size(value) for value in (0, 512, 2048, 123_456, 5_000_000_000)]
    ['0 B', '512 B', '2.00 KiB', '121 KiB', '4.66 GiB']
    """
    if value is None:
        return _UNKNOWN
    if round(value) < 1000:
        return f"{round(value)} B"
    return _scaled(value, 1024.0, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def exact_size(size: int) -> str:
    """The shortest text that `parse_size` reads as exactly this number of bytes.

    >>> exact_size(268435456), exact_size(100_000), exact_size(0)
    ('256MiB', '100kB', '0')
    """
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return str(size)


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    power = 0
    # 999.5 would be rounded to four digits.
    while value >= 999.5 and power < len(units) - 1:
        value /= base
        power += 1
    return f"{_three_digits(value)}{units[power]}"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def format_milliseconds(value: float) -> str:
    """Milliseconds without their unit: three digits, and four from 1,000 ms on.

    >>> format_milliseconds(0.123), format_milliseconds(45.67), format_milliseconds(1234.5)
    ('0.12', '45.7', '1234')
    """
    return _three_digits(value)


def format_duration(seconds: float) -> str:
    """A duration in its two largest units.

    >>> format_duration(5), format_duration(65), format_duration(3_725), format_duration(90_000)
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


def exact_duration(seconds: float) -> str:
    """The text that `parse_duration` reads as this number of seconds.

    >>> exact_duration(5400), exact_duration(0.25), exact_duration(61.5)
    ('1h30m', '250ms', '1m1.5s')
    """
    if 0 < seconds < 1 and (1000 * seconds).is_integer():
        return f"{1000 * seconds:.0f}ms"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(str(hours), "h"), (str(minutes), "m"), (f"{seconds:g}", "s")]
    return "".join(number + unit for number, unit in parts if number != "0") or "0s"


def format_address(host: str, port: int) -> str:
    """A host and a port; an IPv6 address stands in brackets.

    >>> format_address("127.0.0.1", 7777), format_address("::1", 7777)
    ('127.0.0.1:7777', '[::1]:7777')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def level(share: float) -> tuple[str, str]:
    """How much of a limit is used up, as a word and the colour that goes with it.

    >>> level(0.2), level(0.5), level(0.9)
    (('fine', 'green'), ('busy', 'yellow'), ('over', 'red'))
    """
    if share < 0.5:
        return "fine", "green"
    if share < 0.9:
        return "busy", "yellow"
    return "over", "red"


# Python loads a codec at its first use. Load it now: later there may be no free file descriptor to load it with.
"".encode("unicode_escape")


def printable(text: str) -> str:
    """The text on one line, with every character escaped that does not show or could steer a terminal.

    >>> print(printable("a\\nb\\x1b[31m"))
    a\\nb\\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
