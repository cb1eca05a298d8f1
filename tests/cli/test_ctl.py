"""`zoneserver ctl` and the control socket of a running server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_command import PATIENCE_SECONDS, Player, Server, until

from zoneserver.control.client import ask
from zoneserver.control.messages import REQUEST_BYTES_MAX
from zoneserver.protocol.messages import Bye, Snapshot, Tick, Welcome

_GAME = '''\
from zoneserver import Player, Refused, Rules, command


class Bank(Rules):
    stats = {"gold": 0}

    @command
    def give(self, player: Player, gold: int) -> str:
        """Gives gold to a player."""
        player["gold"] += gold
        return f"{player.name} has {player['gold']}"

    @command
    def halfway(self, player: Player, refuse: bool):
        player["gold"] += 100
        if refuse:
            raise Refused("NO", "not today")
        raise RuntimeError("a bug")

    @command
    def forge(self) -> int:
        raise SystemExit(7)
'''
Run = Callable[..., Server]


@pytest.fixture
def opened() -> Iterator[list[Server | Player]]:
    """A list of servers and players that are closed after the test."""
    opened: list[Server | Player] = []
    yield opened
    for each in reversed(opened):
        each.close()


@pytest.fixture
def run(tmp_path: Path, opened: list[Server | Player], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs servers whose default sockets lie in a folder of the test."""
    (tmp_path / "bank.py").write_text(_GAME)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    def run(*arguments: str) -> Server:
        server = Server(tmp_path, *(arguments or ("bank:Bank",)), cwd=tmp_path)
        opened.append(server)
        return server

    return run


def path_of(server: Server) -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"]) / f"zoneserver-{server.ready()['port']}.ctl"


def joined(server: Server, name: str, opened: list[Server | Player]) -> Player:
    player = server.player(name)
    opened.append(player)
    player.read_until(Snapshot)
    return player


def ctl(*arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command."""
    done = subprocess.run(
        [sys.executable, "-m", "zoneserver", "ctl", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def event(player: Player, kind: str) -> tuple[object, ...]:
    """The next event of this kind, without the kind."""
    while True:
        for slot, seq, found, *values in player.read_until(Tick).events:
            if found == kind:
                return (slot, seq, *values)


def test_ctl_without_words_lists_the_commands_and_those_of_the_game(run: Run) -> None:
    server = run()
    code, out, err = ctl("--port", str(server.ready()["port"]))
    assert (code, err) == (0, "")
    for word in ("kick", "ban", "unban", "say", "players", "save", "stop", "help"):
        assert f"\n{word} " in f"\n{out}"
    assert "commands of the game:\n" in out
    assert "give <player: Player> <gold: int>" in out
    assert "Gives gold to a player.\n" in out
    assert ask(path_of(server), ["help"]).text == out.strip("\n")


def test_commands_of_the_game_are_typed_and_happen_whole_or_not_at_all(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path = path_of(server)
    joined(server, "ann", opened)
    assert ctl("--ctl", str(path), "give", "ann", "5") == (0, "ann has 5\n", "")
    assert ctl("--ctl", str(path), "give", "ann", "-x")[0] == 2
    assert ask(path, ["give", "bob", "5"]) == (1, "NO_TARGET: there is no player 'bob' in the zone")
    assert ask(path, ["give", "ann"]) == (2, "usage: give <player: Player> <gold: int>: gold is missing")
    assert ask(path, ["gvie", "ann", "5"]) == (2, "there is no command 'gvie'; did you mean 'give'?")
    assert ask(path, ["halfway", "ann", "true"]) == (1, "NO: not today")
    code, text = ask(path, ["halfway", "ann", "false"])
    assert (code, text.partition(" (")[0]) == (1, "the game failed: RuntimeError: a bug")
    assert ask(path, ["forge"])[0] == 1
    assert ask(path, ["give", "ann", "1"]) == (0, "ann has 6")
    _, _, err = server.stop()
    assert "the command 'halfway ann false' failed in tick" in err
    assert err.count("ctl: 'give ann 5' by uid") == 1


def test_kick_ends_the_session_with_code_and_text(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    ann, bob = joined(server, "ann", opened), joined(server, "bob", opened)
    assert ctl("--ctl", str(path_of(server)), "kick", "ann", "be", "nice") == (0, "ann is kicked\n", "")
    bye = ann.read_until(Bye)
    assert (str(bye.code), bye.text) == ("KICKED", "be nice")
    assert ask(path_of(server), ["kick", "ann"]).code == 1
    assert ask(path_of(server), ["kick", "bob"]).code == 0
    assert bob.read_until(Bye).text == "an operator ended the session"
    joined(server, "ann", opened)


def test_ban_refuses_the_name_until_unban(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path, ann = path_of(server), joined(server, "ann", opened)
    code, text = ask(path, ["ban", "ann", "--for", "1h", "go away"])
    assert (code, text) == (0, "ann is banned for 1h; a restart without a journal forgets the ban")
    bye = ann.read_until(Bye)
    assert (str(bye.code), bye.text) == ("BANNED", "go away")
    again = server.player("ann")
    opened.append(again)
    assert str(again.read_until(Bye).code) == "BANNED"
    assert ask(path, ["unban", "ann"]) == (0, "ann is not banned any more")
    assert ask(path, ["unban", "ann"]).code == 1
    joined(server, "ann", opened)
    for spelling in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:ffff:127.0.0.1", "::2"):
        assert ask(path, ["ban", spelling]).code == 1
    assert ask(path, ["ban", "192.0.2.1", "--for", "soon"]).code == 2
    assert ask(path, ["ban", "192.0.2.1"]).text.startswith("192.0.2.1 is banned until it is lifted (unban), 0 players")
    assert ask(path, ["unban", "192.0.2.1"]) == (0, "192.0.2.1 is not banned any more")
    assert ask(path, ["unban", "192.0.2.1"]) == (1, "NOT_BANNED: '192.0.2.1' is not banned")


def test_ban_of_an_address_ends_all_its_sessions_and_refuses_new_ones(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path = path_of(server)
    ann, bob = server.player("ann", "127.0.0.9"), server.player("bob", "127.0.0.8")
    silent = Player(server.ready()["port"], "127.0.0.9")
    opened += [ann, bob, silent]
    for player in (ann, bob):
        player.read_until(Snapshot)
    code, text = ask(path, ["ban", "127.0.0.9", "--for", "1h", "go away"])
    assert (code, text.partition(";")[0]) == (0, "127.0.0.9 is banned for 1h, 1 player ended")
    again = server.player("cid", "127.0.0.9")
    opened.append(again)
    for player in (ann, silent, again):
        bye = player.read_until(Bye)
        assert (str(bye.code), bye.text) == ("BANNED", "go away")
    assert bob.read_until(Tick)
    assert ask(path, ["unban", "127.0.0.9"]).code == 0
    again = server.player("cid", "127.0.0.9")
    opened.append(again)
    again.read_until(Snapshot)
    assert ask(path, ["ban", "127.0.0.9", "--for", "1ms"]).code == 0

    def is_let_in() -> bool:
        opened.append(player := server.player("dan", "127.0.0.9"))
        return isinstance(player.read(), Welcome)

    until(is_let_in)


def test_say_players_and_save(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path, ann = path_of(server), joined(server, "ann", opened)
    assert ctl("--ctl", str(path), "say", "hello", "all") == (0, "", "")
    assert event(ann, "say") == (None, None, "hello all")
    heading, row = ask(path, ["players"]).text.splitlines()
    assert heading.split() == ["slot", "since", "queued", "address", "name"]
    assert row.split()[0] == "0"
    assert row.endswith("  ann")
    [listed] = json.loads(ask(path, ["players", "--json"]).text)["players"]
    assert (listed["name"], listed["slot"], listed["queued_bytes"]) == ("ann", 0, 0)
    assert listed["address"].startswith("127.0.0.1:")
    assert ask(path, ["players", "all"]).code == 2
    assert ask(path, ["save"]) == (1, "NO_STORE: this server keeps no players, so there is nothing to save")


def test_stop_in_a_while_is_told_and_can_be_cancelled(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path, ann = path_of(server), joined(server, "ann", opened)
    assert ask(path, ["stop", "--cancel"]) == (1, "no stop is planned")
    assert ask(path, ["stop", "--in", "5m", "lunch"]).code == 0
    assert event(ann, "say") == (None, None, "the server stops in 5m: lunch")
    assert ask(path, ["stop", "--cancel"]) == (0, "the server does not stop")
    assert event(ann, "say") == (None, None, "the server does not stop")
    assert ask(path, ["stop", "--in", "0"]).code == 2
    assert ask(path, ["stop", "--im", "5m"]).code == 2
    assert ask(path, ["stop", "--in", "5500ms"]).code == 0
    assert event(ann, "say") == (None, None, "the server stops in 5.5s")
    assert event(ann, "say") == (None, None, "the server stops in 5s")
    assert ask(path, ["stop", "--in", "100ms"]).code == 0
    assert str(ann.read_until(Bye).code) == "SERVER_STOPPING"
    assert server.ended()[0] == 0


def refused(server: Server, name: str) -> tuple[str, str]:
    """(code, text) of the BYE that a new player gets."""
    player = server.player(name)
    bye = player.read_until(Bye)
    player.close()
    return str(bye.code), bye.text


def test_drain_lets_nobody_new_in_and_stops_when_the_last_player_has_left(
    run: Run, opened: list[Server | Player]
) -> None:
    server = run()
    path, ann, bob = path_of(server), joined(server, "ann", opened), joined(server, "bob", opened)
    assert ask(path, ["stop", "--drain", "--in", "0"]).code == 2
    told = "the server stops when the last of 2 players has left, at the latest in 10m; stop --cancel keeps it"
    assert ask(path, ["stop", "--drain", "--in", "10m", "lunch"]) == (0, told)
    said = "the server takes no new players, and stops in 10m at the latest: lunch"
    assert event(ann, "say") == (None, None, said)
    assert refused(server, "cid") == ("SERVER_STOPPING", "the server takes no new players")
    assert ask(path, ["stop", "--cancel"]) == (0, "the server does not stop")
    cid = joined(server, "cid", opened)
    server.process.send_signal(signal.SIGUSR1)
    assert event(cid, "say") == (None, None, "the server takes no new players, and stops when all have left")
    ann = joined(server, "ann", opened)
    for player in (bob, cid):
        player.close()
    until(lambda: server.stats()["players"] == 1)
    assert refused(server, "dan")[0] == "SERVER_STOPPING"
    ann.close()
    code, _, err = server.ended()
    assert code == 0
    assert "SIGUSR1: the server stops when the last of 3 players has left; stop --cancel keeps it" in err


def test_keep_and_restart_need_a_journal(run: Run) -> None:
    path = path_of(run())
    for words in (["stop", "--keep"], ["restart"]):
        assert ask(path, words) == (
            1,
            "this server keeps no journal, so nobody could stay in: start it with --journal DIR",
        )
    assert ask(path, ["restart", "now"]).code == 2


def test_stop_answers_says_so_and_removes_the_socket(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path, ann = path_of(server), joined(server, "ann", opened)
    assert ctl("--ctl", str(path), "stop", "see you") == (0, "the server stops\n", "")
    assert event(ann, "say") == (None, None, "the server stops: see you")
    assert ann.read_until(Bye)
    assert server.ended()[0] == 0
    assert not path.exists()


def test_without_a_server_the_path_is_named(run: Run, tmp_path: Path) -> None:
    assert ctl("--port", "1", "players")[0] == 3
    code, out, err = ctl("--ctl", str(tmp_path / "none.ctl"), "players")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert f"no server listens at {tmp_path}/none.ctl: No such file or directory" in err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.ctl"))
    assert "Connection refused" in ctl("--ctl", str(tmp_path / "dead.ctl"), "players")[2]
    assert run


def test_only_server_of_the_user_is_found_without_its_port_and_several_are_listed(run: Run, tmp_path: Path) -> None:
    zone = run("bank:Bank", "--port", "off", "--link", "unix:zone.sock")
    port = zone.ready()["stats_port"]
    (tmp_path / "zoneserver-12.ctl").write_text("of a killed one")
    code, out, err = ctl("say", "hello")
    assert (code, out) == (0, "")
    assert err == f"zoneserver ctl: no server has port 7777, so this is the only one, at port {port}\n"
    code, _, err = ctl("--port", "7777", "say", "hello all")
    assert code == 3
    assert err.endswith(f"On this machine run:\n  zoneserver ctl --port {port} say 'hello all'  (a server)\n")
    other = run().ready()["port"]
    code, _, err = ctl("players")
    assert code == 3
    for each in sorted((port, other)):
        assert f"\n  zoneserver ctl --port {each} players  (a server)" in err


def test_socket_has_mode_0600_and_replaces_that_of_a_dead_server(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.ctl"
    server = run("bank:Bank", "--ctl", str(path))
    server.ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.stats()["ctl"] == str(path)
    server.stop(signal.SIGKILL)
    assert path.exists()
    second = run("bank:Bank", "--ctl", str(path))
    second.ready()
    assert ask(path, ["players"], pid=second.process.pid).code == 0
    second.stop()
    assert not path.exists()


def test_default_socket_lies_in_a_folder_of_the_user(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = run()
    port = server.ready()["port"]
    folder = tmp_path / f"zoneserver-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [f"{port}.ctl"]
    assert ctl("--port", str(port), "players")[0] == 0


def test_socket_of_a_live_server_is_not_taken(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.ctl"
    first = run("bank:Bank", "--ctl", str(path))
    first.ready()
    code, _, err = run("bank:Bank", "--ctl", str(path)).ended()
    assert code == 3
    assert f"another server (pid {first.process.pid}) listens at {path} already: give another path: --ctl PATH" in err
    assert ask(path, ["players"], pid=first.process.pid).code == 0


@pytest.mark.parametrize("what", ["file", "open folder", "no folder", "long path"])
def test_path_that_cannot_be_a_socket_is_one_clear_line(run: Run, tmp_path: Path, what: str) -> None:
    path = tmp_path / what / "own.ctl"
    if what != "no folder":
        path.parent.mkdir()
    if what == "file":
        path.write_text("mine")
    if what == "open folder":
        path.parent.chmod(0o777)
    if what == "long path":
        path = path.with_name(120 * "x")
    code, _, err = run("bank:Bank", "--ctl", str(path)).ended()
    assert (code, err.count("\n")) == (3, 1)
    assert "zoneserver: no control socket: " in err
    assert "give another path: --ctl PATH" in err
    assert what != "file" or path.read_text() == "mine"


def test_default_path_that_cannot_be_used_leaves_the_server_without_a_socket(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Server | Player]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / f"zoneserver-{os.getuid()}").write_text("")
    server = run()
    assert joined(server, "ann", opened)
    assert server.stats()["ctl"] == ""
    code, _, err = server.stop()
    assert code == 0
    assert "the server runs without a control socket: its folder is no folder: " in err
    assert "Traceback" not in err


def test_none_opens_no_socket(run: Run, tmp_path: Path) -> None:
    server = run("bank:Bank", "--ctl", "none")
    assert server.stats()["ctl"] == ""
    assert not list(tmp_path.glob("*.ctl"))


def raw(path: Path, data: bytes) -> bytes:
    """What the server answers to these bytes, after which the client says no more."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(str(path))
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65_536):
            answer += data
        return answer


def test_garbage_harms_nobody(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    path = path_of(server)
    joined(server, "ann", opened)
    assert raw(path, b"") == b""
    for garbage in (b"\xff\n", b"[]\n", b"{}\n", b"[" * 4000 + b"\n", b'{"schema": "zone-ctl/1", "words": [1]}\n'):
        assert json.loads(raw(path, garbage))["code"] == 2
    too_long = raw(path, b"x" * (REQUEST_BYTES_MAX + 1))
    assert json.loads(too_long)["text"] == "the request is too long"
    assert ask(path, ["players"]).code == 0
    code, _, err = server.stop()
    assert code == 0
    assert "Traceback" not in err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_may_not_give_commands(run: Run) -> None:
    # The folders of pytest are closed to other users.
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / "own.ctl"
        run("bank:Bank", "--ctl", str(path)).ready()
        program = (
            "import socket, sys; sock = socket.socket(socket.AF_UNIX); sock.connect(sys.argv[1]);"
            """sock.sendall(b'{"schema": "zone-ctl/1", "words": ["stop"]}\\n'); print(sock.recv(1000).decode())"""
        )
        command = ["/usr/bin/env", "python3", "-I", "-c", program, str(path)]

        def as_nobody() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command, user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True, text=True, check=False
            )

        assert "PermissionError" in as_nobody().stderr
        folder.chmod(0o755)
        assert "PermissionError" in as_nobody().stderr, "the mode of the socket has to do by itself"
        path.chmod(0o666)
        assert "only the user of the server and root may give commands" in as_nobody().stdout
        assert ask(path, ["players"]).code == 0
    finally:
        shutil.rmtree(folder)


def test_client_refuses_another_process_than_the_one_it_means(run: Run) -> None:
    server = run()
    with pytest.raises(Exception, match="another server listens there"):
        ask(path_of(server), ["players"], pid=server.process.pid + 1)


def test_words_may_begin_with_dashes(run: Run, opened: list[Server | Player]) -> None:
    server = run()
    ann = joined(server, "ann", opened)
    assert ctl("--ctl", str(path_of(server)), "say", "--", "-q", "--json")[0] == 0
    assert event(ann, "say") == (None, None, "-- -q --json")


def test_welcome_is_the_same_with_and_without_a_socket(run: Run, opened: list[Server | Player]) -> None:
    player = run("bank:Bank", "--ctl", "none").player("ann")
    opened.append(player)
    assert player.read_until(Welcome).zone.name == "bank"
