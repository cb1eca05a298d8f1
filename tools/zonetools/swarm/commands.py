"""What is said between the processes of a swarm: a JSON object a line, over standard streams.

    in   {"plan": {...}, "process": 0}, then {"order": "measure", ...}, then {"order": "stop"} or the end
    out  {"joined", "failed", "done", ...} four times a second, at last {"tally": {...}}

`run_worker` is the end of that conversation which takes orders, for whatever takes such orders (`WorkerProtocol`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from zoneserver.support.process import discard_output, loop_factory
from zonetools.swarm.measure.tick_grid import TickGrid
from zonetools.swarm.plan import Plan

__all__ = ["Measure", "Order", "Stop", "WorkerProtocol", "order_line", "run", "run_worker"]

_REPORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Measure:
    """Everybody is in: what happens from now on counts. `grid` is when ticks are due, where that is known."""

    grid: TickGrid | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """It is over: leave, and say what was counted."""


Order = Measure | Stop


def order_line(order: Order) -> dict[str, Any]:
    """The order as plain values.

    >>> order_line(Measure(TickGrid(100.0, 20)))
    {'order': 'measure', 'grid': [100.0, 20]}
    """
    match order:
        case Measure(grid):
            return {"order": "measure", "grid": None if grid is None else [grid.origin_s, grid.hz]}
        case Stop():
            return {"order": "stop"}


def _order_of(line: bytes) -> Order:
    message = json.loads(line)
    if message["order"] == "measure":
        return Measure(None if message["grid"] is None else TickGrid(*message["grid"]))
    return Stop()


class WorkerProtocol(Protocol):
    """What runs in a process of the swarm."""

    async def run(self, orders: asyncio.Queue[Order]) -> dict[str, Any]:
        """Runs from now to the order to stop; returns the tally as plain values."""

    def progress(self) -> dict[str, Any]:
        """How far it is."""


async def run_worker(make: Callable[[Plan, int], WorkerProtocol]) -> None:
    """Runs a process of the swarm over its standard streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task = json.loads(await reader.readline())
    worker = make(Plan(**task["plan"]), task["process"])
    orders: asyncio.Queue[Order] = asyncio.Queue()

    async def listen() -> None:
        # The end of stdin is an order too: whoever started us is gone.
        while line := await reader.readline():
            orders.put_nowait(_order_of(line))
            # The crowd is in, and stays: to look through it for garbage, again and again, would take a tenth
            # of a second each time.
            gc.freeze()
        orders.put_nowait(Stop())

    async def report() -> None:
        while True:
            _say(worker.progress())
            await asyncio.sleep(_REPORT_SECONDS)

    background = [asyncio.create_task(listen()), asyncio.create_task(report())]
    try:
        tally = await worker.run(orders)
    finally:
        for job in background:
            job.cancel()
    _say(worker.progress())
    _say({"tally": tally})


def _say(message: dict[str, Any]) -> None:
    """One line to whoever started us."""
    try:
        sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever started us is gone: the end of stdin says so too, and is what ends us.
        discard_output()


def run(make: Callable[[Plan, int], WorkerProtocol]) -> None:
    """What a process of the swarm does, from its start to its end."""
    # Ctrl-C is for the process that gives the orders.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(run_worker(make))
