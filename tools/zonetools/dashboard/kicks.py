"""Throwing players out from the dashboard, through the control socket of a server on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from zoneserver.admin.stats import Stats
from zoneserver.control.client import ask
from zoneserver.support.errors import CommandError
from zoneserver.support.host import is_loopback


class Kicks:
    """Kicks players of the server whose admin port is at `host`. `stats` returns its newest statistics, and `tell`
    shows a text to the user. With `ascii`, names were changed on their way here."""

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
        # References to the requests that run, since the loop keeps none.
        self._asking: set[asyncio.Task[None]] = set()

    def objection(self, name: str) -> str:
        """Why the player of this name cannot be kicked from here; empty if that is possible."""
        stats = self._stats()
        if stats is None:
            return "the server has not answered yet"
        if not is_loopback(self._host):
            return "the server is on another machine"
        if not stats.ctl:
            return "the server has no control socket (run --ctl)"
        if not Path(stats.ctl).exists():
            return f"there is no control socket at {stats.ctl} on this machine"
        if self._ascii and "?" in name:
            return "the name is not shown in full: use zoneserver ctl kick"
        return ""

    def __call__(self, name: str) -> str:
        """Asks the server to kick the player, and tells the user its answer."""
        stats = self._stats()
        if stats is None:
            return self.objection(name)
        task = asyncio.create_task(self._kick(Path(stats.ctl), stats.pid, name))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return f"kicking {name} ..."

    async def _kick(self, path: Path, pid: int, name: str) -> None:
        try:
            # A server on another machine, reached through a tunnel, may have a path that exists here as well.
            outcome = await asyncio.to_thread(ask, path, ["kick", name], pid)
            self._tell(outcome.text)
        except CommandError as error:
            self._tell(str(error))
