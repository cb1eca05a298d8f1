"""Hostile bots against servers that do not end their connections."""

from __future__ import annotations

import pytest
from helpers.hostile_bots import run_hostile_bots
from helpers.stub_server import Connection, HonestServer
from zonetools.swarm.hostile import worker as hostile_worker
from zonetools.swarm.hostile.verdict import judge_roles
from zonetools.swarm.hostile.worker import CANNOT_CONNECT, NO_END, HostileWorker
from zonetools.swarm.plan import Plan


class LenientServer(HonestServer):
    """Never ends a connection except after GOODBYE."""

    def on_payload(self, connection: Connection, payload: bytes) -> None:
        if payload[1] != 3:  # It ignores PING.
            super().on_payload(connection, payload)


async def test_server_that_ends_no_connection_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_worker, "_CONNECTION_SECONDS_MAX", 0.5)
    monkeypatch.setattr(hostile_worker, "_LEAVE_SECONDS_MAX", 0.2)
    mix = {"tiny": 1, "slowloris": 1, "stuck": 1, "reset": 1, "churn": 1}
    async with LenientServer().serve() as port:
        plan = Plan(port=port, bots=sum(mix.values()), mix=mix, seconds=0.1)
        tallies = await run_hostile_bots(HostileWorker(plan, 0))
    found = judge_roles(tallies, None, {}, False)
    for role in ("tiny", "slowloris", "stuck"):
        assert set(found[role]["got"]) == {NO_END}, role
        assert not found[role]["ok"]
    assert set(found["churn"]["got"]) == {"CLIENT_LEFT"}
    assert found["churn"]["ok"]
    # The bot does not know why a connection that it reset ended, and here there is no count of the server.
    assert "the server's count does not explain it" in " ".join(found["reset"]["why"])


async def test_missing_server_is_cannot_connect() -> None:
    worker = HostileWorker(Plan(port=1, bots=2, mix={"flood": 1, "churn": 1}, seconds=0.1), 0)
    found = judge_roles(await run_hostile_bots(worker), {}, {}, False)
    assert [set(role["got"]) for role in found.values()] == [{CANNOT_CONNECT}, {CANNOT_CONNECT}]
    assert not any(role["ok"] for role in found.values())
