"""Each hostile role gets its expected close codes from a real server."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter

import pytest
from helpers.hostile_bots import PATIENCE_SECONDS, run_hostile_bots
from helpers.paths import ROOT
from zonetools.common.admin_client import AdminClient
from zonetools.common.server_process import ServerProcess
from zonetools.swarm.hostile.roles import HOSTILE_ROLES
from zonetools.swarm.hostile.verdict import RoleTally, judge_roles
from zonetools.swarm.hostile.worker import HostileWorker
from zonetools.swarm.plan import Plan

from zoneserver.admin.stats import Stats

ON_LINUX = sys.platform == "linux"


QUICK = {role: 2 if role in {"garbage", "oversize"} else 1 for role in HOSTILE_ROLES if role not in {"stuck", "slow"}}


@pytest.mark.parametrize("web", [0.0, 1.0])
def test_each_role_gets_its_expected_codes_from_a_server(web: float) -> None:
    async def run() -> tuple[dict[str, RoleTally], Stats]:
        async with ServerProcess() as server:
            plan = Plan(port=server.port, bots=sum(QUICK.values()), mix=QUICK, seconds=1.0, web=web)
            tallies = await run_hostile_bots(HostileWorker(plan, 0))
            admin = AdminClient("127.0.0.1", server.stats_port)
            try:
                return tallies, await admin.stats()
            finally:
                admin.close()

    tallies, stats = asyncio.run(run())
    verdicts = judge_roles(tallies, stats.closes, {}, False)
    assert list(verdicts) == list(QUICK)
    ends = Counter[str]()
    for role, found in verdicts.items():
        assert found["ok"], (role, found)
        assert set(found["got"]) == set(found["expected"]), role
        assert found["expected"][0] == HOSTILE_ROLES[role].expected
        is_banned = HOSTILE_ROLES[role].is_banned and found["expected"][0] in {"FLOOD", "PROTOCOL_ERROR"}
        assert ("BANNED" in found["expected"]) == (ON_LINUX and is_banned)
        ends += Counter(found["got"]) + tallies[role].cut_short
    # The counts of the server are equal, except for a bot that was connecting when the run ended.
    counted = Counter(stats.closes)
    assert counted.pop("CONNECTION_LOST") >= ends.pop("CONNECTION_LOST")
    assert counted == ends
    for role, count in QUICK.items():
        kicks = verdicts[role]["got"].get("FLOOD", 0) + verdicts[role]["got"].get("PROTOCOL_ERROR", 0)
        if kicks and HOSTILE_ROLES[role].is_banned:
            assert kicks == count
    # Slowloris has its full handshake time, and only the role that reads nothing is known from the server alone.
    assert verdicts["slowloris"]["seconds"][0] > 1.0
    assert verdicts["slowupgrade"]["seconds"][0] > 1.0
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


def test_honest_bots_get_everything_beside_all_hostile_roles() -> None:
    hostile = ",".join(f"{role}=1" for role in HOSTILE_ROLES)
    process = swarm(
        "--bots",
        f"{30 + len(HOSTILE_ROLES)}",
        "--time",
        "1s",
        "--mix",
        f"walker=20,chatty=10,{hostile}",
        "--no-progress",
        *("--web", "50%"),
    )
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    result = json.loads(out)
    assert (process.returncode, err) == (0, ""), result
    assert result["bots"] == {"requested": 30, "joined": 30, "failed": 0, "web": 15}
    assert result["closed"] == {"CLIENT_LEFT": 30}
    assert (result["actions"]["lost"], result["actions"]["unaccounted"], result["frames"]["mismatched"]) == (0, 0, 0)
    assert {role: found["bots"] for role, found in result["hostile"].items()} == dict.fromkeys(HOSTILE_ROLES, 1)
    for role, found in result["hostile"].items():
        assert found["ok"], (role, found)
        assert set(found["got"]) == set(found["expected"]), role
    stuck, slow, churn = (result["hostile"][role] for role in ("stuck", "slow", "churn"))
    # The server kicked no other client for being slow.
    assert stuck["unread"] == stuck["got"]["SLOW_CONSUMER"] == result["closed_server"]["SLOW_CONSUMER"]
    assert (slow["unread"], slow["refused"], churn["refused"]) == (0, {}, {})
    assert result["control"]["passed"]
    assert result["control"]["latency_ms"]["p99"] > 0
    assert result["control"]["p99_ratio"] > 0


def test_interrupted_run_with_hostile_bots_gives_a_full_report() -> None:
    process = swarm("--bots", "9", "--time", "0", "--mix", "walker=5,stuck=1,slow=1,flood=1,slowloris=1")
    assert process.stderr is not None
    while "actions: " not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    result = json.loads(out)
    assert (process.returncode, result["interrupted"], "Traceback" in err) == (130, True, False), result
    assert result["bots"] == {"requested": 5, "joined": 5, "failed": 0, "web": 0}
    assert set(result["hostile"]) == {"stuck", "slow", "flood", "slowloris"}
    assert all(role["ok"] for role in result["hostile"].values())
    assert result["control"] is None
