"""Whether the dashboard may kick a player, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from helpers.dashboards import Server, stats
from zonetools.common.admin_client import AdminClient
from zonetools.dashboard.kicks import Kicks

from zoneserver.admin.stats import Stats


@pytest.mark.parametrize(
    ("host", "ctl", "name", "objection"),
    [
        ("192.0.2.1", "/dev/null", "ann", "the server is on another machine"),
        ("127.0.0.1", "", "ann", "the server has no control socket (run --ctl)"),
        ("127.0.0.1", "/nowhere/7.ctl", "ann", "there is no control socket at /nowhere/7.ctl on this machine"),
        ("::1", "/dev/null", "a?n", "the name is not shown in full: use zoneserver ctl kick"),
        ("localhost", "/dev/null", "ann", ""),
    ],
)
def test_kick_says_why_it_is_not_possible(host: str, ctl: str, name: str, objection: str) -> None:
    assert Kicks(host, lambda: stats(ctl=ctl), bool, ascii=True).objection(name) == objection


def test_without_statistics_nobody_is_kicked() -> None:
    assert Kicks("127.0.0.1", lambda: None, bool)("ann") == "the server has not answered yet"


@pytest.mark.parametrize(
    ("pid", "answer"),
    [
        (0, "NO_TARGET: there is no player 'nobody' in the zone"),
        (1, "no server listens at PATH: another server"),
    ],
)
async def test_answer_of_the_server_is_told(server: Server, pid: int, answer: str) -> None:
    client = AdminClient("127.0.0.1", server.stats_port)
    found: Stats = await client.stats()
    client.close()
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    shown = stats(ctl=found.ctl, pid=found.pid + pid)
    kicks = Kicks("127.0.0.1", lambda: shown, told.set_result)
    assert Path(found.ctl).is_socket()
    assert kicks("nobody") == "kicking nobody ..."
    assert (await told).startswith(answer.replace("PATH", found.ctl))
