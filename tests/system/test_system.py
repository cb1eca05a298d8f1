"""The programs as users run them: real processes, sockets and terminals, with no process left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import PATIENCE_SECONDS, Family, assert_everything_delivered, ended, until
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON, CURSOR_OFF, CURSOR_ON


def server(family: Family, folder: Path, *options: str) -> tuple[subprocess.Popen[str], dict[str, int]]:
    """Starts a server, and returns its process and its ports."""
    ready = folder / "ready.json"
    arguments = (*options, "--port", "0", "--stats-port", "0", "--ready-file", str(ready), "--log-level", "error")
    process = family.start("zoneserver", "run", *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(ready.exists)
    return process, json.loads(ready.read_text())


def stats(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


# --- The swarm ------------------------------------------------------------------------------------


def test_thousand_bots_get_every_record(family: Family) -> None:
    code, out, err = family.run(
        "zonetools.swarm",
        "--spawn-server",
        "--bots",
        "1000",
        "--time",
        "2s",
        "--rate",
        "2",
        "--no-progress",
        "--json",
        "-",
    )
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert_everything_delivered(report, 1000)
    # Actions that are due in two seconds are sent, even when late; at least half of them must be.
    assert report["actions"]["sent"] >= 2000
    assert (report["schema"], report["interrupted"]) == ("zone-swarm/2", False)


@pytest.mark.parametrize("more", [[], ["--deflate"]], ids=" ".join)
def test_two_worker_processes_see_equal_frames(family: Family, tmp_path: Path, more: list[str]) -> None:
    file = tmp_path / "report.json"
    code, out, err = family.run(
        *("zonetools.swarm", "--spawn-server", "--bots", "60", "--processes", "2", "--time", "1s", "--ramp", "200"),
        *("--json", str(file), *more),
    )
    assert code == 0
    report = json.loads(file.read_text())
    assert_everything_delivered(report, 60)
    assert report["swarm"]["processes"] == 2
    assert "everybody got everything" in out
    assert "actions: " in err, "without a terminal its progress comes in lines"


def test_swarm_reports_a_server_that_was_killed(family: Family, tmp_path: Path) -> None:
    process, ports = server(family, tmp_path)
    swarm = family.start(
        *("zonetools.swarm", "--port", str(ports["port"]), "--stats-port", str(ports["stats_port"]), "--no-progress"),
        *("--bots", "20", "--time", "3s", "--rate", "10"),
    )

    def is_in_the_middle() -> bool:
        now = stats(ports["stats_port"])
        return now["players"] == 20 and now["actions_in_total"] > 50

    until(is_in_the_middle)
    process.kill()
    code, out, err = ended(swarm)
    assert (code, "Traceback" in err) == (1, False)
    assert "NOT everybody got everything" in out
    assert "20 of 20 joined" in out
    assert re.search(r"closed +20 CONNECTION_LOST", out)
    # All bots end for one reason, although some connections are reset and others end.
    assert re.findall(r"(\d+) x close CONNECTION_LOST", out) == ["20"]
    assert "server not measured" in out


def test_swarm_without_a_server_does_not_start(family: Family) -> None:
    # The socket is bound and does not listen, so that no other program can take the port.
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
        # The ramp takes an hour, so the swarm must not wait until every bot has failed.
        code, out, err = family.run(
            *("zonetools.swarm", "--port", port, "--stats-port", port, "--bots", "1000", "--ramp", "0.3"),
            *("--processes", "2", "--no-progress"),
        )
    words = f"zone-swarm: cannot start: nobody listens on 127.0.0.1:{port}; start one with: zoneserver run"
    assert (code, out, err.splitlines()) == (3, "", [words])


def test_closed_output_pipe_is_no_failure(family: Family) -> None:
    read, write = os.pipe()
    os.close(read)
    swarm = family.start(
        *("zonetools.swarm", "--spawn-server", "--bots", "5", "--time", "100ms", "--no-progress"), stdout=write
    )
    demo = family.start("zonetools.demo", "--bots", "5", stdout=write)
    os.close(write)
    for process in (swarm, demo):
        code, _, err = ended(process)
        assert (code, "Traceback" in err, "Error" in err) == (0, False, False)


def test_unwritable_report_is_an_error_before_the_start(family: Family, tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / "report.json"
    code, out, err = family.run("zonetools.swarm", "--spawn-server", "--json", str(nowhere))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (f"zone-swarm: argument --json: cannot write {nowhere}: No such file or directory")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_report_that_cannot_be_written_is_still_printed(family: Family) -> None:
    arguments = ("--bots", "5", "--time", "100ms", "--no-progress", "--json", "/dev/full")
    code, out, err = family.run("zonetools.swarm", "--spawn-server", *arguments)
    assert (code, "everybody got everything" in out) == (0, True), "the verdict of the run stands"
    assert "cannot write /dev/full: No space left on device\n" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_interrupted_swarm_writes_its_whole_report(family: Family, number: signal.Signals) -> None:
    swarm = family.start(
        *("zonetools.swarm", "--spawn-server", "--bots", "30", "--time", "0", "--rate", "10", "--json", "-"),
        *("--processes", "2"),
    )
    assert swarm.stderr is not None
    # The swarm prints its first line when all bots have joined.
    while "actions: " not in swarm.stderr.readline():
        assert swarm.poll() is None
    assert sum("zonetools.swarm" in command for command in family.members().values()) == 3
    swarm.send_signal(number)
    code, out, err = ended(swarm)
    report = json.loads(out)
    assert (code, report["interrupted"], "Traceback" in err) == (130, True, False)
    # A frame has a hash once a second: perhaps none has come yet.
    assert_everything_delivered(report, 30, has_hashes=False)
    assert family.members() == {}, "every process of the swarm is gone when it ends"


def test_processes_of_a_swarm_end_silently_with_it(family: Family) -> None:
    swarm = family.start(
        *("zonetools.swarm", "--spawn-server", "--bots", "20", "--time", "0", "--rate", "10", "--processes", "2"),
    )
    assert swarm.stderr is not None
    while "actions: " not in swarm.stderr.readline():
        assert swarm.poll() is None
    swarm.kill()
    # All processes of the swarm share its stderr, so this waits for their end as well.
    code, _, err = ended(swarm)
    assert (code, err) == (-signal.SIGKILL, "")
    until(lambda: not family.members())


def test_interrupted_ramp_is_no_failure(family: Family, tmp_path: Path) -> None:
    # With one tick a second, some bots are joining at any time.
    process, ports = server(family, tmp_path, "--hz", "1")
    swarm = family.start(
        *("zonetools.swarm", "--port", str(ports["port"]), "--stats-port", str(ports["stats_port"]), "--no-progress"),
        *("--bots", "1000", "--ramp", "50", "--time", "0", "--rate", "1", "--json", "-"),
    )

    def is_in_the_middle() -> bool:
        now = stats(ports["stats_port"])
        return now["joins_total"] > 10 and now["connections"] - now["handshaking"] - now["players"] > 4

    until(is_in_the_middle)
    swarm.send_signal(signal.SIGINT)
    code, out, err = ended(swarm)
    process.terminate()
    report = json.loads(out)
    assert (report["interrupted"], "Traceback" in err) == (True, False)
    assert 10 < report["bots"]["joined"] < 1000
    assert report["bots"]["failed"] == 0
    assert code == 130


@pytest.mark.parametrize("program", ["zonetools.swarm", "zonetools.demo"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupt_during_the_start_of_the_server_leaves_no_process(
    family: Family, program: str, number: signal.Signals
) -> None:
    arguments = ("--spawn-server", "--no-progress") if program == "zonetools.swarm" else ()
    process = family.start(program, *arguments, "--bots", "5", "--time", "300s")
    until(lambda: any("zoneserver run" in command for command in family.members().values()))
    process.send_signal(number)
    # The server may need a moment to end. The fixture `family` waits for that.
    _, _, err = ended(process)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mix", "dancer=1"], "there is no role 'dancer'"),
        (["--hz", "10"], "--hz is for --spawn-server"),
        (["--spawn-server", "--port", "7777"], "--port is for a running server"),
        (["--spawn-server", "--stats-port", "7778"], "--stats-port is for a running server"),
        (["--port", "70000"], "'70000' is not a port"),
        (["--bots", "0"], "0 is not above zero"),
        (["--rate", "nan"], "'nan' is not a number"),
        (["--time", "soon"], "'soon'"),
        (["--host", "192.0.2.1"], "192.0.2.1 is not this machine; --yes-remote"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_swarm_with_contradictory_settings_does_not_start(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from zonetools.swarm.__main__ import main

    try:
        code: object = main(arguments)
    except SystemExit as caught:
        code = caught.code
    assert code == 2
    assert words in capsys.readouterr().err


def test_server_that_cannot_start_is_reported_in_one_line(family: Family) -> None:
    code, out, err = family.run("zonetools.swarm", "--spawn-server", "nosuch:Game", "--mix", "idle=1", "--no-progress")
    assert (code, out) == (3, "")
    assert "there is no module 'nosuch' here" in err
    assert len(err.splitlines()) == 1


# --- The demo -------------------------------------------------------------------------------------


def test_demo_with_gateways_in_a_pipe_prints_lines_and_a_summary(family: Family) -> None:
    code, out, err = family.run("zonetools.demo", "--time", "2s", "--bots", "50", "--gateways", "2")
    assert (code, "Traceback" in err) == (0, False)
    assert "started a zone and 2 gateways, 50 bots on the way" in err
    assert "\x1b" not in out
    lines, _, summary = out.partition("everybody got everything")
    assert re.search(r"uptime +players", lines)
    assert re.search(r"\n +\d+s +\d+ ", lines), "a line of figures"
    assert "50 of 50 joined" in summary
    assert "50 CLIENT_LEFT" in summary


@pytest.mark.parametrize("how", ["q", "Ctrl-C"])
def test_demo_restores_the_terminal(family: Family, how: str) -> None:
    terminal = family.terminal("zonetools.demo", "--bots", "50")
    try:
        terminal.wait_for(ALTERNATE_ON)
        # The dashboard draws all players.
        terminal.wait_for(b"50 of 10.0k")
        assert terminal.attributes() != terminal.before
        terminal.press(b"q" if how == "q" else b"\x03")
        assert terminal.wait_for_end() == 0
        assert terminal.attributes() == terminal.before
        assert terminal.everything.count(ALTERNATE_ON) == terminal.everything.count(ALTERNATE_OFF) == 1
        assert terminal.everything.rindex(CURSOR_ON) > terminal.everything.rindex(CURSOR_OFF)
        after = terminal.everything.partition(ALTERNATE_OFF)[2].decode(errors="replace")
        assert "everybody got everything" in after
        assert "NOT" not in after
        assert "(interrupted)" in after
        assert "Traceback" not in after
        assert family.members() == {}
    finally:
        terminal.close()


def test_demo_ends_in_order_when_its_terminal_is_closed(family: Family, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    with errors.open("w") as stderr:
        terminal = family.terminal("zonetools.demo", "--bots", "20", stderr=stderr)
        terminal.wait_for(b"20 of 10.0k")
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE_SECONDS) == 0
    assert "Traceback" not in errors.read_text()
    until(lambda: not family.members())
