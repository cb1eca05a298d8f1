"""The command `zone-dash`."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.dashboard.__main__"))

import argparse
import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoneserver.cli.command import parse_output, run_command
from zoneserver.cli.parser import Parser
from zoneserver.cli.token import read_token, token_setting
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.event_loop import on_stop_signals
from zoneserver.support.format import format_address, format_duration
from zoneserver.support.host import parse_host
from zoneserver.support.parse import above_zero, parse_count, parse_duration, parse_port
from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.display import watch, watch_once
from zonetools.dashboard.screen.options import DisplayOptions, Export, ScreenSize

# Asking more often than this would itself load the server.
_INTERVAL_MIN = 0.1
_INTERVAL_MAX = 86_400.0

_EXAMPLES = """\
  zone-dash                                 watch the server on this machine until q or Ctrl-C
  zone-dash 10.0.0.1:7778 10.0.0.2:7778     watch a zone and its gateways, as one
  zone-dash --once                          print one summary and exit
  zone-dash --json --count 10 > run.jsonl   ten seconds as ten lines of JSON
  zone-dash --count 60 --svg zone.svg       watch for a minute, then save a picture of the last screen
"""
_EXIT_CODES = """\
0 ended as requested (also by q and Ctrl-C), 2 wrong usage, 3 no server answers --once

keys: q quit, ? help, space pause, tab shows the sessions and then the closed ones, < and > sort the
sessions by another column, the arrows select a session, enter shows its details, k kicks its player if
the server runs on this machine, + and - change the time that charts cover, r resets the totals to zero;
with several ports 1 to 9 show one alone, and 0 all; in a replay on this machine: p pauses or plays, left
and right go 10 s back and on, [ and ] halve and double the speed"""


def main(argv: Sequence[str] | None = None) -> int:
    code = run_command(_parser(), _main, argv)
    # Ctrl-C raises KeyboardInterrupt before the loop has its signal handlers, and if it supports none.
    return Exit.OK if code == Exit.INTERRUPTED else code


def _parser() -> Parser:
    parser = Parser(
        "zone-dash",
        "Watch a running zone: as a live screen on a terminal, otherwise as one line per interval.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="[HOST:PORT ...] [flags]",
    )
    parser.section("what")
    text = "admin ports of a zone and its gateways, shown as one, in place of --host and --stats-port"
    parser.setting("ports", parse=AdminPort.parse, metavar="HOST:PORT", repeats=True, help=text)
    parser.setting("--host", parse=parse_host, default="127.0.0.1", help="the server's host")
    parser.setting("--stats-port", parse=parse_port, default=7778, help="the server's admin port")
    token_setting(parser)
    parser.section("how")
    parser.setting(
        "--interval", parse=_interval, default=1.0, help="time between two lines, and that rates are taken over"
    )
    parser.setting("--count", parse=above_zero(parse_count), help="exit after this many intervals")
    parser.switch("--once", help="print one summary and exit")
    parser.switch("--json", help="print lines of JSON: the statistics, with rates")
    parser.switch("--ascii", help="draw without block and braille characters")
    parser.setting("--svg", parse=_file, metavar="FILE", help="save a picture of the last screen in this file")
    parser.setting("--size", parse=ScreenSize.parse, shown="120x36", help="the picture's columns and rows")
    parser.common()
    return parser


@dataclass(frozen=True, slots=True)
class AdminPort:
    """The admin port of a server, written as `127.0.0.1:7778`."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> AdminPort:
        """Raises ValueError if the text is not a host and a port."""
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError(f"{text!r} is not an admin port: write 127.0.0.1:7778 or [::1]:7778")
        return cls(parse_host(host), parse_port(port))

    def __str__(self) -> str:
        return format_address(self.host, self.port)


@functools.wraps(parse_duration)
def _interval(text: str) -> float:
    seconds = parse_duration(text)
    if seconds > _INTERVAL_MAX:
        raise ValueError(f"{text} is too long; the longest interval is {format_duration(_INTERVAL_MAX)}")
    if seconds < _INTERVAL_MIN:
        raise ValueError(f"{text} is too short; the shortest interval is {_INTERVAL_MIN:g}s")
    return seconds


def _file(text: str) -> str:
    if text == "-":
        raise ValueError("a picture needs a file: standard output already carries the statistics")
    return parse_output(text)


def _export(arguments: argparse.Namespace) -> Export | None:
    if arguments.svg is None:
        if arguments.size is not None:
            raise UsageError("--size is the size of the picture that --svg saves; add --svg FILE")
        return None
    file = Path(arguments.svg)
    return Export(file) if arguments.size is None else Export(file, arguments.size)


async def _main(arguments: argparse.Namespace) -> int:
    ports = list(dict.fromkeys(arguments.ports)) or [AdminPort(arguments.host, arguments.stats_port)]
    (host, port), *more = ((each.host, each.port) for each in ports)
    token = read_token(arguments.stats_token_file)
    options = DisplayOptions(arguments.interval, arguments.ascii, arguments.json, _export(arguments))
    if arguments.once:
        try:
            await watch_once(host, port, options, token=token, more=more)
        except ServerUnreachable as error:
            where = " and ".join(map(str, ports))
            raise CannotStartError(f"no statistics at {where}: {error}; start a server with: zoneserver run") from None
        return Exit.OK
    until = asyncio.Event()
    on_stop_signals(until.set)
    await watch(host, port, options, count=arguments.count, until=until, token=token, more=more)
    return Exit.OK
