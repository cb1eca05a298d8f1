"""A process of the swarm, as seen by the one that gives the orders."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from zonetools.swarm.commands import Order, order_line
from zonetools.swarm.plan import Plan

__all__ = ["END_SECONDS", "WorkerProcess"]

END_SECONDS = 15.0
"""A worker waits for outstanding answers and for goodbyes; it needs no longer than this."""

# A worker's last line is its tally, with the histograms in it.
_LINE_BYTES_MAX = 16 * 1024 * 1024


class WorkerProcess:
    """One process, from `start` to `end`; `listen` until it has said everything."""

    def __init__(self) -> None:
        self.progress: dict[str, Any] = {}
        """How far it is, by its last word."""
        self.tally: dict[str, Any] | None = None
        """What it counted, once it has ended in good order."""
        self._process: asyncio.subprocess.Process

    async def start(self, module: str, plan: Plan, number: int) -> None:
        """Starts it with its task."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"zonetools.swarm.{module}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        self._say({"plan": plan.to_json(), "process": number})

    def order(self, order: Order) -> None:
        """Gives it an order, unless it has ended."""
        if self._process.returncode is None:
            self._say(order_line(order))

    async def listen(self, on_news: Callable[[dict[str, Any]], None]) -> None:
        """Hears everything that it says: calls back whenever `progress` or `tally` is new, with the former."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if "tally" in message:
                self.tally = message["tally"]
            else:
                self.progress = message
            on_news(self.progress)

    async def end(self) -> None:
        """Waits for it when it has been told to stop; without its stdin it stops by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
