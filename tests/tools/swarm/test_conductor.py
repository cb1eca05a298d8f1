"""The conductor compares the frames of its processes."""

from __future__ import annotations

import asyncio

from helpers.lying_servers import Mismatching
from helpers.server_stats import stats
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.server_observer import is_one_start

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


def test_counters_of_a_restarted_server_do_not_go_on() -> None:
    before = stats(pid=7, time_unix_s=100.0, uptime_s=5.0)
    assert is_one_start(before, stats(pid=7, time_unix_s=110.0, uptime_s=15.1))
    assert not is_one_start(before, stats(pid=8, time_unix_s=110.0, uptime_s=15.0))
    assert not is_one_start(before, stats(pid=7, time_unix_s=110.0, uptime_s=8.0)), "it replaced itself"
