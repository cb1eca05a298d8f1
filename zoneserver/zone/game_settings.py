"""The settings of a game: the names and defaults that its class declares, and the values that a server gives them.

The type of a default is the type of its setting. Text, as in a flag or a variable, is read by that type.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from zoneserver.support.known_names import KnownNames
from zoneserver.support.parse import nearest, parse_integer
from zoneserver.support.unicode_text import is_unicode

__all__ = ["read_setting", "setting_name", "setting_problems", "settings_of"]

_TYPES = {int: "a whole number", float: "a number", str: "a text in Unicode", bool: "true or false"}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def setting_problems(settings: object) -> Iterator[str]:
    """The problems of what a game declares as `settings`, each in one line."""
    if not isinstance(settings, Mapping):
        yield f"settings is {settings!r:.40}: it must be a dict of names and defaults"
        return
    seen: dict[str, str] = {}
    for name, default in settings.items():
        if not isinstance(name, str) or not name.isidentifier() or not name.isascii():
            yield f"settings has {name!r:.40}: the name of a setting must be letters, digits and _, as in max_coins"
        elif type(default) not in _TYPES or not _is_fit(default):
            yield (
                f"settings has {name!r:.40}: {default!r:.40}: a default must be an int, a finite float, a str of "
                "Unicode or a bool"
            )
        elif seen.setdefault(name.upper(), name) != name:
            yield f"settings has {seen[name.upper()]!r} and {name!r}: ZONE_GAME_{name.upper()} would set both"


def setting_name(settings: Mapping[str, Any], name: str) -> str:
    """The declared name that a flag, a key of a file or a variable means. Raises ValueError if there is none.

    >>> setting_name({"max_coins": 30}, "max-coins"), setting_name({"max_coins": 30}, "MAX_COINS")
    ('max_coins', 'max_coins')
    """
    wanted = name.replace("-", "_").upper()
    for declared in settings:
        if declared.upper() == wanted:
            return declared
    raise _unknown(settings, name)


def read_setting(settings: Mapping[str, Any], name: str, text: str) -> Any:
    """Reads the value of a declared setting from text. Raises ValueError for a value of another type.

    >>> read_setting({"coins": 30, "night": False}, "night", "yes")
    True
    """
    kind = type(settings[name])
    if kind is bool and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    try:
        if kind is int:
            return parse_integer(text)
        if kind is float and math.isfinite(value := float(text)):
            return value
    except ValueError:
        pass
    if kind is str and is_unicode(text):
        return text
    raise _misfit(name, settings[name], text)


def settings_of(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every declared setting: the given one, else the default. Raises ValueError for a given name that the
    game does not have, and for a value of another type. An int may stand for a float."""
    values = KnownNames("the game has no setting", settings)
    for name, value in given.items():
        if name not in settings:
            raise _unknown(settings, name)
        kind = type(settings[name])
        found = float(value) if kind is float and type(value) is int else value
        if type(found) is not kind or not _is_fit(found):
            raise _misfit(name, settings[name], value)
        values[name] = found
    return values


def _is_fit(value: float | str) -> bool:
    """Whether a client can be told the value: it is no infinite number, and no text beyond Unicode."""
    return is_unicode(value) if isinstance(value, str) else not isinstance(value, float) or math.isfinite(value)


def _unknown(settings: Mapping[str, Any], name: object) -> ValueError:
    hint = nearest(str(name).lower(), tuple(settings)) if settings else "it has none"
    return ValueError(f"the game has no setting {name!r:.80}; {hint}")


def _misfit(name: str, default: Any, value: object) -> ValueError:
    return ValueError(f"{name} is {value!r:.80}: it must be {_TYPES[type(default)]}, as its default {default!r:.40}")
