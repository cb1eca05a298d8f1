"""Games with a fault, to run a server with: `zoneserver run zonetools.soak.games:Failing`."""

from __future__ import annotations

import time

from zoneserver.games.plaza import Plaza
from zoneserver.zone.rules import Player, action


class Failing(Plaza):
    """The demo game with a rule that raises."""

    @action
    def fail(self, player: Player) -> None:
        """Move the player, then raise an exception."""
        player.move(1, 1)
        raise RuntimeError("this rule fails on purpose")


class Heavy(Plaza):
    """The demo game with work that does not fit into a tick."""

    def on_start(self) -> None:
        super().on_start()
        # Until this moment of the monotonic clock, each tick takes `factor` periods.
        self.until, self.factor = 0.0, 0

    @action
    def burden(self, player: Player, factor: int, seconds: int) -> None:
        """Make each tick take `factor` periods for this many seconds."""
        self.until, self.factor = time.monotonic() + seconds, factor

    def on_tick(self) -> None:
        now = time.monotonic()
        if now < self.until:
            while time.monotonic() < now + self.factor / self.hz:
                pass


class Bulky(Plaza):
    """The demo game with frames of any size."""

    @action
    def bulk(self, player: Player, size: int) -> None:
        """Tell every player this many characters, in events of a size that clients accept."""
        for _ in range(size // 50_000):
            self.emit("bulk", "x" * 50_000)
