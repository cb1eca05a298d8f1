"""`zoneserver run --dashboard`: the dashboard on the server's own terminal."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.dashboards import in_terminal
from helpers.paths import ROOT
from helpers.processes import Family
from helpers.run_command import PATIENCE_SECONDS, Player
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON

from zoneserver.cli import main as cli
from zoneserver.protocol.messages import Bye, Welcome
from zoneserver.support.event_loop import loop_factory

RUN = ("-m", "zoneserver", "run", "--port", "0", "--stats-port", "0", "--dashboard")


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "--duration"])
def test_run_dashboard_shows_the_dashboard_and_restores_the_terminal(how: str) -> None:
    terminal = in_terminal([sys.executable, *RUN, *(["--duration", "2s"] if how == "--duration" else [])])
    try:
        terminal.wait_for(ALTERNATE_ON)
        terminal.wait_for(b"the zone")
        if how != "--duration":
            terminal.press(b"q" if how == "q" else b"\x03")
        terminal.wait_for(ALTERNATE_OFF)
        terminal.wait_for(b"kicked ")
        assert terminal.wait_for_end() == 0
        assert terminal.attributes() == terminal.before
    finally:
        terminal.close()


def test_run_rejects_dashboard_together_with_stop_on_stdin_eof(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--dashboard", "--stop-on-stdin-eof"]) == 2
    assert "--dashboard needs standard input" in capsys.readouterr().err


def test_the_dashboard_process_gets_no_settings_of_the_server(tmp_path: Path) -> None:
    config = tmp_path / "zone.toml"
    config.write_text("hz = 10\n[dash]\nonce = true\n")
    terminal = in_terminal([sys.executable, *RUN], ZONE_CONFIG=str(config))
    try:
        terminal.wait_for(ALTERNATE_ON)
        terminal.wait_for(b"10 Hz")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()


@pytest.mark.parametrize("loop", ["asyncio", *(["uvloop"] if loop_factory("auto")[0] == "uvloop" else [])])
def test_a_stop_signal_tells_the_players_and_ends_the_server_while_the_terminal_stalls(
    loop: str, tmp_path: Path
) -> None:
    ready_file = tmp_path / "ready.json"
    terminal = in_terminal([sys.executable, *RUN, "--loop", loop, "--ready-file", str(ready_file)])
    try:
        terminal.wait_for(ALTERNATE_ON)
        terminal.wait_for(b"the zone")
        player = Player(json.loads(ready_file.read_text())["port"])
        player.hello("ann")
        player.read_until(Welcome)
        terminal.stall()
        terminal.process.send_signal(signal.SIGTERM)
        assert player.read_until(Bye).code == "SERVER_STOPPING"
        player.close()
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_the_dashboard_restores_the_terminal_and_ends_when_the_server_is_killed(family: Family) -> None:
    terminal = family.terminal(*RUN[1:])
    try:
        terminal.wait_for(ALTERNATE_ON)
        terminal.wait_for(b"the zone")
        terminal.process.kill()
        terminal.wait_for(ALTERNATE_OFF)
    finally:
        terminal.close()


def test_run_dashboard_with_json_prints_only_the_json_on_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, *RUN, "--json", "--duration", "1500ms"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["schema"] == "zone-stats/1"
    assert b"stopping" in done.stderr
