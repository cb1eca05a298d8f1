"""The command `zone-dash`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

from tools.dashboard.watch import look_once, watch
from tools.dashboard.watcher import Look
from tools.source import AwayError
from zoneserver.config import Parser, checked, parse_duration, parse_port
from zoneserver.process import address_text, discard_output, stop_signals

__all__ = ["main"]

EXIT_OK, EXIT_USAGE, EXIT_NO_SERVER = 0, 2, 3

# Asking more often than this would be a load of its own.
_INTERVAL_MIN = 0.1

_EXAMPLES = """\
examples:
  zone-dash                                 watch the server on this machine, until q or Ctrl-C
  zone-dash --once                          print one summary and end
  zone-dash --json --count 10 > run.jsonl   ten seconds as ten JSON objects, one a line

keys: q quit, ? help, space pause, + and - change the time that charts reach back
exit codes: 0 ended as asked (q and Ctrl-C too), 2 wrong usage, 3 no server answers --once
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_main(arguments))
    except AwayError as error:
        address = address_text(arguments.host, arguments.stats_port)
        print(f"zone-dash: no statistics at {address}: {error}; start a server with: zoneserver run", file=sys.stderr)
        return EXIT_NO_SERVER
    except KeyboardInterrupt:
        # Where the loop takes no signals, and in the moment before it does.
        return EXIT_OK
    except BrokenPipeError:
        discard_output()
        return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="zone-dash",
        description="Watch a running zone: on a terminal as a live screen, else one line per interval.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="where the server is (default 127.0.0.1)")
    parser.add_argument(
        "--stats-port", type=checked(parse_port), default=7778, metavar="PORT", help="its admin port (default 7778)"
    )
    parser.add_argument(
        "--interval", type=_interval, default=1.0, metavar="TIME", help="time that rates are taken over (default 1s)"
    )
    parser.add_argument("--count", type=_count, metavar="N", help="end after so many intervals")
    parser.add_argument("--once", action="store_true", help="print one summary and end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: the statistics, and rates")
    parser.add_argument("--ascii", action="store_true", help="no block and braille characters")
    parser.add_argument("--no-color", action="store_true", help="no colours; NO_COLOR in the environment does the same")
    return parser


def _interval(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds < _INTERVAL_MIN:
        raise argparse.ArgumentTypeError(f"{text} is too often: at least {_INTERVAL_MIN:g}s")
    return seconds


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write 1 or more")
    return int(text)


async def _main(arguments: argparse.Namespace) -> int:
    host, port, interval = arguments.host, arguments.stats_port, arguments.interval
    look = Look(ascii=arguments.ascii, color=not arguments.no_color, json=arguments.json)
    if arguments.once:
        await look_once(host, port, interval=interval, look=look)
        return EXIT_OK
    until = asyncio.Event()
    for number in stop_signals():
        # Windows: the loop takes no signals, and Ctrl-C is a KeyboardInterrupt.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, until.set)
    await watch(host, port, interval=interval, count=arguments.count, until=until, look=look)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
