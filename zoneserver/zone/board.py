"""The board: a few whole numbers and short texts of the zone itself, which every client is told."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from operator import index

from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import BOARD_INTEGER_MAX, BOARD_TEXT_BYTES_MAX
from zoneserver.support.known_names import KnownNames
from zoneserver.zone.frame_builder import FrameBuilder

__all__ = ["Board", "board_value"]


def board_value(value: object, first: int | str) -> int | str:
    """Returns `value` in the form that the board keeps. The type of `first`, the entry's first value, decides the form.

    Raises TypeError for a value of another type than `first`, ValueError for a text that is too long or no Unicode and
    for a whole number beyond 2**53 - 1.
    """
    if isinstance(first, str):
        if not isinstance(value, str):
            raise TypeError(f"a text is expected on the board, not {value!r:.40}")
        if len(value.encode()) > BOARD_TEXT_BYTES_MAX:
            raise ValueError(f"a text on the board has at most {BOARD_TEXT_BYTES_MAX} bytes")
        return str(value)
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"a whole number is expected on the board, not {value!r:.40}") from None
    if not -BOARD_INTEGER_MAX <= number <= BOARD_INTEGER_MAX:
        raise ValueError(f"a whole number on the board lies within 2**53 - 1, and {number} does not")
    return int(number)


class Board(MutableMapping[str, int | str]):
    """The board as rules see it: a mapping with the names that the game has declared.

    An entry keeps the type of its first value. Raises KeyError for another name, and as `board_value` does.
    """

    def __init__(self, world: World, frame: FrameBuilder) -> None:
        self._world = world
        self._frame = frame
        names = {name: number for number, (name, _) in enumerate(world.info.board)}
        self._indexes = KnownNames("the board has no entry", names)

    def __getitem__(self, name: str) -> int | str:
        return self._world.board[self._indexes[name]]

    def __setitem__(self, name: str, value: int | str) -> None:
        number = self._indexes[name]
        self._put(number, board_value(value, self._world.info.board[number][1]))

    def _put(self, number: int, value: int | str) -> None:
        frame, entries = self._frame, self._world.board
        if frame.undo is not None:
            frame.undo.append((self._restore, number, entries[number], number in frame.board))
        entries[number] = value
        frame.board[number] = None

    def _restore(self, number: int, value: int | str, is_noted: bool) -> None:
        self._world.board[number] = value
        if not is_noted:
            del self._frame.board[number]

    def __delitem__(self, name: str) -> None:
        raise TypeError("an entry of the board can be changed, but not deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(self._indexes)

    def __len__(self) -> int:
        return len(self._indexes)
