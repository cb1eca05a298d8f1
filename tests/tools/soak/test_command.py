"""The command `python -m zonetools.soak`: its scorecard and its exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.paths import ROOT
from zonetools.soak import __main__ as soak
from zonetools.soak.fault_lab import Finding, Lab
from zonetools.soak.promises import PROMISES, Promise

from zoneserver.support.process import raise_open_files

# What holds with one server, however busy the machine is. `make soak QUICK=1`, which .ci/run starts too, measures all
# promises.
CHEAP = ("garbage", "resets", "bad-actions", "second-login", "failing-rule", "halfway", "origins")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zonetools.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)


def names() -> list[str]:
    return [promise.name for promise in PROMISES]


def test_cheap_promises_hold() -> None:
    # Two at a time, since they wait more than they work.
    halves = CHEAP[::2], CHEAP[1::2]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda half: run("--quick", "--only", ",".join(half), "--json", "-"), halves))
    for half, done in zip(halves, runs, strict=True):
        card = json.loads(done.stdout)
        assert [row["name"] for row in card["promises"]] == [name for name in names() if name in half]
        assert {row["name"]: row["figure"] for row in card["promises"] if row["ok"] is not True} == {}
        assert (done.returncode, card["schema"]) == (0, "zone-soak/1")
        # stderr has one line for each promise and nothing else.
        assert len(done.stderr.splitlines()) == len(half)


def test_list_prints_every_promise_once_in_order() -> None:
    done = run("--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == names()
    assert len(set(names())) == len(names()) == 54
    assert (done.returncode, done.stderr) == (0, "")


def test_unknown_name_is_wrong_usage() -> None:
    done = run("--only", "garbage,nonsense")
    assert done.returncode == 2
    assert "there is no promise 'nonsense'" in done.stderr


def test_interrupt_ends_the_soak_and_its_servers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zonetools.soak", "--quick", "--only", "mass-leave,slow-reader"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # The first scenario is over and the second is running: its servers are up.
    assert "mass-leave" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.fixture
def promises(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def replace(*findings: Finding | Exception) -> None:
        def scenario(number: int, finding: Finding | Exception) -> Promise:
            async def found(_lab: Lab) -> Finding:
                await asyncio.sleep(0)
                if isinstance(finding, Exception):
                    raise finding
                return finding

            return Promise(f"row-{number}", "it holds", found)

        monkeypatch.setattr(soak, "PROMISES", [scenario(*each) for each in enumerate(findings)])
        monkeypatch.setattr(soak, "cancel_on_signals", lambda: None)

    return replace


HOLDS, BROKEN, UNKNOWN = Finding(True, "1 ms"), Finding(False, "9 ms"), Finding(None, "no cable")


@pytest.mark.parametrize(
    ("findings", "code"),
    [([HOLDS, HOLDS], 0), ([HOLDS, BROKEN], 1), ([HOLDS, UNKNOWN], 0), ([OSError("gone"), HOLDS], 1)],
)
def test_exit_code_says_whether_every_measured_promise_holds(
    promises: Callable[..., None], capsys: pytest.CaptureFixture[str], findings: list[Finding | Exception], code: int
) -> None:
    promises(*findings)
    assert soak.main(["--json", "-"]) == code
    card = json.loads(capsys.readouterr().out)
    wanted = [finding.ok if isinstance(finding, Finding) else False for finding in findings]
    assert [row["ok"] for row in card["promises"]] == wanted


def test_promise_that_cannot_be_measured_is_counted_apart(
    promises: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    promises(HOLDS, UNKNOWN)
    assert soak.main(["--json", str(tmp_path / "card.json")]) == 0
    shown = capsys.readouterr().out
    assert "no cable" in shown
    assert "1 of 2 hold, 1 not measurable here" in shown
    assert json.loads((tmp_path / "card.json").read_text())["promises"][1]["ok"] is None


def test_open_file_limit_is_enough_for_the_lab() -> None:
    assert raise_open_files(soak.OPEN_FILES) >= soak.OPEN_FILES
