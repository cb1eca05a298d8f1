"""`zoneserver gateway`: holds players of a zone that runs in another process."""

from __future__ import annotations

import argparse
import asyncio
import os

from zoneserver.cli import console
from zoneserver.cli.parser import Parser
from zoneserver.cli.ready_file import ReadyFile
from zoneserver.cli.server_settings import (
    config_settings,
    limits_setting,
    open_setting,
    read_config,
    ready_file_setting,
)
from zoneserver.cli.token import link_token_setting, token_setting
from zoneserver.config import Limits
from zoneserver.gateway_server import GatewayServer, default_name
from zoneserver.link.address import LinkAddress
from zoneserver.support import systemd
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import LOOPS, loop_factory, read_stdin, two_stop_signals
from zoneserver.support.logs import name_gateway
from zoneserver.support.parse import one_of, parse_duration
from zoneserver.support.process import freeze_growth

__all__ = ["gateway", "gateway_settings"]

_EXAMPLES = """\
  zoneserver run --link unix:zone.sock            the zone, without a port for players
  zoneserver gateway --link unix:zone.sock        players connect at port 7777; start several
  zoneserver gateway --link nats://broker:4222/plaza --name gw1"""


def gateway_settings(parser: Parser) -> None:
    """Declares the command."""
    command = parser.command(
        "gateway",
        "hold players of a zone that runs in another process",
        "Hold the connections of players for a zone that runs in another process, until Ctrl-C. Several gateways of "
        "one machine may share a port.",
        examples=_EXAMPLES,
        exit_codes="0 stopped normally, 1 the zone has no place for this gateway, 2 wrong usage, 3 cannot start",
        usage="--link ADDRESS [flags]",
    )
    command.section("the zone")
    text = "address of the zone: unix:PATH, tcp:HOST:PORT or nats://HOST:PORT/ZONE"
    command.setting("--link", metavar="ADDRESS", help=text, shown="none: it has to be given")
    text = "the name of this gateway, as the zone and its log show it"
    command.setting("--name", help=text, shown="HOST-PID")
    link_token_setting(command)
    config_settings(command, "link_ca", "link_creds")
    command.section("addresses")
    command.setting("--port", parse=int, default=7777, help="port for players; 0 takes any free port")
    config_settings(command, "host", "page", "origin", "forwarded_from", "stats_port", "stats_host")
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
    text = "stop after this time, as in 30s, 2m or 1h30m; 0 means until Ctrl-C"
    command.setting("--duration", parse=parse_duration, default=0.0, help=text)
    text = "stop when standard input ends, so that the gateway ends together with the program that started it"
    command.switch("--stop-on-stdin-eof", help=text)
    command.switch("--json", help="print the last statistics as JSON in place of the summary")
    command.common()


def gateway(arguments: argparse.Namespace) -> int:
    """Runs a gateway; returns the exit code."""
    if not arguments.link:
        raise UsageError("a gateway needs the address of its zone: --link unix:PATH, tcp:HOST:PORT or nats://HOST/ZONE")
    try:
        LinkAddress.parse(arguments.link)
    except ValueError as error:
        raise UsageError(str(error)) from None
    name, is_open = arguments.name or default_name(), arguments.is_open
    # Whether a ticket is needed is known when the zone has answered.
    config = read_config(arguments, is_open=True, limits=Limits(**arguments.limits))
    name_gateway(name)
    loop_name, factory = loop_factory(arguments.loop)
    while True:
        server = GatewayServer(name, config, is_open=is_open)
        with asyncio.Runner(loop_factory=factory) as runner:
            code = runner.run(_serve(server, loop_name, arguments))
        if not server.is_outdated:
            return code


async def _serve(server: GatewayServer, loop_name: str, arguments: argparse.Namespace) -> int:
    ready_file = None if arguments.ready_file is None else ReadyFile(arguments.ready_file)
    with two_stop_signals(server.request_stop, _exit_at_once):
        try:
            await server.start()
        except OSError as error:
            raise CannotStartError(console.explain(error, server.config)) from None
        except ValueError as error:
            raise UsageError(str(error)) from None
        growth = asyncio.create_task(freeze_growth(lambda: server.frontend.gateway.players_peak))
        last = None
        try:
            if server.gateway_loop is None:
                return Exit.OK
            if arguments.stop_on_stdin_eof:
                read_stdin(lambda data: None if data else server.request_stop())
            if ready_file is not None:
                ready_file.write(server)
            console.gateway_banner(server, loop_name, arguments.log_format)
            systemd.notify("READY=1")
            await server.serve(arguments.duration or None)
            last = server.stats()
            systemd.notify("STOPPING=1")
            console.say("stopping: the players come back at another gateway ...", arguments.log_format)
        finally:
            growth.cancel()
            if ready_file is not None:
                ready_file.remove()
            await server.stop()
        if last is not None and not server.is_outdated:
            console.summary(last, server.stats(), arguments.json)
    return Exit.FAILED if server.has_failed else Exit.OK


def _exit_at_once() -> None:
    os._exit(Exit.INTERRUPTED)
