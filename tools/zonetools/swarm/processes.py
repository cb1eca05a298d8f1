"""A worker process of the swarm, seen from the conductor."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any, Self

from zoneserver.support.errors import raised_by
from zonetools.swarm.commands import Command, pack, receive
from zonetools.swarm.plan import Plan

END_SECONDS = 15.0
"""The longest time that a worker needs to end: it waits for outstanding answers, then for the ends of sessions."""

SILENT_SECONDS_MAX = 12
"""A process that sends no progress for so long is stuck: it sends some four times a second."""


class WorkerProcess:
    """One process: `start` it, then `listen` until it has sent everything, then `end`."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.name = name
        """What an error calls it."""
        self.progress: dict[str, Any] = {}
        """The newest progress that it sent."""
        self.tally: Any = None
        """Its tally; None until it has ended properly."""
        self.failure: str | None = None
        """Why it ended without a tally; None while it runs, and if it ended properly."""
        self.messages = 0
        """How many messages it has sent."""
        self._process = process

    @classmethod
    async def start(cls, module: str, plan: Plan, number: int, name: str) -> Self:
        """Start a process, and send it its plan."""
        # -P: a module of the game's folder, such as json.py, must not stand in for one of Python's own.
        command = (sys.executable, "-P", "-m", f"zonetools.swarm.{module}")
        started = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        process = cls(started, name)
        process._write((plan, number))
        return process

    def send(self, command: Command) -> None:
        if self._process.returncode is None:
            self._write(command)

    async def listen(self, on_progress: Callable[[dict[str, Any]], None]) -> None:
        """Read everything that the process sends; call `on_progress(progress)` after each message.

        At the end there is a tally or a failure.
        """
        assert self._process.stdout is not None
        try:
            while message := await receive(self._process.stdout):
                self.messages += 1
                if "tally" in message:
                    self.tally = message["tally"]
                    return  # Nothing follows, even if the process does not end.
                if "died" in message:
                    self.failure = message["died"]
                else:
                    self.progress = message
                    on_progress(self.progress)
        except Exception as error:
            self.failure = f"it sent what cannot be read: {raised_by(error)}"
        if self.tally is None and self.failure is None:
            self.failure = f"it ended by itself with exit code {await self._process.wait()}"

    async def watch(self) -> None:
        """End the process if it is silent for too long, as when a bot blocks. Runs until it is cancelled."""
        heard, silent = 0, 0
        while silent < SILENT_SECONDS_MAX:
            # Counted in naps: when this process stood still itself, the messages still wait to be read.
            await asyncio.sleep(1.0)
            heard, silent = self.messages, silent + 1 if heard == self.messages else 0
        # The process says where it stands.
        self._signal(signal.SIGTERM)
        await asyncio.sleep(3.0)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop the process, as a system stops a program that nobody sees."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        self._signal(signal.SIGCONT)

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
