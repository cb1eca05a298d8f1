"""Hostile bots: each gets what it should, nobody else notices, and a server that lets them be is found out."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from helpers.driven_zone import DrivenZone
from helpers.paths import ROOT
from helpers.stub_server import Connection, Honest
from helpers.swarm_results import outcome, text_of
from helpers.tick_frames import changed
from hypothesis import given
from hypothesis import strategies as st
from zonetools.common.admin_client import AdminClient
from zonetools.common.server_process import ServerProcess
from zonetools.swarm import __main__ as command
from zonetools.swarm.commands import Order, Stop
from zonetools.swarm.conductor import Outcome
from zonetools.swarm.hostile import worker as hostile_worker
from zonetools.swarm.hostile.connection import DIVERGED, ReplicatingConnection
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.hostile.verdict import RoleTally, judge
from zonetools.swarm.hostile.worker import CANNOT_CONNECT, NO_END, HostileWorker
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan, parse_mix
from zonetools.swarm.report import build as report

from zoneserver.admin.stats import Stats
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Welcome

PATIENCE_SECONDS = 50.0
ON_LINUX = sys.platform == "linux"

# --- The plan -------------------------------------------------------------------------------------

ANY_ROLE = ["walker", "fighter", "chatty", *HOSTILE_ROLES]


def test_hostile_roles_are_part_of_a_mix() -> None:
    plan = Plan(bots=1000, mix=parse_mix("walker=90,stuck=5,flood=5"))
    assert plan.hostile == {"stuck": 50, "flood": 50}
    assert plan.honest == Plan(bots=900, mix={"walker": 90})
    names = "stuck slow flood tiny garbage oversize slowloris spoof teleport reset churn"
    assert " ".join(HOSTILE_ROLES) == names
    assert parse_mix(",".join(f"{role}=1" for role in ANY_ROLE)) == dict.fromkeys(ANY_ROLE, 1)


@given(mix=st.dictionaries(st.sampled_from(ANY_ROLE), st.integers(0, 9), max_size=5), bots=st.integers(1, 120))
def test_every_bot_is_either_honest_or_hostile(mix: dict[str, int], bots: int) -> None:
    plan = Plan(bots=bots, mix={"walker": 1} | mix | {"chatty": 1})
    roles = Counter(plan.role(number) for number in range(bots))
    assert plan.hostile == {role: count for role, count in roles.items() if role in HOSTILE_ROLES}
    assert plan.honest.bots + sum(plan.hostile.values()) == bots
    assert not plan.honest.hostile
    assert plan.honest.honest == plan.honest
    assert {role for role in roles if role not in HOSTILE_ROLES} <= set(plan.honest.mix)


def test_the_default_mix_is_honest() -> None:
    assert not Plan().hostile
    assert Plan().honest == Plan()


def test_a_swarm_needs_somebody_honest(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--bots", "1", "--mix", "walker=1,flood=9"]) == 2
    assert "of 1 bots of this mix none is honest" in capsys.readouterr().err


# --- The verdict ----------------------------------------------------------------------------------


def kicked(**changes: Any) -> RoleTally:
    """Two bots that got what they should: twice, and a ban each time."""
    values: dict[str, Any] = {
        "bots": 2,
        "expected": ["FLOOD", "BANNED"],
        "refusals": ["WARNED", "MUTED"],
        "got": Counter(FLOOD=2, BANNED=2),
        "refused": Counter(WARNED=2, MUTED=2),
    }
    return RoleTally(**values | changes)


SERVER = {"FLOOD": 2, "BANNED": 2, "CLIENT_LEFT": 10}


def verdict(tally: RoleTally, server: dict[str, int] | None = SERVER, interrupted: bool = False) -> dict[str, Any]:
    return judge({"flood": tally}, server, {"CLIENT_LEFT": 10}, interrupted)["flood"]


def test_who_got_what_it_should_is_right() -> None:
    found = verdict(kicked())
    assert (found["ok"], found["why"], found["unread"]) == (True, [], 0)
    assert found["got"] == {"BANNED": 2, "FLOOD": 2}
    # Without the server's count too, as long as it was told itself.
    assert verdict(kicked(), server=None)["ok"]
    # And one that had a packet refused because the tick was full.
    assert verdict(kicked(refused=Counter(WARNED=1, MUTED=1, TOO_MANY_ACTIONS=300)))["ok"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"got": Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1)}, "1 x INTERNAL_ERROR"),
        ({"got": Counter(FLOOD=2)}, "never BANNED"),
        ({"got": Counter()}, "never FLOOD"),
        ({"got": Counter({"FLOOD": 2, "BANNED": 2, NO_END: 1})}, "1 x NO_END"),
        ({"got": Counter({"FLOOD": 2, "BANNED": 2, CANNOT_CONNECT: 1})}, "1 x CANNOT_CONNECT"),
        ({"got": Counter(FLOOD=2, BANNED=2, CONNECTION_LOST=1)}, "1 connections ended without BYE"),
        ({"refused": Counter(WARNED=2)}, "never refused with MUTED"),
        ({"refused": Counter(WARNED=2, MUTED=2, TOO_FAST=1)}, "1 x refused with TOO_FAST"),
        ({"refusals": []}, "2 x refused with WARNED"),
    ],
)
def test_whoever_got_something_else_says_so(changes: dict[str, Any], why: str) -> None:
    found = verdict(kicked(**changes))
    assert not found["ok"]
    assert any(why in reason for reason in found["why"]), found["why"]


def test_a_bye_that_nobody_read_is_found_in_the_servers_count() -> None:
    unread = kicked(got=Counter(FLOOD=1, BANNED=2, CONNECTION_LOST=1))
    found = verdict(unread)
    assert (found["ok"], found["unread"], found["got"]) == (True, 1, {"BANNED": 2, "FLOOD": 2})
    # Not if the server counts one less, or says nothing, or the end of another is the one it counts.
    assert not verdict(unread, SERVER | {"FLOOD": 1})["ok"]
    assert not verdict(unread, None)["ok"]
    assert not verdict(kicked(got=unread.got, cut_short=Counter(FLOOD=1)))["ok"]


def test_two_roles_do_not_share_an_end_that_the_server_counted_once() -> None:
    tallies = {role: RoleTally(1, ["SLOW_CONSUMER"], [], got=Counter(CONNECTION_LOST=1)) for role in ("one", "two")}
    assert all(role["ok"] for role in judge(tallies, {"SLOW_CONSUMER": 2}, {}, False).values())
    assert [role["ok"] for role in judge(tallies, {"SLOW_CONSUMER": 1}, {}, False).values()] == [True, False]


def test_what_an_interrupt_left_no_time_for_is_nobodys_fault() -> None:
    early = kicked(got=Counter(FLOOD=1), refused=Counter(WARNED=1), cut_short=Counter(CLIENT_LEFT=1))
    assert verdict(early, interrupted=True)["ok"]
    assert not verdict(early)["ok"]
    assert not verdict(kicked(got=Counter(SLOW_CONSUMER=1)), interrupted=True)["ok"]


def test_a_tally_comes_back_from_json_as_it_was() -> None:
    tally = kicked(note="from here")
    tally.ended("FLOOD", 0.5)
    tally.ended("FLOOD", 1.5)
    assert tally.seconds == [0.5, 1.5]
    back = RoleTally.from_json(json.loads(json.dumps(tally.to_json())))
    assert back == tally
    assert back.got["NEVER"] == 0


# --- The report -----------------------------------------------------------------------------------


def test_the_report_shows_expected_and_got_and_the_control_run() -> None:
    result = report.summary(outcome(hostile={"flood": kicked()}, closed_server=SERVER), control=outcome())
    assert result["hostile"]["flood"]["ok"]
    assert result["control"] == {
        "latency_ms": result["latency_ms"],
        "p99_ratio": 1.0,
        "limited_by_swarm": False,
        "passed": True,
    }
    assert json.loads(json.dumps(result)) == result
    assert report.passed(result)
    shown = text_of(result)
    assert "everybody got everything, hostile bots what they should" in shown
    assert "honest bots' p99: 99" in shown
    assert "2 FLOOD" in shown


def test_a_hostile_bot_that_gets_the_wrong_code_fails_the_run() -> None:
    wrong = kicked(got=Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1))
    result = report.summary(outcome(hostile={"flood": wrong}, closed_server=SERVER))
    assert not report.passed(result)
    shown = text_of(result)
    assert "everybody got everything, hostile bots NOT what they should" in shown
    assert "NO: 1 x INTERNAL_ERROR" in shown


def test_a_control_run_that_is_not_clean_fails_the_run() -> None:
    result = report.summary(outcome(), control=outcome(digests_mismatched=1))
    assert not report.passed(result)
    assert "NOT everybody got everything without them" in text_of(result)


def test_a_ratio_that_a_busy_machine_made_says_so() -> None:
    result = report.summary(outcome(), control=outcome(cpu_percent_busiest=99.0))
    assert (result["limited_by_swarm"], result["control"]["limited_by_swarm"]) == (False, True)
    assert report.passed(result)
    assert "limited by the swarm" in text_of(result)


def test_a_run_that_was_interrupted_before_it_was_measured_claims_no_ratio() -> None:
    result = report.summary(outcome(Tally(), interrupted=True), control=outcome())
    assert result["control"]["p99_ratio"] is None
    assert "honest bots' p99: not measured beside the hostile ones" in text_of(result)


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_control_run_is_the_same_without_the_hostile_bots(
    interrupted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conducted: list[Plan] = []

    async def conduct(plan: Plan, _arguments: Any) -> Outcome:
        conducted.append(plan)
        return outcome(plan=plan, interrupted=interrupted)

    monkeypatch.setattr(command, "_conduct", conduct)
    arguments = ["--bots", "12", "--mix", "walker=10,stuck=2", "--time", "7s", "--no-progress", "--json", "-"]
    code = command.main(arguments)
    plan = Plan(bots=12, mix={"walker": 10, "stuck": 2}, seconds=7.0)
    result = json.loads(capsys.readouterr().out)
    if interrupted:
        assert (code, conducted, result["control"]) == (130, [plan.honest], None)
    else:
        assert (code, conducted, result["control"]["passed"]) == (0, [plan.honest, plan], True)
    conducted.clear()
    command.main([*arguments, "--no-control"])
    assert conducted == [plan]


# --- A real server --------------------------------------------------------------------------------

QUICK = {role: 2 if role in {"garbage", "oversize"} else 1 for role in HOSTILE_ROLES if role not in {"stuck", "slow"}}


async def besiege(worker: HostileWorker) -> dict[str, RoleTally]:
    """Runs the hostile bots until each of them has come to its end."""
    orders = asyncio.Queue[Order]()
    running = asyncio.create_task(worker.run(orders))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not worker.progress()["settled"]:
            assert not running.done()
            await asyncio.sleep(0.02)
        orders.put_nowait(Stop())
        tally = await running
    return {role: RoleTally.from_json(form) for role, form in tally["roles"].items()}


def test_each_role_gets_what_it_should_from_a_server_of_its_own() -> None:
    async def run() -> tuple[dict[str, RoleTally], Stats]:
        async with ServerProcess() as server:
            plan = Plan(port=server.port, bots=sum(QUICK.values()), mix=QUICK, seconds=1.0)
            tallies = await besiege(HostileWorker(plan, 0))
            source = AdminClient("127.0.0.1", server.stats_port)
            try:
                return tallies, await source.stats()
            finally:
                source.close()

    tallies, stats = asyncio.run(run())
    verdicts = judge(tallies, stats.closes, {}, False)
    assert list(verdicts) == list(QUICK)
    ends = Counter[str]()
    for role, found in verdicts.items():
        assert found["ok"], (role, found)
        assert set(found["got"]) == set(found["expected"]), role
        assert found["expected"][0] == HOSTILE_ROLES[role].expected
        assert ("BANNED" in found["expected"]) == (ON_LINUX and found["expected"][0] in {"FLOOD", "PROTOCOL_ERROR"})
        ends += Counter(found["got"]) + tallies[role].cut_short
    # The server has counted the very same ends, one by one, but for a bot that was connecting at the end.
    counted = Counter(stats.closes)
    assert counted.pop("CONNECTION_LOST") >= ends.pop("CONNECTION_LOST")
    assert counted == ends
    for role, count in QUICK.items():
        kicks = verdicts[role]["got"].get("FLOOD", 0) + verdicts[role]["got"].get("PROTOCOL_ERROR", 0)
        if kicks:
            assert kicks == count
    # Nobody is let off before his time, and only who reads nothing is not told.
    assert verdicts["slowloris"]["seconds"][0] > 1.0
    assert {role for role, found in verdicts.items() if found["unread"]} == {"reset"}
    assert verdicts["spoof"]["refused"].keys() >= {"BAD_PAYLOAD", "UNKNOWN_ACTION", "NO_TARGET"}
    assert verdicts["teleport"]["refused"].keys() >= {"TOO_FAST"}
    assert (stats.rule_failures_total, stats.players) == (0, 0)


def swarm(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zonetools.swarm", "--spawn-server", *arguments, "--json", "-"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_honest_bots_get_everything_among_all_hostile_ones() -> None:
    hostile = ",".join(f"{role}=1" for role in HOSTILE_ROLES)
    process = swarm("--bots", "41", "--time", "1s", "--mix", f"walker=20,chatty=10,{hostile}", "--no-progress")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    result = json.loads(out)
    assert (process.returncode, err) == (0, ""), result
    assert result["bots"] == {"requested": 30, "joined": 30, "failed": 0}
    assert result["closed"] == {"CLIENT_LEFT": 30}
    assert (result["actions"]["lost"], result["actions"]["unaccounted"], result["frames"]["mismatched"]) == (0, 0, 0)
    assert {role: found["bots"] for role, found in result["hostile"].items()} == dict.fromkeys(HOSTILE_ROLES, 1)
    for role, found in result["hostile"].items():
        assert found["ok"], (role, found)
        assert set(found["got"]) == set(found["expected"]), role
    stuck, slow, churn = (result["hostile"][role] for role in ("stuck", "slow", "churn"))
    # Its kick is known from the server alone, which kicked nobody else for that.
    assert stuck["unread"] == stuck["got"]["SLOW_CONSUMER"] == result["closed_server"]["SLOW_CONSUMER"]
    assert (slow["unread"], slow["refused"], churn["refused"]) == (0, {}, {})
    assert result["control"]["passed"]
    assert result["control"]["latency_ms"]["p99"] > 0
    assert result["control"]["p99_ratio"] > 0


def test_a_siege_that_is_interrupted_gives_its_whole_report() -> None:
    process = swarm("--bots", "9", "--time", "0", "--mix", "walker=5,stuck=1,slow=1,flood=1,slowloris=1")
    assert process.stderr is not None
    while "actions: " not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    result = json.loads(out)
    assert (process.returncode, result["interrupted"], "Traceback" in err) == (130, True, False), result
    assert result["bots"] == {"requested": 5, "joined": 5, "failed": 0}
    assert set(result["hostile"]) == {"stuck", "slow", "flood", "slowloris"}
    assert all(role["ok"] for role in result["hostile"].values())
    assert result["control"] is None


# --- Servers that do not do as they should --------------------------------------------------------


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
    monkeypatch.setattr(hostile_worker, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(hostile_worker, "_LET_GO_SECONDS", 0.2)
    mix = {"tiny": 1, "slowloris": 1, "stuck": 1, "reset": 1, "churn": 1}
    tallies = await besiege_in_process(Lenient(), mix)
    found = judge(tallies, None, {}, False)
    for role in ("tiny", "slowloris", "stuck"):
        assert set(found[role]["got"]) == {NO_END}, role
        assert not found[role]["ok"]
    assert set(found["churn"]["got"]) == {"CLIENT_LEFT"}
    assert found["churn"]["ok"]
    # Without the server's count nobody can say what became of a connection that was reset.
    assert "the server's count does not explain it" in " ".join(found["reset"]["why"])


async def test_nobody_there_is_no_verdict() -> None:
    worker = HostileWorker(Plan(port=1, bots=2, mix={"flood": 1, "churn": 1}, seconds=0.1), 0)
    found = judge(await besiege(worker), {}, {}, False)
    assert [set(role["got"]) for role in found.values()] == [{CANNOT_CONNECT}, {CANNOT_CONNECT}]
    assert not any(role["ok"] for role in found.values())


async def test_a_replica_that_differs_ends_its_line() -> None:
    zone = DrivenZone(Plaza(), hz=1, seed=1)
    zone.join(0, "ann")
    zone.step()
    welcome = Welcome(1, 0, 1, 1, "plaza", 10_000, 10_000, list(Plaza.stats.items()), 1024, 16)
    snapshot = zone.world.snapshot().encode()
    right, wrong = (zone.step().frame for _ in range(2))
    sent = b"".join(map(frame, (welcome.encode(), snapshot, right, changed(wrong, hash=12345))))

    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(sent)

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(Server, "127.0.0.1", 0)
    try:
        _, line = await loop.create_connection(lambda: ReplicatingConnection("ann"), *listener.sockets[0].getsockname())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await line.over == DIVERGED
        assert line.replica.hashes_checked == 2
    finally:
        listener.close()
