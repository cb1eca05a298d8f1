"""The command `zoneserver`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zoneserver.authoring.check import check_game
from zoneserver.authoring.load import load_class
from zoneserver.authoring.scaffold import make_game
from zoneserver.cli import console
from zoneserver.cli.command import run_command
from zoneserver.cli.dashboard_process import dashboard_beside
from zoneserver.cli.settings import Parser
from zoneserver.config import DELIVERIES, SECRET_BYTES_MIN, Config, Limits, parse_limits
from zoneserver.protocol.names import NAME_TEXT, is_name
from zoneserver.protocol.tickets import issue_ticket, ticket_to_text
from zoneserver.server import ZoneServer
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import LOOPS, loop_factory, on_stop_signals
from zoneserver.support.parse import above_zero, one_of, parse_count, parse_duration, parse_integer, parse_size
from zoneserver.support.process import freeze_growth
from zoneserver.zone.rules import Rules

__all__ = ["main"]

_EXAMPLES = """\
  zoneserver run                            the demo game on 127.0.0.1:7777
  zoneserver new mygame                     a folder with a small game of your own, and its test
  zoneserver check mygame:Mygame            what is in it, and whether anything is wrong with it
  zoneserver run mygame:Mygame --hz 10      it runs: the class Mygame of mygame.py
  zoneserver ticket ann --secret-file F     a ticket with which ann comes in, once
"""
_RUN_EXAMPLES = """\
  zoneserver run                                   the demo game on 127.0.0.1:7777
  zoneserver run mygame:Mygame --hz 10             a game of your own: the class Mygame of mygame.py
  zoneserver run --port 0 --ready-file ready.json  any free port; the file says which, once it accepts
  zoneserver run --show-config > zone.toml         all settings, as a file for --config
"""
_EXIT_CODES = """\
0 stopped as asked, 1 the zone failed, or something is wrong with a game that was checked,
2 wrong usage, 3 cannot start, 130 interrupted twice"""
_SECRET_VARIABLE = "ZONE_SECRET"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(_parser(), lambda arguments: _COMMANDS[arguments.command](arguments), argv)


def _run(arguments: argparse.Namespace) -> int:
    fields = (field.name for field in dataclasses.fields(Config))
    values: dict[str, Any] = {name: getattr(arguments, name) for name in fields if hasattr(arguments, name)}
    values |= {"secret": _secret(arguments.secret_file), "limits": Limits(**arguments.limits)}
    try:
        config = Config(**values)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if arguments.dashboard and arguments.stop_on_stdin_eof:
        raise UsageError("--dashboard reads the keys that --stop-on-stdin-eof would take")
    rules = _rules(arguments.rules)
    loop_name, factory = loop_factory(arguments.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(rules, config, loop_name, arguments))


def _ticket(arguments: argparse.Namespace) -> int:
    secret = _secret(arguments.secret_file)
    if len(secret) < SECRET_BYTES_MIN:
        raise UsageError(
            f"a ticket needs a secret of at least {SECRET_BYTES_MIN} bytes: --secret-file or {_SECRET_VARIABLE}"
        )
    if not is_name(arguments.name):
        raise UsageError(NAME_TEXT)
    expires_at = int(time.time() + arguments.valid)
    ticket = ticket_to_text(issue_ticket(secret, arguments.name, arguments.zone, expires_at, secrets.token_bytes(16)))
    form = {"schema": "zone-ticket/1", "name": arguments.name, "zone": arguments.zone, "expires_at": expires_at}
    print(json.dumps(form | {"ticket": ticket}) if arguments.json else ticket)
    return Exit.OK


def _new(arguments: argparse.Namespace) -> int:
    print(make_game(arguments.folder))
    return Exit.OK


def _check(arguments: argparse.Namespace) -> int:
    checkup = check_game(_rules(arguments.rules), arguments.rules)
    print(json.dumps(checkup.to_json()) if arguments.json else checkup.render())
    return Exit.FAILED if checkup.problems else Exit.OK


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "new": _new,
    "check": _check,
    "ticket": _ticket,
}


def _secret(path: Path | None) -> bytes:
    """The secret from its file, else from the environment; empty when there is none."""
    if path is None:
        return os.environ.get(_SECRET_VARIABLE, "").encode()
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise CannotStartError(f"cannot read the secret in {path}: {error.strerror}") from None
    if not secret:
        raise CannotStartError(f"the secret file {path} is empty")
    return secret


def _rules(target: str) -> type[Rules]:
    """The game that `module:Class` names. Raises LoadError, saying what is wrong with it."""
    return load_class(target, "Rules class", lambda found: issubclass(found, Rules) and found is not Rules)


def _parser() -> Parser:
    parser = Parser(
        "zoneserver",
        "A game server that keeps thousands of players together in one crowded zone.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="COMMAND [flags]",
    )
    parser.version()
    run = parser.command(
        "run",
        "run a zone",
        "Run a zone until Ctrl-C.",
        examples=_RUN_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="[module:Rules] [flags]",
    )
    _run_settings(run)
    run.common()

    new = parser.command(
        "new",
        "make a new game",
        "Make a folder with a small game and its test, and say what to type next.",
        examples="  zoneserver new mygame\n  zoneserver new games/tag",
        exit_codes="0 made, 2 there is such a folder, or its name is none for a game",
        usage="DIR [flags]",
    )
    text = "the folder, which is not there yet; its name is the game's"
    new.add_argument("folder", type=Path, metavar="DIR", help=text)
    new.common()

    check = parser.command(
        "check",
        "look at a game and try it out",
        "Say what a game has and what is wrong with it, and try it out twice: the same input has to give the "
        "same bytes.",
        examples="  zoneserver check mygame:Mygame\n  zoneserver check zoneserver.games.tag:Tag\n"
        "  zoneserver check mygame:Mygame --json | jq .problems",
        exit_codes="0 nothing is wrong with it, 1 something is, 2 wrong usage, 3 there is no such game",
        usage="module:Rules [flags]",
    )
    check.add_argument("rules", metavar="module:Rules", help="the game")
    check.switch("--json", help="what was found, as a JSON object")
    check.common()

    ticket = parser.command(
        "ticket",
        "make a join ticket",
        "Print a ticket with which a player comes in, once. A client gives it to connect(ticket=...).",
        examples="  zoneserver ticket ann --secret-file secret\n  zoneserver ticket ann --valid 1h\n"
        "  python -m zoneclient ann --ticket $(zoneserver ticket ann)",
        exit_codes="0 printed, 2 wrong usage, 3 the secret cannot be read",
        usage="NAME [flags]",
    )
    ticket.add_argument("name", metavar="NAME", help="the player's name")
    text = f"the zone's secret; else it is in {_SECRET_VARIABLE}"
    ticket.setting("--secret-file", parse=Path, help=text)
    ticket.setting("--zone", default="plaza", help="what the zone's game calls itself")
    text = "until when it may be used, from now"
    ticket.setting("--valid", parse=above_zero(parse_duration), default=300.0, help=text)
    ticket.switch("--json", help="as a JSON object, with what it is good for")
    ticket.common()
    return parser


def _run_settings(run: Parser) -> None:
    """What may be set of a server: under the name of its field in Config, where it is one."""
    default = Config()

    def flag(name: str, parse: Callable[[str], Any], text: str, field: str = "", shown: str | None = None) -> None:
        field = field or name[2:].replace("-", "_")
        run.setting(name, parse=parse, default=getattr(default, field), help=text, dest=field, shown=shown)

    text = "the game: a class of a module, here or installed"
    run.setting("rules", default="zoneserver.games.plaza:Plaza", metavar="module:Rules", help=text, shown="the demo")
    run.section("where")
    flag("--host", str, "address to listen on")
    flag("--port", parse_integer, "port for players; 0 takes any free one")
    flag("--stats-port", parse_integer, "loopback port for /stats, /metrics, /sessions, /map, /healthz; 0 takes any")
    run.setting("--ready-file", parse=Path, help="write pid and ports here, as JSON, once players can connect")
    run.section("the zone")
    flag("--hz", parse_integer, "ticks per second")
    flag("--seed", parse_integer, "seed of the game's random source")
    flag("--max-players", parse_count, "how many may be in the zone at once")
    run.section("who may come in")
    text = f"the secret that join tickets are signed with, in a file; else in {_SECRET_VARIABLE}"
    run.setting("--secret-file", parse=Path, help=text, shown="none: anyone may join")
    run.switch("--open", dest="is_open", help="anyone may join from other machines too, without a ticket")
    flag("--tls-cert", str, "certificate chain in a PEM file: players connect by TLS")
    flag("--tls-key", str, "its key, where it is not in the same file")
    text = "how long nobody may come in from an address after a kick from there"
    flag("--ban", parse_duration, text, "ban_seconds")
    run.section("limits")
    text = "bytes per second that one player is sent at the most, as 64KiB; who is over it skips frames"
    flag("--send-rate", parse_size, text, shown="0, no bound")
    text = "bytes that may wait for all players together; then the largest goes first"
    flag("--send-memory", parse_size, text, "send_memory_bytes")
    text = "any of zoneserver.Limits, as stall_seconds=3,actions_per_second=20"
    run.setting("--limits", parse=parse_limits, default={}, metavar="NAME=FIGURE,...", help=text, shown="theirs")
    run.section("how it runs")
    run.setting(
        "--loop", parse=one_of(LOOPS, "loop"), default="auto", help="auto (uvloop if installed), asyncio, uvloop"
    )
    text = "how often to log a line of statistics while nobody asks for any; 0 is never"
    flag("--stats-interval", parse_duration, text, "stats_interval_seconds")
    run.setting("--duration", parse=parse_duration, help="stop after so long: 30s, 2m, 1h30m")
    run.switch("--dashboard", help="watch it here, as zone-dash does; q stops the server")
    text = "stop when standard input ends: with whoever holds its other end, however that ends"
    run.switch("--stop-on-stdin-eof", help=text)
    text = "zone, one buffer a tick; for comparison session or immediate, a frame per action, gathered or sent at once"
    flag("--delivery", one_of(DELIVERIES, "delivery"), text)
    run.switch("--json", help="the summary at the end as JSON: the last statistics")


async def _serve(rules: type[Rules], config: Config, loop_name: str, arguments: argparse.Namespace) -> int:
    try:
        server = ZoneServer(rules, config)
        await server.start()
    except OSError as error:
        raise CannotStartError(console.explain(error, config)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot be run: {error}") from error
    _stop_on_signals(server)
    freezing = asyncio.create_task(freeze_growth(lambda: server.gateway.players_peak))
    if arguments.stop_on_stdin_eof:
        _stop_on_stdin_eof(server)
    try:
        if arguments.ready_file is not None:
            console.write_ready_file(arguments.ready_file, server)
        console.banner(server, loop_name)
        async with contextlib.AsyncExitStack() as stack:
            if arguments.dashboard:
                assert server.stats_port is not None
                await stack.enter_async_context(dashboard_beside(server.stats_port, server.request_stop))
            await server.serve(arguments.duration)
        console.say("stopping: telling everybody ...")
    except OSError as error:
        raise CannotStartError(error.strerror) from None
    finally:
        freezing.cancel()
        last = server.stats()
        await server.stop()
    console.summary(last, server.stats(), arguments.json)
    return Exit.FAILED if server.has_failed else Exit.OK


def _stop_on_signals(server: ZoneServer) -> None:
    """The first of the stop signals stops in good order; a second one stops at once."""
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(Exit.INTERRUPTED)
        server.request_stop()

    on_stop_signals(stop)


def _stop_on_stdin_eof(server: ZoneServer) -> None:
    """The end of standard input stops in good order. A thread waits for it: so it may be anything, not
    only what a loop can watch."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        with contextlib.suppress(OSError):  # It is closed: that is its end.
            while os.read(0, 65536):
                pass
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            loop.call_soon_threadsafe(server.request_stop)

    threading.Thread(target=wait, name="stdin", daemon=True).start()
