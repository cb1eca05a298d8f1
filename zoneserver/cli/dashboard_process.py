"""The dashboard of a server, on the terminal from which the server was started.

The dashboard runs as a process of its own and is named by a string, `zonetools.dashboard`: this package must not import
the tools, and no check of imports sees the name.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable

from zoneserver.support.logs import hold_logs
from zoneserver.support.process import own_environment

__all__ = ["dashboard_beside"]


@contextlib.asynccontextmanager
async def dashboard_beside(stats_port: int, on_quit: Callable[[], object]) -> AsyncIterator[None]:
    """Shows the dashboard until the end of the block, and calls `on_quit` when the user quits it. The log is held back
    meanwhile and printed at the end of the block."""
    with hold_logs():
        command = ("-m", "zonetools.dashboard", "--stats-port", str(stats_port))
        dashboard = await asyncio.create_subprocess_exec(sys.executable, *command, env=own_environment())
        watching = asyncio.create_task(dashboard.wait())
        watching.add_done_callback(lambda _: on_quit())
        try:
            yield
        finally:
            if dashboard.returncode is None:
                dashboard.terminate()
            await watching
