"""The command `zone-swarm`: its files, its exit codes, its target, its interruption."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import re
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import Family, assert_everything_delivered, ended
from helpers.swarm_results import outcome
from helpers.terminals import CURSOR_OFF, CURSOR_ON
from helpers.web_page import assert_whole_page
from zonetools.swarm import __main__ as command
from zonetools.swarm.conductor import Conductor, Outcome
from zonetools.swarm.plan import Plan


@pytest.mark.parametrize("arguments", [["--host", "192.0.2.1"], ["--host", "zone.example", "--port", "7777"]])
def test_target_is_checked_before_any_connection(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(_plan: Plan, _arguments: argparse.Namespace) -> int:
        raise AssertionError("the run has started")

    monkeypatch.setattr(command, "_run", run)
    assert command.main(arguments) == 2
    assert "--yes-remote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["localhost:7777", "192.0.2.1:7777"], "192.0.2.1 is not this machine; --yes-remote confirms"),
        (["127.0.0.1:7777", "--port", "7778"], "--port and HOST:PORT both name the server"),
        (["127.0.0.1:7777", "--spawn-server"], "HOST:PORT is for a running server"),
        (["127.0.0.1:7777", "[::1]:7777", "127.0.0.1:7777"], "127.0.0.1:7777 is named twice"),
        (["127.0.0.1:7777", "--roam"], "--roam is for bots with several addresses"),
        (["--web", "20", "--bots", "10"], "--web 20 asks for more bots over WebSocket than there are: --bots is 10"),
        (
            ["--web", "--client", "zonetools.swarm.client_bot:run_client"],
            "is a client of your own and comes over TCP",
        ),
    ],
)
def test_addresses_and_bots_that_cannot_be_are_usage_errors(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "share"),
    [([], 0.0), (["--web"], 1.0), (["--web", "25%"], 0.25), (["--web", "30", "--bots", "60"], 0.5)],
)
def test_web_is_the_share_of_the_bots_that_come_so(
    arguments: list[str], share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[Plan] = []

    async def run(plan: Plan, _arguments: argparse.Namespace) -> int:
        plans.append(plan)
        return 0

    monkeypatch.setattr(command, "_run", run)
    assert command.main(arguments) == 0
    assert [plan.web for plan in plans] == [share]


def test_addresses_are_those_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    async def run(plan: Plan, _arguments: argparse.Namespace) -> int:
        plans.append(plan)
        return 0

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(command, "cores", lambda: 8)
    assert command.main(["[::1]:7777", "localhost:7779", "--roam", "--bots", "10k"]) == 0
    assert command.main(["--bots", "10k"]) == 0
    assert command.main(["--bots", "2"]) == 0
    assert list(map(str, plans[0].addresses)) == ["[::1]:7777", "localhost:7779"]
    assert (plans[0].roam, plans[0].resume) == (True, True)
    # Two gateways of this machine and their zone leave five of eight cores; one server leaves seven.
    assert [plan.processes for plan in plans] == [5, 7, 1]


@pytest.mark.parametrize("arguments", [[], ["--resume"]])
def test_resume_is_a_setting_of_the_plan(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []

    async def run(plan: Plan, _arguments: argparse.Namespace) -> int:
        plans.append(plan)
        return 0

    monkeypatch.setattr(command, "_run", run)
    assert command.main(arguments) == 0
    assert [plan.resume for plan in plans] == [bool(arguments)]


@pytest.mark.parametrize(
    ("host", "arguments", "asked"),
    [
        ("127.0.0.1", [], ("127.0.0.1", 7778, "")),
        ("192.0.2.1", [], ("192.0.2.1", None, "")),
        ("192.0.2.1", ["--stats-port", "9"], ("192.0.2.1", 9, "")),
        ("192.0.2.1", ["--stats-host", "192.0.2.2"], ("192.0.2.2", 7778, "")),
        ("192.0.2.1", ["--stats-port", "9", "--stats-token-file", "TOKEN"], ("192.0.2.1", 9, "a token")),
    ],
)
def test_admin_port_of_another_machine_is_used_only_if_given(
    host: str, arguments: list[str], asked: tuple[str, int | None, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, int | None, str]] = []
    (tmp_path / "token").write_text("a token\n")
    arguments = [str(tmp_path / "token") if word == "TOKEN" else word for word in arguments]

    class Idle(Conductor):
        """A conductor that starts nothing."""

        def __init__(self, plan: Plan, stats_port: int | None, *, stats_host: str, stats_token: str) -> None:
            super().__init__(plan, stats_port)
            found.append((stats_host, stats_port, stats_token))

        async def run(self, on_progress: Any) -> Outcome:
            return outcome(plan=self.plan)

    monkeypatch.setattr(command, "Conductor", Idle)
    parsed = command._parser().read(["--host", host, "--yes-remote", "--no-progress", *arguments])
    asyncio.run(command._conduct(Plan(host=host, bots=10), parsed))
    assert found == [asked]


def test_run_writes_json_html_and_csv(family: Family, tmp_path: Path) -> None:
    old, html, prefix = tmp_path / "old.json", tmp_path / "run.html", tmp_path / "run"
    brief = ("--spawn-server", "--bots", "20", "--time", "1500ms", "--rate", "10", "--no-progress")
    code, out, err = family.run("zonetools.swarm", *brief, "--json", str(old), "--fail-if", "lost>0")
    assert (code, err) == (0, "")
    assert "passed: lost>0: it was 0" in out
    before = json.loads(old.read_text())
    assert_everything_delivered(before, 20)
    assert before["latency_split_ms"]["floor"] == {"mean": 25.0, "max": 50.0}
    assert before["plan"]["game"] == "plaza"

    code, out, err = family.run(
        *("zonetools.swarm", *brief, "--rate", "5", "--json", "-", "--html", str(html), "--csv", str(prefix)),
        *("--compare", str(old), "--fail-if", "p99>0ms", "--fail-if", "lost>0", "--fail-if", "p50<1ms"),
    )
    assert code == 1
    report = json.loads(out)
    assert re.fullmatch(r"zone-swarm: failed: p99>0ms: it was [0-9.,]+ ms\n", err)
    assert [condition["failed"] for condition in report["conditions"]] == [True, False, False]
    assert report["compared"]["file"] == str(old)
    assert {"name": "rate", "old": 10.0, "new": 5.0} in report["compared"]["differences"]
    assert_everything_delivered(report, 20)
    text = html.read_text()
    assert_whole_page(text)
    assert "1 of 3 conditions FAILED" in text
    tables = {
        name: list(csv.DictReader((tmp_path / f"run_{name}.csv").read_text().splitlines()))
        for name in ("seconds", "figures", "errors")
    }
    assert len(tables["seconds"]) == len(report["series"]) >= 2
    assert {row["figure"]: row["value"] for row in tables["figures"]}["joined"] == "20"
    # The sum over all seconds equals the count.
    sent = sum(row["sent_per_s"] * row["seconds"] for row in report["series"])
    assert sent == pytest.approx(report["actions"]["sent"], rel=0.01)


def test_spawn_server_runs_another_game(family: Family) -> None:
    code, out, _ = family.run(
        *("zonetools.swarm", "--spawn-server", "zoneserver.games.chat:Chat", "--mix", "idle=1", "--bots", "5"),
        *("--time", "300ms", "--no-progress", "--json", "-"),
    )
    assert code == 0
    assert json.loads(out)["plan"]["game"] == "chat"


def test_missing_game_is_reported_in_one_line(family: Family) -> None:
    code, out, err = family.run(
        *("zonetools.swarm", "--spawn-server", "nothing:Here", "--mix", "idle=1", "--bots", "5", "--no-progress")
    )
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "there is no module 'nothing'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-if", "p9>150ms"], "there is no metric 'p9'; did you mean 'p99'?"),
        (["--fail-if", "p99>150"], "'150' is no value of p99, which is a time: write 150ms"),
        (["--compare", "/nowhere/old.json"], "cannot read /nowhere/old.json: No such file"),
        (["--bots", "1M"], "is too large: at most 65,000"),
        (["--rate", "1e9"], "'1e9' is not a number"),
        (["--rate", "2000"], "is too large: at most 1,000"),
        (["--processes", "100k"], "'100k' is not a whole number"),
        (["--web", "200%"], "is too large: at most 100"),
        (["--web", "half"], "'half' is not a count"),
        (["--hz", "1000"], "is too large: at most 100"),
        (["7777"], "'7777' is not an address with a port: write HOST:PORT"),
        (["--html", "-"], "the page cannot go to standard output"),
        (["--html", "/nowhere/run.html"], "cannot write /nowhere/run.html"),
        (["--csv", "/nowhere/run"], "cannot write /nowhere/run_seconds.csv"),
    ],
)
def test_invalid_settings_are_rejected_before_the_run(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_show_config_prints_a_share_that_can_be_read_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def shown(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            command.main([*arguments, "--show-config"])
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("web "))
        return line.partition("#")[0].strip()

    assert shown("--web", "50%") == 'web = "50%"'
    (tmp_path / "swarm.toml").write_text(shown("--web", "50%"))
    assert shown("--config", str(tmp_path / "swarm.toml")) == 'web = "50%"'


def test_show_config_prints_the_report_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--spawn-server", "--fail-if", "p99 > 150ms", "--fail-if", "lost>0", "--show-config"])
    shown = capsys.readouterr().out
    assert re.search(r'^fail-if = \["p99>150ms", "lost>0"\] +# flag$', shown, re.MULTILINE)
    assert re.search(r'^spawn-server = "zoneserver.games.plaza:Plaza" +# flag$', shown, re.MULTILINE)


@pytest.mark.parametrize("ramp", ["500", "10"], ids=["while measuring", "while joining"])
def test_interrupted_run_writes_report_and_every_file(family: Family, tmp_path: Path, ramp: str) -> None:
    html, prefix, file = tmp_path / "run.html", tmp_path / "run", tmp_path / "run.json"
    # The first line is printed when all bots have joined, or after a while of the ramp: here after half a second.
    (tmp_path / "impatient.py").write_text(
        "import sys\nfrom zonetools.swarm import __main__ as command\nfrom zonetools.swarm.report import live\n"
        "live._LINE_SECONDS = 0.5\nif __name__ == '__main__':\n    sys.exit(command.main())\n"
    )
    family.environment["PYTHONPATH"] = os.pathsep.join((str(tmp_path), family.environment.get("PYTHONPATH", "")))
    swarm = family.start(
        *("impatient", "--spawn-server", "--bots", "100", "--ramp", ramp, "--time", "0", "--html", str(html)),
        *("--csv", str(prefix), "--json", str(file)),
    )
    assert swarm.stderr is not None
    first_line = "actions: " if ramp == "500" else "joining: "
    while first_line not in swarm.stderr.readline():
        assert swarm.poll() is None
    swarm.send_signal(signal.SIGINT)
    code, out, err = ended(swarm)
    assert (code, "Traceback" in err) == (130, False)
    assert "(interrupted)" in out
    report = json.loads(file.read_text())
    assert report["interrupted"]
    assert report["series"]
    assert (report["seconds"] > 0) == (ramp == "500")
    text = html.read_text()
    assert_whole_page(text)
    assert "Interrupted: these are the values up to then." in text
    for name in ("seconds", "figures", "errors"):
        table = tmp_path / f"run_{name}.csv"
        assert stat.S_ISREG(table.stat().st_mode)
        assert table.stat().st_size > 0


def test_files_are_written_even_if_stdout_is_closed(family: Family, tmp_path: Path) -> None:
    html = tmp_path / "run.html"
    swarm = family.start("zonetools.swarm", "--spawn-server", "--bots", "5", "--time", "300ms", "--html", str(html))
    assert swarm.stdout is not None
    swarm.stdout.close()
    swarm.stdout = None
    code, _, err = ended(swarm)
    assert (code, "Traceback" in err, "Error" in err) == (0, False, False)
    assert_whole_page(html.read_text())


def test_terminal_shows_progress_and_is_restored(family: Family) -> None:
    terminal = family.terminal("zonetools.swarm", "--spawn-server", "--bots", "30", "--ramp", "20", "--time", "0")
    try:
        terminal.wait_for(b"joining")
        terminal.wait_for(b"of 30 joined, 0 failed")
        terminal.wait_for(b"until Ctrl-C")
        terminal.wait_for(b"deliveries")
        terminal.press(b"\x03")
        assert terminal.wait_for_end() == 130
        assert terminal.everything.count(CURSOR_OFF) == terminal.everything.count(CURSOR_ON) == 1
        assert terminal.attributes() == terminal.before
        terminal.wait_for(b"everybody got everything")
        terminal.wait_for(b"(interrupted)")
    finally:
        terminal.close()


def test_no_progress_prints_only_the_report(family: Family) -> None:
    terminal = family.terminal("zonetools.swarm", "--spawn-server", "--bots", "5", "--time", "300ms", "--no-progress")
    try:
        assert terminal.wait_for_end() == 0
        terminal.wait_for(b"everybody got everything")
        assert b"joining" not in terminal.everything
        assert CURSOR_OFF not in terminal.everything
    finally:
        terminal.close()


def test_swarm_without_an_honest_bot_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--bots", "1", "--mix", "walker=1,flood=9"]) == 2
    assert "none of the 1 bots of this mix is honest" in capsys.readouterr().err


@pytest.mark.parametrize("interrupted", [False, True])
def test_control_run_has_the_plan_without_hostile_bots(
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


def test_report_that_cannot_be_written_leaves_the_others_and_the_result(family: Family, tmp_path: Path) -> None:
    html, prefix = tmp_path / "run.html", tmp_path / "run"
    run = ("zonetools.swarm", "--spawn-server", "--bots", "5", "--time", "300ms", "--no-progress")
    with open("/dev/full", "w") as full:
        swarm = family.start(*run, "--json", "/dev/full", "--html", str(html), "--csv", str(prefix), stdout=full)
        code, _, err = ended(swarm)
    assert (code, err.splitlines()) == (
        0,
        [
            "zone-swarm: cannot write /dev/full: No space left on device",
            "zone-swarm: cannot write the report to standard output: No space left on device",
        ],
    )
    assert_whole_page(html.read_text())
    assert all((tmp_path / f"run_{name}.csv").read_text() for name in ("seconds", "figures", "errors"))


def test_default_mix_is_for_the_demo_game(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--spawn-server", "mygame:Game"]) == 2
    assert "use --bot module:Class" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_swarm_ends_on_a_terminal_that_takes_nothing(family: Family, number: signal.Signals) -> None:
    terminal = family.terminal("zonetools.swarm", "--spawn-server", "--bots", "20", "--ramp", "20", "--time", "0")
    terminal.wait_for(b"measuring")
    terminal.fill()
    terminal.process.send_signal(number)
    assert terminal.process.wait(30) == 130
    terminal.close()
