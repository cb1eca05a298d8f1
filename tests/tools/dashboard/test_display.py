"""Watching a real server, in lines and on a screen."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest
from helpers.admin_ports import open_admin_port
from helpers.dashboards import (
    PATIENCE,
    Server,
    dashboard,
    free_port,
    in_terminal,
    lasting_port,
    session_list,
    stats,
    svg_texts,
)
from helpers.recordings import RecordedYard
from helpers.server_stats import gateway_stats
from helpers.terminals import Terminal
from zonetools.dashboard.display import watch, watch_once
from zonetools.dashboard.screen import lines
from zonetools.dashboard.screen.options import DisplayOptions, Export, ScreenSize

from zoneserver.control.client import ask
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Goodbye, Hello


def joined(server: Server, name: str) -> socket.socket:
    """A connection that has sent HELLO."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(length_prefixed(Hello(PROTOCOL_VERSION, name, b"").encode()))
    return sock


def soon() -> asyncio.Event:
    """An event that is set after a moment."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, event.set)
    return event


async def test_watch_without_a_server_ends_when_until_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert await watch("127.0.0.1", free_port(), until=soon()) is None
    assert "connection refused" in capsys.readouterr().err


async def test_header_is_repeated_every_20_lines(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    await watch("127.0.0.1", server.stats_port, DisplayOptions(interval=0.01), count=21)
    rows = capsys.readouterr().out.splitlines()
    assert [index for index, row in enumerate(rows) if row == lines.header()] == [0, 21]
    assert len(rows) == 23


async def test_watch_ends_when_until_is_set(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    until = asyncio.Event()
    watching = asyncio.create_task(
        watch("127.0.0.1", server.stats_port, DisplayOptions(interval=0.01, json=True), until=until)
    )
    printed = ""
    while "\n" not in printed:
        await asyncio.sleep(0)
        printed += capsys.readouterr().out
    until.set()
    last = await watching
    assert last is not None
    assert last.stats.pid == server.process.pid


def test_screen_waits_for_a_restarted_server(tmp_path: Path) -> None:
    first = Server(tmp_path, lasting_port())
    terminal = in_terminal(dashboard(first))
    try:
        terminal.wait_for(b"live")
        first.stop()
        terminal.wait_for(b"no answer since")
        second = Server(tmp_path, first.stats_port)
        terminal.wait_for(b"live")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
        second.stop()
    finally:
        terminal.close()


def test_screen_lists_a_player_and_then_the_close_reason(server: Server, terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    with joined(server, "ann") as sock:
        terminal.press(b"\t")
        terminal.wait_for(b"sorted by queued")
        terminal.wait_for(b"ann")
        terminal.press(b"<")
        terminal.wait_for(b"sorted by age")
        sock.sendall(length_prefixed(Goodbye().encode()))
        terminal.press(b"\t")
        terminal.wait_for(b"CLIENT_LEFT")
        terminal.resize(120, 36)
        terminal.wait_for(b"sorted by age")
        terminal.wait_for(b"CLIENT_LEFT")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert b"recent closes" in terminal.output, "the last screen stays on the terminal"
    assert terminal.attributes() == terminal.before


def test_selected_player_is_shown_in_detail_and_kicked_after_a_question(server: Server) -> None:
    terminal = in_terminal(dashboard(server), columns=120, rows=36)
    try:
        with joined(server, "eve") as sock:
            terminal.wait_for(b"eve")
            terminal.press(b"\x1b[B")
            terminal.wait_for(b"details")
            terminal.press(b"\n")
            terminal.wait_for(b"refusals_total")
            terminal.press(b"k")
            terminal.wait_for(b"kick eve? y/n")
            terminal.press(b"n")
            terminal.wait_for(b"eve stays")
            terminal.press(b"\nk")
            terminal.wait_for(b"kick eve? y/n")
            terminal.press(b"y")
            terminal.wait_for(b"eve is kicked")
            terminal.wait_for(b"KICKED")
            sock.settimeout(PATIENCE)
            while sock.recv(65_536):
                pass
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()


def test_several_ports_are_one_screen_and_a_digit_shows_one_alone(tmp_path: Path) -> None:
    known = {"gateways": [gateway_stats("gw1"), gateway_stats("gw2", is_lost=True)], "ctl": str(tmp_path / "none.ctl")}
    with (
        open_admin_port(stats(**known), session_list()) as zone,
        open_admin_port(stats(gateway="gw1"), session_list()) as gateway,
    ):
        command = [sys.executable, "-m", "zonetools.dashboard", zone.address, gateway.address, "--interval", "100ms"]
        terminal = in_terminal(command, columns=120, rows=40)
        try:
            terminal.wait_for(b"statistics " + f"{zone.address}, {gateway.address}".encode())
            terminal.wait_for(b"admin ports ")
            terminal.wait_for(b"3, 1 lost")
            terminal.press(b"2")
            terminal.wait_for(b"gw1 of plaza")
            gateway.stats = None
            terminal.wait_for(b"no answer since")
            terminal.press(b"0")
            terminal.wait_for(b"3, 1 away, 1 lost")
            terminal.resize(80, 24)
            terminal.press(b"\t\t\t")
            terminal.wait_for(b"wait ms")
            terminal.press(b"q")
            assert terminal.wait_for_end() == 0
            assert terminal.attributes() == terminal.before
        finally:
            terminal.close()


def test_keys_steer_a_replay(tmp_path: Path) -> None:
    with RecordedYard(tmp_path / "journal", hz=1) as yard:
        yard.run(60)
    path = tmp_path / "ctl"
    running = Server(tmp_path, words=("replay", str(yard.directory), "--ctl", str(path)))
    assert ask(path, ["pause"]).code == 0
    assert ask(path, ["seek", "20"]).code == 0
    terminal = in_terminal(dashboard(running))
    try:
        terminal.wait_for(b"REPLAY 0:20 of 1:00 x1    paused")
        terminal.press(b"\x1b[C")
        terminal.wait_for(b"0:30 of 1:00")
        terminal.press(b"\x1b[D\x1b[D")
        terminal.wait_for(b"0:10 of 1:00")
        terminal.press(b"]]]")
        terminal.wait_for(b"x8    paused")
        terminal.press(b"[p")
        terminal.wait_for(b"x4    playing")
        terminal.press(b"\x1b[C" * 6)
        terminal.wait_for(b"at the end")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
    finally:
        terminal.close()
        running.stop()


def test_reset_key_clears_the_lists_and_says_since_when(server: Server, terminal: Terminal) -> None:
    with joined(server, "bob") as sock:
        sock.sendall(length_prefixed(Goodbye().encode()))
        terminal.press(b"\t\t")
        terminal.wait_for(b"bob")
        terminal.press(b"r")
        terminal.wait_for(b"since reset")
    terminal.wait_for(b"recent closes")
    terminal.wait_for(b"none")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0


def test_lists_are_ascii_with_the_ascii_flag(server: Server) -> None:
    with joined(server, "안녕"):
        terminal = in_terminal(dashboard(server, "--ascii"), columns=120, rows=36)
        try:
            terminal.wait_for(b"queuedv")
            terminal.wait_for(b"??")
            terminal.press(b"q")
            assert terminal.wait_for_end() == 0
            assert b"queuedv" in terminal.output
            assert terminal.output.isascii()
        finally:
            terminal.close()


async def test_watch_saves_the_last_screen_as_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = Server(tmp_path)
    options = DisplayOptions(interval=0.05, export=Export(tmp_path / "screen.svg", ScreenSize(130, 40)))
    try:
        await watch_once("127.0.0.1", running.stats_port, options)
        once = (tmp_path / "screen.svg").read_text()
        await watch("127.0.0.1", running.stats_port, options, count=2)
    finally:
        running.stop()
    assert "players and tick" in capsys.readouterr().out
    for text in (once, (tmp_path / "screen.svg").read_text()):
        assert 'viewBox="0 0 1202 752"' in text
        assert {"the zone", "sessions", "recent closes"} <= set(svg_texts(text))
        # On a busy machine the zone may dilate its time, and the bar says so.
        assert any(word.startswith("live") for word in svg_texts(text))
        assert "<title>zone-dash: 0 players in plaza, a tick takes" in text


async def test_watch_without_a_server_saves_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await watch("127.0.0.1", port, DisplayOptions(export=Export(tmp_path / "screen.svg")), until=soon())
    assert list(tmp_path.iterdir()) == []


def test_size_of_the_picture_does_not_depend_on_the_terminal(tmp_path: Path) -> None:
    running = Server(tmp_path)
    terminal = in_terminal(dashboard(running, "--svg", str(tmp_path / "screen.svg"), "--size", "100x50"))
    try:
        terminal.wait_for(b"the zone")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
        assert 'viewBox="0 0 932 932"' in (tmp_path / "screen.svg").read_text()
    finally:
        terminal.close()
        running.stop()
