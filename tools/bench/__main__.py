"""The command `python -m tools.bench`: what the server costs, beside the floor that the kernel sets."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from tools.bench import report
from tools.bench.floor import FloorError
from tools.bench.measure import measure
from tools.bench.micro import MICRO, run_micro
from tools.bench.workload import WORKLOADS
from tools.spawn import SpawnError, cancel_on_signals
from tools.swarm.conductor import SwarmError
from tools.swarm.plan import DEFAULT_MIX, parse_mix
from zoneserver.config import Parser, above_zero, checked, parse_count, parse_duration
from zoneserver.process import LOOPS, MissingExtraError, loop_factory, raise_open_files

__all__ = ["main"]

EXIT_OK, EXIT_CHECKS_FAILED, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 3, 130

_MICRO_RUNS = 9
_EXAMPLES = """\
examples:
  python -m tools.bench                                     everything, as tables
  python -m tools.bench --workload W1 --mix walker=1        a thousand players who only walk
  python -m tools.bench --workload micro --json - | jq .cpu_us

exit codes: 0 measured, whatever came out; 1 measured, but in some round somebody did not get everything;
2 wrong usage; 3 cannot start; 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        loop_factory(arguments.loop)
        with _output(arguments.json) as lines_to:
            return asyncio.run(_run(arguments, lines_to))
    except (SpawnError, SwarmError, FloorError, MissingExtraError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.bench",
        description="Measure the server beside the floor: a bare loop that sends the same bytes to as many sockets.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flag = parser.add_argument
    names = (*WORKLOADS, "micro", "all")
    flag("--workload", choices=names, default="all", help="what to measure (default all)")
    flag("--rounds", type=above_zero(parse_count), default=3, help="server and floor so often in turn (default 3)")
    flag("--time", type=above_zero(parse_duration), default=5.0, help="how long each of them a round (default 5s)")
    flag("--mix", type=checked(parse_mix), default=DEFAULT_MIX, help=f"who the players are (default {DEFAULT_MIX})")
    flag("--loop", choices=LOOPS, default="auto", help="the server's event loop; auto: uvloop if installed")
    flag("--json", metavar="FILE", help="write each measurement as a line of JSON; - is stdout, in place of tables")
    return parser


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO | None]:
    """Where the lines of JSON go; None for nowhere."""
    if path == "-":
        yield sys.stdout
    elif path is None:
        yield None
    else:
        with Path(path).open("w") as file:
            yield file


async def _run(arguments: argparse.Namespace, lines_to: TextIO | None) -> int:
    cancel_on_signals()
    chosen = (*WORKLOADS, "micro") if arguments.workload == "all" else (arguments.workload,)
    workloads = [WORKLOADS[name] for name in chosen if name in WORKLOADS]
    needed = max((workload.open_files_per_process for workload in workloads), default=0)
    if raise_open_files(needed) < needed:
        print(f"bench: the server needs {needed} open files: ulimit -n {needed}", file=sys.stderr)
        return EXIT_CANNOT_START

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def write(line: dict[str, Any]) -> dict[str, Any]:
        if lines_to is not None:
            print(json.dumps(line), file=lines_to, flush=True)
        return line

    crowds = []
    for workload in workloads:
        measured = await measure(
            workload, mix=arguments.mix, loop=arguments.loop, rounds=arguments.rounds, seconds=arguments.time, say=say
        )
        crowds.append(write(report.workload_line(measured)))
    pieces = []
    for name in MICRO if "micro" in chosen else ():
        await asyncio.sleep(0)  # The moment for Ctrl-C: a micro benchmark waits for nothing.
        pieces.append(write(report.micro_line(run_micro(name, _MICRO_RUNS))))
    if lines_to is not sys.stdout:
        console = Console(highlight=False)
        if crowds:
            console.print(report.workload_table(crowds))
        if pieces:
            console.print(report.micro_table(pieces))
    return EXIT_OK if all(line["everybody_got_everything"] for line in crowds) else EXIT_CHECKS_FAILED


if __name__ == "__main__":
    sys.exit(main())
