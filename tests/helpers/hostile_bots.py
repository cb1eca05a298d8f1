"""Runs hostile bots in the process of a test."""

from __future__ import annotations

import asyncio

from zonetools.swarm.commands import Command, Stop
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.hostile.worker import HostileWorker

PATIENCE_SECONDS = 50.0


async def run_hostile_bots(worker: HostileWorker) -> dict[str, RoleTally]:
    """Run until a connection of every bot has ended; return the tallies by role."""
    commands = asyncio.Queue[Command]()
    running = asyncio.create_task(worker.run(commands))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not worker.progress()["settled"]:
            assert not running.done()
            await asyncio.sleep(0.02)
        commands.put_nowait(Stop())
        tally = await running
    roles: dict[str, RoleTally] = tally["roles"]
    return roles
