"""The command `zoneserver`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zoneserver import __version__, console
from zoneserver.checkup import check_game
from zoneserver.config import (
    DELIVERIES,
    SECRET_BYTES_MIN,
    Config,
    Parser,
    checked,
    parse_count,
    parse_duration,
    parse_size,
)
from zoneserver.loading import LoadError, TargetError, load_class
from zoneserver.logs import LOG_FORMATS, set_up_logs
from zoneserver.process import LOOPS, MissingExtraError, loop_factory, stop_signals
from zoneserver.rules import Rules
from zoneserver.scaffold import ScaffoldError, make_game
from zoneserver.server import ZoneServer
from zoneserver.tickets import issue_ticket, ticket_to_text
from zoneserver.wire.messages import NAME_CHARACTERS

__all__ = ["main"]

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

_EXAMPLES = """\
examples:
  zoneserver run                            the demo game on 127.0.0.1:7777
  zoneserver new mygame                     a folder with a small game of your own, and its test
  zoneserver check mygame:Mygame            what is in it, and whether anything is wrong with it
  zoneserver run mygame:Mygame --hz 10      it runs: the class Mygame of mygame.py
  zoneserver run --port 0 --ready-file F    any free port; F says which once it accepts
  zoneserver ticket ann --secret-file F     a ticket with which ann comes in, once

exit codes: 0 stopped as asked, 1 the zone failed, or something is wrong with a game that was checked,
2 wrong usage, 3 cannot start, 130 interrupted twice
"""
_SECRET_VARIABLE = "ZONE_SECRET"


class UsageError(Exception):
    """What was asked for makes no sense, for the reason in the text."""


class CannotStartError(Exception):
    """Nothing was started, for the reason in the text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](arguments)
    except (UsageError, ScaffoldError) as error:
        print(f"zoneserver: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (CannotStartError, MissingExtraError) as error:
        print(f"zoneserver: {error}", file=sys.stderr)
        return EXIT_CANNOT_START


def _run(arguments: argparse.Namespace) -> int:
    set_up_logs(arguments.log_level, arguments.log_format)
    try:
        config = Config(
            host=arguments.host,
            port=arguments.port,
            stats_port=arguments.stats_port,
            hz=arguments.hz,
            max_players=arguments.max_players,
            seed=arguments.seed,
            send_rate=arguments.send_rate,
            send_memory_bytes=arguments.send_memory,
            ban_seconds=arguments.ban,
            secret=_secret(arguments.secret_file),
            is_open=arguments.open,
            tls_cert=arguments.tls_cert,
            tls_key=arguments.tls_key,
            delivery=arguments.delivery,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    rules = load_rules(arguments.rules)
    loop_name, factory = loop_factory(arguments.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(rules, config, loop_name, arguments))


def _ticket(arguments: argparse.Namespace) -> int:
    secret = _secret(arguments.secret_file)
    if len(secret) < SECRET_BYTES_MIN:
        raise UsageError(
            f"a ticket needs a secret of at least {SECRET_BYTES_MIN} bytes: --secret-file or {_SECRET_VARIABLE}"
        )
    if not 0 < len(arguments.name) <= NAME_CHARACTERS:
        raise UsageError(f"a name has 1 to {NAME_CHARACTERS} characters")
    expires_at = int(time.time() + arguments.valid)
    print(ticket_to_text(issue_ticket(secret, arguments.name, arguments.zone, expires_at, secrets.token_bytes(16))))
    return EXIT_OK


def _new(arguments: argparse.Namespace) -> int:
    print(make_game(arguments.folder))
    return EXIT_OK


def _check(arguments: argparse.Namespace) -> int:
    checkup = check_game(load_rules(arguments.rules), arguments.rules)
    print(checkup.render())
    return EXIT_FAILED if checkup.problems else EXIT_OK


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


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="zoneserver",
        description="A game server that keeps thousands of players together in one crowded zone.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"zoneserver {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a zone",
        description="Run a zone until Ctrl-C.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Config()
    run.add_argument(
        "rules", nargs="?", default="zoneserver.games.plaza:Plaza", metavar="module:Rules", help="the game"
    )

    def flag(name: str, parse: Callable[[str], Any], value: object, text: str, shown: str | None = None) -> None:
        shown = shown or ("" if value is None else f"default {value}")
        run.add_argument(
            name, type=parse, default=value, metavar=name[2:].upper(), help=f"{text} ({shown})" if shown else text
        )

    flag("--host", str, default.host, "address to listen on")
    flag("--port", int, default.port, "port for players; 0 takes any free one")
    flag("--stats-port", int, default.stats_port, "loopback port for /stats, /map, /healthz; 0 takes any")
    flag("--hz", int, default.hz, "ticks per second")
    flag("--max-players", checked(parse_count), default.max_players, "how many may be in the zone at once")
    flag("--duration", checked(parse_duration), None, "stop after so long: 30s, 2m, 1h30m")
    flag("--seed", int, default.seed, "seed of the game's random source")
    flag("--ready-file", Path, None, "write pid and ports here, as JSON, once players can connect")
    text = "bytes per second that one player is sent at the most, as 64KiB; who is over it skips frames"
    flag("--send-rate", checked(parse_size), 0, text, "default 0: no bound")
    text = "bytes that may wait for all players together; then the largest goes first"
    flag("--send-memory", checked(parse_size), default.send_memory_bytes, text, "default 256MiB")
    text = "how long nobody may come in from an address after a kick from there"
    flag("--ban", checked(parse_duration), default.ban_seconds, text, "default 60s")
    text = f"the secret that join tickets are signed with, in a file; else in {_SECRET_VARIABLE}"
    flag("--secret-file", Path, None, text, "default none: anyone may join")
    run.add_argument("--open", action="store_true", help="anyone may join from other machines too, without a ticket")
    flag("--tls-cert", str, None, "certificate chain in a PEM file: players connect by TLS")
    flag("--tls-key", str, None, "its key, where it is not in the same file")
    text = "stop when standard input ends: with whoever holds its other end, however that ends"
    run.add_argument("--stop-on-stdin-eof", action="store_true", help=text)
    text = "for comparison: the zone's one buffer a tick, or a frame per action, gathered or sent at once"
    run.add_argument("--delivery", choices=DELIVERIES, default=default.delivery, help=f"{text} (default zone)")
    levels = ("debug", "info", "warning", "error")
    run.add_argument("--log-level", choices=levels, default="info", help="how much to log (default info)")
    run.add_argument("--log-format", choices=LOG_FORMATS, default="text", help="how to log (default text)")
    run.add_argument("--loop", choices=LOOPS, default="auto", help="event loop; auto: uvloop if installed")

    new = commands.add_parser(
        "new",
        help="make a new game",
        description="Make a folder with a small game and its test, and say what to type next.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.add_argument(
        "folder", type=Path, metavar="DIR", help="the folder, which is not there yet; its name is the game's"
    )

    check = commands.add_parser(
        "check",
        help="look at a game and try it out",
        description="Say what a game has and what is wrong with it, and try it out twice: the same input has to "
        "give the same bytes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("rules", metavar="module:Rules", help="the game")

    ticket = commands.add_parser(
        "ticket",
        help="make a join ticket",
        description="Print a ticket with which a player comes in, once. A client gives it to connect(ticket=...).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ticket.add_argument("name", metavar="NAME", help="the player's name")
    ticket.add_argument("--secret-file", type=Path, metavar="FILE", help=f"the zone's secret; else {_SECRET_VARIABLE}")
    ticket.add_argument("--zone", default="plaza", help="what the zone's game calls itself (default plaza)")
    text = "until when it may be used, from now (default 5m)"
    ticket.add_argument("--valid", type=checked(parse_duration), default=300.0, metavar="DURATION", help=text)
    return parser


def load_rules(target: str) -> type[Rules]:
    """The class named by `module:Class`. Raises UsageError or CannotStartError, saying what is wrong with it."""
    try:
        return load_class(target, "Rules class", lambda found: issubclass(found, Rules) and found is not Rules)
    except TargetError as error:
        raise UsageError(str(error)) from None
    except LoadError as error:
        raise CannotStartError(str(error)) from None


async def _serve(rules: type[Rules], config: Config, loop_name: str, arguments: argparse.Namespace) -> int:
    try:
        server = ZoneServer(rules, config)
        await server.start()
    except OSError as error:
        raise CannotStartError(console.explain(error, config)) from None
    except TypeError as error:
        raise CannotStartError(f"the game cannot be run: {error}") from None
    _stop_on_signals(server)
    if arguments.stop_on_stdin_eof:
        _stop_on_stdin_eof(server)
    try:
        if arguments.ready_file is not None:
            console.write_ready_file(arguments.ready_file, server)
        console.banner(server, loop_name)
        await server.serve(arguments.duration)
        console.say("stopping: telling everybody ...")
    except OSError as error:
        raise CannotStartError(error.strerror) from None
    finally:
        last = server.stats()
        await server.stop()
    console.summary(last, server.stats())
    return EXIT_FAILED if server.has_failed else EXIT_OK


def _stop_on_signals(server: ZoneServer) -> None:
    """The first of the stop signals stops in good order; a second one stops at once."""
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(EXIT_INTERRUPTED)
        server.request_stop()

    loop = asyncio.get_running_loop()
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows: the loop takes no signals.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


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
