"""Run the demo: a server, a thousand bots, and the dashboard to watch them. `make demo` starts it."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.demo"))

import argparse
import asyncio
import dataclasses
import logging
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

from zoneserver.cli.command import run_command
from zoneserver.cli.parser import Parser
from zoneserver.config import Config
from zoneserver.support.errors import Exit
from zoneserver.support.event_loop import on_stop_signals
from zoneserver.support.parse import at_most, parse_count, parse_duration
from zonetools.bench.arrangement import SINGLE, arrange
from zonetools.common.server_process import cancel_on_signals
from zonetools.dashboard.display import watch
from zonetools.swarm.conductor import Conductor
from zonetools.swarm.plan import Address, Plan, parse_bots
from zonetools.swarm.report import build as report
from zonetools.swarm.report import text

_log = logging.getLogger(__name__)

_GATEWAYS_MAX = 32

_SUMMARY = "Run the demo: a server, a thousand bots, and the dashboard to watch them. `make demo` starts it."
_EXAMPLES = """\
  python -m zonetools.demo                     1,000 bots, until q or Ctrl-C
  python -m zonetools.demo --time 30s          for half a minute
  python -m zonetools.demo --bots 200 -q       fewer bots, and fewer log lines
  python -m zonetools.demo --gateways 2        players connect to two gateways, each in a process of its own
"""
_EXIT_CODES = "0 every bot got everything, 1 some bot missed something, 2 wrong usage, 3 cannot start, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    def run(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
        return _run(Plan(bots=arguments.bots, seconds=arguments.time), arguments.gateways)

    return run_command(_parser(), run, argv)


def _parser() -> Parser:
    parser = Parser("python -m zonetools.demo", _SUMMARY, examples=_EXAMPLES, exit_codes=_EXIT_CODES)
    parser.section("what")
    parser.setting("--time", "-t", parse=parse_duration, default=0.0, help="for how long; 0 means until Ctrl-C")
    parser.setting("--bots", "-u", parse=parse_bots, default=1_000, help="how many bots")
    text = "how many gateways hold the connections, each in a process of its own; 0: the server itself"
    parser.setting("--gateways", parse=at_most(_GATEWAYS_MAX, parse_count), default=0, help=text)
    parser.common()
    return parser


def _port() -> int:
    """The usual port, so that people find the page; any free one, if another program has it."""
    usual = Config().port or 0
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((Config().host, usual))
        except OSError:
            return 0
    return usual


async def _run(plan: Plan, gateways: int) -> int:
    cancel_on_signals()
    async with arrange("unix" if gateways else SINGLE, gateways, port=_port()) as processes:
        zone, (first, *more) = processes.zone, processes.doors
        others = tuple(Address(plan.host, door.port) for door in more)
        # The bots of a gateway that somebody kills come back at another one.
        plan = dataclasses.replace(plan, port=first.port, others=others, resume=gateways > 0)
        bots = "1 bot" if plan.bots == 1 else f"{plan.bots:,} bots"
        started = f"zone and {gateways} gateway{'s' if gateways > 1 else ''}" if gateways else "server"
        _log.info("started a %s, %s on the way: open %s in a browser to walk among them", started, bots, first.page)
        conductor = Conductor(plan, zone.stats_port)
        over = asyncio.Event()
        on_stop_signals(over.set)

        running = asyncio.create_task(conductor.run())
        running.add_done_callback(lambda _task: over.set())
        try:
            # Ends when the swarm ends, on Ctrl-C, and when the user presses q.
            await watch(plan.host, zone.stats_port, until=over)
        finally:
            conductor.stop()
            outcome = await running
    result = report.summary(outcome)
    text.show(result)
    return Exit.OK if report.passed(result) else Exit.FAILED
