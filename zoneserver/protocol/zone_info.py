"""The facts about a zone that hold from its start to its end: its game, its size, its clock, and what has a slot."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BOARD_INTEGER_MAX", "BOARD_TEXT_BYTES_MAX", "PLAYER_KIND", "Kind", "ZoneInfo", "player_kind"]

PLAYER_KIND = "player"
"""The name of kind 0."""
BOARD_INTEGER_MAX = 2**53 - 1
"""The largest whole number on the board, and the negative of the smallest: JavaScript's numbers are exact so far."""
BOARD_TEXT_BYTES_MAX = 256


class Kind(NamedTuple):
    """What can hold a slot: players, or one kind of things."""

    name: str
    stats: tuple[tuple[str, int], ...]
    """The name and the first value of each stat. Frames name a stat by its index in this tuple."""


def player_kind(**stats: int) -> Kind:
    """The kind of players, with their stats.

    >>> player_kind(hp=100)
    Kind(name='player', stats=(('hp', 100),))
    """
    return Kind(PLAYER_KIND, tuple(stats.items()))


class ZoneInfo(NamedTuple):
    """The facts that WELCOME tells, and from which a World is made.

    >>> ZoneInfo(width=100, height=100, kinds=(player_kind(), Kind("coin", (("worth", 1),)))).kinds[1].name
    'coin'
    """

    name: str = ""
    """The name of the game."""
    version: str = ""
    """The version of the game."""
    hz: int = 20
    """Ticks per second at full speed."""
    width: int = 10_000
    height: int = 10_000
    speed_step: int = 20
    """Units per second of one step of velocity. When it equals `hz`, one step is one unit per tick."""
    kinds: tuple[Kind, ...] = (Kind(PLAYER_KIND, ()),)
    """Kind 0 is that of players."""
    board: tuple[tuple[str, int | str], ...] = ()
    """The name and the first value of each entry of the board."""
