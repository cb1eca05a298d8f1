"""The command `zone-swarm`: many bots over real sockets, each of which checks everything it gets."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import ipaddress
import json
import logging
import sys
from collections.abc import Sequence

from client.behaviours import ROLES
from tools.spawn import ServerProcess, cancel_on_signals, on_signals
from tools.swarm import render, report
from tools.swarm.conductor import Conductor, Outcome
from tools.swarm.display import Display
from tools.swarm.hostile import HOSTILE_ROLES
from tools.swarm.plan import DEFAULT_MIX, Plan, parse_mix
from zoneserver.command import is_quiet, parse_output, require_open_files, run_command, write_output
from zoneserver.exits import Exit, UsageError
from zoneserver.settings import Parser
from zoneserver.values import above_zero, parse_count, parse_duration, parse_integer, parse_number, parse_port

__all__ = ["main"]

_log = logging.getLogger(__name__)

_STATS_PORT = 7778

_EXAMPLES = """\
  zone-swarm --spawn-server                      1,000 bots, 30 s, against a server of its own
  zone-swarm --port 7777 --bots 200 --rate 10    against a running server
  zone-swarm --spawn-server --json - | jq .latency_ms
  zone-swarm --spawn-server --mix walker=90,stuck=5,flood=5
                                                 one in ten is hostile; without those first, to compare
"""
_EXIT_CODES = f"""\
0 everybody got everything, 1 something was lost, duplicated, mismatched or diverged, a bot
failed to join, or a hostile one got what it should not, 2 wrong usage, 3 cannot start, 130 interrupted

roles: {" ".join(ROLES)}
hostile roles: {" ".join(HOSTILE_ROLES)}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    default = Plan()
    if arguments.spawn_server:
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
    )
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
    flag("--host", parse=_loopback, help="where the server is", shown=default.host)
    flag("--port", parse=parse_port, help="its port for players", shown=str(default.port))
    flag("--stats-port", parse=parse_port, help="its admin port, for the CPU it used", shown=str(_STATS_PORT))
    parser.switch("--spawn-server", help="start a server for this run, on free ports")
    flag("--hz", parse=above_zero(parse_integer), help="tick rate of a spawned server", shown="20")
    parser.section("who")
    flag("--bots", "-u", parse=above_zero(parse_count), default=default.bots, help="how many")
    flag("--ramp", "-r", parse=above_zero(parse_number), default=default.ramp, help="joins per second")
    text = "actions per second and bot"
    flag("--rate", parse=above_zero(parse_number), default=default.rate, help=text)
    flag("--seed", parse=parse_integer, default=default.seed, help="seed of all that bots decide")
    parser.switch("--no-control", help="with hostile bots: do not run without them first")
    parser.exclusive()
    flag("--mix", parse=parse_mix, default=default.mix, help="who they are", shown=DEFAULT_MIX)
    text = "all do what this class of yours decides; in a --mix it is a role like any"
    flag("--bot", parse=_only, dest="mix", metavar="module:Class", help=text)
    parser.section("the run")
    text = "how long to measure once all are in; 0 until Ctrl-C"
    flag("--time", "-t", parse=parse_duration, default=default.seconds, help=text)
    flag("--processes", parse=above_zero(parse_integer), default=1, help="spread over so many processes")
    flag("--json", parse=parse_output, metavar="FILE", help="write the report as JSON; - is stdout")
    parser.switch("--no-progress", help="show nothing while it runs")
    parser.common()
    return parser


def _only(role: str) -> dict[str, int]:
    """A mix of nobody else."""
    return parse_mix(f"{role}=1")


def _loopback(text: str) -> str:
    """A load test is for one's own machine. Raises ValueError for the address of another."""
    with contextlib.suppress(ValueError):
        if text == "localhost" or ipaddress.ip_address(text).is_loopback:
            return text
    raise ValueError(f"{text} is not this machine: a swarm only goes to loopback addresses")


async def _run(plan: Plan, arguments: argparse.Namespace) -> int:
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
    render.show(result, as_json=arguments.json == "-")
    if arguments.json not in (None, "-"):
        write_output(arguments.json, json.dumps(result, indent=2) + "\n")
    if not report.passed(result):
        return Exit.FAILED
    return Exit.INTERRUPTED if outcome.interrupted else Exit.OK


async def _conduct(plan: Plan, arguments: argparse.Namespace) -> Outcome:
    """One run, against a server of its own if one is wanted."""
    cancel_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        stats_port = arguments.stats_port or _STATS_PORT
        if arguments.spawn_server:
            server = await stack.enter_async_context(
                # A hostile bot may come back before the server has seen it go.
                ServerProcess(
                    *("--hz", str(arguments.hz or 20), "--max-players", str(plan.bots + sum(plan.hostile.values()))),
                    *("--seed", str(plan.seed)),
                )
            )
            plan, stats_port = dataclasses.replace(plan, host="127.0.0.1", port=server.port), server.stats_port
        conductor = Conductor(plan, stats_port)
        on_signals(conductor.stop)
        with Display(plan, enabled=not arguments.no_progress and not is_quiet()) as display:
            return await conductor.run(display.show)


if __name__ == "__main__":
    sys.exit(main())
