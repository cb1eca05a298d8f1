"""The command `zone-client`: a player at a console, in any game."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zoneclient.__main__"))

import argparse
import asyncio
import sys
from collections.abc import Sequence

from zoneclient.connection import ZoneConnection, connect
from zoneclient.errors import JoinRefusedError, ZoneClosedError
from zoneclient.typed_arguments import read_arguments
from zoneclient.update import Update
from zoneserver.cli.access import access_settings, explain_connect_error, read_access
from zoneserver.cli.command import run_command
from zoneserver.cli.parser import Parser
from zoneserver.protocol.values import Value
from zoneserver.support.errors import CannotStartError, CommandError, Exit, UsageError
from zoneserver.support.event_loop import read_stdin
from zoneserver.support.format import format_address, printable
from zoneserver.support.host import parse_host
from zoneserver.support.parse import parse_port

__all__ = ["main", "parse_line", "update_lines"]

_SUMMARY = """\
Play at a console: `python -m zoneclient ann` sends each line that you type, and prints the actions of all players.

It works with any game. A line is sent as the action `say` with that text. A line that begins with / is any action of
the game; its arguments are written as in Python: `/move 5 -3`, `/say 'hello'`,
`/tag 1`, `/roll [1, 6]`."""
_EXAMPLES = """\
  python -m zoneclient ann                        join the zone on this machine as ann
  python -m zoneclient bob --port 7000            join on another port as bob
  echo 'hello' | python -m zoneclient eve         say one thing, and leave once it is heard
"""
_EXIT_CODES = """\
0 you left, 1 the server ended the session, or did not tell what became of the last lines, 2 wrong usage, 3 cannot join,
130 interrupted"""

# How long to wait for the fate of the last lines.
_FATE_SECONDS = 5.0
# How many of the players who are there already are listed by name.
_NAMES_MAX = 10


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
        raise CommandError(str(error)) from None
    except ConnectionRefusedError:
        raise CannotStartError(f"no server listens on {address}: is it running?") from None
    except (OSError, ValueError) as error:
        raise CannotStartError(f"{address}: {explain_connect_error(error)}") from None


def _parser() -> Parser:
    parser = Parser("zone-client", _SUMMARY, examples=_EXAMPLES, exit_codes=_EXIT_CODES, usage="NAME [flags]")
    parser.add_argument("name", metavar="NAME", help="the name of your player")
    parser.section("server")
    parser.setting("--host", parse=parse_host, default="127.0.0.1", help="address of the server")
    parser.setting("--port", parse=parse_port, default=7777, help="port for players")
    parser.section("admission")
    text = "for a zone that requires tickets: the text that zoneserver ticket prints"
    parser.setting("--ticket", default="", help=text, is_hidden=True)
    access_settings(parser, "; --secret-file needs it")
    parser.common()
    return parser


def parse_line(line: str) -> tuple[str, list[Value]] | None:
    """Return the action that a line stands for, or None for an empty line. Raises ValueError with a message."""
    line = line.strip()
    if not line.startswith("/"):
        return ("say", [line]) if line else None
    kind, _, text = line[1:].partition(" ")
    try:
        return kind, read_arguments(text)
    except ValueError as error:
        form = "write arguments as numbers, True, False, None, 'texts', b'bytes' or [lists], separated by spaces"
        raise ValueError(f"{error}; {form}: /move 5 -3") from None


def update_lines(update: Update) -> list[str]:
    """Return the lines to print for one tick."""
    names = list(update.joined.values())
    if update.resynced and len(names) > _NAMES_MAX:
        names = [*names[:_NAMES_MAX], f"and {len(names) - _NAMES_MAX:,} more"]
    lines = [f"* here: {', '.join(names)}"] if update.resynced and names else [f"* {name} is here" for name in names]
    for event in update.events:
        is_said = event.kind == "say" and len(event.values) == 1
        text = str(event.values[0]) if is_said else f"{event.kind} {event.values}"
        lines.append(f"{event.name or '*'}: {text}")
    lines += [f"* {name} has left" for name in update.left.values()]
    lines += [f"! {refusal.code}: {refusal.text}" for refusal in update.refused]
    # Texts from the server may contain control sequences for the terminal.
    return list(map(printable, lines))


async def _play(arguments: argparse.Namespace) -> int:
    access = read_access(arguments)
    if arguments.ticket and arguments.secret_file:
        raise UsageError("--ticket and --secret-file exclude each other: the secret makes a ticket")
    if arguments.secret_file and not access.zone:
        raise UsageError("a ticket is for one zone: name it with --zone, as in --zone plaza")
    # Without the name of the zone, a secret in the environment is not meant for this.
    ticket = arguments.ticket or (access.ticket(arguments.name) if access.zone else b"")
    player = {"name": arguments.name, "ticket": ticket, "tls": access.context()}
    async with connect(arguments.host, arguments.port, **player, leave_timeout=0) as zone:
        text = f"you are {zone.name}, in {printable(zone.game)}; type a line and press return; Ctrl-D leaves"
        print(text, file=sys.stderr)
        tasks = [asyncio.create_task(_print_updates(zone)), asyncio.create_task(_send_input(zone))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1] in done and tasks[1].exception() is None:
                await _print_fates(zone, tasks[0])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
    return Exit.OK


async def _print_fates(zone: ZoneConnection, printing: asyncio.Task[None]) -> None:
    """Go on printing until the server has told what became of the last lines. Raises CommandError if it does not."""
    zone.flush()
    deadline = asyncio.get_running_loop().time() + _FATE_SECONDS
    while zone.unsettled and not printing.done():
        if asyncio.get_running_loop().time() > deadline:
            raise CommandError(f"the server did not tell within {_FATE_SECONDS:g} s what became of the last lines")
        await asyncio.wait({printing}, timeout=0.02)
    if printing.done():
        printing.result()


async def _print_updates(zone: ZoneConnection) -> None:
    async for update in zone:
        for line in update_lines(update):
            print(line, flush=True)


async def _send_input(zone: ZoneConnection) -> None:
    """Do the typed actions until the end of the input."""
    typed = asyncio.StreamReader(limit=sys.maxsize)
    read_stdin(lambda data: typed.feed_data(data) if data else typed.feed_eof())
    while line := await typed.readline():
        try:
            action = parse_line(line.decode(errors="replace"))
            if action is not None:
                zone.act(action[0], *action[1])
        except (TypeError, ValueError) as error:
            print(f"! {error}", file=sys.stderr)
