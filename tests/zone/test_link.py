"""The link between zone and gateways: equal inputs give equal outputs."""

from __future__ import annotations

from typing import Annotated, ClassVar

from zoneserver.zone.link import Join, Requests, TickOutput
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Between, Player, Refused, Rules, Speed, action
from zoneserver.zone.zone import Zone


class Field(Rules):
    """A game with motion, stats, events and refusals."""

    width, height = 1000, 1000
    stats: ClassVar = {"score": 0}

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def score(self, player: Player, points: Annotated[int, Between(1, 9)]) -> None:
        if points == 9:
            raise Refused("GREEDY", "at most 8")
        player["score"] += points


def test_equal_inputs_give_equal_outputs() -> None:
    def outputs() -> list[TickOutput]:
        link = LocalZoneLink(zone := Zone(Field(), hz=4, seed=1))
        link.send(Requests(joins=[Join(1, "ann", b"", "a"), Join(2, "bob", b"", "b"), Join(3, "ann", b"", "c")]))
        made = [zone.tick(link.take_input(0.0))]
        link.send(Requests([], [2], [(1, 1, [("walk", 1, 2), ("score", 9), ("score", 1)])]))
        return [*made, zone.tick(link.take_input(1.0)), zone.tick(link.take_input(2.0))]

    assert outputs() == outputs()
