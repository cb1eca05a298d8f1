"""A game of tag: one is it, and runs after the others to make one of them it."""

from __future__ import annotations

from typing import ClassVar

from zoneserver.zone.rules import Player, Refused, Rules, Speed, action

__all__ = ["Tag"]


class Tag(Rules):
    """Run about; whoever is it touches somebody within reach, who then is it, and cannot touch back at once."""

    name = "tag"
    width, height = 2_000, 2_000
    stats: ClassVar = {"it": 0, "tags": 0}

    REACH = 100
    HEAD_START_S = 1.0

    def on_start(self) -> None:
        # From this tick on, whoever is it may touch.
        self.ready = 0

    def on_join(self, player: Player) -> None:
        player.place(self.random.randrange(self.width + 1), self.random.randrange(self.height + 1))
        if len(self.players) == 1:
            self.make_it(player)

    def on_leave(self, player: Player) -> None:
        others = [other for other in self.players.values() if other is not player]
        if player["it"] and others:
            self.make_it(self.random.choice(others))

    @action
    def run(self, player: Player, vx: Speed, vy: Speed) -> None:
        """From now on with this velocity, in units per tick."""
        player.move(vx, vy)

    @action
    def tag(self, player: Player, other: Player) -> None:
        """Makes another it."""
        if not player["it"] or other is player:
            raise Refused("NOT_YOU", "only who is it tags, and somebody else")
        if self.tick < self.ready:
            raise Refused("TOO_EARLY", f"give them another {self.ready - self.tick} ticks")
        if player.distance_to(other) > self.REACH:
            raise Refused("OUT_OF_RANGE", f"you reach {self.REACH}")
        player["it"] = 0
        player["tags"] += 1
        self.make_it(other)

    def make_it(self, player: Player) -> None:
        player["it"] = 1
        self.ready = self.tick + round(self.HEAD_START_S * self.hz)
