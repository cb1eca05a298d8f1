"""`zoneserver run --dashboard`: the dashboard on the server's own terminal."""

import logging
import sys
from pathlib import Path

import pytest
from helpers.dashboards import in_terminal
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON

from zoneserver.cli import main as cli
from zoneserver.support.logs import hold_logs, set_up_logs

RUN = ("-m", "zoneserver", "run", "--port", "0", "--stats-port", "0", "--dashboard")


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "--duration"])
def test_a_server_can_be_watched_where_it_runs(how: str) -> None:
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


def test_keys_are_for_one_of_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--dashboard", "--stop-on-stdin-eof"]) == 2
    assert "--dashboard reads the keys" in capsys.readouterr().err


def test_what_is_logged_meanwhile_is_shown_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "text")
    log = logging.getLogger("test")
    with hold_logs():
        for number in range(3):
            log.info("number %d", number)
        assert capsys.readouterr().err == ""
    log.info("afterwards")
    assert [line.split(" INFO ")[1].strip() for line in capsys.readouterr().err.splitlines()] == [
        *("number 0", "number 1", "number 2", "afterwards"),
    ]


def test_of_much_that_is_logged_meanwhile_the_last_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoneserver.support.logs._HELD_LINES_MAX", 4)
    set_up_logs("info", "text")
    with hold_logs():
        for number in range(5):
            logging.getLogger("test").info(f"number {number}")
    err = capsys.readouterr().err
    assert "number 4" in err
    assert "number 0" not in err


def test_the_dashboard_has_a_process_of_its_own_and_none_of_our_settings(tmp_path: Path) -> None:
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
