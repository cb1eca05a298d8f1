"""Save a picture of the dashboard at the end of a real run. `make picture` draws the one in README.md."""

from __future__ import annotations

if __name__ == "__main__":
    # Ctrl-C and closed descriptors are taken care of before this module imports anything.
    from zoneserver.cli.start import start

    raise SystemExit(start("zonetools.picture"))

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from zoneserver.cli.command import parse_output, run_command
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import Exit
from zoneserver.support.parse import above_zero, parse_count
from zonetools.common.server_process import ServerProcess, cancel_on_signals
from zonetools.dashboard.display import watch
from zonetools.dashboard.screen.options import DisplayOptions, Export
from zonetools.swarm.conductor import Conductor
from zonetools.swarm.plan import Plan, parse_bots, parse_mix

# A realistic crowd: a few players have stopped reading, and fewer flood.
_MIX = "walker=78,fighter=14,chatty=5,stuck=2,flood=1"
_SUMMARY = "Save a picture of the dashboard at the end of a real run. `make picture` draws the one in README.md."
_EXAMPLES = "  python -m zonetools.picture zone.svg --count 30    watch for half a minute, then save the picture"
_EXIT_CODES = "0 saved, 2 wrong usage, 3 cannot start, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("python -m zonetools.picture", _SUMMARY, examples=_EXAMPLES, exit_codes=_EXIT_CODES)
    parser.section("what")
    parser.setting("svg", parse=parse_output, default="dashboard.svg", metavar="FILE", help="the SVG file to write")
    parser.setting("--bots", "-u", parse=parse_bots, default=1_000, help="how many bots")
    parser.setting("--count", parse=above_zero(parse_count), default=65, help="how many seconds to watch")
    parser.common()
    return run_command(parser, _run, argv)


async def _run(arguments: argparse.Namespace) -> int:
    cancel_on_signals()
    async with ServerProcess() as server:
        plan = Plan(port=server.port, bots=arguments.bots, mix=parse_mix(_MIX), seconds=0.0)
        conductor = Conductor(plan, server.stats_port)
        running = asyncio.create_task(conductor.run())
        try:
            options = DisplayOptions(export=Export(Path(arguments.svg)))
            await watch(plan.host, server.stats_port, options, count=arguments.count)
        finally:
            conductor.stop()
            await running
    return Exit.OK
