"""`zoneserver run --dashboard`: the dashboard on the server's own terminal."""

import sys
from pathlib import Path

import pytest
from helpers.dashboards import in_terminal
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON

from zoneserver.cli import main as cli

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
