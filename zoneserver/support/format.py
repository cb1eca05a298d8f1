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
    "format_clock",
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
    """A count or a rate in at most five characters, as 2.3, 1,234, 12.3k or 4.56M."""
    if value is None:
        return _UNKNOWN
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if round(value) < 10_000:
        return f"{round(value):,}"
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P"))


def format_decimal(value: float | None, digits: int = 0) -> str:
    """A number with a fixed number of digits behind the point, as 1,234.5."""
    return _UNKNOWN if value is None else f"{value:,.{digits}f}"


def format_size(value: float | None) -> str:
    """A number of bytes in at most eight characters, as 512 B, 2.00 KiB or 121 KiB."""
    if value is None:
        return _UNKNOWN
    if round(value) < 1000:
        return f"{round(value)} B"
    return _scaled(value, 1024.0, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def exact_size(size: int) -> str:
    """The shortest text that `parse_size` reads as exactly this number of bytes, as 256MiB or 100kB."""
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
    return f"{format_milliseconds(value)}{units[power]}"


def format_milliseconds(value: float) -> str:
    """Milliseconds without their unit: three digits, and four from 1,000 ms on, as 0.12, 45.7 or 1234."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def format_duration(seconds: float) -> str:
    """A duration in its two largest units, as 5s, 1m 05s, 1h 02m or 1d 01h."""
    whole = int(seconds)
    for size, unit, smaller, smaller_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // smaller:02}{smaller_unit}"
    return f"{whole}s"


def format_clock(seconds: float) -> str:
    """A place in a recording, as 0:05, 12:05 or 1:00:00."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def exact_duration(seconds: float) -> str:
    """The text that `parse_duration` reads as this number of seconds, as 1h30m or 250ms."""
    if 0 < seconds < 1 and (1000 * seconds).is_integer():
        return f"{1000 * seconds:.0f}ms"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(str(hours), "h"), (str(minutes), "m"), (f"{seconds:g}", "s")]
    return "".join(number + unit for number, unit in parts if number != "0") or "0s"


def format_address(host: str, port: int) -> str:
    """A host and a port; an IPv6 address stands in brackets, as [::1]:7777."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def level(share: float) -> tuple[str, str]:
    """How much of a limit is used up, as a word and the colour that goes with it."""
    if share < 0.5:
        return "fine", "green"
    if share < 0.9:
        return "busy", "yellow"
    return "over", "red"


# Python loads a codec at its first use. Load it now: later there may be no free file descriptor to load it with.
"".encode("unicode_escape")


def printable(text: str) -> str:
    """The text on one line, with every character escaped that does not show or could steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
