"""A player at a console: `python -m zoneclient ann`. What you type everybody hears; what everybody does you read.

It knows no game. A line is the action `say` with that text; one that begins with / is any action of
the game, its arguments as Python writes them: `/move 5 -3`, `/say 'hello'`, `/tag 1`.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Sequence

from zoneclient.connection import Update, ZoneConnection, connect
from zoneclient.errors import JoinRefusedError, ZoneClosedError
from zoneserver.cli.command import run_command
from zoneserver.cli.settings import Parser
from zoneserver.support.errors import CannotStartError, CommandError, Exit
from zoneserver.support.format import printable
from zoneserver.support.parse import parse_port
from zoneserver.support.process import address_text

__all__ = ["main", "parse_line", "told"]

_EXAMPLES = """\
  python -m zoneclient ann                        ann, in the zone on this machine
  python -m zoneclient bob --port 7000            bob, on another port
  echo 'hello' | python -m zoneclient eve         says one thing, and leaves
"""
_EXIT_CODES = "0 left, 1 the server ended it, 2 wrong usage, 3 cannot join, 130 interrupted"

# Of those who are there already, so many are named.
_NAMES_MAX = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Plays until the end of what is typed; returns the exit code."""
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    address = address_text(arguments.host, arguments.port)
    try:
        return await _play(arguments)
    except JoinRefusedError as error:
        raise CannotStartError(str(error)) from None
    except ZoneClosedError as error:
        raise CommandError(str(error)) from None
    except ConnectionRefusedError:
        raise CannotStartError(f"nobody listens on {address}: is the server running?") from None
    except (OSError, ValueError) as error:
        raise CannotStartError(f"{address}: {error or 'no answer'}") from None


def _parser() -> Parser:
    what, _, more = str(__doc__).partition("\n\n")
    parser = Parser(
        "zone-client",
        f"{what}\n\n{more.rstrip()}",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="NAME [flags]",
    )
    parser.add_argument("name", metavar="NAME", help="who you are")
    parser.section("where")
    parser.setting("--host", default="127.0.0.1", help="where the server is")
    parser.setting("--port", parse=parse_port, default=7777, help="its port for players")
    parser.setting("--ticket", default="", help="where the zone asks for one: what zoneserver ticket prints")
    parser.common()
    return parser


def parse_line(line: str) -> tuple[str, list[int | float | str | bool]] | None:
    """The action that a line stands for, None for an empty one. Raises ValueError, with a sentence.

    >>> parse_line("hello, all"), parse_line("/move 5 -3"), parse_line("/paint 1 2 'red'")
    (('say', ['hello, all']), ('move', [5, -3]), ('paint', [1, 2, 'red']))
    """
    text = line.strip()
    if not text.startswith("/"):
        return ("say", [text]) if text else None
    kind, *words = text[1:].split(" ", 1)
    try:
        arguments = [_argument(word) for word in _words(words[0])] if words else []
    except (ValueError, SyntaxError):
        raise ValueError("numbers, True, False and 'texts', with spaces between them: /move 5 -3") from None
    return kind, arguments


def _argument(word: str) -> int | float | str | bool:
    value = ast.literal_eval(word)
    if not isinstance(value, int | float | str):
        raise ValueError(f"{word} is none of them")
    return value


def _words(text: str) -> list[str]:
    """Splits at spaces, but not within quotes."""
    words, quote = [""], ""
    for character in text:
        if character == " " and not quote:
            words.append("")
            continue
        words[-1] += character
        if character in "'\"":
            quote = "" if character == quote else quote or character
    return [word for word in words if word]


def told(update: Update) -> list[str]:
    """What there is to read of one tick."""
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
    # What a server tells may be anything, and a terminal obeys some of it.
    return list(map(printable, lines))


async def _play(arguments: argparse.Namespace) -> int:
    async with connect(arguments.host, arguments.port, name=arguments.name, ticket=arguments.ticket) as zone:
        print(f"you are {zone.name}, in {printable(zone.game)}; type and press return, Ctrl-D leaves", file=sys.stderr)
        tasks = [asyncio.create_task(_read(zone)), asyncio.create_task(_type(zone))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
    return Exit.OK


async def _read(zone: ZoneConnection) -> None:
    async for update in zone:
        for line in told(update):
            print(line, flush=True)


async def _type(zone: ZoneConnection) -> None:
    """Does what is typed, to the end of it. A thread reads: no loop can watch every kind of input."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        # Not by way of sys.stdin, which is locked while it waits, and an exit would wait for the lock.
        typed = b""
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            while data := os.read(0, 4096):
                *whole, typed = (typed + data).split(b"\n")
                for line in whole:
                    loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace") + "\n")
            loop.call_soon_threadsafe(lines.put_nowait, typed.decode(errors="replace"))
            loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while line := await lines.get():
        try:
            action = parse_line(line)
            if action is not None:
                zone.act(action[0], *action[1])
        except (TypeError, ValueError) as error:
            print(f"! {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
