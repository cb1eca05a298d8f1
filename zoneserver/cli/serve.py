"""Runs one server until it stops: signals, standard input, dashboard, summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable

from zoneserver.cli import console
from zoneserver.cli.token import TOKEN_VARIABLE
from zoneserver.server import ZoneServer
from zoneserver.support.errors import CannotStartError, Exit
from zoneserver.support.event_loop import on_stop_signals, read_stdin
from zoneserver.support.logs import hold_logs
from zoneserver.support.process import freeze_growth, own_environment

__all__ = ["serve"]


async def serve(server: ZoneServer, loop_name: str, arguments: argparse.Namespace) -> int:
    """Runs a server with the arguments of `zoneserver run`; returns the exit code. Raises CannotStartError."""
    try:
        await server.start()
    except OSError as error:
        raise CannotStartError(console.explain(error, server.config)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot run: {error}") from error
    _stop_on_signals(server)
    freezing = asyncio.create_task(freeze_growth(lambda: server.gateway.players_peak))
    if arguments.stop_on_stdin_eof:
        read_stdin(lambda data: None if data else server.request_stop())
    try:
        if arguments.ready_file is not None:
            console.write_ready_file(arguments.ready_file, server)
        console.banner(server, loop_name)
        async with contextlib.AsyncExitStack() as stack:
            if arguments.dashboard:
                assert server.stats_port is not None
                await stack.enter_async_context(_dashboard(server, server.request_stop))
            await server.serve(arguments.duration)
        console.say("stopping: closing all sessions ...")
    except OSError as error:
        raise CannotStartError(error.strerror) from None
    finally:
        freezing.cancel()
        last = server.stats()
        await server.stop()
    console.summary(last, server.stats(), arguments.json)
    return Exit.FAILED if server.has_failed else Exit.OK


def _stop_on_signals(server: ZoneServer) -> None:
    """Makes the first stop signal stop the server in good order, and the second end the process at once."""
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(Exit.INTERRUPTED)
        server.request_stop()

    on_stop_signals(stop)


@contextlib.asynccontextmanager
async def _dashboard(server: ZoneServer, on_quit: Callable[[], object]) -> AsyncIterator[None]:
    """Shows the dashboard until the end of the block, and calls `on_quit` when the user quits it. The log is held back
    meanwhile and printed at the end of the block."""
    with hold_logs():
        # A string names the program: this package must not import the tools.
        address = ("--host", server.config.stats_host, "--stats-port", str(server.stats_port))
        token = server.config.stats_token
        environment = own_environment() | ({TOKEN_VARIABLE: token} if token else {})
        dashboard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "zonetools.dashboard", *address), env=environment
        )
        watching = asyncio.create_task(dashboard.wait())
        watching.add_done_callback(lambda _: on_quit())
        try:
            yield
        finally:
            if dashboard.returncode is None:
                dashboard.terminate()
            await watching
