"""A picture on which all players paint. It shows how a game keeps state that every client has, also a late one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from zoneserver.zone.rules import Between, Player, Refused, Rules, action

__all__ = ["Pixels"]

SIDE = 64
COLOURS = 16


class Pixels(Rules):
    """A picture of 64 by 64 pixels in 16 colours.

    It stands on the board, a text of hexadecimal digits for each row: so it is in every snapshot, and a client that
    comes late or skips frames has it as well. One pixel costs a row of 64 bytes, told to all.
    """

    name = "pixels"
    width, height = SIDE - 1, SIDE - 1
    stats: ClassVar = {"painted": 0}
    board = {f"row {y}": "0" * SIDE for y in range(SIDE)}  # noqa: RUF012  # The zone puts the board in its place.

    PAUSE_S = 0.1

    def on_start(self) -> None:
        # The tick from which on each player may paint again.
        self.ready: dict[Player, int] = {}

    def on_leave(self, player: Player) -> None:
        self.ready.pop(player, None)

    def save(self) -> Any:
        return [[player.slot, tick] for player, tick in self.ready.items() if tick > self.tick]

    def load(self, value: Any) -> None:
        self.ready = {self.players[slot]: tick for slot, tick in value}

    @action
    def paint(
        self,
        player: Player,
        x: Annotated[int, Between(0, SIDE - 1)],
        y: Annotated[int, Between(0, SIDE - 1)],
        colour: Annotated[int, Between(0, COLOURS - 1)],
    ) -> None:
        """Paints one pixel; the event of this action tells who did it."""
        ready = self.ready.get(player, 0)
        if self.tick < ready:
            raise Refused("COOLDOWN", f"ready again in {ready - self.tick} ticks")
        self.ready[player] = self.tick + round(self.PAUSE_S * self.hz)
        row = self.board[f"row {y}"]
        self.board[f"row {y}"] = f"{row[:x]}{colour:x}{row[x + 1 :]}"
        player["painted"] += 1
