"""A worker process of the swarm, seen from the conductor."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any, Self

from zonetools.swarm.commands import Command, pack, receive
from zonetools.swarm.plan import Plan

END_SECONDS = 15.0
"""The longest time that a worker needs to end: it waits for outstanding answers, then for the ends of sessions."""


class WorkerProcess:
    """One process: `start` it, then `listen` until it has sent everything, then `end`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.progress: dict[str, Any] = {}
        """The newest progress that it sent."""
        self.tally: Any = None
        """Its tally; None until it has ended properly."""
        self._process = process

    @classmethod
    async def start(cls, module: str, plan: Plan, number: int) -> Self:
        """Start a process, and send it its plan."""
        command = (sys.executable, "-m", f"zonetools.swarm.{module}")
        process = cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True))
        process._write((plan, number))
        return process

    def send(self, command: Command) -> None:
        if self._process.returncode is None:
            self._write(command)

    async def listen(self, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Read everything that the process sends; call `on_progress(progress)` after each message."""
        assert self._process.stdout is not None
        while message := await receive(self._process.stdout):
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

    def _write(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(pack(message))
