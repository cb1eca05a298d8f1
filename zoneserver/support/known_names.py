"""Names that are declared once and looked up often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["KnownNames"]

Value = TypeVar("Value")


class KnownNames(dict[str, Value]):
    """A dict whose KeyError says who has no such name, and which names there are.

    >>> KnownNames("the board has no entry", {"round": 1, "leader": "ann"})["rounds"]
    Traceback (most recent call last):
    KeyError: "the board has no entry 'rounds': it has round, leader"
    """

    def __init__(self, has_none: str, values: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._has_none = has_none

    def __missing__(self, name: object) -> Value:
        raise KeyError(f"{self._has_none} {name!r:.40}: it has {', '.join(self) or 'none'}")
