"""Runs one server until it stops: signals, standard input, dashboard, summary."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from zoneserver.cli import console
from zoneserver.cli.secret import read_secret
from zoneserver.server import SECRET_GRACE_SECONDS, ZoneServer
from zoneserver.support import systemd
from zoneserver.support.errors import CannotStartError, CommandError, Exit, UsageError
from zoneserver.support.event_loop import on_stop_signals, read_stdin
from zoneserver.support.logs import hold_logs
from zoneserver.support.process import freeze_growth, has_terminal, own_environment

__all__ = ["serve"]

log = logging.getLogger(__name__)


async def serve(server: ZoneServer, loop_name: str, arguments: argparse.Namespace) -> int:
    """Runs a server with the arguments of `zoneserver run`; returns the exit code. Raises CannotStartError."""
    try:
        server.sockets = systemd.take_sockets()
        await server.start()
    except OSError as error:
        raise CannotStartError(console.explain(error, server.config)) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot run: {error}") from error
    _stop_on_signals(server)
    _reload_on_signal(server, arguments.secret_file)
    freezing = asyncio.create_task(freeze_growth(lambda: server.gateway.players_peak))
    if arguments.stop_on_stdin_eof:
        read_stdin(lambda data: None if data else server.request_stop())
    try:
        if arguments.ready_file is not None:
            console.write_ready_file(arguments.ready_file, server)
        console.banner(server, loop_name)
        systemd.notify("READY=1")
        async with contextlib.AsyncExitStack() as stack:
            if arguments.dashboard:
                assert server.stats_port is not None
                await stack.enter_async_context(_dashboard(server.stats_port, server.request_stop))
            await server.serve(arguments.duration)
        systemd.notify("STOPPING=1")
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


def _reload_on_signal(server: ZoneServer, secret_file: Path | None) -> None:
    """Makes SIGHUP reread the certificate and the secret. Where it tells that the terminal of the server was closed, it
    still stops the server, unless `nohup` started it."""
    if not hasattr(signal, "SIGHUP"):
        return
    had_terminal = has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def reload() -> None:
        if had_terminal and not has_terminal():
            server.request_stop()
            return
        systemd.notify_reloading()
        _reload(server, secret_file)
        systemd.notify("READY=1")

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _reload(server: ZoneServer, secret_file: Path | None) -> None:
    """Reads the certificate and the secret again, and logs what became of each."""
    certificate = server.config.tls_cert
    if certificate is None and secret_file is None:
        log.warning("SIGHUP: nothing was read again: the server has neither --tls-cert nor --secret-file")
    if certificate is not None:
        try:
            server.reload_certificate()
        except OSError as error:
            log.error("SIGHUP: the server keeps its certificate: %s", error.strerror)
        else:
            log.info("SIGHUP: read the certificate %s again; new connections get it", certificate)
    if secret_file is not None:
        try:
            is_new = server.change_secret(read_secret(secret_file))
        except (CommandError, ValueError) as error:
            log.error("SIGHUP: the server keeps its secret: %s", error)
        else:
            news = f"tickets of the former one are good for {SECRET_GRACE_SECONDS} s" if is_new else "it is the same"
            log.info("SIGHUP: read the secret %s again; %s", secret_file, news)


@contextlib.asynccontextmanager
async def _dashboard(stats_port: int, on_quit: Callable[[], object]) -> AsyncIterator[None]:
    """Shows the dashboard until the end of the block, and calls `on_quit` when the user quits it. The log is held back
    meanwhile and printed at the end of the block."""
    with hold_logs():
        # A string names the program: this package must not import the tools.
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
