"""The fault lab: a few of its cheap scenarios, as the program that runs them, and its scorecard."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.paths import ROOT
from zonetools.soak import __main__ as soak
from zonetools.soak.lab import Checks, Comparison, Finding, Lab
from zonetools.soak.promises import PROMISES, Promise
from zonetools.soak.relay import Relay
from zonetools.soak.tasks import beside, together

from zoneserver.support.process import raise_open_files

CHEAP = ("garbage", "mass-leave", "resets", "bad-actions", "second-login", "failing-rule", "cannot-start")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zonetools.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)


def test_the_cheap_promises_hold() -> None:
    done = run("--quick", "--only", ",".join(CHEAP), "--json", "-")
    card = json.loads(done.stdout)
    assert [row["name"] for row in card["promises"]] == [name for name in names() if name in CHEAP]
    assert {row["name"]: row["figure"] for row in card["promises"] if row["ok"] is not True} == {}
    assert (done.returncode, card["schema"]) == (0, "zone-soak/1")
    # A line for each as it comes in, and nothing else.
    assert len(done.stderr.splitlines()) == len(CHEAP)


def names() -> list[str]:
    return [promise.name for promise in PROMISES]


def test_all_promises_are_listed_once_and_in_order() -> None:
    done = run("--list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == names()
    assert len(set(names())) == len(names()) == 24
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_of_promises_has_all_of_them_in_order() -> None:
    rows = [line for line in (ROOT / "PROMISES.md").read_text().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == names()


def test_an_unknown_name_is_wrong_usage() -> None:
    done = run("--only", "garbage,nonsense")
    assert done.returncode == 2
    assert "there is no promise 'nonsense'" in done.stderr


def test_an_interrupt_ends_it_and_its_servers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "zonetools.soak", "--quick", "--only", "cannot-start,slow-reader"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # The one is over, the other is in its middle: its servers are up.
    assert "cannot-start" in process.stderr.readline()
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
def test_the_exit_code_says_whether_all_that_was_measured_holds(
    promises: Callable[..., None], capsys: pytest.CaptureFixture[str], findings: list[Finding | Exception], code: int
) -> None:
    promises(*findings)
    assert soak.main(["--json", "-"]) == code
    card = json.loads(capsys.readouterr().out)
    wanted = [finding.ok if isinstance(finding, Finding) else False for finding in findings]
    assert [row["ok"] for row in card["promises"]] == wanted


def test_a_row_that_cannot_be_measured_is_neither_held_nor_broken(
    promises: Callable[..., None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    promises(HOLDS, UNKNOWN)
    assert soak.main(["--json", str(tmp_path / "card.json")]) == 0
    shown = capsys.readouterr().out
    assert "no cable" in shown
    assert "1 of 2 hold, 1 not measurable here" in shown
    assert json.loads((tmp_path / "card.json").read_text())["promises"][1]["ok"] is None


@pytest.mark.parametrize(
    ("control", "attacked", "holds"),
    [(50.0, 52.5, True), (50.0, 52.6, False), (10.0, 11.0, True), (10.0, 11.1, False), (50.0, 40.0, True)],
)
def test_a_twentieth_or_a_millisecond_may_be_noticed(control: float, attacked: float, holds: bool) -> None:
    checks = Checks()
    Comparison(control, attacked, pairs=1, is_served=True).check(checks)
    assert checks.finding("").ok is holds


async def test_when_one_of_several_fails_the_others_are_waited_for() -> None:
    over: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("gone")

    async def cleans_up() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            over.append("cleaned up")

    with pytest.raises(ConnectionError, match="gone"):
        await together(fails(), cleans_up())
    with pytest.raises(ConnectionError, match="gone"):
        async with beside(fails(), cleans_up()):
            await asyncio.sleep(0.01)
    assert over == ["cleaned up"] * 2


async def test_a_relay_passes_everything_on_late_and_in_order_and_holds_it_when_told() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()
        await writer.wait_closed()

    loop = asyncio.get_running_loop()
    target = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with target, Relay(target.sockets[0].getsockname()[1], delay_seconds=0.05) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        asked = loop.time()
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"ABC"
        # The clock of uvloop counts whole milliseconds.
        assert loop.time() - asked > 0.099
        relay.hold()
        writer.write(b"def")
        writer.write_eof()
        waiting = asyncio.create_task(reader.read())
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        relay.release()
        assert await waiting == b"DEF"
        writer.close()
        await writer.wait_closed()


def test_addresses_are_never_used_twice() -> None:
    lab = Lab(quick=True, seed=1)
    drawn = [lab.address() for _ in range(70_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(address.startswith("127.") for address in drawn)
    assert "127.0.0.1" not in drawn


def test_the_lab_has_files_enough() -> None:
    assert raise_open_files(soak.FILES) >= soak.FILES
