"""The command `zoneserver run` in a process of its own, as a user starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from helpers.paths import ROOT

from zoneserver.cli import main as cli
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import Deframer, frame
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Bye,
    Hello,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)
from zoneserver.support.event_loop import loop_factory

PATIENCE_SECONDS = 30.0
"""A test fails if a step takes this long. No step is expected to take a tenth of it."""

HAS_UVLOOP = loop_factory("auto")[0] == "uvloop"
Message = TypeVar("Message", bound=ServerMessage)
Found = TypeVar("Found")


def until(find: Callable[[], Found]) -> Found:
    """The first true result of `find`, which is called again and again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.005)
    return found


class Server:
    """`python -m zoneserver run` on free ports."""

    def __init__(self, folder: Path, *arguments: str, cwd: Path = ROOT, stdin: int = subprocess.DEVNULL) -> None:
        self.ready_file = folder / f"ready-{time.monotonic_ns()}.json"
        ports = ("--port", "0", "--stats-port", "0", "--ready-file", str(self.ready_file))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zoneserver", "run", *arguments, *ports],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, int]:
        def content() -> str:
            if self.process.poll() is not None:
                pytest.fail(f"the server ended: {self.process.communicate()}")
            return self.ready_file.read_text() if self.ready_file.exists() else ""

        ready: dict[str, int] = json.loads(until(content))
        return ready

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ready()['stats_port']}/stats", timeout=10) as answer:
            stats: dict[str, Any] = json.load(answer)
        return stats

    def player(self, name: str) -> Player:
        player = Player(self.ready()["port"])
        player.hello(name)
        return player

    def ended(self) -> tuple[int, str, str]:
        """(exit code, stdout, stderr), after the end of the process."""
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out, err

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        return self.ended()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Player:
    """A client on a blocking socket, which reads only when the test tells it to."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._deframer = Deframer(SERVER_PAYLOAD_BYTES)
        self._payloads: list[bytes] = []

    def hello(self, name: str) -> None:
        self.sock.sendall(frame(Hello(PROTOCOL_VERSION, name, b"").encode()))

    def read(self) -> ServerMessage:
        while not self._payloads:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._payloads += self._deframer.receive(data)
        return decode_server(self._payloads.pop(0))

    def read_until(self, kind: type[Message]) -> Message:
        while not isinstance(message := self.read(), kind):
            pass
        return message

    def close(self) -> None:
        self.sock.close()


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


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """(exit code, the one line of the error) of a command that must not start."""
    try:
        code = cli.main(["run", *arguments])
    except SystemExit as error:
        assert isinstance(error.code, int)
        code = error.code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith(("usage:", " "))]
    assert len(lines) == 1, err
    assert lines[0].startswith(("zoneserver: ", "zoneserver run: "))
    return code, lines[0]


# --- Start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loop",
    ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(not HAS_UVLOOP, reason="uvloop is not installed"))],
)
def test_run_prints_a_banner_and_a_summary(run: Run, opened: list[Server | Player], loop: str) -> None:
    server = run("--loop", loop)
    ready = server.ready()
    assert set(ready) == {"pid", "port", "stats_port", "protocol"}
    assert (ready["pid"], ready["protocol"]) == (server.process.pid, PROTOCOL_VERSION)
    player = server.player("ann")
    opened.append(player)
    assert player.read_until(Welcome).game == "plaza"
    stats = server.stats()
    assert (stats["pid"], stats["loop"], stats["players"]) == (server.process.pid, loop, 1)
    code, out, err = server.stop()
    assert code == 0
    banner = err.partition("stopping:")[0].splitlines()
    assert 0 < len(banner) <= 6
    assert loop in banner[0]
    assert f"127.0.0.1:{ready['port']}" in err
    assert f"http://127.0.0.1:{ready['stats_port']}/stats" in err
    assert re.search(r"1 player at the peak, 1 at the end", out)
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
    assert re.search(r"PROTOCOL_ERROR: <session .* from \[::1\]:\d+, closing>", err)


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


# --- Stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
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


def test_two_signals_that_arrive_together_count_as_two(run: Run) -> None:
    server = run()
    server.ready()
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        server.process.send_signal(number)
    assert server.ended()[0] == 130


# --- Settings -------------------------------------------------------------------------------------


def test_hz_sets_the_tick_rate(run: Run, opened: list[Server | Player]) -> None:
    server = run("--hz", "10")
    player = server.player("ann")
    opened.append(player)
    assert player.read_until(Welcome).hz == 10
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
        places.append((snapshot.names, list(snapshot.x), list(snapshot.y)))
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
    assert (welcome.game, welcome.stats) == ("tag", [("tags", 3)])


def test_help_of_run_has_examples_exit_codes_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert "examples:\n  zoneserver run " in out
        assert "exit codes: 0 " in out
    for flag in ("--port", "--stats-port", "--hz", "--max-players", "--duration", "--seed", "--ready-file", "--loop"):
        assert flag in out


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--port", "--stats-port"])
def test_the_error_of_a_port_in_use_names_its_holder(flag: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        other = "--stats-port" if flag == "--port" else "--port"
        done = subprocess.run(
            [sys.executable, "-m", "zoneserver", "run", flag, str(port), other, "0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"zoneserver: port {port} is in use by ")
    assert f"any free one with {flag} 0" in done.stderr
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hz", "0"], "hz must be from 1 to 100, not 0"),
        (["--hz", "101"], "hz must be from 1 to 100"),
        (["--hz", "fast"], "--hz: 'fast' is not a whole number"),
        (["--port", "70000"], "port must be from 0 to 65535"),
        (["--stats-port", "-1"], "stats_port must be from 0 to 65535"),
        (["--max-players", "0"], "max_players must be from 1 to"),
        (["--max-players", "few"], "'few'"),
        (["--duration", "soon"], "'soon'"),
        (["--duration", "-5s"], "'-5s' is not a duration: write 30s, 2m or 1h30m"),
        (["--log-level", "loud"], "'loud'"),
        (["--loop", "twisted"], "'twisted'"),
        (["--nonsense"], "run"),
        (["no_such_module:Game"], "no module 'no_such_module'"),
        (["no_such_module"], "not of the form module:Class"),
        (["hz"], "not of the form module:Class, as in mygame:Tag; did you mean --hz?"),
        (["zoneserver.games.plaza:"], "not of the form module:Class"),
        ([":Plaza"], "not of the form module:Class"),
        (["zoneserver.games.plaza:Piazza"], "no Rules class named 'Piazza'; it has Plaza"),
        (["zoneserver.games.plaza:EMOTES"], "no Rules class named 'EMOTES'"),
        (["zoneserver.zone.zone:Zone"], "no Rules class named 'Zone'"),
        (["./mygame.py:Tag"], "mygame"),
        ([".plaza:Plaza"], "plaza"),
        (["--open", "--host", "no such host"], "cannot listen on no such host"),
        (["--open", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--host", "0.0.0.0"], "without a secret anyone who can reach 0.0.0.0 may join"),
        (["--secret-file", "/no/such/file"], "cannot read the secret in /no/such/file"),
        (["--secret-file", "/dev/null"], "the secret file /dev/null is empty"),
        (["--tls-cert", "/no/such/file"], "cannot use the certificate /no/such/file"),
        (["--tls-key", "/no/such/file"], "a TLS key needs its certificate"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_one_line_on_stderr(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = [] if {"--port", "--stats-port"} & set(arguments) else ["--port", "0", "--stats-port", "0"]
    if "--nonsense" in arguments:
        with pytest.raises(SystemExit) as caught:
            cli.main(["run", *arguments])
        assert caught.value.code == 2
        assert "there is no flag --nonsense" in capsys.readouterr().err
        return
    code, line = fails(capsys, *arguments, *ports)
    assert code == 2 or not ("error:" in line or "not of the form" in line)
    assert code in (2, 3)
    assert words in line


GAME = """\
from __future__ import annotations
from zoneserver.zone.rules import *

class Game(Rules):
    @action
    def jump(self, player: Player, how{}) -> None: ...
"""
FAILING = """\
from zoneserver import Rules

class Game(Rules):
    def {}(self):
        raise LookupError("there is no map")
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import no_such_package", "needs the module no_such_package, which is not installed"),
        (GAME.format(": list"), "Game.jump(how) is annotated <class 'list'>: an action takes int"),
        (GAME.format(""), "jump(how)"),
        (GAME.format(": Highly"), "Highly"),
        (GAME.format(": :"), "SyntaxError: invalid syntax (NAME.py:6)"),
        (FAILING.format("__init__"), "Game() raised LookupError: there is no map (NAME.py:5)"),
        (FAILING.format("on_start"), "on_start raised LookupError: there is no map (NAME.py:5)"),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
    ],
    ids=["a package", "a list", "no annotation", "no such name", "no syntax", "__init__", "on_start", "an import"],
)
def test_a_game_that_cannot_run_is_one_line_on_stderr(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"game_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, line = fails(capsys, f"{name}:Game", "--port", "0", "--stats-port", "0")
    assert code == 3
    assert words.replace("NAME", name) in line


def test_log_level_debug_adds_the_traceback_of_a_game_that_cannot_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_game.py").write_text(FAILING.format("on_start"))
    monkeypatch.chdir(tmp_path)
    arguments = ("failing_game:Game", "--port", "0", "--stats-port", "0", "--log-level", "debug")
    assert cli.main(["run", *arguments]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "LookupError: there is no map" in lines
    assert lines[-1] == "zoneserver: on_start raised LookupError: there is no map (failing_game.py:5)"


def test_a_missing_uvloop_is_an_error_with_the_pip_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    code, line = fails(capsys, "--loop", "uvloop")
    assert code == 3
    assert "pip install 'zoneserver[speed]'" in line
    assert loop_factory("auto")[0] == "asyncio"
