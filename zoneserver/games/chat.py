"""A chat: every line goes to all players. It shows how a game limits the lines of a player."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from zoneserver.zone.rules import Player, Refused, Rules, Text, action

__all__ = ["Chat"]


class Chat(Rules):
    """Say something to all players, and change the topic. A player may say three lines at once, then one a second."""

    name = "chat"
    stats: ClassVar = {"lines": 0}
    board = {"topic": "anything"}  # noqa: RUF012  # The zone puts the board in its place.

    BURST = 3

    def on_start(self) -> None:
        # The lines that each player may say at once. One is added per second.
        self.left: dict[Player, int] = {}

    def on_join(self, player: Player) -> None:
        self.left[player] = self.BURST
        player.tell("topic", self.board["topic"])

    def on_leave(self, player: Player) -> None:
        del self.left[player]

    def on_tick(self) -> None:
        if self.tick % self.hz == 0:
            for player, left in self.left.items():
                self.left[player] = min(left + 1, self.BURST)

    def save(self) -> Any:
        return [[player.slot, left] for player, left in self.left.items()]

    def load(self, value: Any) -> None:
        self.left = {self.players[slot]: left for slot, left in value}

    def on_restore(self) -> None:
        self.left = dict.fromkeys(self.players.values(), self.BURST)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """Says a line: the event of this action carries the text to all players."""
        if not self.left[player]:
            raise Refused("TOO_FAST", "at most one line a second")
        self.left[player] -= 1
        player["lines"] += 1

    @action
    def change_topic(self, player: Player, topic: Annotated[str, Text(80)]) -> None:
        """Changes the topic, which stands on the board."""
        self.board["topic"] = topic
