"""Commands from the dashboard to servers on this machine, through their control sockets: kicks, and the steps of a
replay."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from zoneserver.admin.stats import Stats
from zoneserver.control.client import ask
from zoneserver.support.errors import CommandError
from zoneserver.support.host import is_loopback

# The speeds of a replay.
_SPEED_MIN, _SPEED_MAX = 0.1, 100.0


class Orders:
    """Gives commands to the server whose admin port is at `host`, one after the other. `stats` returns its newest
    statistics, and `tell` shows a text to the user. With `ascii`, names were changed on their way here."""

    def __init__(
        self,
        host: str,
        stats: Callable[[], Stats | None],
        tell: Callable[[str], None],
        *,
        ascii: bool = False,  # noqa: A002
    ) -> None:
        self._host = host
        self._stats = stats
        self._tell = tell
        self._ascii = ascii
        # Commands that wait for their turn, and the task that gives them.
        self._waiting: deque[list[str]] = deque()
        self._giving: asyncio.Task[None] | None = None
        # The figures of the replay as they will be after all commands, and the statistics that they began with.
        self._replay: dict[str, float] = {}
        self._seen: Stats | None = None

    def objection(self, name: str = "") -> str:
        """Why no command can be given from here, or none about the player of this name; empty if it is possible."""
        stats = self._stats()
        if stats is None:
            return "the server has not answered yet"
        if not is_loopback(self._host):
            return "the server is on another machine"
        if not stats.ctl:
            return "the server has no control socket (--ctl)"
        if not Path(stats.ctl).exists():
            return f"there is no control socket at {stats.ctl} on this machine"
        if self._ascii and "?" in name:
            return "the name is not shown in full: use zoneserver ctl kick"
        return ""

    def kick(self, name: str) -> str:
        """Asks the server to kick the player, and tells the user its answer. Returns a text until then."""
        return self.objection(name) or self._give(["kick", name], f"kicking {name} ...")

    # --- Replays ----------------------------------------------------------------------------------

    def play_or_pause(self) -> str:
        """Lets a replay stand still, or go on."""
        replay = self._expected()
        replay["paused"] = not replay.get("paused")
        return self._steer("pause" if replay["paused"] else "play")

    def change_speed(self, factor: float) -> str:
        """Multiplies the speed of a replay."""
        replay = self._expected()
        replay["speed"] = max(_SPEED_MIN, min(_SPEED_MAX, replay.get("speed", 1.0) * factor))
        return self._steer("speed", f"{replay['speed']:g}")

    def seek(self, seconds: int) -> str:
        """Moves a replay on, or back. Steps that wait for their turn become one."""
        self._expected()
        if self._waiting and self._waiting[-1][0] == "seek":
            seconds += int(self._waiting.pop()[1].removesuffix("s"))
        return self._steer("seek", f"{seconds:+}s")

    def _expected(self) -> dict[str, float]:
        stats = self._stats()
        if self._giving is None and stats is not None and stats is not self._seen:
            self._replay, self._seen = dict(stats.replay), stats
        return self._replay

    def _steer(self, *words: str) -> str:
        objection = self.objection()
        return f"cannot steer the replay: {objection}" if objection else self._give(list(words), "")

    # --- The control socket -----------------------------------------------------------------------

    def _give(self, words: list[str], text: str) -> str:
        self._waiting.append(words)
        if self._giving is None:
            self._giving = asyncio.create_task(self._give_all())
        return text

    async def _give_all(self) -> None:
        try:
            while self._waiting:
                stats, words = self._stats(), self._waiting.popleft()
                if stats is None:
                    continue
                # A server on another machine, reached through a tunnel, may have a path that exists here as well.
                try:
                    outcome = await asyncio.to_thread(ask, Path(stats.ctl), words, stats.pid)
                    # The bar shows what became of a replay.
                    if outcome.code or words[0] == "kick":
                        self._tell(outcome.text)
                except CommandError as error:
                    self._tell(str(error))
        finally:
            self._giving = None


class GroupOrders:
    """Gives commands to one of several servers. `who_may_kick` returns the places of the servers that may kick the
    player of a name, the best first."""

    def __init__(self, orders: Sequence[Orders], who_may_kick: Callable[[str], Sequence[int]]) -> None:
        self._orders = orders
        self._who_may_kick = who_may_kick

    def objection(self, name: str) -> str:
        """As `Orders.objection`."""
        objections = [self._orders[place].objection(name) for place in self._who_may_kick(name)]
        return min(objections, key=bool, default="no server that answers has the session")

    def kick(self, name: str) -> str:
        """Asks the first server that can."""
        able = [place for place in self._who_may_kick(name) if not self._orders[place].objection(name)]
        return self._orders[able[0]].kick(name) if able else self.objection(name)

    def play_or_pause(self) -> str:
        return self._orders[0].play_or_pause()

    def change_speed(self, factor: float) -> str:
        return self._orders[0].change_speed(factor)

    def seek(self, seconds: int) -> str:
        return self._orders[0].seek(seconds)
