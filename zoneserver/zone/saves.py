"""The saved data of players: the result of `Rules.to_save` becomes JSON text, which becomes `Player.saved`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from zoneserver.zone.link import Join
from zoneserver.zone.plain_values import check_plain
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


def encode_saved(saved: object, place: str = "to_save()") -> str:
    """The JSON text of what `to_save` returned, or of what `place` names.

    Raises TypeError or ValueError with the place in the value.
    """
    if not isinstance(saved, dict):
        raise TypeError(f"to_save returned a value of type {type(saved).__name__}: it must return a dict, or None")
    check_plain(saved, place, bytes_max=SAVED_BYTES_MAX)
    text = json.dumps(saved, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > SAVED_BYTES_MAX:
        raise ValueError(f"{place} is {size:,} bytes as JSON: at most {SAVED_BYTES_MAX:,} are saved of a player")
    return text


class Saves:
    """The JSON texts that the rules have saved since the zone's last output, by player's name.

    With `interval_ticks` each player in the zone is saved once per so many ticks; with 0 no player is saved.
    `failed` is called for a `to_save` that raises, or returns a value that cannot be saved. The store then keeps the
    previous value.
    """

    def __init__(self, rules: Rules, interval_ticks: int, failed: Callable[..., None]) -> None:
        self._rules = rules
        self.interval_ticks = interval_ticks
        self._failed = failed
        self._made: dict[str, str] = {}

    def make(self, player: Player) -> None:
        """Saves a player now."""
        if not self.interval_ticks:
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
        interval = self.interval_ticks
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
