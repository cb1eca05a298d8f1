"""Runs one server until it stops: signals, standard input, dashboard, summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os

from zoneserver.cli import console
from zoneserver.cli.ctl import ControlSocket
from zoneserver.cli.hang_up import reread_on_signal
from zoneserver.cli.ready_file import ReadyFile
from zoneserver.cli.reload import Reload
from zoneserver.cli.restart import Restart, stay_text
from zoneserver.cli.server_dashboard import ServerDashboard
from zoneserver.server import ZoneServer
from zoneserver.support import systemd
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import on_signal, read_stdin, two_stop_signals
from zoneserver.support.process import freeze_growth
from zoneserver.support.service_signals import hold_signals, release_signals

__all__ = ["serve"]


async def serve(
    server: ZoneServer, loop_name: str, arguments: argparse.Namespace, restart: Restart, reload: Reload | None
) -> int:
    """Runs a server with the arguments of `zoneserver run`; returns the exit code. Raises CannotStartError.

    If `restart.is_due` afterwards, the caller lets it start the command again.
    """
    control = ControlSocket(server, restart)
    ready_file = None if arguments.ready_file is None else ReadyFile(arguments.ready_file)

    def stop() -> None:
        restart.cancel()
        server.request_stop()

    def release_at_the_end() -> None:
        if not restart.is_due:
            release_signals()

    with two_stop_signals(stop, _exit_at_once), contextlib.ExitStack() as handlers:
        # A signal that means something else than a stop waits until the server runs, and until the next start does.
        hold_signals()
        handlers.callback(release_at_the_end)
        restart.take_sockets()
        await _start(server)
        tasks = [asyncio.create_task(freeze_growth(lambda: server.gateway.players_peak))]
        if arguments.stop_on_stdin_eof:
            read_stdin(lambda data: None if data else stop())
        try:
            await control.open(arguments.ctl)
            for handler in (
                reread_on_signal(server, arguments.secret_file),
                on_signal("SIGUSR1", lambda: control.run("SIGUSR1", "stop", "--drain")),
                on_signal("SIGUSR2", lambda: server.request_stop(keep=True)),
            ):
                handlers.enter_context(handler)
            release_signals()
            if ready_file is not None:
                ready_file.write(server)
            console.banner(server, loop_name, arguments.log_format, is_again=restart.is_again)
            systemd.notify("READY=1")
            if reload is not None:
                tasks.append(asyncio.create_task(reload.watch()))
            async with contextlib.AsyncExitStack() as stack:
                if arguments.dashboard:
                    dashboard = await stack.enter_async_context(ServerDashboard(server))
                    # A dashboard on a stalled terminal takes long to end: the players are told meanwhile.
                    stack.push_async_callback(server.stop)
                    stack.callback(dashboard.request_end)
                await server.serve(arguments.duration or None)
                last = server.stats()
                if restart.is_due:
                    hold_signals()
                    restart.keep_sockets()
            _tell_stop(server, restart, arguments.log_format)
        finally:
            for task in tasks:
                task.cancel()
            control.close()
            if ready_file is not None:
                ready_file.remove()
            await server.stop()
        if not restart.is_due:
            console.summary(last, server.stats(), arguments.json)
    return Exit.FAILED if server.has_failed else Exit.OK


async def _start(server: ZoneServer) -> None:
    """Starts a server. Raises CannotStartError and UsageError with the reason."""
    try:
        await server.start()
    except OSError as error:
        raise CannotStartError(console.explain(error, server.config)) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot run: {error}") from error


def _tell_stop(server: ZoneServer, restart: Restart, log_format: str) -> None:
    """Tells the supervisor and the user that the server stops."""
    if restart.is_due:
        systemd.notify_reloading()
        return
    systemd.notify("STOPPING=1")
    stays = f"; {stay_text(*server.count_players())} for the next start" if server.is_kept else ""
    console.say(f"stopping: closing all sessions ...{stays}", log_format)


def _exit_at_once() -> None:
    """Ends the process, whatever it does. It writes nothing: a write may block."""
    os._exit(Exit.INTERRUPTED)
