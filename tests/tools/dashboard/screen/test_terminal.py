"""The screen in a real pseudo-terminal: it is always restored."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from helpers.dashboards import (
    PATIENCE,
    Server,
    dashboard,
    in_terminal,
)
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON, CURSOR_OFF, CURSOR_ON, Terminal


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "SIGTERM"])
def test_terminal_is_restored_after_any_end(terminal: Terminal, how: str) -> None:
    terminal.wait_for(ALTERNATE_ON)
    terminal.wait_for(b"the zone")
    assert terminal.attributes() != terminal.before
    if how == "SIGTERM":
        terminal.process.terminate()
    else:
        terminal.press(b"q" if how == "q" else b"\x03")
    terminal.wait_for(ALTERNATE_OFF)
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before
    assert b"the zone" in terminal.output, "the last screen stays"
    assert ALTERNATE_ON not in terminal.output
    assert CURSOR_OFF not in terminal.output or terminal.output.rindex(CURSOR_ON) > terminal.output.rindex(CURSOR_OFF)


def test_keys_and_a_new_size_take_effect_at_once(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"?")
    terminal.wait_for(b"times the receivers")
    terminal.press(b"? ")
    terminal.wait_for(b"paused")
    terminal.press(b" ++")
    terminal.wait_for(b"5 min")
    terminal.press(b"\x1b[A-")
    terminal.wait_for(b"2 min")
    terminal.resize(40, 10)
    terminal.wait_for(b"too small")
    terminal.resize(200, 60)
    terminal.wait_for(b"deliveries out per s")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before


def test_ctrl_z_restores_the_terminal_until_the_process_continues(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"\x1a")
    terminal.wait_for(ALTERNATE_OFF)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(terminal.process.pid, os.WNOHANG | os.WUNTRACED) == (0, 0):
        assert time.monotonic() < deadline
        terminal._read(0.01)
    assert terminal.attributes() == terminal.before
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_for(ALTERNATE_ON)
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before


def test_ctrl_backslash_restores_the_terminal_before_it_ends_the_process(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"\x1c")
    terminal.wait_for(ALTERNATE_OFF)
    assert terminal.wait_for_end() == -signal.SIGQUIT
    assert terminal.attributes() == terminal.before


@pytest.mark.parametrize(
    ("arguments", "environment", "absent"),
    [
        (["--no-color"], {}, rb"\x1b\[[0-9;]*3[0-7]"),
        ([], {"NO_COLOR": "1"}, rb"\x1b\[[0-9;]*3[0-7]"),
        (["--ascii"], {}, rb"[\x80-\xff]"),
        ([], {"TERM": "dumb"}, rb"\x1b"),
    ],
    ids=["--no-color", "NO_COLOR", "--ascii", "TERM=dumb"],
)
def test_terminal_gets_no_colours_or_characters_that_it_must_not_show(
    server: Server, arguments: list[str], environment: dict[str, str], absent: bytes
) -> None:
    terminal = in_terminal(dashboard(server, "--count", "3", *arguments), **environment)
    try:
        assert terminal.wait_for_end() == 0
        assert b"players" in terminal.output
        assert not re.search(absent, terminal.output)
    finally:
        terminal.close()


def test_terminal_of_many_colours_gets_sixteen(server: Server) -> None:
    terminal = in_terminal(dashboard(server, "--count", "3"), columns=200, rows=60, COLORTERM="truecolor")
    try:
        assert terminal.wait_for_end() == 0
        codes = set(re.findall(rb"\x1b\[([0-9;]*)m", terminal.output))
        numbers = {int(number) for code in codes for number in code.split(b";") if number}
        assert numbers & set(range(30, 38)), "there are colours"
        assert not numbers & {38, 48}
    finally:
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_terminal_that_takes_nothing_does_not_keep_the_dashboard(terminal: Terminal, number: signal.Signals) -> None:
    terminal.wait_for(b"the zone")
    terminal.fill()
    terminal.process.send_signal(number)
    assert terminal.process.wait(PATIENCE) == 0
    assert terminal.attributes() == terminal.before
    # What the terminal had not taken made room for what restores it.
    terminal.wait_for(ALTERNATE_OFF)
    assert terminal.everything.rindex(CURSOR_ON) > terminal.everything.rindex(CURSOR_OFF)
