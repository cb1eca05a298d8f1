"""The command `zone-swarm`: many bots over real sockets, each of which checks everything it gets."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from zoneclient.bots.behaviours import ROLES

from zoneserver.cli.command import is_quiet, parse_output, require_open_files, run_command, write_output
from zoneserver.cli.settings import Parser
from zoneserver.support.errors import Exit, UsageError
from zoneserver.support.parse import above_zero, parse_count, parse_duration, parse_integer, parse_number, parse_port
from zoneserver.support.process import on_stop_signals
from zonetools.common.server_process import ServerProcess, cancel_on_signals
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.plan import DEFAULT_MIX, Plan, check_target, is_this_machine, parse_mix
from zonetools.swarm.report import build as report
from zonetools.swarm.report import conditions
from zonetools.swarm.report import html as page
from zonetools.swarm.report import text as render
from zonetools.swarm.report.compare import compare, parse_report_file, read_report
from zonetools.swarm.report.conditions import parse_condition
from zonetools.swarm.report.csv import SHEETS, sheets
from zonetools.swarm.report.live import Display
from zonetools.swarm.report.metrics import FIGURES

__all__ = ["main"]

_log = logging.getLogger(__name__)

_STATS_PORT = 7778
_DEMO_GAME = "zoneserver.games.plaza:Plaza"

_EXAMPLES = """\
  zone-swarm --spawn-server                      1,000 bots, 30 s, against a server of its own
  zone-swarm --port 7777 --bots 200 --rate 10    against a running server
  zone-swarm --spawn-server --html run.html --csv run --fail-if 'p99>150ms'
                                                 a page to send around, tables, and exit code 1 when it is late
  zone-swarm --spawn-server --json new.json --compare old.json
  zone-swarm --spawn-server --mix walker=90,stuck=5,flood=5
                                                 one in ten is hostile; without those first, to compare
"""
_EXIT_CODES = f"""\
0 everybody got everything, 1 something was lost, duplicated, mismatched or diverged, a bot failed to join,
a hostile one got what it should not, or a condition of --fail-if held, 2 wrong usage, 3 cannot start,
130 interrupted

roles: {" ".join(ROLES)}
hostile roles: {" ".join(HOSTILE_ROLES)}

figures for --fail-if:
{textwrap.fill(" ".join(FIGURES), 100, break_long_words=False)}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    default = Plan()
    if arguments.spawn_server is not None:
        for name in ("host", "port", "stats-port"):
            if getattr(arguments, name.replace("-", "_")) is not None:
                raise UsageError(f"--{name} is where a running server is, and --spawn-server starts one of its own")
    elif arguments.hz is not None:
        raise UsageError("--hz is for --spawn-server: a running server has its own tick rate")
    plan = Plan(
        host=arguments.host or default.host,
        port=arguments.port or default.port,
        bots=arguments.bots,
        ramp=arguments.ramp,
        seconds=arguments.time,
        rate=arguments.rate,
        seed=arguments.seed,
        processes=min(arguments.processes, arguments.bots),
        mix=arguments.mix,
        deflate=arguments.deflate,
    )
    try:
        check_target(plan, arguments.yes_remote)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not plan.honest.bots:
        raise UsageError(f"of {plan.bots} bots of this mix none is honest")
    require_open_files(plan.open_files_per_process, f"{plan.bots:,} bots in {plan.processes} processes need")
    return await _run(plan, arguments)


def _parser() -> Parser:
    parser = Parser(
        "zone-swarm",
        "Send a swarm of bots into a zone; each checks every frame it gets.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
    )
    default, flag = Plan(), parser.setting
    parser.section("where")
    flag("--host", help="where the server is", shown=default.host)
    flag("--port", parse=parse_port, help="its port for players", shown=str(default.port))
    flag("--stats-port", parse=parse_port, help="its admin port, for the CPU it used", shown=str(_STATS_PORT))
    parser.switch("--yes-remote", help="go there even if it is not this machine: it is yours to load")
    text = "start a server for this run, on free ports, with this game or the demo game"
    flag("--spawn-server", optional=_DEMO_GAME, metavar="module:Rules", help=text)
    flag("--hz", parse=above_zero(parse_integer), help="tick rate of a spawned server", shown="20")
    parser.section("who")
    flag("--bots", "-u", parse=above_zero(parse_count), default=default.bots, help="how many")
    flag("--ramp", "-r", parse=above_zero(parse_number), default=default.ramp, help="joins per second")
    text = "actions per second and bot"
    flag("--rate", parse=above_zero(parse_number), default=default.rate, help=text)
    flag("--seed", parse=parse_integer, default=default.seed, help="seed of all that bots decide")
    parser.switch("--deflate", help="all ask for frames and snapshots to be deflated")
    parser.switch("--no-control", help="with hostile bots: do not run without them first")
    parser.exclusive()
    flag("--mix", parse=parse_mix, default=default.mix, help="who they are", shown=DEFAULT_MIX)
    text = "all do what this class of yours decides; in a --mix it is a role like any"
    flag("--bot", parse=_only, dest="mix", metavar="module:Class", help=text)
    parser.section("the run")
    text = "how long to measure once all are in; 0 until Ctrl-C"
    flag("--time", "-t", parse=parse_duration, default=default.seconds, help=text)
    flag("--processes", parse=above_zero(parse_integer), default=1, help="spread over so many processes")
    parser.switch("--no-progress", help="show nothing while it runs")
    parser.section("the report")
    flag("--json", parse=parse_output, metavar="FILE", help="write the report as JSON; - is stdout")
    flag("--html", parse=_parse_page, metavar="FILE", help="write it as a page with plots, one file to send around")
    text = f"write tables: {', '.join(f'PREFIX_{name}.csv' for name in SHEETS)}"
    flag("--csv", parse=_parse_prefix, metavar="PREFIX", help=text)
    text = "compare it with an earlier one, which --json wrote"
    flag("--compare", parse=parse_report_file, metavar="FILE", help=text)
    text = "a run fails when this holds, as p99>150ms or lost>0; may be given again"
    flag("--fail-if", parse=parse_condition, metavar="CONDITION", repeats=True, help=text)
    parser.common()
    return parser


def _only(role: str) -> dict[str, int]:
    """A mix of nobody else."""
    return parse_mix(f"{role}=1")


def _parse_page(text: str) -> str:
    """A file for a page, which standard output is not. Raises ValueError."""
    if text == "-":
        raise ValueError("a page needs a file of its own, as run.html")
    return parse_output(text)


def _parse_prefix(text: str) -> str:
    """The beginning of what files are called that can be written. Raises ValueError."""
    for name in SHEETS:
        parse_output(f"{text}_{name}.csv")
    return text


async def _run(plan: Plan, arguments: argparse.Namespace) -> int:
    # Before the run, which may write its own report into the same file.
    old = read_report(arguments.compare) if arguments.compare else None
    control = None
    if plan.hostile and plan.seconds and not arguments.no_control:
        if not arguments.no_progress:
            _log.info("first without the hostile bots")
        control = await _conduct(plan.honest, arguments)
    if control is not None and control.interrupted:
        outcome, control = control, None
    else:
        outcome = await _conduct(plan, arguments)
    result = report.summary(outcome, control)
    result["conditions"] = conditions.judge(arguments.fail_if, result)
    if old is not None:
        result["compared"] = compare(old, result)
    _deliver(result, arguments)
    if not report.passed(result):
        return Exit.FAILED
    return Exit.INTERRUPTED if outcome.interrupted else Exit.OK


def _deliver(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Shows the report, and writes it wherever it is wanted. Raises CannotStartError."""
    render.show(result, as_json=arguments.json == "-")
    if arguments.json == "-":
        for condition in result["conditions"]:
            if condition["failed"]:
                print(f"zone-swarm: failed: {condition['text']}", file=sys.stderr)
    elif arguments.json is not None:
        write_output(arguments.json, json.dumps(result, indent=2) + "\n")
    if arguments.html is not None:
        write_output(arguments.html, page.page(result))
    if arguments.csv is not None:
        for name, text in sheets(result).items():
            write_output(f"{arguments.csv}_{name}.csv", text)


async def _conduct(plan: Plan, arguments: argparse.Namespace) -> Outcome:
    """One run, against a server of its own if one is wanted."""
    cancel_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        stats_port = arguments.stats_port
        if arguments.spawn_server is not None:
            server = await stack.enter_async_context(
                # A hostile bot may come back before the server has seen it go.
                ServerProcess(
                    *(arguments.spawn_server, "--hz", str(arguments.hz or 20), "--seed", str(plan.seed)),
                    *("--max-players", str(plan.bots + sum(plan.hostile.values()))),
                )
            )
            plan, stats_port = dataclasses.replace(plan, host="127.0.0.1", port=server.port), server.stats_port
        elif stats_port is None and is_this_machine(plan.host):
            # No server has an admin port that is open to other machines.
            stats_port = _STATS_PORT
        conductor = Conductor(plan, stats_port)
        on_stop_signals(conductor.stop)
        with Display(plan, enabled=not arguments.no_progress and not is_quiet()) as display:
            return await conductor.run(display.show)


if __name__ == "__main__":
    sys.exit(main())
