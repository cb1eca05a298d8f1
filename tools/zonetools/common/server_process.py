"""A zone server as a subprocess, for the tools that bring their own."""

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
from types import TracebackType
from typing import Self

from zoneserver.support.errors import CannotStartError
from zoneserver.support.process import on_stop_signals, own_environment

__all__ = ["ServerProcess", "SpawnError", "cancel_on_signals"]

_log = logging.getLogger(__name__)


class SpawnError(CannotStartError):
    """The server did not come up; the text is what it said."""


def cancel_on_signals() -> None:
    """The stop signals cancel this task: for as long as there is nothing to end in good order."""
    task = asyncio.current_task()
    assert task is not None
    on_stop_signals(task.cancel)


class ServerProcess:
    """Starts `python -m zoneserver run` on free ports, and stops it at the end of the block.

    `prefix` is a command that runs the rest of its line, as `nice` does. The server ends with this
    process too, however this one ends: it holds the other end of the server's stdin.

    Raises SpawnError when it does not accept within 20 seconds.
    """

    def __init__(
        self, *arguments: str, prefix: Sequence[str] = (), program: Sequence[str] = ("zoneserver", "run")
    ) -> None:
        self.port = 0
        self.stats_port = 0
        self.summary = ""
        """What the server printed at its end."""
        self.log = ""
        """What it logged, once it has ended."""
        self._prefix = prefix
        self._program = program
        self._arguments = arguments
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        with tempfile.TemporaryDirectory(prefix="zone-") as folder:
            ready = Path(folder) / "ready.json"
            command = [*self._prefix, sys.executable, "-m", *self._program]
            command += ["--port", "0", "--stats-port", "0", "--ready-file", str(ready), "--stop-on-stdin-eof"]
            command += ["--log-level", "warning", *self._arguments]
            _log.debug("starting %s", shlex.join(command))
            # A session of its own: Ctrl-C reaches us first, and we decide when the server stops.
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
                    raise SpawnError("the server did not come up within 20 s") from None
                raise
            if not ready.exists():
                _, said = await self._output
                raise SpawnError(said.strip() or f"the server ended with exit code {self._process.returncode}")
            ports = json.loads(ready.read_text())
        self.port, self.stats_port = ports["port"], ports["stats_port"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process that serves: a prefix has become it."""
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it has not ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Waits until it has ended by itself; returns its exit code."""
        return await self._process.wait()

    async def _end(self, number: signal.Signals) -> None:
        self.send_signal(number)
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        self.summary, self.log = await self._output


async def _text(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await stream.read()).decode(errors="replace")
