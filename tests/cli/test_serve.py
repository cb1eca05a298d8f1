"""A running `zoneserver run`: start, signals, settings, in a process of its own as a user starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS, Player, Server, until

from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Act, Bye, Snapshot, Tick, Welcome
from zoneserver.support.event_loop import loop_factory

HAS_UVLOOP = loop_factory("auto")[0] == "uvloop"


@pytest.fixture
def opened() -> Iterator[list[Server | Player]]:
    """A list of servers and players that are closed after the test."""
    opened: list[Server | Player] = []
    yield opened
    for each in reversed(opened):
        each.close()


Run = Callable[..., Server]


@pytest.fixture
def run(tmp_path: Path, opened: list[Server | Player]) -> Run:
    def run(*arguments: str, **settings: Any) -> Server:
        server = Server(tmp_path, *arguments, **settings)
        opened.append(server)
        return server

    return run


@pytest.mark.parametrize(
    "loop",
    ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(not HAS_UVLOOP, reason="uvloop is not installed"))],
)
def test_run_prints_a_banner_and_a_summary(run: Run, opened: list[Server | Player], loop: str) -> None:
    server = run("--loop", loop)
    ready = server.ready()
    assert set(ready) == {"pid", "port", "stats_port", "page", "protocol"}
    assert (ready["pid"], ready["protocol"]) == (server.process.pid, PROTOCOL_VERSION)
    player = server.player("ann")
    opened.append(player)
    assert player.read_until(Welcome).zone.name == "plaza"
    stats = server.stats()
    assert (stats["pid"], stats["loop"], stats["players"]) == (server.process.pid, loop, 1)
    code, out, err = server.stop()
    assert code == 0
    banner = err.partition("Ctrl-C to stop")[0].splitlines()
    assert 0 < len(banner) <= 6
    assert loop in banner[0]
    assert f"127.0.0.1:{ready['port']}" in err
    page = f"http://127.0.0.1:{ready['stats_port']}/ in a browser"
    assert f"statistics {page}, and /stats, /metrics, /sessions, /map, /game.json, /healthz\n" in err
    assert re.search(r"1 player at the peak, 1 at the end", out)
    assert "rules failed  0\n" in out
    assert "left          1 SERVER_STOPPING\nkicked        nobody\n" in out
    assert "Traceback" not in err


def test_the_ready_file_appears_when_both_ports_accept(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    # There is no retry: as soon as the file exists, both ports must accept.
    ready = server.ready()
    opened += [Player(ready["port"]), Player(ready["stats_port"])]
    assert [path.name for path in server.ready_file.parent.iterdir()] == [server.ready_file.name]


def test_run_stops_if_the_ready_file_cannot_be_written(run: Run, tmp_path: Path) -> None:
    server = run()
    server.close()
    nowhere = tmp_path / "missing" / "ready.json"
    done = subprocess.run(
        [sys.executable, "-m", "zoneserver", "run", "--port", "0", "--stats-port", "0", "--ready-file", str(nowhere)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 3
    words = f"zoneserver: cannot write the ready file {nowhere}: No such file or directory"
    assert done.stderr.splitlines()[-1] == words
    assert "Ctrl-C to stop" not in done.stderr


def test_ipv6_addresses_are_printed_in_brackets(run: Run) -> None:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = run("--host", "::1", "--max-players", "1")
    port = server.ready()["port"]
    with socket.create_connection(("::1", port)) as sock:
        sock.sendall(b"nonsense")
        while sock.recv(100):
            pass
    _, _, err = server.stop()
    assert f"players    [::1]:{port}\n" in err
    assert "Hz, at most 1 player\n" in err
    assert re.search(r"PROTOCOL_ERROR: session \d+ \(\[::1\]:\d+\), ", err)


def test_run_stops_after_its_duration(run: Run) -> None:
    server = run("--duration", "100ms")
    code, out, _ = server.ended()
    assert code == 0
    assert out.startswith("uptime ")


def test_statistics_are_logged_while_nothing_reads_the_stats_port(run: Run, opened: list[Server | Player]) -> None:
    server = run("--stats-interval", "20ms", "--log-format", "json")
    player = server.player("ann")
    opened.append(player)
    player.read_until(Tick)
    assert server.process.stderr is not None
    while '"players": 1' not in (line := server.process.stderr.readline()):
        assert line, "the line never came"
    report = json.loads(line)
    assert report["message"].startswith("1 player, tick p99 ")
    assert report["deliveries_out_per_s"] >= 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stop_signal_sends_bye_to_every_player(
    run: Run, opened: list[Server | Player], number: signal.Signals
) -> None:
    server = run()
    players = [server.player(name) for name in ("ann", "bob")]
    opened += players
    for player in players:
        player.read_until(Snapshot)
    server.process.send_signal(number)
    for player in players:
        bye = player.read_until(Bye)
        assert (bye.code, bye.retry) == ("SERVER_STOPPING", True)
        with pytest.raises(EOFError):
            player.read()
        player.close()
    code, out, err = server.ended()
    assert (code, "2 SERVER_STOPPING" in out, "Traceback" in err) == (0, True, False)


def test_stop_on_stdin_eof_stops_in_good_order(run: Run, opened: list[Server | Player]) -> None:
    server = run("--stop-on-stdin-eof", stdin=subprocess.PIPE)
    player = server.player("ann")
    opened.append(player)
    player.read_until(Snapshot)
    assert server.process.stdin is not None
    server.process.stdin.write("input that is ignored\n")
    server.process.stdin.flush()
    player.read_until(Tick)
    server.process.stdin.close()
    server.process.stdin = None
    assert player.read_until(Bye).code == "SERVER_STOPPING"
    player.close()
    code, out, _ = server.ended()
    assert (code, "1 SERVER_STOPPING" in out) == (0, True)


def test_a_closed_standard_output_ends_the_server_silently(run: Run) -> None:
    server = run()
    server.ready()
    assert server.process.stdout is not None
    server.process.stdout.close()
    server.process.terminate()
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert server.process.stderr is not None
    assert "Traceback" not in server.process.stderr.read()
    server.process.stdout = None


def test_a_second_signal_ends_the_process_at_once(run: Run, opened: list[Server | Player]) -> None:
    # The drain waits one second for a client that never closes. On a busy machine the second signal may come later than
    # that, so the test tries again.
    for _ in range(5):
        server = run()
        player = server.player("stuck")
        opened.append(player)
        player.read_until(Welcome)
        server.process.send_signal(signal.SIGINT)
        assert server.process.stderr is not None
        while "stopping" not in server.process.stderr.readline():
            pass
        server.process.send_signal(signal.SIGINT)
        code, out, _ = server.ended()
        if code != 0:
            break
    assert (code, out) == (130, "")


ENDLESS = """\
from zoneserver import Player, Rules, action

class Endless(Rules):
    @action
    def hang(self, player: Player) -> None:
        while True:
            try:
                print("hangs", flush=True)
                while True:
                    pass
            except BaseException:
                pass
"""


@pytest.mark.parametrize("loop", ["asyncio", *(["uvloop"] if HAS_UVLOOP else [])])
def test_a_second_signal_ends_a_rule_that_never_returns(
    run: Run, opened: list[Server | Player], loop: str, tmp_path: Path
) -> None:
    (tmp_path / "endless.py").write_text(ENDLESS)
    server = run("endless:Endless", "--loop", loop, cwd=tmp_path)
    player = server.player("ann")
    opened.append(player)
    player.read_until(Welcome)
    player.sock.sendall(length_prefixed(Act(1, (("hang",),)).encode()))
    assert server.process.stdout is not None
    assert server.process.stdout.readline() == "hangs\n"
    for number in (signal.SIGTERM, signal.SIGINT):
        server.process.send_signal(number)
    code, out, _ = server.ended()
    assert (code, out) == (130, "")


def test_the_ready_file_is_removed_when_the_server_stops(run: Run) -> None:
    server = run()
    server.ready()
    assert server.stop()[0] == 0
    assert not list(server.ready_file.parent.glob("ready*"))


def test_a_server_without_a_port_for_players_is_reached_by_its_admin_port_alone(run: Run) -> None:
    server = run("--port", "off")
    ready = server.ready()
    assert (ready["port"], ready["page"], server.stats()["page"]) == (None, "", "")
    assert server.stats()["ctl"].endswith(f"{ready['stats_port']}.ctl")
    code, _, err = server.stop()
    assert (code, "players    no port of this process\n" in err) == (0, True)


def test_a_duration_of_0_means_until_a_signal(run: Run) -> None:
    server = run("--duration", "0")
    server.ready()
    until(lambda: server.stats()["ticks_total"] > 2)
    assert server.stop()[0] == 0


def test_every_line_of_a_json_log_is_an_object_from_banner_to_end(run: Run) -> None:
    server = run("--log-format", "json", "--max-players", "12")
    ready = server.ready()
    code, _, err = server.stop()
    lines = [json.loads(line) for line in err.splitlines()]
    banner = {key: lines[0][key] for key in ("level", "message", "players_max", "port", "stats_port", "tls", "tickets")}
    assert code == 0
    assert banner == {
        "level": "info",
        "message": f"players can connect to 127.0.0.1:{ready['port']}",
        "players_max": 12,
        "port": ready["port"],
        "stats_port": ready["stats_port"],
        "tls": False,
        "tickets": False,
    }
    assert lines[-1]["message"].startswith("stopping")


BACKWARD = """\
import itertools, sys, time
from zoneserver.cli.main import main

began, calls = time.time(), itertools.count()
time.time = lambda: began - 3600.0 * next(calls)
sys.exit(main())
"""


def test_a_clock_that_jumps_back_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "backward.py").write_text(BACKWARD)
    ports = ("--port", "0", "--stats-port", "0", "--stats-interval", "20ms", "--duration", "500ms", "--json")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "backward.py"), "run", *ports],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["ticks_total"] > 0


def test_two_signals_that_arrive_together_count_as_two(run: Run) -> None:
    server = run()
    server.ready()
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        server.process.send_signal(number)
    assert server.ended()[0] == 130


def test_hz_sets_the_tick_rate(run: Run, opened: list[Server | Player]) -> None:
    server = run("--hz", "10")
    player = server.player("ann")
    opened.append(player)
    assert player.read_until(Welcome).zone.hz == 10
    first = player.read_until(Tick).tick
    ticks = [player.read_until(Tick) for _ in range(12)]
    assert [tick.tick for tick in ticks] == list(range(first + 1, first + 13))
    assert [tick.tick % 10 for tick in ticks if tick.hash is not None] == [0] * len(
        [tick for tick in ticks if tick.tick % 10 == 0]
    )

    def on_time() -> bool:
        # A busy machine may skip ticks. Executed and skipped ticks together are ten per second.
        stats = server.stats()
        return abs(stats["ticks_total"] + stats["ticks_skipped_total"] - 10 * stats["uptime_s"]) <= 2

    until(on_time)


def test_equal_seeds_and_inputs_give_equal_states(run: Run, opened: list[Server | Player]) -> None:
    places = []
    for server in [run("--seed", seed) for seed in ("7", "7", "8")]:
        for name in ("ann", "bob", "cid"):
            player = server.player(name)
            opened.append(player)
            snapshot = player.read_until(Snapshot)
        places.append((snapshot.holders, list(snapshot.x), list(snapshot.y)))
    assert places[0] == places[1] != places[2]
    assert places[0][0] == places[2][0] == ["ann", "bob", "cid"]


def test_a_full_zone_rejects_players_and_the_log_level_hides_that(run: Run, opened: list[Server | Player]) -> None:
    logged = {}
    for level, server in {
        level: run("--max-players", "1", "--log-level", level) for level in ("info", "warning")
    }.items():
        first = server.player("ann")
        opened.append(first)
        first.read_until(Welcome)
        second = server.player("bob")
        opened.append(second)
        bye = second.read_until(Bye)
        assert (bye.code, bye.retry) == ("SERVER_FULL", True)
        second.close()
        first.close()
        code, out, err = server.stop()
        assert (code, "kicked        1 SERVER_FULL\n" in out, "1 player at the peak" in out) == (0, True, True)
        logged[level] = "SERVER_FULL" in err
    assert logged == {"info": True, "warning": False}


def test_run_finds_a_game_in_the_current_folder(run: Run, opened: list[Server | Player], tmp_path: Path) -> None:
    (tmp_path / "mygame.py").write_text(
        "from zoneserver.zone.rules import Rules\n\n\nclass Tag(Rules):\n    stats = {'tags': 3}\n"
    )
    server = run("mygame:Tag", cwd=tmp_path)
    player = server.player("ann")
    opened.append(player)
    welcome = player.read_until(Welcome)
    assert (welcome.zone.name, welcome.zone.kinds[0].stats) == ("tag", (("tags", 3),))
