"""The demo: a server, a thousand bots in it, and the dashboard to watch them. `make demo` runs it."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Sequence

from tools.dashboard.watch import watch
from tools.spawn import ServerProcess, SpawnError, cancel_on_signals, on_signals
from tools.swarm import report
from tools.swarm.conductor import Conductor, Outcome, SwarmError
from tools.swarm.plan import Plan
from zoneserver.config import Parser, checked, parse_count, parse_duration
from zoneserver.process import discard_output

__all__ = ["main"]

EXIT_OK, EXIT_CHECKS_FAILED, EXIT_CANNOT_START, EXIT_INTERRUPTED = 0, 1, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns 0 when everybody got everything, 1 when not, 3 when it cannot
    start, 130 when it is interrupted before it has."""
    parser = Parser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument(
        "--time", type=checked(parse_duration), default=0.0, help="for how long; 0, the default, until Ctrl-C"
    )
    parser.add_argument("--bots", type=checked(parse_count), default=1_000, help="how many bots (default 1000)")
    arguments = parser.parse_args(argv)
    try:
        return asyncio.run(_run(Plan(bots=arguments.bots, seconds=arguments.time)))
    except (SpawnError, SwarmError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    except BrokenPipeError:
        discard_output()
        return EXIT_OK
    except asyncio.CancelledError:
        return EXIT_INTERRUPTED


async def _run(plan: Plan) -> int:
    cancel_on_signals()
    async with ServerProcess() as server:
        plan = dataclasses.replace(plan, port=server.port)
        print(
            f"a server on port {server.port}, {plan.bots:,} {'bot' if plan.bots == 1 else 'bots'} on the way",
            file=sys.stderr,
        )
        conductor = Conductor(plan, server.stats_port)
        over = asyncio.Event()
        on_signals(over.set)

        async def swarm() -> Outcome:
            try:
                return await conductor.run(lambda _progress: None)
            finally:
                over.set()

        running = asyncio.create_task(swarm())
        try:
            # Ends when the swarm does, upon Ctrl-C, and when somebody presses q.
            await watch(plan.host, server.stats_port, until=over)
        finally:
            conductor.stop()
            outcome = await running
    result = report.summary(outcome)
    report.show(result)
    return EXIT_OK if report.passed(result) else EXIT_CHECKS_FAILED


if __name__ == "__main__":
    sys.exit(main())
