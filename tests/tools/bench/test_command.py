"""The command `python -m zonetools.bench`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.bench_results import TINY, documents_in, workload_result
from helpers.paths import ROOT
from zonetools.bench import __main__ as command
from zonetools.bench import micro_benchmarks
from zonetools.bench.floor import FloorError
from zonetools.bench.measure import WorkloadResult
from zonetools.bench.micro_benchmarks import MICRO

from zoneserver.support.errors import CannotStartError, MissingExtraError


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WORKLOADS", {"W1": TINY})
    monkeypatch.setattr(command, "_MICRO_RUNS", 2)
    monkeypatch.setattr("zonetools.bench.measure._SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(micro_benchmarks, "_RUN_SECONDS", 0.001)


@pytest.mark.usefixtures("tiny")
def test_json_dash_prints_each_measurement_as_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--workload", "W1", "--rounds", "1", "--time", "300ms", "--json", "-"]) == 0
    out, err = capfd.readouterr()
    documents = documents_in(out)
    assert [document["measurement"] for document in documents] == ["W1"]
    assert {document["schema"] for document in documents} == {"zone-bench/1"}
    assert documents[0]["everybody_got_everything"]
    assert documents[0]["deflated"] is None
    # A missed target does not change the exit code.
    assert not documents[0]["targets"][0]["reached"]
    assert "repetition 1 of 1" in err


@pytest.mark.usefixtures("tiny")
def test_json_file_gets_the_lines_and_stdout_the_tables(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.jsonl"
    assert command.main(["--workload", "micro", "--json", str(path)]) == 0
    assert [each["measurement"] for each in documents_in(path.read_text())] == [f"micro.{name}" for name in MICRO]
    shown = capfd.readouterr().out
    assert all(name in shown for name in MICRO)


@pytest.mark.usefixtures("tiny")
def test_missing_data_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    async def measured(*_: object, **__: object) -> WorkloadResult:
        return workload_result(9.0, everybody_got_everything=False)

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
def test_failed_start_prints_one_line(
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
            assert "repetition 1" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=40)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "")
