"""The command `zone-compare`: one server code, three ways to deliver, the same bots against each."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from tools.compare import page, report
from tools.compare.measure import Run, Verdict, measure, skipped
from tools.spawn import SpawnError, on_signals
from tools.swarm.plan import Plan
from zoneserver.config import DELIVERIES, Config, above_zero, parse_count, parse_duration
from zoneserver.process import raise_open_files

__all__ = ["main"]

EXIT_OK, EXIT_CHECKS_FAILED, EXIT_USAGE, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

CROWDS = (50, 100, 200, 400, 700, 1_000)
# Actions whose outcome does not depend on the time that has passed in the zone. Where an action is a tick,
# cooldowns run down faster: fighters would do other things against one server than against another.
MIX = {"walker": 90, "chatty": 10}

_EXAMPLES = """\
examples:
  zone-compare                                   three strategies, 50 to 1,000 players: some four minutes
  zone-compare --players 50,200 --time 3s        a first impression
  zone-compare --json - | jq '.deliveries[] | {name, largest_crowd_held}'

exit codes: 0 measured, 1 somebody was told something wrong, 2 wrong usage, 3 cannot start,
130 interrupted
"""

_Item = TypeVar("_Item")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    plan = Plan(
        bots=max(arguments.players),
        seconds=arguments.time,
        rate=arguments.rate,
        seed=arguments.seed,
        processes=arguments.processes,
        mix=MIX,
    )
    needed = plan.open_files_per_process
    if raise_open_files(needed) < needed:
        text = f"{plan.bots} bots need {needed} open files in one process: ulimit -n {needed}, or more --processes"
        print(f"zone-compare: {text}", file=sys.stderr)
        return EXIT_CANNOT_START
    try:
        document = asyncio.run(_run(plan, arguments))
    except (SpawnError, OSError) as error:
        print(f"zone-compare: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    _deliver(document, arguments)
    if not report.passed(document):
        return EXIT_CHECKS_FAILED
    return EXIT_INTERRUPTED if document["interrupted"] else EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zone-compare",
        description="Compare three ways to tell everybody what everybody does: the same server code, bots and actions.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flag = parser.add_argument
    crowds = ",".join(map(str, CROWDS))
    flag("--players", type=_list(above_zero(parse_count)), default=CROWDS, help=f"crowds (default {crowds})")
    names = ",".join(DELIVERIES)
    flag("--strategies", type=_list(_delivery), default=DELIVERIES, help=f"which of them (default {names})")
    flag("--time", type=above_zero(parse_duration), default=6.0, help="how long to measure each (default 6s)")
    flag("--rate", type=above_zero(float), default=5.0, help="actions per second and player (default 5)")
    flag("--seed", type=int, default=1, help="seed of all that bots decide (default 1)")
    flag("--processes", type=above_zero(int), default=1, help="processes of the swarm (default 1)")
    flag("--json", metavar="FILE", help="write everything that was measured as JSON; - is stdout")
    flag("--html", metavar="FILE", help="write it as one page with plots")
    flag("--svg", metavar="FILE", help="write the three plots that matter most as a picture")
    flag("--no-progress", action="store_true", help="show nothing while it runs")
    return parser


def _delivery(text: str) -> str:
    if text not in DELIVERIES:
        raise argparse.ArgumentTypeError(f"there is no strategy {text!r}; there are {', '.join(DELIVERIES)}")
    return text


def _list(parse: Callable[[str], _Item]) -> Callable[[str], list[_Item]]:
    return lambda text: [parse(part) for part in text.split(",")]


async def _run(plan: Plan, arguments: argparse.Namespace) -> dict[str, Any]:
    """Crowd by crowd, so that what is compared was measured one right after the other."""
    stop = asyncio.Event()
    on_signals(stop.set)
    load_before = os.getloadavg()[0]
    runs: list[Run] = []
    # The crowd that was too much for a strategy.
    stopped: dict[str, int] = {}
    for players in sorted(set(arguments.players)):
        for delivery in arguments.strategies:
            if stop.is_set():
                break
            if delivery in stopped:
                runs.append(skipped(delivery, players, stopped[delivery]))
                continue
            processes = min(plan.processes, players)
            run = await measure(delivery, dataclasses.replace(plan, bots=players, processes=processes), stop)
            runs.append(run)
            if run.verdict == Verdict.BEHIND:
                stopped[delivery] = players
            if not arguments.no_progress:
                print(_line(run), file=sys.stderr, flush=True)
    machine = {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": {"before": round(load_before, 2), "after": round(os.getloadavg()[0], 2)},
    }
    return report.document(runs, plan, Config().hz, machine, interrupted=stop.is_set())


def _line(run: Run) -> str:
    figures = "" if run.sends_per_s is None else f"{run.sends_per_s:,.0f} sends/s, CPU {run.cpu_percent:.0f} %, "
    late = f"p99 {run.latency_ms['p99']:,.0f} ms, " if run.latency_ms else ""
    return f"{run.players:>6,} players, {run.delivery:<9}  {figures}{late}{run.verdict}"


def _deliver(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.html:
        Path(arguments.html).write_text(page.page(document))
    if arguments.svg:
        Path(arguments.svg).write_text(page.picture(document))
    if arguments.json == "-":
        print(json.dumps(document))
        return
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")
    Console(highlight=False).print(report.render(document))


if __name__ == "__main__":
    sys.exit(main())
