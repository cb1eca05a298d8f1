"""Games that the scenarios need: `zoneserver run zonetools.soak.games:Failing`."""

from __future__ import annotations

import logging
import time
from typing import Any

from zoneserver.games.plaza import Plaza
from zoneserver.zone.rules import Player, action

_log = logging.getLogger(__name__)


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


class Saving(Plaza):
    """The demo game with gold, which each player is told alone, and which is saved."""

    def on_start(self) -> None:
        super().on_start()
        self.gold: dict[Player, int] = {}
        self.departed = 0

    def on_join(self, player: Player) -> None:
        super().on_join(player)
        self.gold[player] = player.saved.get("gold", 0)
        player.tell("gold", self.gold[player])

    def on_leave(self, player: Player) -> None:
        super().on_leave(player)
        self.departed += 1

    def to_save(self, player: Player) -> dict[str, Any]:
        return {"gold": self.gold[player]}

    def on_stop(self) -> None:
        _log.warning("on_stop came after on_leave for %d players", self.departed)

    @action(private=True)
    def earn(self, player: Player) -> tuple[int]:
        """Earn one gold. The answer is how much the player has."""
        self.gold[player] += 1
        return (self.gold[player],)
