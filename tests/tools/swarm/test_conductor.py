"""The conductor compares the frames of its processes."""

from __future__ import annotations

import asyncio

from helpers.lying_servers import (
    TwoFaced,
)
from helpers.stub_server import Connection
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

PATIENCE_SECONDS = 30.0


def test_frames_are_compared_across_processes_too() -> None:
    async def conduct() -> tuple[Outcome, TwoFaced]:
        server = TwoFaced()
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        conductor = Conductor(Plan(port=port, bots=2, processes=2, seconds=0, rate=5), None)

        async def tick() -> None:
            while True:
                server.tick()
                if server.lies:
                    conductor.stop()
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await conductor.run(lambda _progress: None), server
        finally:
            ticking.cancel()
            listener.close()

    found, server = asyncio.run(conduct())
    assert (server.lies, found.digests_mismatched) == (1, 1)
    assert (found.tally.mismatched, found.tally.joined) == (0, 2)
    assert not report.passed(report.summary(found))
