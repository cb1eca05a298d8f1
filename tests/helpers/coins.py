"""A game with coins to find and with private words, for bots that look and listen."""

from __future__ import annotations

from typing import Annotated, ClassVar

from zoneserver.zone.rules import Player, Refused, Rules, Speed, Text, action


class Coins(Rules):
    width, height = 300, 300
    speed_step = 4
    stats: ClassVar = {"gold": 0}
    board: ClassVar = {"taken": 0}
    kinds: ClassVar = {"coin": {}, "stone": {}}

    def on_start(self) -> None:
        for _ in range(5):
            self.spawn("coin", *self.anywhere())
        self.spawn("stone", 1, 1)

    @action
    def run(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """The event of this action carries the text."""

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: Annotated[str, Text(200)]) -> None:
        other.tell("whisper", player.slot, text)

    @action(private=True)
    def gold(self, player: Player) -> int:
        return player["gold"]

    @action
    def dig(self, player: Player) -> None:
        raise Refused("NO_SPADE", "you have no spade")

    def on_tick(self) -> None:
        for player in self.players.values():
            for coin in self.near(player, 25, "coin"):
                coin.remove()
                self.spawn("coin", *self.anywhere())
                player["gold"] += 1
                self.board["taken"] += 1
                self.emit("taken", player.slot)
