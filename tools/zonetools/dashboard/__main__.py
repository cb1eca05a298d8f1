"""The command `zone-dash`."""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from zoneserver.cli.command import parse_output, run_command
from zoneserver.cli.settings import Parser
from zoneserver.support.errors import CannotStartError, Exit, UsageError
from zoneserver.support.parse import above_zero, parse_count, parse_duration, parse_port
from zoneserver.support.process import address_text, on_stop_signals
from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.data.monitor import DisplayOptions, Export, ScreenSize
from zonetools.dashboard.watch import look_once, watch

__all__ = ["main"]

# Asking more often than this would be a load of its own.
_INTERVAL_MIN = 0.1

_EXAMPLES = """\
  zone-dash                                 watch the server on this machine, until q or Ctrl-C
  zone-dash --once                          print one summary and end
  zone-dash --json --count 10 > run.jsonl   ten seconds as ten JSON objects, one a line
  zone-dash --count 60 --svg zone.svg       a minute, and a picture of how it ended
"""
_EXIT_CODES = """\
0 ended as asked (q and Ctrl-C too), 2 wrong usage, 3 no server answers --once

keys: q quit, ? help, space pause, tab turns to the sessions and to those that closed, < and > sort the
sessions by another column, + and - change the time that charts reach back, r counts anew"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    code = run_command(_parser(), _main, argv)
    # Where the loop takes no signals, and in the moment before it does.
    return Exit.OK if code == Exit.INTERRUPTED else code


def _parser() -> Parser:
    parser = Parser(
        "zone-dash",
        "Watch a running zone: on a terminal as a live screen, else one line per interval.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
    )
    parser.section("what")
    parser.setting("--host", default="127.0.0.1", help="where the server is")
    parser.setting("--stats-port", parse=parse_port, default=7778, help="its admin port")
    parser.section("how")
    parser.setting("--interval", parse=_interval, default=1.0, help="time that rates are taken over")
    parser.setting("--count", parse=above_zero(parse_count), help="end after so many intervals")
    parser.switch("--once", help="print one summary and end")
    parser.switch("--json", help="one JSON object a line: the statistics, and rates")
    parser.switch("--ascii", help="no block and braille characters")
    parser.setting("--svg", parse=_file, metavar="FILE", help="leave the last screen as a picture in this file")
    parser.setting("--size", parse=ScreenSize.parse, shown="120x36", help="columns and rows of that picture")
    parser.common()
    return parser


@functools.wraps(parse_duration)
def _interval(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < _INTERVAL_MIN:
        raise ValueError(f"{text} is too often: at least {_INTERVAL_MIN:g}s")
    return seconds


def _file(text: str) -> str:
    if text == "-":
        raise ValueError("a picture goes to a file: standard output has the figures")
    return parse_output(text)


def _export(arguments: argparse.Namespace) -> Export | None:
    if arguments.svg is None:
        if arguments.size is not None:
            raise UsageError("--size is the size of the picture that --svg leaves")
        return None
    file = Path(arguments.svg)
    return Export(file) if arguments.size is None else Export(file, arguments.size)


async def _main(arguments: argparse.Namespace) -> int:
    host, port, interval = arguments.host, arguments.stats_port, arguments.interval
    look = DisplayOptions(ascii=arguments.ascii, json=arguments.json, export=_export(arguments))
    if arguments.once:
        try:
            await look_once(host, port, interval=interval, look=look)
        except ServerUnreachable as error:
            address = address_text(host, port)
            raise CannotStartError(
                f"no statistics at {address}: {error}; start a server with: zoneserver run"
            ) from None
        return Exit.OK
    until = asyncio.Event()
    on_stop_signals(until.set)
    await watch(host, port, interval=interval, count=arguments.count, until=until, look=look)
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
