"""The dashboard of `zoneserver run --dashboard`: a process on the server's own terminal."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Self

from zoneserver.cli.token import TOKEN_VARIABLE
from zoneserver.server import ZoneServer
from zoneserver.support.logs import hold_logs
from zoneserver.support.process import own_environment

__all__ = ["ServerDashboard"]

# How long the dashboard may take to restore the terminal. It takes for ever if the terminal takes no output.
_END_SECONDS = 3.0
# From <linux/prctl.h>: the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


class ServerDashboard:
    """Shows the dashboard until the end of the block; the user who quits it stops the server.

    The log is held back meanwhile and printed at the end of the block. The dashboard is shown on stderr if stdout is no
    terminal, since stdout then has the result of the run alone. It also ends when the server is killed.
    """

    def __init__(self, server: ZoneServer) -> None:
        self._server = server
        self._held = contextlib.ExitStack()
        self._process: asyncio.subprocess.Process
        self._end: asyncio.Task[int]

    async def __aenter__(self) -> Self:
        # A string names the program: this package must not import the tools.
        host, token = self._server.config.stats_host, self._server.config.stats_token
        command = ("-P", "-m", "zonetools.dashboard", "--host", host, "--stats-port", str(self._server.stats_port))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            env=own_environment() | ({TOKEN_VARIABLE: token} if token else {}),
            stdout=None if os.isatty(1) else 2,
            preexec_fn=_end_with_parent(),
        )
        self._held.enter_context(hold_logs())
        self._end = asyncio.create_task(self._process.wait())
        self._end.add_done_callback(lambda _: self._server.request_stop())
        return self

    def request_end(self) -> None:
        """Makes the dashboard restore the terminal and end; does not wait for that."""
        if self._process.returncode is None:
            self._process.terminate()

    async def __aexit__(self, *_exc: object) -> None:
        self.request_end()
        done, _ = await asyncio.wait([self._end], timeout=_END_SECONDS)
        if not done:
            self._process.kill()
            await self._end
            _abandon_terminal()
        self._held.close()


def _end_with_parent() -> Callable[[], None] | None:
    """What a child process calls so that it ends with this process; None where the system has no such call."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _abandon_terminal() -> None:
    """Sends what this process still prints nowhere, if it would go to a terminal that takes no output."""
    with open(os.devnull, "w") as nowhere:
        for descriptor in filter(os.isatty, (1, 2)):
            os.dup2(nowhere.fileno(), descriptor)
