"""The command `python -m zonetools.bench`: the CPU cost of the server, compared with the kernel's floor."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.bench.__main__"))

import argparse
import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from zoneserver.cli.command import parse_output, require_open_files, run_command
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import LOOPS, loop_factory
from zoneserver.support.parse import above_zero, one_of, parse_count, parse_duration
from zonetools.bench import report
from zonetools.bench.measure import measure
from zonetools.bench.micro_benchmarks import MICRO, run_micro
from zonetools.bench.workload import WORKLOADS
from zonetools.common.machine import load_average
from zonetools.common.server_process import cancel_on_signals
from zonetools.swarm.plan import DEFAULT_MIX, parse_mix

_log = logging.getLogger(__name__)

_MICRO_RUNS = 9
_EXAMPLES = """\
  python -m zonetools.bench                                     measure everything, print tables
  python -m zonetools.bench --workload W1 --mix walker=1        a thousand players that only walk
  python -m zonetools.bench --workload W1 --deflate             what deflate costs and saves
  python -m zonetools.bench --workload W1 --web                 what WebSocket costs, in the same minutes as TCP
  python -m zonetools.bench --workload micro --json - | jq .cpu_us
"""
_EXIT_CODES = """\
0 measured, with any result; 1 measured, but some player missed something; 2 wrong usage; 3 cannot start;
130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(_parser(), _run, argv)


def _parser() -> Parser:
    parser = Parser(
        "python -m zonetools.bench",
        "Compare the server with the floor: a bare loop that sends equal bytes to as many sockets.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
    )
    flag, names = parser.setting, (*WORKLOADS, "micro", "all")
    parser.section("what")
    flag("--workload", parse=one_of(names, "workload"), default="all", help=", ".join(names))
    flag("--rounds", parse=above_zero(parse_count), default=3, help="how often to measure server and floor")
    flag("--time", parse=above_zero(parse_duration), default=5.0, help="how long to measure each of them")
    flag("--mix", parse=parse_mix, default=parse_mix(DEFAULT_MIX), help="the roles of the players", shown=DEFAULT_MIX)
    text = "each time, also measure the server under players that ask for deflate"
    parser.switch("--deflate", help=text)
    text = "each time, also measure the server under players that come over WebSocket"
    parser.switch("--web", help=text)
    text = "the server's event loop: auto (uvloop if installed), asyncio, uvloop"
    flag("--loop", parse=one_of(LOOPS, "loop"), default="auto", help=text)
    text = "write each measurement as a line of JSON; - is stdout, instead of tables"
    flag("--json", parse=parse_output, metavar="FILE", help=text)
    parser.common()
    return parser


async def _run(arguments: argparse.Namespace) -> int:
    loop_factory(arguments.loop)
    cancel_on_signals()
    chosen = (*WORKLOADS, "micro") if arguments.workload == "all" else (arguments.workload,)
    workloads = [WORKLOADS[name] for name in chosen if name in WORKLOADS]
    needed = max((workload.open_files_per_process for workload in workloads), default=0)
    require_open_files(needed, "the server needs")

    if arguments.json not in {None, "-"}:
        Path(arguments.json).write_text("")

    def write(document: dict[str, Any]) -> dict[str, Any]:
        if arguments.json == "-":
            print(json.dumps(document), flush=True)
        elif arguments.json is not None:
            with Path(arguments.json).open("a") as file:
                print(json.dumps(document), file=file)
        return document

    workload_documents, load_before = [], load_average()
    for workload in workloads:
        result = await measure(
            workload,
            mix=arguments.mix,
            loop=arguments.loop,
            repetitions=arguments.rounds,
            seconds=arguments.time,
            log=_log.info,
            deflate=arguments.deflate,
            web=arguments.web,
        )
        workload_documents.append(write(report.workload_document(result, load_before)))
    micro_documents = []
    for name in MICRO if "micro" in chosen else ():
        await asyncio.sleep(0)  # A micro benchmark never waits; Ctrl-C takes effect here.
        micro_documents.append(write(report.micro_document(run_micro(name, _MICRO_RUNS), load_before)))
    if arguments.json != "-":
        console = Console(highlight=False)
        if workload_documents:
            console.print(report.workload_table(workload_documents))
        if micro_documents:
            console.print(report.micro_table(micro_documents))
    return Exit.OK if all(each["everybody_got_everything"] for each in workload_documents) else Exit.FAILED
