"""A board of pixels on which all players paint. It shows how a game sends its state to new players."""

from __future__ import annotations

from typing import Annotated, ClassVar

from zoneserver.zone.rules import Between, Player, Refused, Rules, action

__all__ = ["Pixels"]

SIDE = 64
COLOURS = 16


class Pixels(Rules):
    """A board of 64 by 64 pixels in 16 colours.

    All players get the same frames, so the state for a new player goes to all: the event `board`, with one byte per
    pixel, row by row. It is sent one second after a player joined; players who join within that second share it.
    """

    name = "pixels"
    width, height = SIDE - 1, SIDE - 1
    stats: ClassVar = {"painted": 0}

    PAUSE_S = 0.1

    def on_start(self) -> None:
        self.pixels = bytearray(SIDE * SIDE)
        self.told_due = 0
        # The tick from which on each player may paint again.
        self.ready: dict[Player, int] = {}

    def on_join(self, player: Player) -> None:
        self.ready[player] = 0
        if self.told_due <= self.tick:
            self.told_due = self.tick + self.hz
            self.after(self.hz, lambda: self.emit("board", bytes(self.pixels)))

    def on_leave(self, player: Player) -> None:
        del self.ready[player]

    @action
    def paint(
        self,
        player: Player,
        x: Annotated[int, Between(0, SIDE - 1)],
        y: Annotated[int, Between(0, SIDE - 1)],
        colour: Annotated[int, Between(0, COLOURS - 1)],
    ) -> None:
        """Paints one pixel; the event of this action tells all players."""
        if self.tick < self.ready[player]:
            raise Refused("COOLDOWN", f"ready again in {self.ready[player] - self.tick} ticks")
        self.ready[player] = self.tick + round(self.PAUSE_S * self.hz)
        self.pixels[y * SIDE + x] = colour
        player["painted"] += 1
