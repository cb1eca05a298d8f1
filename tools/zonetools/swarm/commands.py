"""The conversation between the conductor and a worker process: pickled objects, over the standard streams
that it was started with.

    to the worker    the plan and the worker's number; then a Measure; then a Stop
    from the worker  its progress four times a second; finally {"tally": ...}, or {"died": reason}

The end of the worker's standard input means Stop. `run_worker` is the worker's side of the conversation. Pickle is
safe here, because each side started the other one or was started by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from types import FrameType
from typing import Any, NoReturn, Protocol

from zoneserver.support.errors import Exit, raised_by, where_running
from zoneserver.support.event_loop import loop_factory
from zonetools.swarm.measure.tick_grid import TickGrid
from zonetools.swarm.plan import Plan

_PROGRESS_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Measure:
    """All bots have joined: start measuring. `grid` says when ticks are due, if that is known."""

    grid: TickGrid | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The run is over: let the bots leave, and send the tally."""


Command = Measure | Stop


class WorkerProtocol(Protocol):
    """The work of one process of the swarm."""

    async def run(self, commands: asyncio.Queue[Command]) -> Any:
        """Run until the command to stop; return the tally."""

    def progress(self) -> dict[str, Any]:
        """Return the progress."""


def pack(message: Any) -> bytes:
    """Return the bytes of one message: a length of four bytes, and the pickled object."""
    data = pickle.dumps(message)
    return len(data).to_bytes(4) + data


async def receive(reader: asyncio.StreamReader) -> Any:
    """Read one message; return None at the end of the stream."""
    try:
        return pickle.loads(await reader.readexactly(int.from_bytes(await reader.readexactly(4))))
    except asyncio.IncompleteReadError:
        return None


def run_worker(make: Callable[[Plan, int], WorkerProtocol]) -> None:
    """Run a process of the swarm from its start to its end. What it dies of is sent to the conductor."""
    # Ctrl-C is for the process of the conductor, which then sends the command to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The messages have descriptors of their own. A bot prints to standard error, and has nothing to read.
    with os.fdopen(os.dup(1), "wb", 0) as output, os.fdopen(os.dup(0), "rb", 0) as source:
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # The conductor sends this signal to a process that is silent. Python handles it also while a bot waits.
        signal.signal(signal.SIGTERM, lambda _number, frame: _die(output, _standing(frame)))
        try:
            with asyncio.Runner(loop_factory=loop_factory("auto")[1]) as runner:
                runner.run(_run(make, source, output))
        except BaseException as error:
            traceback.print_exc()
            _die(output, raised_by(error))


def _standing(frame: FrameType | None) -> str:
    return f"it stood still in {where_running(frame)}" if frame is not None else "it stood still"


def _die(output: RawIOBase, reason: str) -> NoReturn:
    with contextlib.suppress(OSError):
        output.write(pack({"died": reason}))
    os._exit(Exit.FAILED)


async def _run(make: Callable[[Plan, int], WorkerProtocol], source: RawIOBase, output: RawIOBase) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    worker = make(*await receive(reader))
    commands: asyncio.Queue[Command] = asyncio.Queue()

    async def read_commands() -> None:
        while command := await receive(reader):
            commands.put_nowait(command)
            # All bots exist by now. Without the freeze each full garbage collection would scan them, for 100 ms.
            gc.freeze()
        commands.put_nowait(Stop())

    def write(message: dict[str, Any]) -> None:
        # Without the conductor, standard input ends as well, and that stops this process.
        with contextlib.suppress(BrokenPipeError):
            output.write(pack(message))

    async def write_progress() -> None:
        while True:
            write(worker.progress())
            await asyncio.sleep(_PROGRESS_SECONDS)

    background = [asyncio.create_task(read_commands()), asyncio.create_task(write_progress())]
    try:
        tally = await worker.run(commands)
    finally:
        for job in background:
            job.cancel()
    write(worker.progress())
    write({"tally": tally})
