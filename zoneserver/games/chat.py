"""A chat: everybody hears what anybody says, and how a game keeps people from saying too much."""

from __future__ import annotations

from typing import Annotated, ClassVar

from zoneserver.zone.rules import Player, Refused, Rules, Text, action

__all__ = ["Chat"]


class Chat(Rules):
    """Say something to all, and set the topic; at most one line a second, after three at once."""

    name = "chat"
    stats: ClassVar = {"lines": 0}

    BURST = 3
    TOPIC = "anything"

    def on_start(self) -> None:
        self.topic = self.TOPIC
        self.topic_due = 0
        # Lines that each player may say at once. A second brings one more.
        self.left: dict[Player, int] = {}

    def on_join(self, player: Player) -> None:
        self.left[player] = self.BURST
        # The first frame that a newcomer gets is that of the next tick; one telling is enough for all.
        if self.topic_due <= self.tick:
            self.topic_due = self.tick + 1
            self.after(1, lambda: self.emit("topic", self.topic))

    def on_leave(self, player: Player) -> None:
        del self.left[player]

    def on_tick(self) -> None:
        if self.tick % self.hz == 0:
            for player, left in self.left.items():
                self.left[player] = min(left + 1, self.BURST)

    @action
    def say(self, player: Player, text: Annotated[str, Text(200)]) -> None:
        """Everybody hears it: the event of this action carries the text."""
        if not self.left[player]:
            raise Refused("TOO_FAST", "one line a second")
        self.left[player] -= 1
        player["lines"] += 1

    @action
    def change_topic(self, player: Player, topic: Annotated[str, Text(80)]) -> None:
        """From now on it is this, and who comes in later is told so."""
        self.topic = topic
