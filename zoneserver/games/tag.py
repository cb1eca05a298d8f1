"""A game of tag: the player who is "it" runs after the others and touches one of them, who is "it" next."""

from __future__ import annotations

from typing import ClassVar

from zoneserver.zone.rules import Player, Refused, Rules, Speed, action

__all__ = ["Tag"]


class Tag(Rules):
    """Run, and touch a player within reach if you are "it". That player is "it" next, and cannot touch back at once."""

    name = "tag"
    width, height = 2_000, 2_000
    stats: ClassVar = {"it": 0, "tags": 0}

    REACH = 100
    HEAD_START_S = 1.0

    def on_start(self) -> None:
        # The tick from which on the player who is "it" may touch.
        self.ready = 0

    def on_join(self, player: Player) -> None:
        player.place(self.random.randrange(self.width + 1), self.random.randrange(self.height + 1))
        if len(self.players) == 1:
            self.make_it(player)

    def on_leave(self, player: Player) -> None:
        others = [other for other in self.players.values() if other is not player]
        if player["it"] and others:
            self.make_it(self.random.choice(others))

    def save(self) -> int:
        return self.ready

    def load(self, value: int) -> None:
        self.ready = value

    @action
    def run(self, player: Player, vx: Speed, vy: Speed) -> None:
        """Sets the velocity, in units per tick."""
        player.move(vx, vy)

    @action
    def tag(self, player: Player, other: Player) -> None:
        """Touches another player, who is "it" next."""
        if not player["it"] or other is player:
            raise Refused("NOT_YOU", "only the player who is it can touch, and only another player")
        if self.tick < self.ready:
            raise Refused("TOO_EARLY", f"the others have a head start of {self.ready - self.tick} more ticks")
        if player.distance_to(other) > self.REACH:
            raise Refused("OUT_OF_RANGE", f"you reach {self.REACH} units")
        player["it"] = 0
        player["tags"] += 1
        self.make_it(other)

    def make_it(self, player: Player) -> None:
        player["it"] = 1
        self.ready = self.tick + round(self.HEAD_START_S * self.hz)
