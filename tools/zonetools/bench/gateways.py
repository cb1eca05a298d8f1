"""The command `python -m zonetools.bench.gateways`: what gateways cost and add, compared with one process."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.bench.gateways"))

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

from zoneserver.cli.command import parse_output, require_open_files, run_command, write_output
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import Exit
from zoneserver.support.parse import above_zero, one_of, parse_count, parse_duration
from zonetools.bench.arrangement import LINKS, SINGLE, why_missing
from zonetools.bench.gateway_figures import Figures
from zonetools.bench.gateway_load import Crowd, Load, run_load
from zonetools.common.admin_client import ServerUnreachable
from zonetools.common.machine import load_average, machine, machine_text
from zonetools.common.server_process import cancel_on_signals
from zonetools.swarm.conductor import SwarmError

_log = logging.getLogger(__name__)

FIGURES = "sockets", "sends", "latency"
# The rates at which two cores have room for the crowd: each player acts as in the workloads W1, W2 and W3.
_RATES = {1_000: (20, 5.0), 4_000: (20, 2.0), 10_000: (10, 1.0)}
_BOTS = 100
_SUMMARY = "Measure gateways beside one process: CPU of the zone and per send, and the latency that a link adds."
_EXAMPLES = """\
  python -m zonetools.bench.gateways                                  everything, in some minutes
  python -m zonetools.bench.gateways --figure sockets --players 4000  CPU of the zone over 1, 2 and 4 gateways
  python -m zonetools.bench.gateways --figure sends --rounds 7        CPU per send of a gateway and of one process
  python -m zonetools.bench.gateways --figure latency                 what unix, tcp with TLS, and NATS add
"""
_EXIT_CODES = """\
0 measured, with any result; 1 some player missed something, or a crowd was too large for the machine; 2 wrong usage;
3 cannot start; 130 interrupted"""


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(_parser(), _run, argv)


def _parser() -> Parser:
    parser = Parser("python -m zonetools.bench.gateways", _SUMMARY, examples=_EXAMPLES, exit_codes=_EXIT_CODES)
    flag, counts = parser.setting, above_zero(parse_count)

    def parse_list(parse: Callable[[str], Any]) -> Callable[[str], list[Any]]:
        return lambda text: [parse(part) for part in text.split(",")]

    parser.section("what")
    figures = parse_list(one_of(FIGURES, "figure"))
    flag("--figure", parse=figures, default=list(FIGURES), help=", ".join(FIGURES), shown="all")
    players, shown = list(_RATES), ",".join(map(str, _RATES))
    flag("--players", parse=parse_list(counts), default=players, help="sizes of the crowd of sockets", shown=shown)
    flag(
        "--gateways", parse=parse_list(counts), default=[1, 2, 4], help="numbers of gateways of sockets", shown="1,2,4"
    )
    flag("--rounds", parse=counts, default=3, help="how often sends and latency measure each arrangement")
    flag("--time", parse=above_zero(parse_duration), default=5.0, help="how long to measure each of them")
    flag("--json", parse=parse_output, metavar="FILE", help="write all runs as JSON; - is stdout, instead of tables")
    parser.common()
    return parser


async def _run(arguments: argparse.Namespace) -> int:
    cancel_on_signals()
    require_open_files(max(arguments.players) + 512, "a zone and its players need")
    load_before, found = load_average(), Figures()
    for figure in arguments.figure:
        if figure == "sockets":
            await _measure_sockets(found, arguments)
        elif figure == "sends":
            await _measure_rounds(found.sends, (SINGLE, "unix"), _crowd(1_000), arguments)
        else:
            links = [link for link in LINKS if not (reason := why_missing(link)) or _skip(link, reason)]
            await _measure_rounds(found.latency, (SINGLE, *links), Crowd(200, 200, 20, 5.0), arguments)
    document = found.document() | {"machine": machine(load_before)}
    if arguments.json == "-":
        print(json.dumps(document))
    else:
        console = Console(highlight=False)
        for table in found.tables():
            console.print(table)
        console.print(machine_text(document["machine"]), style="dim")
        if arguments.json is not None:
            write_output(arguments.json, json.dumps(document, indent=2) + "\n")
    is_good = not found.failures and all(load.everybody_got_everything for load in found.loads())
    return Exit.OK if is_good else Exit.FAILED


def _skip(link: str, reason: str) -> bool:
    _log.warning("%s is left out: %s", link, reason)
    return False


def _crowd(players: int) -> Crowd:
    hz, rate = next((_RATES[size] for size in sorted(_RATES) if players <= size), (10, 1.0))
    return Crowd(players, min(_BOTS, players), hz, rate)


async def _measure_sockets(found: Figures, arguments: argparse.Namespace) -> None:
    """Measure each crowd in one process, and over each number of gateways."""
    for players in arguments.players:
        crowd = _crowd(players)
        for count in (0, *arguments.gateways):
            _log.info("sockets: %s, %s", crowd, f"{count} gateways" if count else SINGLE)
            try:
                load = await run_load("unix" if count else SINGLE, count, crowd, arguments.time)
            except (SwarmError, ServerUnreachable, TimeoutError) as error:
                # The other sizes are worth measuring all the same.
                found.failures.append(f"{crowd}, {count} gateways: {error or 'the players did not join in time'}")
                _log.error("not measured: %s", found.failures[-1])
            else:
                found.sockets.append((crowd, load))


async def _measure_rounds(
    rounds: list[dict[str, Load]], links: Sequence[str], crowd: Crowd, arguments: argparse.Namespace
) -> None:
    """Measure one crowd over each link in turn, again and again: each round has a ratio of its own."""
    for number in range(1, arguments.rounds + 1):
        measured = {}
        for link in links:
            _log.info("%s, round %d of %d: %s", crowd, number, arguments.rounds, link)
            measured[link] = await run_load(link, 1, crowd, arguments.time, seed=number)
        rounds.append(measured)
