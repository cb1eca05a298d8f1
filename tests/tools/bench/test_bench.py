"""The bench: that it measures what it says it does. No figure is held against a clock here."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from rich.console import Console, RenderableType
from zonetools.bench import __main__ as command
from zonetools.bench import micro, report
from zonetools.bench.counter import HARDWARE, SOFTWARE, TASK_CLOCK, open_counter
from zonetools.bench.floor import FloorError, FloorPlan, FloorRound, run_floor, send_at_rate
from zonetools.bench.measure import Measured, Repetition, ServerRound, figures, measure, median_of
from zonetools.bench.micro import MICRO, run_micro
from zonetools.bench.workload import WORKLOADS, Target, Workload
from zonetools.swarm.conductor import Outcome, SwarmError
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import DEFAULT_MIX, Plan, parse_mix

from zoneserver.support.errors import CannotStartError
from zoneserver.support.process import MissingExtraError

TINY = Workload("W1", players=20, hz=20, rate=5, targets=(Target("ratio", 0.001, stretch=1e9),))


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def text_of(shown: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


# --- The floor ------------------------------------------------------------------------------------


async def test_the_floor_sends_what_it_says_and_all_of_it_is_drained() -> None:
    sent = await run_floor(FloorPlan(sockets=20, frame_bytes=500, hz=20, seconds=1.0))
    assert sent.ticks >= 1
    assert sent.ticks + sent.ticks_skipped >= 20
    assert sent.sends + sent.blocked == 20 * sent.ticks
    assert sent.bytes_sent == sent.bytes_drained
    # The warm-up is in it too, and every send was whole.
    assert sent.blocked == 0
    assert sent.bytes_sent % 500 == 0
    assert sent.bytes_sent > 500 * sent.sends
    assert sent.cpu_percent > 0
    assert sent.cpu_us_per_send > 0


async def test_a_floor_that_breaks_says_why() -> None:
    with pytest.raises(FloorError, match="ZeroDivisionError"):
        await run_floor(FloorPlan(sockets=1, frame_bytes=1, hz=0, seconds=1.0))


def test_a_full_socket_is_counted_and_not_waited_for() -> None:
    taken = []

    def full(_data: bytes) -> int:
        raise BlockingIOError

    def half(data: bytes) -> int:
        taken.append(data)
        return 2

    sent = send_at_rate([full, half, half], b"four", hz=1000, seconds=0.01)
    assert sent.ticks >= 1
    assert (sent.blocked, sent.sends, sent.bytes) == (sent.ticks, 2 * sent.ticks, 4 * sent.ticks)
    assert len(taken) == sent.sends
    assert set(taken) == {b"four"}


# --- A workload -----------------------------------------------------------------------------------


async def test_a_workload_is_the_server_and_the_floor_in_turn() -> None:
    said: list[str] = []
    measured = await measure(
        TINY, mix={"walker": 1}, loop="asyncio", rounds=2, seconds=0.5, say=said.append, deflate=False
    )
    assert [text.rpartition(": ")[2] for text in said] == ["the server under the swarm", "the floor"] * 2
    assert len(measured.rounds) == 2
    for one in measured.rounds:
        assert one.server.everybody_got_everything
        assert one.server.loop == "asyncio"
        assert one.server.sends == 20 * one.server.ticks
        assert one.floor.bytes_sent == one.floor.bytes_drained
        # The floor's buffers have the mean size of the server's.
        assert one.floor.bytes_sent % round(one.server.frame_bytes) == 0
        assert one.ratio == one.server.cpu_us_per_send / one.floor.cpu_us_per_send
    low, high = sorted(one.ratio for one in measured.rounds)
    assert low <= measured.ratio <= high


async def test_with_deflate_each_round_has_the_server_that_deflates_in_it_too() -> None:
    said: list[str] = []
    measured = await measure(
        dataclasses.replace(TINY, players=60, rate=20), mix={"walker": 1}, loop="asyncio", rounds=1, seconds=0.5,
        say=said.append, deflate=True,
    )  # fmt: skip
    assert [text.rpartition(": ")[2] for text in said] == [
        *("the server under the swarm", "the server that deflates", "the floor")
    ]
    (one,), figures_of_both = measured.rounds, measured.deflated
    assert figures_of_both is not None
    assert one.deflated is not None
    assert one.server.deflate_ms_per_tick == 0 < one.deflated.deflate_ms_per_tick
    assert one.deflated.everybody_got_everything
    ratio = one.deflated.cpu_us_per_send / one.server.cpu_us_per_send
    assert figures_of_both["cpu_us_per_send_ratio"] == ratio


def test_a_run_without_statistics_has_no_figures() -> None:
    outcome = Outcome(Plan(), Tally(), False, 0.0, None, None, None, 0, None)
    with pytest.raises(SwarmError):
        figures(outcome)


SERVER = ServerRound(
    cpu_percent=20.0,
    cpu_us_per_send=9.0,
    sends=1_000,
    frame_bytes=500.0,
    latency_p50_ms=30.0,
    latency_p99_ms=60.0,
    latency_p50_ticks=0.6,
    latency_p99_ticks=1.2,
    ticks=20,
    overruns=0,
    ticks_skipped=0,
    frames_skipped=0,
    bytes_per_delivered_action=4.0,
    deflate_ms_per_tick=0.0,
    join_seconds=1.0,
    memory_bytes_per_session=2_048,
    swarm_cpu_percent=25.0,
    limited_by_swarm=False,
    everybody_got_everything=True,
    loop="asyncio",
)
FLOOR = FloorRound(
    cpu_percent=12.0,
    cpu_us_per_send=6.0,
    ticks=20,
    ticks_skipped=0,
    sends=1_000,
    blocked=0,
    bytes_sent=750_000,
    bytes_drained=750_000,
)


def made(*cpu_us_per_send: float, workload: str = "W1", mix: str = DEFAULT_MIX, **changes: Any) -> Measured:
    servers = [dataclasses.replace(SERVER, cpu_us_per_send=value, **changes) for value in cpu_us_per_send]
    return Measured(WORKLOADS[workload], parse_mix(mix), 1.0, [Repetition(server, FLOOR) for server in servers])


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    assert made(6.0, 60.0, 9.0).ratio == 1.5


def test_what_deflating_makes_of_it_is_the_median_of_each_round_against_its_own() -> None:
    measured = made(10.0, 20.0, 30.0)
    assert measured.deflated is None
    assert "deflated" not in text_of(report.workload_table([report.workload_line(measured)]))
    rounds = [
        dataclasses.replace(
            one,
            deflated=dataclasses.replace(
                one.server, cpu_us_per_send=us, bytes_per_delivered_action=3.0, deflate_ms_per_tick=0.05
            ),
        )
        for one, us in zip(measured.rounds, (11.0, 10.0, 60.0), strict=True)
    ]
    measured = dataclasses.replace(measured, rounds=rounds)
    deflated = measured.deflated
    assert deflated is not None
    assert (deflated["cpu_us_per_send"], deflated["cpu_us_per_send_ratio"]) == (11.0, 1.1)
    assert deflated["bytes_per_delivered_action_ratio"] == 0.75
    text = text_of(report.workload_table([report.workload_line(measured)]))
    assert "3.00, 0.75 x" in text
    assert "11.00 us, 1.10 x" in text
    assert "50 us a tick" in text


def test_somebody_who_got_less_deflated_makes_the_figures_void_too() -> None:
    measured = made(9.0)
    (one,) = measured.rounds
    bad = dataclasses.replace(one, deflated=dataclasses.replace(SERVER, everybody_got_everything=False))
    assert measured.everybody_got_everything
    assert not dataclasses.replace(measured, rounds=[bad]).everybody_got_everything


def test_medians_are_of_numbers_only() -> None:
    medians = median_of([SERVER, dataclasses.replace(SERVER, sends=3_000)])
    assert medians["sends"] == 2_000
    assert not {"loop", "limited_by_swarm", "everybody_got_everything"} & set(medians)


def test_the_line_of_a_workload_says_what_was_asked_and_what_came() -> None:
    line = json.loads(json.dumps(report.workload_line(made(8.7, 9.0, 9.6))))
    assert (line["schema"], line["measurement"]) == ("zone-bench/1", "W1")
    assert (line["ratio"], line["ratios"]) == (1.5, [1.45, 1.5, 1.6])
    assert (line["players"], line["hz"], line["rate"], line["loop"]) == (1_000, 20, 5, "asyncio")
    assert len(line["rounds"]) == 3
    ratio = line["targets"][0]
    assert ratio == {
        "figure": "ratio",
        "value": 1.5,
        "at_most": 1.5,
        "reached": True,
        "stretch": 1.3,
        "stretch_reached": False,
    }


@pytest.mark.parametrize(
    ("mix", "asked"),
    [("walker=5", True), ("walker=5,chatty=0", True), ("walker=5,chatty=1", False), ("chatty=1", False)],
)
def test_the_bytes_are_asked_of_walkers_only(mix: str, asked: bool) -> None:
    found = {target["figure"] for target in report.targets(made(9.0, mix=mix))}
    assert ("bytes_per_delivered_action" in found) == asked
    assert "latency_p99_ms" in found


def test_every_target_is_of_a_figure_that_there_is() -> None:
    for name, workload in WORKLOADS.items():
        found = report.targets(made(9.0, workload=name, mix="walker=1"))
        assert [target["figure"] for target in found] == [target.figure for target in workload.targets]


@pytest.mark.parametrize(("value", "shown"), [(1.0, "1.00 s  <= 2"), (2.0, "2.00 s  <= 2"), (3.0, "3.00 s  above 2")])
def test_the_table_marks_what_was_reached(value: float, shown: str) -> None:
    text = text_of(report.workload_table([report.workload_line(made(9.0, join_seconds=value))]))
    assert shown in text
    assert "1,000 players, 20 Hz, 5/s" in text


def test_the_table_says_when_the_figures_are_not_the_servers() -> None:
    good = text_of(report.workload_table([report.workload_line(made(9.0))]))
    bad = made(9.0, limited_by_swarm=True, everybody_got_everything=False)
    assert "yes" in good
    assert "NO" not in good
    line = report.workload_line(bad)
    assert "NO" in text_of(report.workload_table([line]))
    # What another crowd than the planned one cost has neither reached nor missed anything.
    assert {target["reached"] for target in line["targets"]} == {None}
    assert "void" in text_of(report.workload_table([line]))


# --- The pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MICRO)
def test_a_piece_is_timed_so_many_times(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro, "_RUN_SECONDS", 0.001)
    result = run_micro(name, 3)
    assert (result.name, result.unit) == (name, MICRO[name].unit)
    assert len(result.cpu_us_runs) == 3
    assert result.cpu_us == sorted(result.cpu_us_runs)[1] > 0


def test_the_pieces_do_what_they_are_timed_on() -> None:
    frame_encode = MICRO["frame_encode"].prepare()
    assert frame_encode() == frame_encode()
    action_apply = MICRO["action_apply"].prepare()
    assert action_apply() is None
    assert action_apply() is None


def test_a_counter_counts_or_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (HARDWARE, SOFTWARE):
        read = open_counter(kind, TASK_CLOCK)
        if read is not None:
            before = read()
            sum(range(100_000))
            assert read() > before
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    assert open_counter() is None


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WORKLOADS", {"W1": TINY})
    monkeypatch.setattr(command, "_MICRO_RUNS", 2)
    monkeypatch.setattr(micro, "_RUN_SECONDS", 0.001)


@pytest.mark.usefixtures("tiny")
def test_each_measurement_is_a_line_of_json_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--rounds", "1", "--time", "500ms", "--json", "-"]) == 0
    out, err = capfd.readouterr()
    lines = lines_of(out)
    assert [line["measurement"] for line in lines] == ["W1", *(f"micro.{name}" for name in MICRO)]
    assert {line["schema"] for line in lines} == {"zone-bench/1"}
    assert lines[0]["everybody_got_everything"]
    assert lines[0]["deflated"] is None
    # The target that nobody can reach changes nothing in the exit code.
    assert not lines[0]["targets"][0]["reached"]
    assert "round 1 of 1" in err


@pytest.mark.usefixtures("tiny")
def test_a_file_takes_the_lines_and_stdout_the_tables(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.jsonl"
    assert command.main(["--workload", "micro", "--json", str(path)]) == 0
    assert [line["measurement"] for line in lines_of(path.read_text())] == [f"micro.{name}" for name in MICRO]
    shown = capfd.readouterr().out
    assert all(name in shown for name in MICRO)


@pytest.mark.usefixtures("tiny")
def test_a_round_in_which_somebody_lost_something_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def measured(*_: object, **__: object) -> Measured:
        return made(9.0, everybody_got_everything=False)

    monkeypatch.setattr(command, "measure", measured)
    assert command.main(["--workload", "W1"]) == 1
    assert "NO" in capfd.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--rounds", "0"], ["--time", "0"], ["--mix", "walker"], ["--workload", "W9"], ["--loop", "trio"]]
)
def test_wrong_usage_is_exit_code_2(wrong: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        command.main(wrong)
    assert exit_.value.code == 2
    assert capfd.readouterr().out == ""


def cannot(error: Exception) -> Callable[..., Any]:
    def raising(*_: object, **__: object) -> Any:
        raise error

    return raising


@pytest.mark.parametrize(
    ("name", "stand_in", "said"),
    [
        ("require_open_files", cannot(CannotStartError("ulimit -n 278")), "ulimit -n 278"),
        ("loop_factory", cannot(MissingExtraError("uvloop", "speed")), "pip install"),
        ("measure", cannot(FloorError("the floor broke")), "the floor broke"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_what_cannot_start_says_why_in_one_line(
    name: str,
    stand_in: Callable[..., Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, name, stand_in)
    assert command.main(["--workload", "W1"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_ctrl_c_is_exit_code_130() -> None:
    script = (
        "import sys; from zonetools.bench import __main__ as command; from zonetools.bench.workload import Workload; "
        "command.WORKLOADS = {'W1': Workload('W1', players=5, hz=20, rate=5)}; "
        "sys.exit(command.main(['--workload', 'W1', '--time', '50s']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert "round 1" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=40)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "")
