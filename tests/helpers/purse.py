"""A game whose players save what they earn."""

from __future__ import annotations

from typing import Any, ClassVar

from zoneserver.zone.rules import Player, Rules, action


class Purse(Rules):
    """One gold for each `earn`."""

    stats: ClassVar = {"gold": 0}

    def on_join(self, player: Player) -> None:
        player["gold"] = player.saved.get("gold", 0)

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"gold": player["gold"]}

    @action
    def earn(self, player: Player) -> None:
        player["gold"] += 1
