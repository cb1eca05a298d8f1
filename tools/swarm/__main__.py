"""The command `zone-swarm`: many bots over real sockets, each of which checks everything it gets."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import ipaddress
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from client.behaviours import ROLES
from tools.spawn import ServerProcess, SpawnError, cancel_on_signals, on_signals
from tools.swarm import report
from tools.swarm.conductor import Conductor, Outcome, SwarmError
from tools.swarm.display import Display
from tools.swarm.hostile import HOSTILE_ROLES
from tools.swarm.plan import DEFAULT_MIX, Plan, parse_mix
from zoneserver.config import Parser, above_zero, checked, parse_count, parse_duration, parse_port
from zoneserver.process import raise_open_files

__all__ = ["main"]

EXIT_OK, EXIT_CHECKS_FAILED, EXIT_USAGE, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

_STATS_PORT = 7778

_EXAMPLES = f"""\
examples:
  zone-swarm --spawn-server                      1,000 bots, 30 s, against a server of its own
  zone-swarm --port 7777 --bots 200 --rate 10    against a running server
  zone-swarm --spawn-server --json - | jq .latency_ms
  zone-swarm --spawn-server --mix walker=90,stuck=5,flood=5
                                                 one in ten is hostile; without those first, to compare

roles: {" ".join(ROLES)}
hostile roles: {" ".join(HOSTILE_ROLES)}

exit codes: 0 everybody got everything, 1 something was lost, duplicated, mismatched or diverged, a bot
failed to join, or a hostile one got what it should not, 2 wrong usage, 3 cannot start, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.spawn_server:
        for flag, value in (("host", arguments.host), ("port", arguments.port), ("stats-port", arguments.stats_port)):
            if value is not None:
                parser.error(f"--{flag} is where a running server is, and --spawn-server starts one of its own")
    elif arguments.hz is not None:
        parser.error("--hz is for --spawn-server: a running server has its own tick rate")
    default = Plan()
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
        parser.error(f"of {plan.bots} bots of this mix none is honest")
    needed = plan.open_files_per_process
    if raise_open_files(needed) < needed:
        text = f"{plan.bots:,} bots need {needed} open files in one process: ulimit -n {needed}, or more --processes"
        print(f"zone-swarm: {text}", file=sys.stderr)
        return EXIT_CANNOT_START
    try:
        return asyncio.run(_run(plan, arguments))
    except (SpawnError, SwarmError, OSError) as error:
        print(f"zone-swarm: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="zone-swarm",
        description="Send a swarm of bots into a zone; each checks every frame it gets.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Plan()
    flag = parser.add_argument
    flag("--host", type=_loopback, help=f"where the server is (default {default.host})")
    flag("--port", type=checked(parse_port), help=f"its port for players (default {default.port})")
    flag("--stats-port", type=checked(parse_port), help=f"its admin port, for the CPU it used (default {_STATS_PORT})")
    flag("-u", "--bots", type=above_zero(parse_count), default=default.bots, help="how many (default 1000)")
    flag("-r", "--ramp", type=above_zero(float), default=default.ramp, help="joins per second (default 500)")
    text = "how long to measure once all are in; 0 until Ctrl-C (default 30s)"
    flag("-t", "--time", type=checked(parse_duration), default=default.seconds, help=text)
    flag("--rate", type=above_zero(float), default=default.rate, help="actions per second and bot (default 5)")
    who = parser.add_mutually_exclusive_group()
    text = f"who they are (default {DEFAULT_MIX})"
    who.add_argument("--mix", type=checked(parse_mix), default=parse_mix(DEFAULT_MIX), help=text)
    text = "all do what this class of yours decides; in a --mix it is a role like any"
    who.add_argument("--bot", type=checked(_only), dest="mix", metavar="module:Class", help=text)
    flag("--seed", type=int, default=default.seed, help="seed of all that bots decide (default 1)")
    flag("--processes", type=above_zero(int), default=1, help="spread over so many processes (default 1)")
    flag("--spawn-server", action="store_true", help="start a server for this run, on free ports")
    flag("--hz", type=above_zero(int), help="tick rate of a spawned server (default 20)")
    flag("--no-control", action="store_true", help="with hostile bots: do not run without them first")
    flag("--json", type=_writable, metavar="FILE", help="write the report as JSON; - is stdout")
    flag("--no-progress", action="store_true", help="show nothing while it runs")
    return parser


def _only(role: str) -> dict[str, int]:
    """A mix of nobody else."""
    return parse_mix(f"{role}=1")


def _writable(text: str) -> str:
    """A file that can be written: nobody wants to learn otherwise when the run is over."""
    if text != "-":
        try:
            Path(text).open("a").close()
        except OSError as error:
            raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from None
    return text


def _loopback(text: str) -> str:
    """A load test is for one's own machine."""
    with contextlib.suppress(ValueError):
        if text == "localhost" or ipaddress.ip_address(text).is_loopback:
            return text
    raise argparse.ArgumentTypeError(f"{text} is not this machine: a swarm only goes to loopback addresses")


async def _run(plan: Plan, arguments: argparse.Namespace) -> int:
    control = None
    if plan.hostile and plan.seconds and not arguments.no_control:
        if not arguments.no_progress:
            print("first without the hostile bots", file=sys.stderr)
        control = await _conduct(plan.honest, arguments)
    if control is not None and control.interrupted:
        outcome, control = control, None
    else:
        outcome = await _conduct(plan, arguments)
    result = report.summary(outcome, control)
    report.show(result, as_json=arguments.json == "-")
    if arguments.json not in (None, "-"):
        try:
            Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
        except OSError as error:
            raise OSError(f"cannot write {arguments.json}: {error.strerror}") from None
    if not report.passed(result):
        return EXIT_CHECKS_FAILED
    return EXIT_INTERRUPTED if outcome.interrupted else EXIT_OK


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
        with Display(plan, enabled=not arguments.no_progress) as display:
            return await conductor.run(display.show)


if __name__ == "__main__":
    sys.exit(main())
