"""Games whose frames are large, and limits so small that slow clients are noticed early."""

from __future__ import annotations

from zoneserver.config import Limits
from zoneserver.zone.rules import Rules

SMALL = Limits(socket_send_bytes=16 * 1024, linger_seconds=0.2)
"""Buffers so small that a client that does not read is noticed within some ticks."""

# An event has a bound.
_EVENT_BYTES = 50_000


class Noisy(Rules):
    """A game whose frames have a few kilobytes, and that moves its first player in each tick."""

    noise_bytes = 4096

    def on_tick(self) -> None:
        for start in range(0, self.noise_bytes, _EVENT_BYTES):
            self.emit("noise", bytes(min(_EVENT_BYTES, self.noise_bytes - start)))
        for player in list(self.players.values())[:1]:
            player.place(self.tick % self.width, self.tick * 7 % self.height, 1, 2)


class Loud(Noisy):
    """A game whose frames take a slow client many reads."""

    noise_bytes = 500_000
