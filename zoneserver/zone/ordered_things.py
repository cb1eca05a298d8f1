"""The things of a zone by slot, in the order in which they came."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from operator import attrgetter
from typing import Any

from zoneserver.zone.entities import Thing

__all__ = ["OrderedThings"]

_number, _slot = attrgetter("_number"), attrgetter("_slot")


class OrderedThings(dict[int, Thing]):
    """A dict of things by slot. Whatever goes through it sees them in the order in which they came.

    A thing that is put back comes to the end of a dict. The things are sorted when the next rule goes through them:
    there may be thousands, while most rules look up single ones.
    """

    _is_sorted = True

    def put_back(self, thing: Thing) -> None:
        """Takes back the removal of a thing."""
        self[thing._slot] = thing
        self._is_sorted = False

    def _sorted(self) -> OrderedThings:
        if not self._is_sorted:
            things = sorted(super().values(), key=_number)
            self.clear()
            self.update(zip(map(_slot, things), things, strict=True))
            self._is_sorted = True
        return self

    def __iter__(self) -> Iterator[int]:
        return dict.__iter__(self._sorted())

    def __reversed__(self) -> Iterator[int]:
        return dict.__reversed__(self._sorted())

    def keys(self) -> KeysView[int]:  # type: ignore[override]
        return dict.keys(self._sorted())

    def values(self) -> ValuesView[Thing]:  # type: ignore[override]
        return dict.values(self._sorted())

    def items(self) -> ItemsView[int, Thing]:  # type: ignore[override]
        return dict.items(self._sorted())

    def copy(self) -> dict[int, Thing]:
        return dict.copy(self._sorted())

    def __or__(self, other: Any) -> Any:
        return dict.__or__(self._sorted(), other)

    def __repr__(self) -> str:
        return dict.__repr__(self._sorted())
