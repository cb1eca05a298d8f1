"""`zoneserver gateway`: holds players of a zone that runs in another process."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import time

from zoneserver.cli import console
from zoneserver.cli.command import print_result
from zoneserver.cli.ctl import ControlSocket
from zoneserver.cli.hang_up import reread_on_signal
from zoneserver.cli.parser import Parser
from zoneserver.cli.ready_file import ReadyFile
from zoneserver.cli.server_settings import (
    config_settings,
    ctl_setting,
    limits_setting,
    open_setting,
    read_config,
    ready_file_setting,
)
from zoneserver.cli.token import link_token_setting, token_setting
from zoneserver.config import Config, Limits
from zoneserver.gateway_server import GatewayServer, default_name
from zoneserver.http.pages import player_pages
from zoneserver.link.address import parse_gateway_name, parse_link
from zoneserver.support import systemd
from zoneserver.support.certificate import ServerCertificate
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import LOOPS, loop_factory, read_stdin, two_stop_signals
from zoneserver.support.logs import name_gateway
from zoneserver.support.parse import one_of, parse_duration, parse_integer
from zoneserver.support.process import freeze_growth
from zoneserver.support.service_signals import release_signals

__all__ = ["gateway", "gateway_settings"]

_EXAMPLES = """\
  zoneserver run --link unix:zone.sock                the zone, without a port for players
  zoneserver gateway --link unix:zone.sock            players connect at port 7777; start several
  zoneserver gateway --link nats://broker:4222/plaza --name gw1
  zoneserver gateway --link unix:zone.sock --check    check all settings, and exit
"""
_EXIT_CODES = """\
0 stopped normally, 1 the zone rejects this gateway, which was running, 2 wrong usage, 3 cannot start, or the zone
rejects this gateway, 130 interrupted twice"""


def gateway_settings(parser: Parser) -> None:
    """Declares the command."""
    command = parser.command(
        "gateway",
        "hold players of a zone that runs in another process",
        "Hold the connections of players for a zone that runs in another process, until Ctrl-C. Several gateways of "
        "one machine may share a port.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="--link ADDRESS [flags]",
    )
    command.section("the zone")
    text = "address of the zone: unix:PATH, tcp:HOST:PORT or nats://HOST:PORT/ZONE"
    command.setting("--link", parse=parse_link, metavar="ADDRESS", help=text, shown="none: it has to be given")
    text = "the name of this gateway, as the zone and its log show it"
    command.setting("--name", parse=parse_gateway_name, help=text, shown="HOST-PID")
    link_token_setting(command)
    config_settings(command, "link_ca", "link_creds")
    command.section("addresses")
    text = "port for players, which gateways of one user share; 0 takes any free port"
    command.setting("--port", parse=parse_integer, default=7777, help=text)
    config_settings(command, "host", "page", "origin", "forwarded_from")
    text = "admin port; each gateway of a machine has its own, and the zone's /stats name them; 0 takes any free port"
    command.setting("--stats-port", parse=parse_integer, default=0, help=text)
    config_settings(command, "stats_host")
    token_setting(command)
    ready_file_setting(command)
    command.section("admission of players")
    open_setting(command)
    config_settings(command, "tls_cert", "tls_key", "ban_seconds")
    command.section("limits")
    config_settings(command, "send_rate", "send_memory_bytes")
    limits_setting(command)
    command.section("operation")
    text = "event loop: auto (uvloop if it is installed), asyncio or uvloop"
    command.setting("--loop", parse=one_of(LOOPS, "loop"), default="auto", help=text)
    config_settings(command, "stats_interval_seconds")
    ctl_setting(command)
    text = "stop after this time, as in 30s, 2m or 1h30m; 0 means until Ctrl-C"
    command.setting("--duration", parse=parse_duration, default=0.0, help=text)
    text = "stop when standard input ends, so that the gateway ends together with the program that started it"
    command.switch("--stop-on-stdin-eof", help=text)
    command.switch("--json", help="print the last statistics as JSON in place of the summary")
    command.switch("--check", help="check the settings, and exit; the zone is not asked")
    command.common()
    parser.explain_foreign("gateway", "run", "{} is a setting of the zone: give it to zoneserver run")


def gateway(arguments: argparse.Namespace) -> int:
    """Runs a gateway; returns the exit code."""
    if not arguments.link:
        raise UsageError("a gateway needs the address of its zone: --link unix:PATH, tcp:HOST:PORT or nats://HOST/ZONE")
    # Whether a ticket is needed is known when the zone has answered.
    config = read_config(arguments, is_open=True, limits=Limits(**arguments.limits))
    if arguments.check:
        return _check(config)
    name = arguments.name or default_name()
    name_gateway(name)
    loop_name, factory = loop_factory(arguments.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_Run(name, config, loop_name, arguments).run())


def _check(config: Config) -> int:
    """Checks what the command would start, as far as that is possible without the zone."""
    player_pages(config.page, {})
    if config.tls_cert is not None:
        ServerCertificate(config.tls_cert, config.tls_key)
    print_result("fine: the settings can be used")
    return Exit.OK


class _Run:
    """One run of the command. Its server is made anew when another game has taken the place of the zone's."""

    def __init__(self, name: str, config: Config, loop_name: str, arguments: argparse.Namespace) -> None:
        self.config = config
        self._name = name
        self._loop_name = loop_name
        self._arguments = arguments
        self._ready_file = None if arguments.ready_file is None else ReadyFile(arguments.ready_file)
        self._ends_at = time.monotonic() + arguments.duration if arguments.duration else None
        self._is_over = False
        self._server = self._new_server()

    def _new_server(self) -> GatewayServer:
        is_open, is_page_set = self._arguments.is_open, bool(self._arguments.page)
        server = GatewayServer(self._name, self.config, is_open=is_open, is_page_set=is_page_set)
        # A start that waited for the zone would be given up, and whatever is started after it would wait as well.
        server.on_waiting = lambda: _tell_supervisor(f"waiting for the zone at {server.carrier.address}")
        return server

    def request_stop(self) -> None:
        """Ends the run."""
        self._is_over = True
        self._server.request_stop()

    def reload_certificate(self) -> None:
        """As `GatewayServer.reload_certificate`."""
        self._server.reload_certificate()

    async def run(self) -> int:
        """Returns the exit code. Raises CannotStartError and UsageError."""
        with two_stop_signals(self.request_stop, _exit_at_once), reread_on_signal(self):
            release_signals()
            if self._arguments.stop_on_stdin_eof:
                read_stdin(lambda data: None if data else self.request_stop())
            code = await self._serve()
            while self._server.is_outdated and not self._is_over:
                ports = self._server.frontend.ports
                # A port 0 stays the port that was found for it.
                self.config = dataclasses.replace(self.config, port=ports.port, stats_port=ports.stats_port)
                self._server = self._new_server()
                code = await self._serve()
            return code

    async def _serve(self) -> int:
        server, arguments = self._server, self._arguments
        try:
            await server.start()
        except OSError as error:
            raise CannotStartError(console.explain(error, self.config, is_gateway=True)) from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        if server.gateway_loop is None:
            await server.stop()
            return Exit.OK
        growth = asyncio.create_task(freeze_growth(lambda: server.frontend.gateway.players_peak))
        control, last = ControlSocket(server), None
        try:
            await control.open(arguments.ctl)
            if self._ready_file is not None:
                self._ready_file.write(server)
            console.gateway_banner(server, self._loop_name, arguments.log_format)
            _tell_supervisor(f"players can connect; the zone is at {server.carrier.address}")
            await server.serve(None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic()))
            last = server.stats()
            if server.is_outdated and not self._is_over:
                systemd.notify_reloading()
            else:
                systemd.notify("STOPPING=1")
                console.say("stopping: the players come back at another gateway ...", arguments.log_format)
        finally:
            growth.cancel()
            control.close()
            if self._ready_file is not None:
                self._ready_file.remove()
            await server.stop()
        if last is not None and not server.is_outdated:
            console.summary(last, server.stats(), arguments.json)
        return Exit.FAILED if server.has_failed else Exit.OK


def _tell_supervisor(status: str) -> None:
    systemd.notify("READY=1", f"STATUS={status}")


def _exit_at_once() -> None:
    """Ends the process, whatever it does. It writes nothing: a write may block."""
    os._exit(Exit.INTERRUPTED)
