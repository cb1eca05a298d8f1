"""A worker process of the swarm, seen from the conductor."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from zonetools.swarm.commands import Command, command_json
from zonetools.swarm.plan import Plan

__all__ = ["END_SECONDS", "WorkerProcess"]

END_SECONDS = 15.0
"""The longest time that a worker needs to end: it waits for outstanding answers, then for the ends of sessions."""

# The last line of a worker is its tally, which contains histograms.
_LINE_BYTES_MAX = 16 * 1024 * 1024


class WorkerProcess:
    """One process: call `start`, then `listen` until it has sent everything, then `end`."""

    def __init__(self) -> None:
        self.progress: dict[str, Any] = {}
        """The newest progress that it sent."""
        self.tally: dict[str, Any] | None = None
        """Its tally; None until it has ended properly."""
        self._process: asyncio.subprocess.Process

    async def start(self, module: str, plan: Plan, number: int) -> None:
        """Start the process, and send it its plan."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"zonetools.swarm.{module}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        self._write({"plan": plan.to_json(), "process": number})

    def send(self, command: Command) -> None:
        """Send a command, unless the process has ended."""
        if self._process.returncode is None:
            self._write(command_json(command))

    async def listen(self, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Read everything that the process sends; call `on_progress(progress)` after each message."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if "tally" in message:
                self.tally = message["tally"]
            else:
                self.progress = message
            on_progress(self.progress)

    async def end(self) -> None:
        """Close the standard input of the process, which makes it stop, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
