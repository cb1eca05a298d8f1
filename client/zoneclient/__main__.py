"""The command `zone-client`: a player at a console, in any game."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zoneclient.__main__"))

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence

from zoneclient.connection import ZoneConnection
from zoneclient.console import Console
from zoneclient.errors import JoinRefusedError, ZoneClosedError
from zoneclient.join import connect
from zoneserver.cli.access import access_settings, read_access
from zoneserver.cli.command import run_command
from zoneserver.cli.parser import Parser
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.errors import CannotStartError, CommandError, Exit, UsageError
from zoneserver.support.event_loop import read_stdin
from zoneserver.support.format import format_address, printable
from zoneserver.support.host import parse_host
from zoneserver.support.parse import parse_port
from zoneserver.support.tls_client import explain_connect_error

__all__ = ["main"]

_SUMMARY = """\
Play at a console: `python -m zoneclient ann` sends each line that you type, and prints the actions of all players.

It works with any game. A line is sent as the action `say` with that text. A line that begins with / is any action of
the game; its arguments are written as in Python: `/move 5 -3`, `/roll [1, 6]`. A player is named, and the last text
needs no quotes: `/whisper bob hello there`. `/help` lists the actions, `/who` who is here, `/board` the board. If the
connection is lost, the client comes back to the player."""
_EXAMPLES = """\
  python -m zoneclient ann                        join the zone on this machine as ann
  python -m zoneclient bob --port 7000            join on another port as bob
  python -m zoneclient --watch                    see what happens, without a player
  echo 'hello' | python -m zoneclient eve         say one thing, and leave once it is heard
"""
_EXIT_CODES = """\
0 you left, 1 the server ended the session, or did not tell what became of the last lines, 2 wrong usage, 3 cannot join,
130 interrupted"""

_HOST, _PORT = "127.0.0.1", 7777
# How long to wait for the fate of the last lines.
_FATE_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Play until the end of the input; return the exit code."""
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    address = format_address(arguments.host, arguments.port)
    try:
        return await _play(arguments)
    except JoinRefusedError as error:
        raise CannotStartError(str(error)) from None
    except ZoneClosedError as error:
        raise CommandError(f"{error}{_way_back(error, arguments)}") from None
    except ConnectionRefusedError:
        raise CannotStartError(f"no server listens on {address}: is it running?") from None
    except (OSError, ValueError) as error:
        raise CannotStartError(f"{address}: {explain_connect_error(error)}") from None


def _way_back(error: ZoneClosedError, arguments: argparse.Namespace) -> str:
    """How to join anew after the loss of a connection, for people."""
    if error.code not in (CloseReason.RESUME_FAILED, CloseReason.CONNECTION_LOST):
        return ""
    words = ["zone-client", "--watch" if arguments.watch else arguments.name]
    words += [] if arguments.host == _HOST else ["--host", arguments.host]
    words += [] if arguments.port == _PORT else ["--port", str(arguments.port)]
    again = "" if error.code == CloseReason.RESUME_FAILED else "; join again"
    return f"{again} with {shlex.join(words)}"


def _parser() -> Parser:
    parser = Parser(
        "zone-client",
        _SUMMARY,
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="NAME [flags]\n       zone-client --watch [flags]",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the name of your player")
    parser.switch("--watch", help="see the zone without a player in it; no name is needed")
    parser.section("server")
    parser.setting("--host", parse=parse_host, default=_HOST, help="address of the server")
    parser.setting("--port", parse=parse_port, default=_PORT, help="port for players")
    parser.section("admission")
    text = "for a zone that requires tickets: the text that zoneserver ticket prints"
    parser.setting("--ticket", default="", help=text, is_hidden=True)
    access_settings(parser, "; --secret-file needs it")
    parser.common()
    return parser


async def _play(arguments: argparse.Namespace) -> int:
    if arguments.name is None and not arguments.watch:
        raise UsageError("name your player, or see the zone without one by --watch")
    access = read_access(arguments)
    if arguments.ticket and arguments.secret_file:
        raise UsageError("--ticket and --secret-file exclude each other: the secret makes a ticket")
    if arguments.secret_file and not access.zone:
        raise UsageError("a ticket is for one zone: name it with --zone, as in --zone plaza")
    # Without the name of the zone, a secret in the environment is not meant for this.
    ticket = arguments.ticket or (access.ticket(arguments.name or "") if access.zone else b"")
    player = {"name": arguments.name, "ticket": ticket, "tls": access.context(), "watch": arguments.watch}
    async with connect(arguments.host, arguments.port, **player, resume=True, whole=True, leave_timeout=0) as zone:
        who = "you watch" if arguments.watch else f"you are {zone.name}, in"
        text = f"{who} {printable(zone.game)}; type a line and press return, or /help; Ctrl-D leaves"
        print(text, file=sys.stderr)
        console = Console(zone)
        tasks = [asyncio.create_task(console.print_updates()), asyncio.create_task(_send_input(console))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1] in done and tasks[1].exception() is None:
                await _print_fates(zone, console, tasks[0])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, console.close(), return_exceptions=True)
        for task in done:
            task.result()
    return Exit.OK


async def _print_fates(zone: ZoneConnection, console: Console, printing: asyncio.Task[None]) -> None:
    """Go on printing until the server has told what became of the last lines. Raises CommandError if it does not."""
    zone.flush()
    deadline = asyncio.get_running_loop().time() + _FATE_SECONDS
    settled_tick: int | None = None
    # A refusal comes ahead of the frame of its tick, and is printed together with that.
    while (settled_tick is None or console.tick <= settled_tick) and not printing.done():
        if not zone.unsettled and settled_tick is None:
            settled_tick = zone.replica.tick
        if asyncio.get_running_loop().time() > deadline:
            raise CommandError(f"the server did not tell within {_FATE_SECONDS:g} s what became of the last lines")
        await asyncio.wait({printing}, timeout=0.02)
    if printing.done():
        printing.result()


async def _send_input(console: Console) -> None:
    """Do the typed actions until the end of the input."""
    typed = asyncio.StreamReader(limit=sys.maxsize)
    read_stdin(lambda data: typed.feed_data(data) if data else typed.feed_eof())
    while line := await typed.readline():
        try:
            for answer in await console.enter(line.decode(errors="replace")):
                print(answer, flush=True)
        except (TypeError, ValueError) as error:
            print(f"! {printable(str(error))}", file=sys.stderr)
