"""The conductor compares the frames of its processes."""

from __future__ import annotations

import asyncio

from helpers.lying_servers import (
    Mismatching,
)
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

PATIENCE_SECONDS = 30.0


def test_frames_are_compared_across_processes() -> None:
    async def conduct() -> tuple[Outcome, Mismatching]:
        server = Mismatching()
        async with server.serve() as port, asyncio.timeout(PATIENCE_SECONDS):
            conductor = Conductor(Plan(port=port, bots=2, processes=2, seconds=0, rate=5), None)
            running = asyncio.create_task(conductor.run(lambda _progress: None))
            await server.wait_until(lambda: server.faults_done)
            conductor.stop()
            return await running, server

    found, server = asyncio.run(conduct())
    assert (server.faults_done, found.digests_mismatched) == (1, 1)
    assert (found.tally.mismatched, found.tally.joined) == (0, 2)
    assert not report.passed(report.summary(found))
