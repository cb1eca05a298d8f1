"""The settings that every command with a server has, and how such a command runs it."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from zoneserver.cli.parser import Parser
from zoneserver.cli.reload import Reload
from zoneserver.cli.restart import Restart
from zoneserver.cli.serve import serve
from zoneserver.cli.token import read_link_token, read_token
from zoneserver.config import Config, parse_limits
from zoneserver.http.pages import check_page
from zoneserver.server import ZoneServer
from zoneserver.support.errors import UsageError
from zoneserver.support.event_loop import LOOPS, loop_factory
from zoneserver.support.parse import one_of, parse_duration

__all__ = [
    "config_settings",
    "ctl_setting",
    "limits_setting",
    "open_setting",
    "operation_settings",
    "read_config",
    "ready_file_setting",
    "run_server",
]

_DECLARED = {field.name: field for field in dataclasses.fields(Config)}


def config_settings(parser: Parser, *names: str) -> None:
    """Declares flags for fields of Config."""
    for name in names:
        key = name.removesuffix("_seconds").removesuffix("_bytes").replace("_", "-")
        parser.setting(f"--{key}", dest=name, default=_DECLARED[name].default, **_DECLARED[name].metadata)


def open_setting(parser: Parser) -> None:
    """Declares the switch --open."""
    parser.switch("--open", dest="is_open", help=_DECLARED["is_open"].metadata["help"])


def limits_setting(parser: Parser) -> None:
    """Declares --limits."""
    text = "fields of zoneserver.Limits, as in stall_seconds=3,actions_per_second=20"
    shown = "the values of zoneserver.Limits"
    parser.setting("--limits", parse=parse_limits, default={}, metavar="NAME=NUMBER,...", help=text, shown=shown)


def ready_file_setting(parser: Parser) -> None:
    """Declares --ready-file."""
    parser.setting("--ready-file", parse=Path, help="write pid and ports to this file as JSON once players can connect")


def ctl_setting(parser: Parser) -> None:
    """Declares --ctl."""
    text = "path of the socket that takes the commands of `zoneserver ctl`, or none"
    parser.setting("--ctl", metavar="PATH", help=text, shown="a path made from the port")


def operation_settings(parser: Parser) -> None:
    """Declares how the server is run, as a section of its own."""
    parser.section("operation")
    text = "event loop: auto (uvloop if it is installed), asyncio or uvloop"
    parser.setting("--loop", parse=one_of(LOOPS, "loop"), default="auto", help=text)
    config_settings(parser, "stats_interval_seconds")
    ctl_setting(parser)
    text = "stop after this time, as in 30s, 2m or 1h30m; 0 means until Ctrl-C"
    parser.setting("--duration", parse=parse_duration, default=0.0, help=text)
    parser.switch("--dashboard", help="show the dashboard in this terminal; q stops the server")
    text = "stop when standard input ends, so that the server ends together with the program that started it"
    parser.switch("--stop-on-stdin-eof", help=text)
    parser.switch("--json", help="print the last statistics as JSON in place of the summary")


def read_config(arguments: argparse.Namespace, **more: Any) -> Config:
    """The Config that the arguments give, with `more` of its fields. Raises UsageError, and CannotStartError for a page
    that would show private files."""
    values = {name: getattr(arguments, name) for name in _DECLARED if hasattr(arguments, name)}
    values["stats_token"] = read_token(arguments.stats_token_file)
    if hasattr(arguments, "link_token_file"):
        values["link_token"] = read_link_token(arguments.link_token_file)
    try:
        config = Config(**values | more)
    except ValueError as error:
        raise UsageError(str(error)) from None
    private = {
        "--secret-file": getattr(arguments, "secret_file", None),
        "--stats-token-file": arguments.stats_token_file,
        "--tls-key": config.tls_key,
        "--link-token-file": getattr(arguments, "link_token_file", None),
        "--link-key": config.link_key,
        "--link-creds": config.link_creds,
        "--store": config.store if isinstance(config.store, str) and "://" not in config.store else "",
        "--journal": config.journal,
        "--config": arguments.config,
    }
    check_page(config.page, private)
    if getattr(arguments, "dashboard", False) and arguments.stop_on_stdin_eof:
        raise UsageError("--dashboard needs standard input for its keys: leave out --stop-on-stdin-eof")
    return config


def run_server(
    server: ZoneServer, arguments: argparse.Namespace, restart: Restart, reload: Reload | None = None
) -> int:
    """Runs a server until it stops; returns the exit code."""
    loop_name, factory = loop_factory(arguments.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(serve(server, loop_name, arguments, restart, reload))
