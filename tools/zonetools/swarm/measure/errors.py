"""What went wrong, in groups: how often, and the first time in full. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["BEHAVIOUR", "CLOSE", "CONNECT", "REFUSAL", "ErrorGroup", "Errors"]

CONNECT, CLOSE, BEHAVIOUR, REFUSAL = "connect", "close", "behaviour", "refusal"
"""Kinds: no connection, a session that ended early, a bot that does not know what to do, and an action
that did not happen, which is often as it should be."""

# What a server may make of codes is its own affair: beyond so many groups they go into one.
_GROUPS_MAX = 64
_OTHERS = "OTHERS"
_TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Everything of one kind with one code. The first of them is told in full."""

    kind: str
    code: str
    count: int
    first_at: float
    """In seconds of `time.monotonic()`."""
    first_bot: str
    first_text: str

    def __add__(self, other: ErrorGroup) -> ErrorGroup:
        first = min(self, other, key=lambda group: group.first_at)
        return ErrorGroup(
            self.kind, self.code, self.count + other.count, first.first_at, first.first_bot, first.first_text
        )

    def plain(self, began: float) -> dict[str, Any]:
        """As plain values; the first of them happened so many seconds after `began`."""
        first = {"s": round(self.first_at - began, 3), "bot": self.first_bot, "text": self.first_text}
        return {"kind": self.kind, "code": self.code, "count": self.count, "first": first}


class Errors:
    """All groups. They add up, over the processes of a swarm.

    >>> errors = Errors()
    >>> errors.add(CLOSE, "SLOW_CONSUMER", "did not read", bot="ann", now=2.0)
    >>> errors.add(CLOSE, "SLOW_CONSUMER", "did not read either", bot="bob", now=3.0)
    >>> [(group.code, group.count, group.first_text) for group in errors.groups()]
    [('SLOW_CONSUMER', 2, 'did not read')]
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], ErrorGroup] = {}

    def add(self, kind: str, code: str, text: str, bot: str, now: float) -> None:
        """One more; `code` is what it has in common with others like it."""
        self._merge(ErrorGroup(kind, code, 1, now, bot, text[:_TEXT_CHARACTERS]))

    def groups(self, *kinds: str) -> list[ErrorGroup]:
        """Those of these kinds, or all, the largest first."""
        found = [group for group in self._groups.values() if not kinds or group.kind in kinds]
        return sorted(found, key=lambda group: (-group.count, group.kind, group.code))

    def __add__(self, other: Errors) -> Errors:
        both = Errors()
        for group in (*self._groups.values(), *other._groups.values()):
            both._merge(group)
        return both

    def to_json(self) -> list[list[Any]]:
        """A form that `from_json` takes back, in another process."""
        return [[getattr(group, name) for name in ErrorGroup.__slots__] for group in self._groups.values()]

    @classmethod
    def from_json(cls, form: Sequence[Sequence[Any]]) -> Errors:
        """The errors that `to_json` wrote."""
        errors = cls()
        for values in form:
            errors._merge(ErrorGroup(*values))
        return errors

    def _merge(self, group: ErrorGroup) -> None:
        key = group.kind, group.code
        if key not in self._groups and len(self._groups) >= _GROUPS_MAX:
            key = group.kind, _OTHERS
            group = ErrorGroup(group.kind, _OTHERS, group.count, group.first_at, group.first_bot, group.first_text)
        known = self._groups.get(key)
        self._groups[key] = group if known is None else known + group
