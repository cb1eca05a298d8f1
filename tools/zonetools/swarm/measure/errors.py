"""Groups the errors of a run by kind and code. Each group keeps a count and its first error in full. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

CONNECT, CLOSE, BEHAVIOUR, REFUSAL = "connect", "close", "behaviour", "refusal"
"""The kinds of errors: a failed connection, a session that ended early, a behaviour that failed, and a refused
action, which is often no fault at all."""

# A server may send any number of codes. Beyond this many groups, new codes are counted together as OTHERS.
_GROUPS_MAX = 64
_OTHERS = "OTHERS"
_TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """All errors of one kind and code, with the details of the first one."""

    kind: str
    code: str
    count: int
    first_at: float
    """The time of the first error, in seconds of `time.monotonic()`."""
    first_bot: str
    first_text: str

    def __add__(self, other: ErrorGroup) -> ErrorGroup:
        first = min(self, other, key=lambda group: group.first_at)
        return dataclasses.replace(first, count=self.count + other.count)

    def plain(self, began: float) -> dict[str, Any]:
        """Return plain values, with the time of the first error counted from `began`."""
        first = {"s": round(self.first_at - began, 3), "bot": self.first_bot, "text": self.first_text}
        return {"kind": self.kind, "code": self.code, "count": self.count, "first": first}


class Errors:
    """All groups of errors. The errors of several workers can be added.

    >>> errors = Errors()
    >>> errors.add(CLOSE, "SLOW_CONSUMER", "did not read", bot="ann", now=2.0)
    >>> errors.add(CLOSE, "SLOW_CONSUMER", "did not read either", bot="bob", now=3.0)
    >>> [(group.code, group.count, group.first_text) for group in errors.groups()]
    [('SLOW_CONSUMER', 2, 'did not read')]
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], ErrorGroup] = {}

    def add(self, kind: str, code: str, text: str, bot: str, now: float) -> None:
        """Count one error. Errors with equal `kind` and `code` form a group."""
        self._merge(ErrorGroup(kind, code, 1, now, bot, text[:_TEXT_CHARACTERS]))

    def groups(self, *kinds: str) -> list[ErrorGroup]:
        """Return the groups of these kinds, or all groups, the largest first."""
        found = [group for group in self._groups.values() if not kinds or group.kind in kinds]
        return sorted(found, key=lambda group: (-group.count, group.kind, group.code))

    def __add__(self, other: Errors) -> Errors:
        both = Errors()
        for group in (*self._groups.values(), *other._groups.values()):
            both._merge(group)
        return both

    def _merge(self, group: ErrorGroup) -> None:
        key = group.kind, group.code
        if key not in self._groups and len(self._groups) >= _GROUPS_MAX:
            key = group.kind, _OTHERS
            group = dataclasses.replace(group, code=_OTHERS)
        known = self._groups.get(key)
        self._groups[key] = group if known is None else known + group
