"""The saved data of players: the result of `Rules.to_save` becomes JSON text, which becomes `Player.saved`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoneserver.support.unicode_text import is_unicode
from zoneserver.zone.link import Join
from zoneserver.zone.rules import Player, Rules

__all__ = ["SAVED_BYTES_MAX", "SavedError", "Saves", "decode_saved", "encode_saved"]

SAVED_BYTES_MAX = 256 * 1024
"""The bound on the JSON text of one player, in UTF-8."""


class SavedError(Exception):
    """The saved text of a player is no JSON object."""


def decode_saved(text: str) -> dict[str, Any]:
    """The dict in a saved text; {} for an empty text. Raises SavedError for a text that is no JSON object."""
    if not text:
        return {}
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError):
        saved = None
    if not isinstance(saved, dict):
        raise SavedError("the saved data of this player is no JSON object")
    return saved


def encode_saved(saved: object) -> str:
    """The JSON text of what `to_save` returned. Raises TypeError or ValueError with the place in the value."""
    if not isinstance(saved, dict):
        raise TypeError(f"to_save returned {_kind(saved)}: it must return a dict, or None")
    _check(saved, ("to_save()",), SAVED_BYTES_MAX)
    text = json.dumps(saved, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > SAVED_BYTES_MAX:
        raise _is_too_large(f"{size:,}")
    return text


# A value with more levels than this is taken for one that contains itself.
_DEPTH_MAX = 100

# The way to a value: what to_save returned, then the keys and the indexes.
_Place = tuple[Any, ...]


def _check(value: object, place: _Place, room: int) -> int:
    """Raises TypeError or ValueError for a value that JSON cannot hold, or would return as another value.

    Returns what is left of `room` bytes, and raises ValueError when nothing is left: a value that is far too large is
    refused before its text is made.
    """
    if len(place) > _DEPTH_MAX + 1:
        raise ValueError(f"{_shown(place[:8])}... is nested too deeply")
    parts: Iterable[tuple[Any, object]] = ()
    if isinstance(value, dict):
        parts = value.items()
        room = _check_texts(value, place, room)
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    elif isinstance(value, str):
        room = _check_texts((value,), place, room)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_shown(place)} is {value}: JSON has no such number")
    elif not isinstance(value, int | None):
        raise TypeError(f"{_shown(place)} is {_kind(value)}: JSON cannot hold it")
    for key, part in parts:
        room = (room if isinstance(part, int | None) else _check(part, (*place, key), room)) - 1
        if room < 0:
            raise _is_too_large(f"more than {SAVED_BYTES_MAX:,}")
    return room


def _check_texts(texts: Iterable[object], place: _Place, room: int) -> int:
    """Checks a text or the keys of a dict. Returns what is left of `room`."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{_shown(place)} has the key {text!r:.40}, {_kind(text)}: keys are texts in JSON")
        if not is_unicode(text):
            raise ValueError(f"{_shown(place)} has the text {text!r:.40}, which is no Unicode: JSON cannot hold it")
        room -= len(text)
    if room < 0:
        raise _is_too_large(f"more than {SAVED_BYTES_MAX:,}")
    return room


def _shown(place: _Place) -> str:
    """The place for people, as `to_save()['items'][1]`."""
    returned, *keys = place
    return f"{returned}{''.join(f'[{key!r:.40}]' for key in keys)}"


def _is_too_large(size: str) -> ValueError:
    return ValueError(f"to_save() is {size} bytes as JSON: at most {SAVED_BYTES_MAX:,} are saved of a player")


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"


class Saves:
    """The JSON texts that the rules have saved since the zone's last output, by player's name.

    With `interval_ticks` each player in the zone is saved once per so many ticks; with 0 no player is saved.
    `failed` is called for a `to_save` that raises, or returns a value that cannot be saved. The store then keeps the
    previous value.
    """

    def __init__(self, rules: Rules, interval_ticks: int, failed: Callable[..., None]) -> None:
        self._rules = rules
        self._interval_ticks = interval_ticks
        self._failed = failed
        self._made: dict[str, str] = {}

    def make(self, player: Player) -> None:
        """Saves a player now."""
        if not self._interval_ticks:
            return
        try:
            saved: object = self._rules.to_save(player)
            if saved is not None:
                self._made[player.name] = encode_saved(saved)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed("to_save", error, player=player.name)

    def make_due(self, tick: int, players: Mapping[int, Player], slots: int) -> None:
        """Saves the players whose turn this tick is. Turns are spread over the interval by slot, 0 to `slots` - 1."""
        interval = self._interval_ticks
        for slot in range(tick % interval, slots, interval) if interval else ():
            if slot in players:
                self.make(players[slot])

    def renew(self, join: Join) -> Join:
        """The join with the newest saved text of its player, which the store may not know yet."""
        made = self._made.get(join.name)
        return join if made is None else join._replace(saved=made)

    def take(self) -> list[tuple[str, str]]:
        """Returns the texts since the last call, by name."""
        made, self._made = self._made, {}
        return list(made.items())
