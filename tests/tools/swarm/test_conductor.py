"""The conductor compares the frames of its processes."""

from __future__ import annotations

import asyncio
import time

import pytest
from helpers.admin_ports import AdminPort, open_admin_port
from helpers.lying_servers import Mismatching
from helpers.server_stats import gateway_stats, stats
from helpers.stub_server import HonestServer
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.server_observer import is_one_start

from zoneserver.admin.stats import SessionList

PATIENCE_SECONDS = 30.0
SESSIONS = SessionList("zone-sessions/1", 1, 0, "age", 0, [], [])


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


def test_report_has_the_gateways_that_the_statistics_of_the_zone_list() -> None:
    async def conduct(admin: AdminPort) -> Outcome:
        server = HonestServer()
        async with server.serve() as port, asyncio.timeout(PATIENCE_SECONDS):
            conductor = Conductor(Plan(port=port, bots=2, seconds=0.3, mix={"idle": 1}), admin.port)
            return await conductor.run()

    began = time.monotonic()

    def count() -> None:
        seconds = time.monotonic() - began
        gateway = gateway_stats(players=2, cpu_seconds_total=0.5 * seconds, frames_out_total=int(1e6 * seconds))
        admin.stats = stats(
            schema="zone-stats/1", pid=7, hz=100, uptime_s=seconds, time_unix_s=seconds, gateways=[gateway]
        )

    with open_admin_port(stats(), SESSIONS) as admin:
        admin.on_ask = count
        result = report.summary(asyncio.run(conduct(admin)))
    assert report.passed(result)
    (gateway,) = result["server"]["gateways"]
    assert (gateway["name"], gateway["players"], gateway["is_lost"]) == ("gw1", 2, False)
    assert gateway["cpu_percent"] == pytest.approx(50, rel=0.1)
    assert gateway["frames_out"] > 1e5
