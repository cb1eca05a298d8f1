"""Whether the dashboard may give a command, and what becomes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from helpers.dashboards import Server, stats
from helpers.waiting import until
from zonetools.common.admin_client import AdminClient
from zonetools.dashboard import orders as module
from zonetools.dashboard.orders import GroupOrders, Orders

from zoneserver.admin.stats import Stats
from zoneserver.control.messages import Outcome


@pytest.mark.parametrize(
    ("host", "ctl", "name", "objection"),
    [
        ("192.0.2.1", "/dev/null", "ann", "the server is on another machine"),
        ("127.0.0.1", "", "ann", "the server has no control socket (--ctl)"),
        ("127.0.0.1", "/nowhere/7.ctl", "ann", "there is no control socket at /nowhere/7.ctl on this machine"),
        ("::1", "/dev/null", "a?n", "the name is not shown in full: use zoneserver ctl kick"),
        ("localhost", "/dev/null", "ann", ""),
    ],
)
def test_kick_says_why_it_is_not_possible(host: str, ctl: str, name: str, objection: str) -> None:
    assert Orders(host, lambda: stats(ctl=ctl), bool, ascii=True).objection(name) == objection


def test_without_statistics_nobody_is_kicked() -> None:
    assert Orders("127.0.0.1", lambda: None, bool).kick("ann") == "the server has not answered yet"


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
    orders = Orders("127.0.0.1", lambda: shown, told.set_result)
    assert Path(found.ctl).is_socket()
    assert orders.kick("nobody") == "kicking nobody ..."
    assert (await told).startswith(answer.replace("PATH", found.ctl))


async def test_steps_that_wait_become_one_and_keys_count_on_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def ask(_path: Path, words: list[str], _pid: int) -> Outcome:
        given.append(words)
        return Outcome(0, "done")

    monkeypatch.setattr(module, "ask", ask)
    shown = stats(ctl="/dev/null", replay={"speed": 4.0, "paused": False})
    told: list[str] = []
    orders = Orders("127.0.0.1", lambda: shown, told.append)
    for _ in range(3):
        assert orders.seek(-10) == ""
    assert [orders.change_speed(2.0), orders.change_speed(2.0)] == ["", ""]
    assert [orders.play_or_pause(), orders.play_or_pause(), orders.seek(10)] == ["", "", ""]
    await until(lambda: orders._giving is None)
    assert given == [["seek", "-30s"], ["speed", "8"], ["speed", "16"], ["pause"], ["play"], ["seek", "+10s"]]
    # The bar shows what became of them.
    assert told == []
    orders.change_speed(0.001)
    await until(lambda: orders._giving is None)
    assert given[-1] == ["speed", "0.1"]


def test_replay_on_another_machine_cannot_be_steered() -> None:
    orders = Orders("192.0.2.1", lambda: stats(replay={"speed": 1.0}), bool)
    assert orders.seek(10) == "cannot steer the replay: the server is on another machine"


async def test_kick_goes_to_the_first_server_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Path, int]] = []

    def ask(path: Path, _words: list[str], pid: int) -> Outcome:
        given.append((path, pid))
        return Outcome(0, "done")

    monkeypatch.setattr(module, "ask", ask)
    told: asyncio.Queue[str] = asyncio.Queue()

    def of(pid: int, host: str = "127.0.0.1", ctl: str = "/dev/null") -> Orders:
        return Orders(host, lambda: stats(pid=pid, ctl=ctl), told.put_nowait)

    holders = {"ann": [2, 0], "bob": [1], "eve": [], "joe": [2, 1]}
    group = GroupOrders([of(1), of(2, host="192.0.2.1"), of(3, ctl="")], holders.__getitem__)
    # The zone of ann has no control socket, and her gateway has.
    assert group.objection("ann") == ""
    assert group.kick("ann") == "kicking ann ..."
    assert await told.get() == "done"
    assert given == [(Path("/dev/null"), 1)]
    assert group.kick("bob") == "the server is on another machine"
    assert group.kick("eve") == "no server that answers has the session"
    assert group.objection("joe") == "the server has no control socket (--ctl)"
