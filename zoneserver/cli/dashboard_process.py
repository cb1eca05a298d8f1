"""The dashboard beside a server, on the terminal that the server was started from."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable

from zoneserver.support.logs import hold_logs
from zoneserver.support.process import own_environment

__all__ = ["dashboard_beside"]


@contextlib.asynccontextmanager
async def dashboard_beside(stats_port: int, ended: Callable[[], object]) -> AsyncIterator[None]:
    """Shows the dashboard, a process of its own, until the end of the block; calls `ended` when whoever
    watches has seen enough. What is logged meanwhile is shown afterwards."""
    with hold_logs():
        command = ("-m", "zonetools.dashboard", "--stats-port", str(stats_port))
        dashboard = await asyncio.create_subprocess_exec(sys.executable, *command, env=own_environment())
        watching = asyncio.create_task(dashboard.wait())
        watching.add_done_callback(lambda _: ended())
        try:
            yield
        finally:
            if dashboard.returncode is None:
                dashboard.terminate()
            await watching
