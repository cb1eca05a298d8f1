"""Games with a fault in them, for the server to be run with: `zoneserver run zonetools.soak.games:Failing`."""

from __future__ import annotations

import time

from zoneserver.games.plaza import Plaza
from zoneserver.zone.rules import Player, action

__all__ = ["Bulky", "Failing", "Heavy"]


class Failing(Plaza):
    """The demo game with a rule that raises."""

    @action
    def fail(self, player: Player) -> None:
        """Moves its player, and then falls over."""
        player.move(1, 1)
        raise RuntimeError("this rule fails, as it was written to")


class Heavy(Plaza):
    """The demo game with work that does not fit the tick."""

    def on_start(self) -> None:
        super().on_start()
        # The moment, of the process's clock, until which each tick takes `factor` periods.
        self.until, self.factor = 0.0, 0

    @action
    def burden(self, player: Player, factor: int, seconds: int) -> None:
        """From now on, for so many seconds, a tick takes so many times its period."""
        self.until, self.factor = time.monotonic() + seconds, factor

    def on_tick(self) -> None:
        now = time.monotonic()
        if now < self.until:
            while time.monotonic() < now + self.factor / self.hz:
                pass


class Bulky(Plaza):
    """The demo game with frames as large as one asks for."""

    @action
    def bulk(self, player: Player, size: int) -> tuple[str, ...]:
        """Everybody is told so many characters, in texts that a client takes."""
        return ("x" * 50_000,) * (size // 50_000)
