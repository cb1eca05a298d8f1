"""The command `zone-compare`: one server, three delivery strategies, and equal bots against each."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.compare.__main__"))

import argparse
import asyncio
import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

from zoneserver.cli.command import parse_output, require_open_files, run_command, write_output
from zoneserver.cli.parser import Parser
from zoneserver.config import Config
from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import on_stop_signals
from zoneserver.support.parse import (
    above_zero,
    one_of,
    parse_count,
    parse_duration,
    parse_integer,
    parse_number,
)
from zonetools.common.machine import load_average, machine
from zonetools.compare import page, report
from zonetools.compare.delivery import SERVERS
from zonetools.compare.measure import Run, Verdict, measure
from zonetools.swarm.plan import Plan, parse_processes

_log = logging.getLogger(__name__)

CROWDS = (50, 100, 200, 400, 700, 1_000)
# Roles whose actions do not depend on the time in the zone. With a strategy that makes each action a tick,
# cooldowns run down faster, and fighters would behave differently from server to server.
MIX = {"walker": 90, "chatty": 10}

_EXAMPLES = """\
  zone-compare                                   three strategies, 50 to 1,000 players, in about four minutes
  zone-compare --players 50,200 --time 3s        a quick first result
  zone-compare --json - | jq '.deliveries[] | {name, largest_crowd_held}'
"""
_EXIT_CODES = "0 measured, 1 some player was sent something wrong, 2 wrong usage, 3 cannot start, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    plan = Plan(
        bots=max(arguments.players),
        seconds=arguments.time,
        rate=arguments.rate,
        seed=arguments.seed,
        processes=arguments.processes,
        mix=MIX,
    )
    require_open_files(plan.open_files_per_process, f"{plan.bots:,} bots in {plan.processes} processes need")
    document = await _measure(plan, arguments)
    _write_results(document, arguments)
    if not report.passed(document):
        return Exit.FAILED
    return Exit.INTERRUPTED if document["interrupted"] else Exit.OK


def _parser() -> Parser:
    parser = Parser(
        "zone-compare",
        "Compare three ways to send every action to every player, with equal server code, bots and actions.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
    )
    flag = parser.setting
    parser.section("what")
    flag(
        "--players",
        parse=_list(above_zero(parse_count)),
        default=CROWDS,
        help="sizes of the crowds, as 50,200",
        shown=",".join(map(str, CROWDS)),
    )
    text = "which strategies"
    flag(
        "--strategies",
        parse=_list(one_of(tuple(SERVERS), "strategy")),
        default=tuple(SERVERS),
        help=text,
        shown=",".join(SERVERS),
    )
    flag("--time", parse=above_zero(parse_duration), default=6.0, help="how long to measure each run")
    flag("--rate", parse=above_zero(parse_number), default=5.0, help="actions per second and player")
    flag("--seed", parse=parse_integer, default=1, help="seed of everything that bots decide")
    flag("--processes", parse=parse_processes, default=1, help="processes of the swarm")
    parser.section("results")
    flag("--json", parse=parse_output, metavar="FILE", help="write all measurements as JSON; - is stdout")
    flag("--html", parse=parse_output, metavar="FILE", help="write a report with plots as one HTML file")
    flag("--svg", parse=parse_output, metavar="FILE", help="write the three most important plots as one picture")
    parser.switch("--no-progress", help="print nothing while it runs")
    parser.common()
    return parser


def _list(parse: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    return lambda text: [parse(part) for part in text.split(",")]


async def _measure(plan: Plan, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure crowd by crowd, so that runs that are compared follow each other directly."""
    stop = asyncio.Event()
    on_stop_signals(stop.set)
    load_before = load_average()
    runs: list[Run] = []
    # For each strategy, the crowd that was too large for it.
    stopped: dict[str, int] = {}
    for players in sorted(set(arguments.players)):
        for delivery in arguments.strategies:
            if stop.is_set():
                break
            if delivery in stopped:
                why = f"could not keep up with {stopped[delivery]:,}"
                runs.append(Run(delivery, players, Verdict.SKIPPED, [why]))
                continue
            processes = min(plan.processes, players)
            run = await measure(delivery, dataclasses.replace(plan, bots=players, processes=processes), stop)
            runs.append(run)
            if run.verdict == Verdict.BEHIND:
                stopped[delivery] = players
            if not arguments.no_progress:
                load = (
                    "" if run.sends_per_s is None else f"{run.sends_per_s:,.0f} sends/s, CPU {run.cpu_percent:.0f} %, "
                )
                latency = f"p99 {run.latency_ms['p99']:,.0f} ms, " if run.latency_ms else ""
                _log.info("%s", f"{players:>6,} players, {delivery:<9}  {load}{latency}{run.verdict}")
    return report.document(runs, plan, Config().hz, machine(load_before), interrupted=stop.is_set())


def _write_results(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.html:
        write_output(arguments.html, page.html(document))
    if arguments.svg:
        write_output(arguments.svg, page.svg(document))
    if arguments.json == "-":
        print(json.dumps(document))
        return
    if arguments.json:
        write_output(arguments.json, json.dumps(document, indent=2) + "\n")
    Console(highlight=False).print(report.render(document))
