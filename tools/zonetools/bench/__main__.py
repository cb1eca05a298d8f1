"""The command `python -m zonetools.bench`: what the server costs, beside the floor that the kernel sets."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from zoneserver.cli.command import parse_output, require_open_files, run_command
from zoneserver.cli.settings import Parser
from zoneserver.support.errors import Exit
from zoneserver.support.parse import above_zero, one_of, parse_count, parse_duration
from zoneserver.support.process import LOOPS, loop_factory
from zonetools.bench import report
from zonetools.bench.measure import measure
from zonetools.bench.micro import MICRO, run_micro
from zonetools.bench.workload import WORKLOADS
from zonetools.common.server_process import cancel_on_signals
from zonetools.swarm.plan import DEFAULT_MIX, parse_mix

__all__ = ["main"]

_log = logging.getLogger(__name__)

_MICRO_RUNS = 9
_EXAMPLES = """\
  python -m zonetools.bench                                     everything, as tables
  python -m zonetools.bench --workload W1 --mix walker=1        a thousand players who only walk
  python -m zonetools.bench --workload W1 --deflate             what deflating costs and saves
  python -m zonetools.bench --workload micro --json - | jq .cpu_us
"""
_EXIT_CODES = """\
0 measured, whatever came out; 1 measured, but in some round somebody did not get everything;
2 wrong usage; 3 cannot start; 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    loop_factory(arguments.loop)
    with _output(arguments.json) as lines_to:
        return await _run(arguments, lines_to)


def _parser() -> Parser:
    parser = Parser(
        "python -m zonetools.bench",
        "Measure the server beside the floor: a bare loop that sends the same bytes to as many sockets.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
    )
    flag, names = parser.setting, (*WORKLOADS, "micro", "all")
    parser.section("what")
    flag("--workload", parse=one_of(names, "workload"), default="all", help=", ".join(names))
    flag("--rounds", parse=above_zero(parse_count), default=3, help="server and floor so often in turn")
    flag("--time", parse=above_zero(parse_duration), default=5.0, help="how long each of them a round")
    flag("--mix", parse=parse_mix, default=parse_mix(DEFAULT_MIX), help="who the players are", shown=DEFAULT_MIX)
    text = "measure the server under a crowd that wants everything deflated as well, each round"
    parser.switch("--deflate", help=text)
    text = "the server's event loop: auto (uvloop if installed), asyncio, uvloop"
    flag("--loop", parse=one_of(LOOPS, "loop"), default="auto", help=text)
    text = "write each measurement as a line of JSON; - is stdout, in place of tables"
    flag("--json", parse=parse_output, metavar="FILE", help=text)
    parser.common()
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
    require_open_files(needed, "the server needs")

    def write(line: dict[str, Any]) -> dict[str, Any]:
        if lines_to is not None:
            print(json.dumps(line), file=lines_to, flush=True)
        return line

    crowds = []
    for workload in workloads:
        measured = await measure(
            workload,
            mix=arguments.mix,
            loop=arguments.loop,
            rounds=arguments.rounds,
            seconds=arguments.time,
            say=_log.info,
            deflate=arguments.deflate,
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
    return Exit.OK if all(line["everybody_got_everything"] for line in crowds) else Exit.FAILED


if __name__ == "__main__":
    sys.exit(main())
