"""The command `zone-swarm`: runs many bots over real sockets; each bot checks everything that it receives."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.swarm.__main__"))

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

from zoneserver.cli.access import Access, access_settings, read_access
from zoneserver.cli.command import is_quiet, parse_output, require_open_files, run_command, write_output
from zoneserver.cli.parser import Parser
from zoneserver.cli.token import read_token, token_setting
from zoneserver.support.errors import CommandError, Exit, UsageError
from zoneserver.support.event_loop import on_stop_signals
from zoneserver.support.host import is_loopback, parse_host
from zoneserver.support.parse import (
    above_zero,
    at_most,
    parse_duration,
    parse_integer,
    parse_number,
    parse_port,
)
from zoneserver.support.process import discard_output
from zonetools.common.machine import cores
from zonetools.common.server_process import ServerProcess, cancel_on_signals
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.plan import (
    DEFAULT_MIX,
    EVERYBODY,
    Address,
    Plan,
    check_target,
    default_processes,
    load_role,
    parse_address,
    parse_bots,
    parse_client,
    parse_mix,
    parse_processes,
    parse_web,
)
from zonetools.swarm.report.build import passed, summary
from zonetools.swarm.report.comparison import compare, parse_report_file, read_report
from zonetools.swarm.report.conditions import evaluate, parse_condition
from zonetools.swarm.report.csv import TABLES, csv_tables
from zonetools.swarm.report.html import html_page
from zonetools.swarm.report.live import Display
from zonetools.swarm.report.metrics import METRICS
from zonetools.swarm.report.text import show
from zonetools.swarm.server_observer import ServerObserver

_log = logging.getLogger(__name__)

_STATS_PORT = 7778
# Beyond what one machine can do.
_RATE_MAX = 1_000
_DEMO_GAME = "zoneserver.games.plaza:Plaza"

_EXAMPLES = """\
  zone-swarm --spawn-server                      1,000 bots, 30 s, against a server of its own
  zone-swarm --port 7777 --bots 200 --rate 10    against a running server
  zone-swarm --spawn-server --html run.html --csv run --fail-if 'p99>150ms'
                                                 an HTML page, CSV tables, and exit code 1 if p99 is too high
  zone-swarm --spawn-server --json new.json --compare old.json
  zone-swarm --spawn-server --mix walker=90,stuck=5,flood=5
                                                 one bot in ten is hostile; first a run without these, to compare
  zone-swarm --spawn-server --web 50%            half of the bots come over WebSocket, as browsers do
  zone-swarm --resume --time 0                   the bots come back, also when the server is restarted
  zone-swarm a:7777 b:7777 --resume              the bots of a gateway that ends come back at the other one
"""
_EXIT_CODES = f"""\
0 everybody got everything, 1 something was lost, duplicated, mismatched or diverged, nothing was delivered, a bot
failed or failed to join, a process of the swarm failed, a hostile bot got an unexpected code, or a condition of
--fail-if held, 2 wrong usage, 3 cannot start, 130 interrupted

roles: {" ".join(ROLES)}
hostile roles: {" ".join(HOSTILE_ROLES)}

metrics for --fail-if:
{textwrap.fill(" ".join(METRICS), 100, break_long_words=False)}"""


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(_parser(), _main, argv)


async def _main(arguments: argparse.Namespace) -> int:
    default = Plan()
    if arguments.spawn_server is not None:
        for name in ("addresses", "host", "port", "stats-port", "stats-host", "tls", "tls-ca", "secret-file", "zone"):
            if getattr(arguments, name.replace("-", "_")):
                what = "HOST:PORT" if name == "addresses" else f"--{name}"
                raise UsageError(f"{what} is for a running server; --spawn-server starts a server of its own")
        if arguments.spawn_server != _DEMO_GAME and arguments.mix == default.mix:
            raise UsageError(
                f"the bots of the default mix play the demo game, not {arguments.spawn_server}: use --bot module:Class "
                "for bots of your own, or --mix idle=1 for bots that only watch"
            )
    elif arguments.hz is not None:
        raise UsageError("--hz is for --spawn-server: a running server has its own tick rate")
    first, *others = _addresses(arguments)
    if arguments.roam and not others:
        raise UsageError("--roam is for bots with several addresses: name each as HOST:PORT")
    plan = Plan(
        host=first.host,
        port=first.port,
        others=tuple(others),
        bots=arguments.bots,
        ramp=arguments.ramp,
        seconds=arguments.time,
        rate=arguments.rate,
        seed=arguments.seed,
        processes=min(arguments.bots, arguments.processes or _processes(arguments, first, *others)),
        mix=arguments.mix,
        deflate=arguments.deflate,
        resume=arguments.resume or arguments.roam,
        roam=arguments.roam,
        web=_web_share(arguments),
        access=read_access(arguments) if arguments.spawn_server is None else Access(),
    )
    try:
        check_target(plan, arguments.yes_remote)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not plan.honest.bots:
        raise UsageError(
            f"none of the {plan.bots} bots of this mix is honest: use more --bots, or a larger share of an honest role"
        )
    require_open_files(plan.open_files_per_process, f"{plan.bots:,} bots in {plan.processes} processes need")
    return await _run(plan, arguments)


def _addresses(arguments: argparse.Namespace) -> list[Address]:
    """The addresses for players. Raises UsageError."""
    if not arguments.addresses:
        default = Plan()
        return [Address(arguments.host or default.host, arguments.port or default.port)]
    for name in ("host", "port"):
        if getattr(arguments, name):
            raise UsageError(f"--{name} and HOST:PORT both name the server: use one of them")
    found: list[Address] = arguments.addresses
    if len(set(found)) < len(found):
        raise UsageError(f"{max(found, key=found.count)} is named twice: name each address once")
    return found


def _processes(arguments: argparse.Namespace, *addresses: Address) -> int:
    """The number of worker processes if the user names none."""
    return default_processes(arguments.bots, addresses, cores())


def _web_share(arguments: argparse.Namespace) -> float:
    """The share of the bots that come over WebSocket. Raises UsageError."""
    if arguments.web is None:
        return 0.0
    web, bots = parse_web(arguments.web), arguments.bots
    if isinstance(web, int) and web > bots:
        raise UsageError(f"--web {web} asks for more bots over WebSocket than there are: --bots is {bots}")
    clients = [role for role in arguments.mix if role not in HOSTILE_ROLES and not isinstance(load_role(role), type)]
    if clients:
        raise UsageError(f"{clients[0]} is a client of your own and comes over TCP: leave --web out")
    return web / bots if isinstance(web, int) else float(web)


def _parser() -> Parser:
    parser = Parser(
        "zone-swarm",
        "Send a swarm of bots into a zone. Each bot checks every frame that it receives.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="[HOST:PORT ...] [flags]",
    )
    default, flag = Plan(), parser.setting
    parser.section("server")
    text = "addresses for players of one zone, such as those of its gateways; the bots take them in turn"
    flag("addresses", parse=parse_address, metavar="HOST:PORT", repeats=True, help=text)
    flag("--host", parse=parse_host, help="address of the server", shown=default.host)
    flag("--port", parse=parse_port, help="port for players", shown=str(default.port))
    flag("--stats-port", parse=parse_port, help="admin port, for the statistics of the server", shown=str(_STATS_PORT))
    flag("--stats-host", help="address of the admin port", shown="the host of --host")
    token_setting(parser)
    parser.switch("--yes-remote", help="confirm that you may load a server on another machine")
    text = "start a server for this run, with this game or the demo game"
    flag("--spawn-server", optional=_DEMO_GAME, metavar="module:Rules", help=text)
    flag("--hz", parse=at_most(100, above_zero(parse_integer)), help="tick rate of a spawned server", shown="20")
    access_settings(parser, ", if the server's statistics do not tell it")
    _declare_bots(parser)
    parser.section("the run")
    text = "how long to measure after all bots have joined; 0 until Ctrl-C"
    flag("--time", "-t", parse=parse_duration, default=default.seconds, help=text)
    text = "number of worker processes"
    shown = "one for each core that the servers here leave, and at most one for every 1,000 bots"
    flag("--processes", parse=parse_processes, shown=shown, help=text)
    parser.switch("--no-progress", help="show no progress")
    parser.section("the report")
    flag("--json", parse=parse_output, metavar="FILE", help="write the report as JSON; - is stdout")
    flag("--html", parse=_parse_html, metavar="FILE", help="write the report as an HTML page with plots")
    text = f"write the tables {', '.join(f'PREFIX_{name}.csv' for name in TABLES)}"
    flag("--csv", parse=_parse_prefix, metavar="PREFIX", help=text)
    text = "compare with an earlier report that --json wrote"
    flag("--compare", parse=parse_report_file, metavar="FILE", help=text)
    text = "fail if this holds, such as p99>150ms or lost>0; may be repeated"
    flag("--fail-if", parse=parse_condition, metavar="CONDITION", repeats=True, help=text)
    parser.common()
    return parser


def _declare_bots(parser: Parser) -> None:
    parser.section("bots")
    default, flag = Plan(), parser.setting
    flag("--bots", "-u", parse=parse_bots, default=default.bots, help="number of bots")
    flag("--ramp", "-r", parse=above_zero(parse_number), default=default.ramp, help="joins per second")
    text = "actions per second and bot"
    flag("--rate", parse=at_most(_RATE_MAX, above_zero(parse_number)), default=default.rate, help=text)
    flag("--seed", parse=parse_integer, default=default.seed, help="seed of the bots' decisions")
    text = "let the bots come over WebSocket, as browsers do: all, a share (50%) or so many"
    flag("--web", parse=_parse_web, optional=EVERYBODY, metavar="BOTS", help=text)
    parser.switch("--deflate", help="ask the server for deflated frames and snapshots")
    parser.switch("--resume", help="let every bot come back after a lost connection, for up to 60 s")
    text = "let every bot come back at another address; without it, only if its own does not answer"
    parser.switch("--roam", help=text)
    parser.switch("--no-control", help="skip the first run without the hostile bots")
    parser.exclusive()
    flag("--mix", parse=parse_mix, default=default.mix, help="shares of the roles", shown=DEFAULT_MIX)
    text = "a class of your own as the only role; it may also be a role in --mix"
    flag("--bot", parse=lambda role: parse_mix(f"{role}=1"), dest="mix", metavar="module:Class", help=text)
    text = "a client of your own as the only role: an async function; it may also be a role in --mix"
    flag("--client", parse=parse_client, dest="mix", metavar="module:function", help=text)


def _parse_web(text: str) -> str:
    """Return the share or the number as it was written, for --show-config. Raises ValueError."""
    parse_web(text)
    return text


def _parse_html(text: str) -> str:
    """Return the name of a file that can be written. Raises ValueError, also for standard output."""
    if text == "-":
        raise ValueError("the page cannot go to standard output: name a file such as run.html")
    return parse_output(text)


def _parse_prefix(text: str) -> str:
    """Return a prefix of file names that can be written. Raises ValueError."""
    for name in TABLES:
        parse_output(f"{text}_{name}.csv")
    return text


async def _run(plan: Plan, arguments: argparse.Namespace) -> int:
    # Read it before the run: the new report may be written to this file.
    old = read_report(arguments.compare) if arguments.compare else None
    control = None
    if plan.hostile and plan.seconds and not arguments.no_control:
        if not arguments.no_progress:
            _log.info("a first run without the hostile bots")
        control = await _conduct(plan.honest, arguments)
    if control is not None and control.interrupted:
        outcome, control = control, None
    else:
        outcome = await _conduct(plan, arguments)
    result = summary(outcome, control)
    result["conditions"] = evaluate(arguments.fail_if, result)
    if old is not None:
        result["compared"] = compare(old, result)
    _output(result, arguments)
    if not passed(result):
        return Exit.FAILED
    return Exit.INTERRUPTED if outcome.interrupted else Exit.OK


def _output(result: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Print the report, and write the files that the user asked for: each of them, whatever becomes of the others. A
    failure to write is told; it does not change the result of the run."""
    texts = {}
    if arguments.json not in (None, "-"):
        texts[arguments.json] = json.dumps(result, indent=2) + "\n"
    if arguments.html is not None:
        texts[arguments.html] = html_page(result)
    if arguments.csv is not None:
        texts |= {f"{arguments.csv}_{name}.csv": text for name, text in csv_tables(result).items()}
    problems = []
    for file, text in texts.items():
        try:
            write_output(file, text)
        except (CommandError, OSError) as error:
            problems.append(str(error))
    try:
        show(result, as_json=arguments.json == "-")
    except OSError as error:
        discard_output()
        problems.append(f"cannot write the report to standard output: {error.strerror or error}")
    if arguments.json == "-":
        problems += [f"failed: {condition['text']}" for condition in result["conditions"] if condition["failed"]]
    for problem in problems:
        print(f"zone-swarm: {problem}", file=sys.stderr)


async def _conduct(plan: Plan, arguments: argparse.Namespace) -> Outcome:
    """Do one run, against a server of its own if the user asked for one."""
    cancel_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        stats_port, stats_host, token = arguments.stats_port, arguments.stats_host or plan.host, ""
        if arguments.spawn_server is not None:
            server = await stack.enter_async_context(
                # Twice the hostile bots: one may reconnect before the server has seen the end of its old connection.
                ServerProcess(
                    *(arguments.spawn_server, "--hz", str(arguments.hz or 20), "--seed", str(plan.seed)),
                    *("--max-players", str(plan.bots + sum(plan.hostile.values()))),
                )
            )
            plan, stats_port = dataclasses.replace(plan, host="127.0.0.1", port=server.port), server.stats_port
            stats_host = "127.0.0.1"
        else:
            token = read_token(arguments.stats_token_file)
            if stats_port is None and (arguments.stats_host is not None or is_loopback(plan.host)):
                # The admin port of a server is usually open to its own machine only, so it is not tried elsewhere.
                stats_port = _STATS_PORT
        plan = await _with_zone(plan, ServerObserver(stats_host, stats_port, token), arguments)
        conductor = Conductor(plan, stats_port, stats_host=stats_host, stats_token=token)
        on_stop_signals(conductor.stop)
        with Display(plan, enabled=not arguments.no_progress and not is_quiet()) as display:
            return await conductor.run(display.show)


async def _with_zone(plan: Plan, observer: ServerObserver, arguments: argparse.Namespace) -> Plan:
    """Add the name of the zone to a plan with tickets: the server's statistics have it. Raises UsageError."""
    access = plan.access
    if not access.secret or access.zone:
        return plan
    stats = await observer.read()
    if stats is not None:
        return dataclasses.replace(plan, access=dataclasses.replace(access, zone=stats.game))
    if arguments.secret_file is not None:
        raise UsageError("a ticket is for one zone, and the server's statistics do not answer: name it with --zone")
    # A secret in the environment may be meant for another command.
    return dataclasses.replace(plan, access=dataclasses.replace(access, secret=b""))
