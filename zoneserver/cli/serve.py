"""Runs one server until it stops: signals, standard input, dashboard, summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os

from zoneserver.cli import console
from zoneserver.cli.ctl import ControlSocket
from zoneserver.cli.ready_file import ReadyFile
from zoneserver.cli.reload import reload_on_signal
from zoneserver.cli.server_dashboard import ServerDashboard
from zoneserver.server import ZoneServer
from zoneserver.support import systemd
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import read_stdin, two_stop_signals
from zoneserver.support.process import freeze_growth

__all__ = ["serve"]


async def serve(server: ZoneServer, loop_name: str, arguments: argparse.Namespace) -> int:
    """Runs a server with the arguments of `zoneserver run`; returns the exit code. Raises CannotStartError."""
    control = ControlSocket(server)
    ready_file = None if arguments.ready_file is None else ReadyFile(arguments.ready_file)
    with two_stop_signals(server.request_stop, _exit_at_once):
        try:
            server.sockets = systemd.take_sockets()
            await server.start()
        except OSError as error:
            raise CannotStartError(console.explain(error, server.config)) from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        except TypeError as error:
            raise CannotStartError(f"the game cannot run: {error}") from error
        reload_on_signal(server, arguments.secret_file)
        freezing = asyncio.create_task(freeze_growth(lambda: server.gateway.players_peak))
        if arguments.stop_on_stdin_eof:
            read_stdin(lambda data: None if data else server.request_stop())
        try:
            await control.open(arguments.ctl)
            if ready_file is not None:
                ready_file.write(server)
            console.banner(server, loop_name, arguments.log_format)
            systemd.notify("READY=1")
            async with contextlib.AsyncExitStack() as stack:
                if arguments.dashboard:
                    dashboard = await stack.enter_async_context(ServerDashboard(server))
                    # A dashboard on a stalled terminal takes long to end: the players are told meanwhile.
                    stack.push_async_callback(server.stop)
                    stack.callback(dashboard.request_end)
                await server.serve(arguments.duration or None)
                last = server.stats()
            systemd.notify("STOPPING=1")
            console.say("stopping: closing all sessions ...", arguments.log_format)
        finally:
            freezing.cancel()
            control.close()
            if ready_file is not None:
                ready_file.remove()
            await server.stop()
        console.summary(last, server.stats(), arguments.json)
    return Exit.FAILED if server.has_failed else Exit.OK


def _exit_at_once() -> None:
    """Ends the process, whatever it does. It writes nothing: a write may block."""
    os._exit(Exit.INTERRUPTED)
