"""One setting of a command: its name and its value in flags, variables and files."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoneserver.link.address import parse_link, shown_link
from zoneserver.notation import parse_store
from zoneserver.store.backend import shown_target
from zoneserver.support.format import exact_duration, exact_size
from zoneserver.support.host import parse_host
from zoneserver.support.parse import parse_count, parse_duration, parse_integer, parse_port, parse_size

__all__ = ["Setting"]

_METAVARS = {
    parse_duration: "DURATION",
    parse_size: "SIZE",
    parse_count: "N",
    parse_port: "PORT",
    parse_integer: "N",
    parse_host: "HOST",
    Path: "FILE",
}
_FORMATS: dict[Any, Callable[[Any], str]] = {
    parse_duration: exact_duration,
    parse_size: exact_size,
    parse_store: shown_target,
    parse_link: shown_link,
}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
# Kubernetes sets the variable NAME_PORT to such an address in every pod beside a service called `name`.
_SERVICE = re.compile(r"(tcp|udp|sctp)://")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, under one name in all layers. Several settings may set one `dest`."""

    key: str
    dest: str
    """The attribute that holds the value once all settings are read."""
    parse: Callable[[str], Any] = str
    """Reads the value from text; raises ValueError with a sentence for people."""
    default: Any = None
    const: Any = None
    """The value that a switch sets; None for a setting that takes a value."""
    repeats: bool = False
    """Whether the value is a list, with one element for each time that the flag is given."""
    is_hidden: bool = False
    """Whether the value is for this command only, and never shown."""

    @property
    def variable(self) -> str:
        """The variable of the environment that has this setting."""
        return "ZONE_" + self.key.upper().replace("-", "_")

    @property
    def metavar(self) -> str:
        """What stands for the value in the help."""
        return _METAVARS.get(inspect.unwrap(self.parse), self.key.rsplit("-", maxsplit=1)[-1].upper())

    def format(self, value: Any) -> str:
        """The text from which `parse` reads this value."""
        # A parser such as above_zero(parse_count) wraps the parser that knows the notation.
        return _FORMATS.get(inspect.unwrap(self.parse), str)(value)

    def from_variable(self, text: str) -> Any:
        """The value in a variable. Raises ValueError."""
        if self.variable.endswith("_PORT") and _SERVICE.match(text):
            service = self.variable.removesuffix("_PORT").lower().replace("_", "-")
            raise ValueError(
                f"{text!r} is the address of a Kubernetes service named {service!r}, and not a port: give the flag "
                f"--{self.key}, or set enableServiceLinks: false in the pod"
            )
        if self.const is not None:
            if text.lower() not in (*_TRUE, *_FALSE):
                raise ValueError(f"{text!r} is neither 1 nor 0")
            return self.from_file(text.lower() in _TRUE)
        return [self.parse(part) for part in text.split(",")] if self.repeats else self.parse(text)

    def from_file(self, value: Any) -> Any:
        """The value of a key in a TOML file. Raises ValueError."""
        if self.const is not None:
            if not isinstance(value, bool):
                raise ValueError(f"{value!r} is neither true nor false")
            # A switch with another `const` than True sets nothing when it is off.
            return self.const if value else (False if self.const is True else None)
        if self.repeats and isinstance(value, list):
            return [self.parse(_text_of(element)) for element in value]
        return self.from_variable(_text_of(value))

    def to_toml(self, value: Any) -> str:
        """The value as it is written in a TOML file."""
        match value:
            case bool():
                return "true" if value else "false"
            case dict():
                pairs = (
                    f"{key if _BARE_KEY.fullmatch(key) else json.dumps(key)} = {part}" for key, part in value.items()
                )
                return f"{{ {', '.join(pairs)} }}"
            case list() | tuple():
                return f"[{', '.join(self.to_toml(element) for element in value)}]"
        text = self.format(value)
        return text if isinstance(value, int | float) and text == str(value) else json.dumps(text)


def _text_of(value: Any) -> str:
    """The text that stands for a value of a TOML file in flags and variables. Raises ValueError for other types."""
    match value:
        case bool():
            raise ValueError("true and false are for switches only")
        case str() if "\0" in value:
            raise ValueError("a text cannot contain NUL")
        case str() | int() | float():
            return str(value)
        case list():
            return ",".join(map(_text_of, value))
        case dict():
            return ",".join(f"{key}={_text_of(part)}" for key, part in value.items())
    raise ValueError(f"{value} is not a text, a number, a list or a table")
