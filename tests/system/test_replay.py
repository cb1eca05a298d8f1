"""Replays as whole servers: the client library watches them, and the command runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zoneclient
from helpers.paths import ROOT
from helpers.recordings import RecordedYard
from helpers.run_command import PATIENCE_SECONDS
from helpers.run_command import until as until_true
from helpers.servers import OpenServer
from zoneclient.connection import ZoneConnection
from zoneclient.update import Update

from zoneserver.cli.main import main
from zoneserver.control.client import ask
from zoneserver.control.desk import Desk
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.recording import Place, Recording
from zoneserver.journal.replay_zone import ReplayZone
from zoneserver.server import ZoneServer

HZ = 20
HOST = "127.0.0.1"


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[RecordedYard]:
    """A hundred ticks, five seconds; the journal is still in use."""
    with RecordedYard(tmp_path / "journal", HZ) as yard:
        yard.run(60)
        yard.checkpoint()
        yard.run(40)
        yield yard


def replay_of(yard: RecordedYard, start: int = 0, **settings: Any) -> ReplayZone:
    return ReplayZone(Recording(yard.directory, Place(start)), **settings)


async def get(server: ZoneServer, path: str) -> str:
    """A document of the admin port."""

    def read() -> str:
        with urllib.request.urlopen(f"http://{HOST}:{server.stats_port}{path}", timeout=PATIENCE_SECONDS) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


async def to_tick(zone: ZoneConnection, tick: int) -> Update:
    """The update of this tick."""
    while (update := await anext(zone)).tick != tick:
        pass
    return update


async def test_watchers_see_the_recorded_states_through_seeks_in_both_directions(
    yard: RecordedYard, open_server: OpenServer
) -> None:
    server = await open_server(replay_of(yard, speed=20.0), hz=HZ)
    desk = Desk(server.link, server.gateway, server.loop, server)

    def state() -> bytes:
        return zone.replica.world.snapshot().encode()

    async with zoneclient.connect(HOST, server.port, watch=True) as zone:
        await to_tick(zone, 100)
        assert state() == yard.states[100]
        for words, tick in (("pause", 100), ("seek 30", 30), ("seek 31", 31), ("seek +2s", 71), ("seek -1s", 51)):
            outcome = await desk.run(words.split())
            assert (outcome.code, outcome.text) == (0, f"paused at 0:0{tick // HZ} of 0:05, tick {tick}")
            if words != "pause":
                # One frame leads from tick 30 to tick 31; every other way is a snapshot.
                assert (await anext(zone)).resynced == (tick != 31)
            assert (zone.replica.tick, state()) == (tick, yard.states[tick])
        async with zoneclient.connect(HOST, server.port, watch=True) as late:
            assert (await anext(late)).tick == 51
            assert late.replica.world.snapshot().encode() == yard.states[51]
            checked = zone.replica.hashes_checked
            assert (await desk.run(["play"])).code == 0
            for each in (zone, late):
                assert not (await anext(each)).resynced
                await to_tick(each, 100)
                assert each.replica.hashes_checked >= 2
        assert zone.replica.hashes_checked == checked + 3
    desk.close()


async def test_player_is_told_that_this_is_a_replay(yard: RecordedYard, open_server: OpenServer) -> None:
    server = await open_server(replay_of(yard), hz=HZ)
    with pytest.raises(zoneclient.JoinRefusedError, match="this is a replay: watch it") as refused:
        async with zoneclient.connect(HOST, server.port, name="ann"):
            pass
    assert (refused.value.code, refused.value.retry) == ("REPLAY", False)


async def test_two_replays_follow_a_journal_that_is_written(yard: RecordedYard, open_server: OpenServer) -> None:
    servers = [await open_server(replay_of(yard, 98, speed=speed), hz=HZ) for speed in (5.0, 100.0)]
    for tick in (100, 103):
        while any(server.ticked.world.tick != tick for server in servers):
            await asyncio.sleep(0.01)
        for server in servers:
            assert server.ticked.snapshot() == yard.states[tick]
            assert server.stats().replay["last_tick"] == tick
        yard.run(3)


async def test_documents_show_the_replay(yard: RecordedYard, open_server: OpenServer) -> None:
    server = await open_server(replay_of(yard, 40), hz=HZ)
    stats, zone_map = json.loads(await get(server, "/stats")), json.loads(await get(server, "/map"))
    assert stats["replay"]["length_s"] == 5.0
    assert 2.0 <= stats["replay"]["position_s"] <= 5.0
    assert stats["encodes_total"] == stats["ticks_total"]
    assert zone_map["players"] >= stats["players"] == stats["replay"]["players"] >= 8
    assert json.loads(await get(server, "/game.json"))["name"] == "yard"
    assert 'zone_replay{figure="speed"} 1.0' in await get(server, "/metrics")


# --- The command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code", "complaint"),
    [
        (["--from", "101"], 2, "has the ticks 0 to 100 (0:05), and no tick 101"),
        (["--from", "-5"], 2, "argument --from: -5 is no place: write a tick as 36000"),
        (["--from", "2s", "--to", "1s"], 2, "the replay would end at tick 20, and it begins at tick 40"),
        (["--speed", "0"], 2, "argument --speed: 0 is not from 0.1 to 100"),
        (["--once", "--repeat"], 2, "not allowed with"),
        (["--host", "0.0.0.0"], 2, "anyone who can reach 0.0.0.0 may watch: allow it (--open)"),
    ],
)
def test_impossible_replay_is_wrong_usage(
    flags: list[str], code: int, complaint: str, yard: RecordedYard, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found: Any = main(["replay", str(yard.directory), *flags])
    except SystemExit as ended:
        found = ended.code
    assert (found, complaint in capsys.readouterr().err) == (code, True)


def test_directory_without_a_journal_cannot_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path)]) == 3
    assert capsys.readouterr().err == f"zoneserver: there is no journal in {tmp_path}\n"


def test_settings_of_a_replay_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "journal", "--from", "-1m30s", "--to", "36000", "--speed", "x8", "--show-config"])
    shown = capsys.readouterr().out
    assert '\nfrom = "-1m30s" ' in shown
    assert '\nto = "36000" ' in shown
    assert "\nspeed = 8.0 " in shown


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(yard: RecordedYard) -> Iterator[Start]:
    """Starts the command on free ports."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "zoneserver", "replay", str(yard.directory)]
        command += ["--port", "0", "--stats-port", "0", *flags]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environment, cwd=ROOT, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_command_plays_to_the_end_once(start: Start) -> None:
    process = start("--once", "--speed", "100", "--json")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert "replay of yard" in err
    assert "from 0:00 of 0:05 at x100, at most 100 watchers" in err
    assert json.loads(out)["replay"]["position_s"] == 5.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_command_takes_commands_until_it_is_stopped(number: signal.Signals, start: Start, tmp_path: Path) -> None:
    ready, path = tmp_path / "ready", tmp_path / "ctl"
    process = start("--from", "-1s", "--ready-file", str(ready), "--ctl", str(path))
    until_true(ready.exists)
    assert ask(path, ["pause"]).code == 0
    assert ask(path, ["seek", "1s"]) == (0, "paused at 0:01 of 0:05, tick 20")
    assert ask(path, ["kick", "ann"]).code == 1
    assert [ask(path, ["stop", *words]).code for words in (["--in", "1h"], ["--cancel"], ["--keep"])] == [0, 0, 1]
    names = [line.partition(" ")[0] for line in ask(path, ["help"]).text.splitlines()]
    assert names == ["ban", "unban", "bans", "players", "stop", "help", "commands", "pause", "play", "seek", "speed"]
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert out.startswith("uptime")


def test_command_that_cannot_go_on_to_the_end_fails(start: Start, yard: RecordedYard) -> None:
    yard.begin()
    yard.run()
    path = JournalReader(yard.directory).segments[0].path
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    process = start("--once", "--from", "90", "--speed", "100")
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert f"the replay stands still at tick 99: {path}: the " in err
