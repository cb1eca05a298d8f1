"""Games whose frames are large, and limits so small that slow clients are noticed early."""

from __future__ import annotations

from zoneserver.config import Limits
from zoneserver.zone.rules import Rules

SMALL = Limits(socket_send_bytes=16 * 1024, linger_seconds=0.2)
"""Buffers so small that a client which does not read is noticed within some ticks."""


class Noisy(Rules):
    """Every tick tells everybody a few kilobytes, and puts the first player somewhere else."""

    noise_bytes = 4096

    def on_tick(self) -> None:
        self.emit("noise", bytes(self.noise_bytes))
        for player in list(self.players.values())[:1]:
            player.place(self.tick % self.width, self.tick * 7 % self.height, 1, 2)


class Loud(Noisy):
    """So much that a single frame takes a slow reader many reads."""

    noise_bytes = 500_000
