"""The comparison: every strategy sends everything to every player; the counts; the reports."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from helpers.paths import ROOT
from helpers.server_stats import stats
from helpers.web_page import assert_whole_page
from rich.console import Console
from zonetools.compare import page, process_load, report
from zonetools.compare.__main__ import MIX, main
from zonetools.compare.delivery import SERVERS
from zonetools.compare.measure import Run, Verdict, measure, run_of
from zonetools.compare.process_load import ProcessLoad
from zonetools.swarm.conductor import Outcome
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as swarm_report

from zoneserver.support.histogram import Histogram

MACHINE = {
    "cpus": 2,
    "system": "Linux x86_64",
    "python": "3.12.1",
    "load_average": {"before": 0.5, "after": 1.5},
}

# --- The strategies, with real servers--------------------------------------------------------------


@pytest.mark.parametrize("delivery", SERVERS)
def test_measure_sends_everything_to_every_player_with_any_strategy(delivery: str) -> None:
    plan = Plan(bots=20, seconds=1.0, rate=5.0, mix=MIX)
    run = asyncio.run(measure(delivery, plan, asyncio.Event()))
    assert run.swarm is not None
    assert swarm_report.passed(run.swarm), run.swarm
    assert run.swarm["actions"]["delivered"] + run.swarm["actions"]["superseded"] == run.swarm["actions"]["sent"]
    assert run.swarm["state_hash"]["checked"] > 0
    assert run.sends_per_s
    assert run.frames_per_s is not None
    assert run.sends_per_s <= run.frames_per_s
    assert run.system_calls_unknown if run.system_calls_per_s is None else run.system_calls_per_s > 0


def test_measure_reports_a_stopped_run_as_interrupted() -> None:
    async def stopped() -> Run:
        stop = asyncio.Event()
        stop.set()
        return await measure("zone", Plan(bots=2, seconds=60.0), stop)

    assert asyncio.run(stopped()).verdict == Verdict.INTERRUPTED


# --- The verdict ----------------------------------------------------------------------------------


def outcome(latency_ms: float = 40.0, actions_in: int = 200, **changes: Any) -> Outcome:
    """A held run of ten bots for four seconds at five actions a second, with these changes."""
    latency = Histogram()
    for _ in range(100):
        latency.record(int(latency_ms * 1000))
    tally = {
        "requested": 10,
        "joined": 10,
        "sent": 200,
        "delivered": 200,
        "frames": 800,
        "hashes_checked": 4,
        "deliveries_measured": 2000,
        "bytes_measured": 40_000,
        "seconds_measured": 4.0,
        "closed": Counter(CLIENT_LEFT=10),
        "latency": latency,
    }
    values: dict[str, Any] = {
        "plan": Plan(bots=10, seconds=4.0, rate=5.0, mix=MIX),
        "interrupted": False,
        "cpu_percent_busiest": 10.0,
        "cpu_percent_server": 30.0,
        "superseded_server": 0,
        "hz": 20,
        "digests_mismatched": 0,
        "closed_server": None,
        "stats": (
            stats(uptime_s=0.0),
            stats(uptime_s=1.0, overruns_total=1),
            stats(uptime_s=5.0, overruns_total=3, actions_in_total=actions_in, sends_total=400, frames_out_total=800),
        ),
    }
    of_tally = {name: changes.pop(name) for name in list(changes) if name in Tally.__slots__}
    return Outcome(tally=Tally(**tally | of_tally), **values | changes)


def test_run_counts_only_the_measured_time() -> None:
    run = run_of("session", outcome(), ProcessLoad(90.0, 5.0, 123.0, ""))
    assert (run.verdict, run.why) == (Verdict.HELD, [])
    assert (run.frames_per_s, run.sends_per_s, run.actions_per_s) == (200.0, 100.0, 50.0)
    assert (run.system_calls_per_s, run.cpu_percent, run.tick_overruns) == (123.0, 30.0, 2)
    assert run.bytes_per_player_per_s == 1000.0
    assert run.bytes_per_delivered_action == 20.0


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"latency_ms": 99.0}, Verdict.HELD, ""),
        ({"latency_ms": 103.0}, Verdict.LATE, "is 103 ms, beyond 100"),
        ({"latency_ms": 1990.0}, Verdict.LATE, "beyond 100"),
        ({"latency_ms": 2100.0}, Verdict.BEHIND, "is 2.1 s"),
        ({"joined": 8}, Verdict.BEHIND, "only 8 of 10 joined"),
        ({"closed_early": 1, "closed": Counter(SLOW_CONSUMER=1)}, Verdict.BEHIND, "1 were disconnected: SLOW_CONSUMER"),
        ({"lost": 3, "sent": 203}, Verdict.BEHIND, "3 actions had no answer"),
        ({"lost": 3, "sent": 203, "duplicated": 3}, Verdict.BEHIND, "3 actions had no answer"),
        ({"actions_in": 189}, Verdict.BEHIND, "the server read 47 of 50 actions a second"),
        ({"actions_in": 191}, Verdict.HELD, ""),
        ({"stats": None}, Verdict.BEHIND, "the server gives no statistics"),
        ({"mismatched": 1}, Verdict.WRONG, "1 frames mismatched"),
        ({"digests_mismatched": 1}, Verdict.WRONG, "1 frames mismatched"),
        ({"gaps": 2}, Verdict.WRONG, "2 frames missing"),
        ({"diverged": 1}, Verdict.WRONG, "1 states diverged"),
        ({"duplicated": 1}, Verdict.WRONG, "1 actions duplicated"),
        ({"reordered": 1}, Verdict.WRONG, "1 actions reordered"),
        ({"sent": 201}, Verdict.WRONG, "1 actions unaccounted for"),
        ({"broken": 1}, Verdict.BEHIND, "1 times a bot did not know"),
        ({"interrupted": True, "joined": 3}, Verdict.INTERRUPTED, ""),
    ],
)
def test_run_verdict_follows_from_the_result(changes: dict[str, Any], verdict: str, why: str) -> None:
    run = run_of("zone", outcome(**changes), ProcessLoad())
    assert run.verdict == verdict
    assert why in "; ".join(run.why)
    assert bool(run.why) == bool(why)


def test_run_takes_the_cpu_time_from_the_system_without_statistics() -> None:
    changes: dict[str, Any] = {"stats": None, "cpu_percent_server": None}
    run = run_of("immediate", outcome(**changes), ProcessLoad(cpu_percent=97.0))
    assert (run.cpu_percent, run.sends_per_s, run.tick_overruns) == (97.0, None, None)


# --- Process load ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n", "<not supported>"),
        ("Access to performance monitoring is limited.\nmore\n", "Access to performance monitoring is limited."),
        ("\n", "perf printed nothing"),
    ],
)
def test_parse_count_gives_a_reason_when_perf_counted_nothing(output: str, why: str) -> None:
    calls, unknown = process_load.parse_count(output, 1.0)
    assert calls is None
    assert why in unknown


def test_observe_without_perf_knows_no_system_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    seen = asyncio.run(process_load.observe(os.getpid(), 0.01))
    assert seen.system_calls_per_s is None
    assert seen.system_calls_unknown == "perf is not installed"
    assert (seen.cpu_percent is None) == (seen.waited_percent is None)
    assert seen.cpu_percent is None or seen.cpu_percent >= 0


def test_observe_of_an_ended_process_knows_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    seen = asyncio.run(process_load.observe(process.pid, 0.01))
    assert (seen.cpu_percent, seen.waited_percent, seen.system_calls_per_s) == (None, None, None)
    assert seen.system_calls_unknown


# --- The report -----------------------------------------------------------------------------------

RUN_KEYS = {field.name for field in dataclasses.fields(Run)} - {"delivery"}


@pytest.fixture
def document() -> dict[str, Any]:
    """A comparison in which one strategy could not keep up, partly because of the swarm."""
    held = run_of("zone", outcome(), ProcessLoad(30.0, 25.0, 500.0, ""))
    larger = dataclasses.replace(held, players=20)
    behind = run_of("immediate", outcome(latency_ms=2500.0, cpu_percent_busiest=99.0), ProcessLoad())
    runs = [held, behind, larger, Run("immediate", 20, Verdict.SKIPPED, ["could not keep up with 10"])]
    made = report.document(runs, outcome().plan, 20, MACHINE, interrupted=False)
    plain: dict[str, Any] = json.loads(json.dumps(made))
    assert plain == made
    return plain


def test_document_has_the_shape_of_its_schema(document: dict[str, Any]) -> None:
    assert document["schema"] == "zone-compare/1"
    assert set(document) == {"schema", "interrupted", "machine", "plan", "held_ms_p99", "deliveries"}
    assert set(document["plan"]) == {"seconds", "rate", "seed", "hz", "mix", "processes"}
    zone, immediate = document["deliveries"]
    assert (zone["name"], zone["largest_crowd_held"]) == ("zone", 20)
    assert (immediate["name"], immediate["largest_crowd_held"]) == ("immediate", 0)
    for run in (*zone["runs"], *immediate["runs"]):
        assert set(run) == RUN_KEYS
    assert immediate["runs"][1]["verdict"] == Verdict.SKIPPED
    assert immediate["runs"][1]["why"] == ["could not keep up with 10"]
    assert document["held_ms_p99"] == 100.0


def test_comparison_fails_only_on_a_wrong_run(document: dict[str, Any]) -> None:
    assert report.passed(document)
    document["deliveries"][0]["runs"][0]["verdict"] = Verdict.WRONG
    assert not report.passed(document)


def test_table_fits_80_columns_and_names_the_limit(document: dict[str, Any]) -> None:
    console = Console(width=80, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(report.render(document))
    text = console.export_text()
    rows = [line.split() for line in text.splitlines()]
    assert ["10", "zone", "100", "500", "1.0", "30", "40", "40", "2", "held"] in rows
    assert any(row[:2] == ["10", "immediate"] and row[-4:] == ["cannot", "keep", "up", "*"] for row in rows)
    assert any(row[:2] == ["20", "immediate"] and row[-1] == "skipped" for row in rows)
    assert "zone      holds 20 with p99 <= 100 ms" in text
    words = " ".join(text.split())
    assert "limited by the swarm: a process of the swarm used 99 %" in words
    assert "zone, 10 players: the machine was busy: the server waited for a core 25 % of the time" in words


def test_svg_shows_three_plots(document: dict[str, Any]) -> None:
    root = ElementTree.fromstring(page.svg(document))
    text = "".join(root.itertext())
    for words in ("zone: one buffer per tick", "immediate", "CPU of the server", "99th percentile", "Sends"):
        assert words in text
    assert "plot-cross" in page.svg(document)


def test_html_is_self_contained(document: dict[str, Any]) -> None:
    text = page.html(document)
    assert_whole_page(text)
    assert "could not keep up" in text


# --- The command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--players", "50,none"], "'none' is not a count"),
        (["--players", "0"], "0 is not above zero"),
        (["--strategies", "zone,pigeon"], "there is no strategy 'pigeon'; there are zone, session, immediate"),
        (["--rate", "nan"], "'nan' is not a number"),
        (["--time", "0s"], "0s is not above zero"),
    ],
)
def test_command_explains_wrong_usage(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "zonetools.compare", *arguments]


def test_command_writes_every_requested_file(tmp_path: Path) -> None:
    files = {name: tmp_path / f"compare.{name}" for name in ("html", "svg")}
    asked = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    finished = subprocess.run(
        command(
            "--players",
            "3,2",
            "--strategies",
            "zone,immediate",
            "--time",
            "0.4s",
            "--rate",
            "40",
            "--json",
            "-",
            *asked,
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert not document["interrupted"]
    assert [delivery["name"] for delivery in document["deliveries"]] == ["zone", "immediate"]
    for delivery in document["deliveries"]:
        assert [run["players"] for run in delivery["runs"]] == [2, 3]
    # A busy machine may be too slow for a strategy, which is then not measured with the larger crowd.
    runs = [run for delivery in document["deliveries"] for run in delivery["runs"]]
    assert len(finished.stderr.splitlines()) == sum(run["verdict"] != "skipped" for run in runs)
    ElementTree.fromstring(files["svg"].read_text())
    assert files["html"].read_text().startswith("<!doctype html>")


def test_command_writes_a_partial_result_on_ctrl_c(tmp_path: Path) -> None:
    target = tmp_path / "compare.json"
    crowds = ",".join(map(str, range(2, 60)))
    with subprocess.Popen(
        # A busy machine may be too slow for one of the strategies, which is then measured no more.
        command("--players", crowds, "--time", "0.4s", "--rate", "40", "--json", str(target)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline()
        running.send_signal(signal.SIGINT)
        running.communicate()
    assert running.returncode == 130
    document = json.loads(target.read_text())
    assert document["interrupted"]
    assert document["deliveries"][0]["runs"][0]["players"] == 2
    assert len(document["deliveries"][0]["runs"]) < 50
