"""Bans of names or addresses. Pure: the time is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["BanList"]

_BANS_MAX = 10_000


class BanList:
    """Which names or addresses are banned, until when and why. It is bounded, and lives in memory alone.

    >>> bans = BanList()
    >>> bans.add("ann", until=60.0, text="be nice", now=0.0)
    True
    >>> bans.objection("ann", now=59.0), bans.objection("ann", now=60.0)
    ('be nice', None)
    """

    def __init__(self, bans_max: int = _BANS_MAX) -> None:
        self._bans_max = bans_max
        # The end and the text of each ban. Bans that are over stay until the table is full.
        self._bans: dict[str, tuple[float, str]] = {}

    def add(self, key: str, until: float, text: str, now: float) -> bool:
        """Bans a name or address, or changes its ban. Returns False, and does nothing, when the table is full."""
        if len(self._bans) >= self._bans_max and key not in self._bans:
            self._bans = {banned: ban for banned, ban in self._bans.items() if ban[0] > now}
            if len(self._bans) >= self._bans_max:
                return False
        self._bans[key] = until, text
        return True

    def extend(self, key: str, until: float, text: str, now: float) -> bool:
        """Bans a name or address as `add` does, unless its ban lasts for as long already. Returns whether it was not
        banned before."""
        is_new = self.objection(key, now) is None
        if is_new or self._bans[key][0] < until:
            self.add(key, until, text, now)
        return is_new

    def lift(self, key: str, now: float) -> bool:
        """Ends a ban. Returns False if there was none."""
        until, _ = self._bans.pop(key, (now, ""))
        return until > now

    def clear(self) -> None:
        """Ends all bans."""
        self._bans.clear()

    def present(self, now: float) -> Iterator[tuple[str, float, str]]:
        """(name or address, end, text) of each ban that is not over."""
        return ((key, until, text) for key, (until, text) in self._bans.items() if until > now)

    def state(self) -> list[Any]:
        """The bans as plain values, for `restore`."""
        return [[key, until, text] for key, (until, text) in self._bans.items()]

    def restore(self, state: Iterable[Any]) -> None:
        """Replaces the bans by those of `state`."""
        self._bans = {key: (until, text) for key, until, text in state}

    def objection(self, key: str, now: float) -> str | None:
        """The text of the ban of a name or address; None if it is not banned."""
        until, text = self._bans.get(key, (now, ""))
        return text if until > now else None
