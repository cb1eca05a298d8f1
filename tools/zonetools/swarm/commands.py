"""The conversation between the conductor and a worker process: one JSON object per line, over standard streams.

    to the worker    {"plan": {...}, "process": 0}, then {"command": "measure", ...}, then {"command": "stop"}
    from the worker  {"joined": ..., "failed": ..., ...} four times a second, and finally {"tally": {...}}

The end of the worker's standard input means stop. `run_worker` is the worker's side of the conversation.
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

from zoneserver.support.event_loop import loop_factory
from zoneserver.support.process import discard_output
from zonetools.swarm.measure.tick_grid import TickGrid
from zonetools.swarm.plan import Plan

__all__ = ["Command", "Measure", "Stop", "WorkerProtocol", "command_json", "run_worker"]

_PROGRESS_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Measure:
    """All bots have joined: start measuring. `grid` says when ticks are due, if that is known."""

    grid: TickGrid | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The run is over: let the bots leave, and send the tally."""


Command = Measure | Stop


def command_json(command: Command) -> dict[str, Any]:
    """Return the command as plain values.

    >>> command_json(Measure(TickGrid(100.0, 20)))
    {'command': 'measure', 'grid': [100.0, 20]}
    """
    match command:
        case Measure(grid):
            return {"command": "measure", "grid": None if grid is None else [grid.origin_s, grid.hz]}
        case Stop():
            return {"command": "stop"}


def _parse_command(line: bytes) -> Command:
    message = json.loads(line)
    if message["command"] == "measure":
        return Measure(None if message["grid"] is None else TickGrid(*message["grid"]))
    return Stop()


class WorkerProtocol(Protocol):
    """The work of one process of the swarm."""

    async def run(self, commands: asyncio.Queue[Command]) -> dict[str, Any]:
        """Run until the command to stop; return the tally as plain values."""

    def progress(self) -> dict[str, Any]:
        """Return the progress as plain values."""


def run_worker(make: Callable[[Plan, int], WorkerProtocol]) -> None:
    """Run a process of the swarm from its start to its end."""
    # Ctrl-C is for the process of the conductor, which then sends the command to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
        runner.run(_run(make))


async def _run(make: Callable[[Plan, int], WorkerProtocol]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task = json.loads(await reader.readline())
    worker = make(Plan(**task["plan"]), task["process"])
    commands: asyncio.Queue[Command] = asyncio.Queue()

    async def read_commands() -> None:
        while line := await reader.readline():
            commands.put_nowait(_parse_command(line))
            # All bots exist by now. Without the freeze each full garbage collection would scan them, for 100 ms.
            gc.freeze()
        commands.put_nowait(Stop())

    async def write_progress() -> None:
        while True:
            _write(worker.progress())
            await asyncio.sleep(_PROGRESS_SECONDS)

    background = [asyncio.create_task(read_commands()), asyncio.create_task(write_progress())]
    try:
        tally = await worker.run(commands)
    finally:
        for job in background:
            job.cancel()
    _write(worker.progress())
    _write({"tally": tally})


def _write(message: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(message, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The conductor is gone. Standard input ends as well, and that stops this process.
        discard_output()
