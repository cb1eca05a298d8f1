"""Hostile bots against servers that do not end their connections."""

from __future__ import annotations

import asyncio

import pytest
from helpers.stub_server import Connection, Honest
from zonetools.swarm.commands import Command, Stop
from zonetools.swarm.hostile import worker as hostile_worker
from zonetools.swarm.hostile.verdict import RoleTally, judge_roles
from zonetools.swarm.hostile.worker import CANNOT_CONNECT, NO_END, HostileWorker
from zonetools.swarm.plan import Plan

PATIENCE_SECONDS = 50.0


async def besiege(worker: HostileWorker) -> dict[str, RoleTally]:
    """Runs the hostile bots until each of them has come to its end."""
    commands = asyncio.Queue[Command]()
    running = asyncio.create_task(worker.run(commands))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not worker.progress()["settled"]:
            assert not running.done()
            await asyncio.sleep(0.02)
        commands.put_nowait(Stop())
        tally = await running
    return {role: RoleTally.from_json(form) for role, form in tally["roles"].items()}


class Lenient(Honest):
    """Lets everybody do everything."""

    def received(self, connection: Connection, payload: bytes) -> None:
        if payload[1] != 3:  # It has no answer to PING.
            super().received(connection, payload)


async def besiege_in_process(server: Honest, mix: dict[str, int]) -> dict[str, RoleTally]:
    """Hostile bots against a server of this very loop."""
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)

    async def tick() -> None:
        while True:
            server.tick()
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    try:
        port = listener.sockets[0].getsockname()[1]
        return await besiege(HostileWorker(Plan(port=port, bots=sum(mix.values()), mix=mix, seconds=0.1), 0))
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        listener.close()


async def test_a_server_that_ends_nobody_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_worker, "_CONNECTION_SECONDS_MAX", 0.5)
    monkeypatch.setattr(hostile_worker, "_LEAVE_SECONDS_MAX", 0.2)
    mix = {"tiny": 1, "slowloris": 1, "stuck": 1, "reset": 1, "churn": 1}
    tallies = await besiege_in_process(Lenient(), mix)
    found = judge_roles(tallies, None, {}, False)
    for role in ("tiny", "slowloris", "stuck"):
        assert set(found[role]["got"]) == {NO_END}, role
        assert not found[role]["ok"]
    assert set(found["churn"]["got"]) == {"CLIENT_LEFT"}
    assert found["churn"]["ok"]
    # Without the server's count nobody can say what became of a connection that was reset.
    assert "the server's count does not explain it" in " ".join(found["reset"]["why"])


async def test_nobody_there_is_no_verdict() -> None:
    worker = HostileWorker(Plan(port=1, bots=2, mix={"flood": 1, "churn": 1}, seconds=0.1), 0)
    found = judge_roles(await besiege(worker), {}, {}, False)
    assert [set(role["got"]) for role in found.values()] == [{CANNOT_CONNECT}, {CANNOT_CONNECT}]
    assert not any(role["ok"] for role in found.values())
