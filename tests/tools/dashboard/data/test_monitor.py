"""What is known about one server, with a server and without one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from helpers.dashboards import Server, free_port
from helpers.paths import ROOT
from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.data.monitor import Monitor


def test_data_half_imports_nothing_of_the_screen_half() -> None:
    for path in (ROOT / "tools/zonetools/dashboard/data").glob("*.py"):
        assert "dashboard.screen" not in path.read_text(), path


async def test_monitor_without_a_server_knows_the_outage() -> None:
    with contextlib.closing(Monitor("127.0.0.1", free_port(), interval=1.0)) as monitor:
        assert monitor.state().outage is None
        for _ in range(2):
            with pytest.raises(ServerUnreachable):
                await monitor.ask()
        state = monitor.state()
    assert state.outage is not None
    assert state.outage.reason == "connection refused"
    assert list(state.samples) == []


@pytest.mark.parametrize("complete", [False, True])
async def test_monitor_asks_for_map_and_sessions_only_when_complete(tmp_path: Path, complete: bool) -> None:
    running = Server(tmp_path)
    try:
        with contextlib.closing(Monitor("127.0.0.1", running.stats_port, 1.0, complete=complete)) as monitor:
            await monitor.ask()
            state = monitor.state()
    finally:
        running.stop()
    assert (state.zone is not None) is (state.sessions is not None) is complete
