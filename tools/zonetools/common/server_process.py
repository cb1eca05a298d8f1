"""A zone server as a subprocess, for tools that start their own server."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from zoneserver.support.errors import CannotStartError
from zoneserver.support.event_loop import on_stop_signals
from zoneserver.support.process import own_environment

_log = logging.getLogger(__name__)


class SpawnError(CannotStartError):
    """The server did not start. The text is what it printed."""


def cancel_on_signals() -> None:
    """Have the stop signals cancel the present task, until a later handler can stop it more gently."""
    task = asyncio.current_task()
    assert task is not None
    on_stop_signals(task.cancel)


class ServerProcess:
    """Starts `python -m zoneserver run` on free ports, and stops it at the end of the block.

    `prefix` is a command that runs the rest of its line, as `nice` does. The server also ends when this
    process ends in any way, because this process holds the other end of the server's stdin.

    Raises SpawnError if the server does not accept connections within 20 seconds.
    """

    def __init__(
        self, *arguments: str, prefix: Sequence[str] = (), program: Sequence[str] = ("zoneserver", "run")
    ) -> None:
        self.port = 0
        """The port for players; 0 if there is none."""
        self.stats_port = 0
        self.page = ""
        """Where browsers find the page of the server; empty if it has none."""
        self.log = ""
        """What the server logged; set once it has ended."""
        self._prefix = prefix
        self._program = program
        self._arguments = arguments
        self._process: asyncio.subprocess.Process
        self._folder: tempfile.TemporaryDirectory[str]

    async def __aenter__(self) -> Self:
        # It stays until the server has ended, which writes it anew when it restarts.
        self._folder = tempfile.TemporaryDirectory(prefix="zone-")
        ready = Path(self._folder.name) / "ready.json"
        # -P: a module of the game's folder, such as json.py, must not stand in for one of Python's own.
        command = [*self._prefix, sys.executable, "-P", "-m", *self._program]
        command += ["--port", "0", "--stats-port", "0", "--ready-file", str(ready), "--stop-on-stdin-eof"]
        command += ["--log-level", "warning", *self._arguments]
        _log.debug("starting %s", shlex.join(command))
        # In a session of its own, the server gets no Ctrl-C: this process decides when it stops.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env=own_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._output = asyncio.gather(_text(self._process.stdout), _text(self._process.stderr))
        try:
            async with asyncio.timeout(20):
                while not ready.exists() and self._process.returncode is None:
                    await asyncio.sleep(0.02)
        except BaseException as error:
            await self._end(signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise SpawnError("the server did not start within 20 s") from None
            raise
        if not ready.exists():
            _, stderr = await self._output
            self._folder.cleanup()
            raise SpawnError(stderr.strip() or f"the server ended with exit code {self._process.returncode}")
        ports = json.loads(ready.read_text())
        # A zone whose players come by gateways has no port for players.
        self.port, self.stats_port, self.page = ports["port"] or 0, ports["stats_port"], ports["page"]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process id of the server; a prefix command has replaced itself by the server."""
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the server if it is still running."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until the server has ended by itself; return its exit code."""
        return await self._process.wait()

    async def _end(self, number: signal.Signals) -> None:
        self.send_signal(number)
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        _, self.log = await self._output
        self._folder.cleanup()


async def _text(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await stream.read()).decode(errors="replace")
