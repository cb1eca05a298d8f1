"""Servers that start again while their players stay in: `ctl restart`, `run --reload`, SIGUSR2."""

from __future__ import annotations

import os
import re
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.run_command import Player, Server

from zoneserver.cli.main import main
from zoneserver.cli.restart import Restart
from zoneserver.config import Config
from zoneserver.control.client import ask
from zoneserver.journal.restart import first_checkpoint
from zoneserver.journal.values import Header
from zoneserver.journal.writer import Journal
from zoneserver.protocol.messages import RESUME, Act, Bye, Return, Snapshot, Tick, Welcome
from zoneserver.support.errors import CannotStartError
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not run a program again in place")

GAME = """\
from zoneserver import Player, Rules, action

class Mine(Rules):
    width, height = 1_000, 1_000

    def on_start(self):
        self.dug = 0

    def save(self):
        return self.dug

    def load(self, dug):
        self.dug = dug

    def on_leave(self, player):
        print("left", player.name)

    @action
    def dig(self, player: Player):
        self.dug += 1
        return self.dug
"""


class Miner:
    """A player who comes back."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self.player = Player(server.ready()["port"])
        self.player.hello(name, RESUME)
        self.slot, self.how = self._welcomed()
        self.snapshot = self.player.read_until(Snapshot)

    def _welcomed(self) -> tuple[int | None, Return]:
        welcome = self.player.read_until(Welcome)
        assert welcome.resume is not None
        return welcome.slot, welcome.resume

    def dig(self) -> int:
        """Digs once, and returns how much has been dug by all then."""
        seq = self.how.seq + 1
        self.player.say(Act(seq, [("dig",)]))
        self.how = self.how._replace(seq=seq)
        while True:
            for slot, _, *event in self.player.read_until(Tick).events:
                if slot == self.slot:
                    return int(event[1])

    def return_after(self, code: str, port: int) -> None:
        """Reads why the session ends, and comes back as the same player."""
        assert str(self.player.read_until(Bye).code) == code
        self.player.close()
        epoch, slot, seq = self.how.epoch, self.slot, self.how.seq
        self.player = Player(port)
        self.player.resume(self.name, self.how, self.snapshot.tick)
        self.slot, self.how = self._welcomed()
        assert (self.slot, self.how.epoch, self.how.seq) == (slot, epoch + 1, seq)
        self.snapshot = self.player.read_until(Snapshot)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "mine.py").write_text(GAME)
    return tmp_path


@pytest.fixture
def opened() -> Iterator[list[Server | Miner]]:
    opened: list[Server | Miner] = []
    yield opened
    for each in reversed(opened):
        (each if isinstance(each, Server) else each.player).close()


def start(folder: Path, opened: list[Server | Miner], *arguments: str) -> Server:
    server = Server(folder, "mine:Mine", *arguments, cwd=folder)
    opened.append(server)
    return server


def come(server: Server, opened: list[Server | Miner], *names: str) -> list[Miner]:
    miners = [Miner(server, name) for name in names]
    opened += miners
    return miners


def control(folder: Path, server: Server) -> Path:
    """The control socket of a server."""
    return folder / f"zoneserver-{server.ready()['port']}.ctl"


def heard(server: Server, *words: str) -> None:
    """Reads what the server prints, up to the last of these lines."""
    assert server.process.stderr is not None
    for each in words:
        while each not in (line := server.process.stderr.readline()):
            assert line, f"the server ended without a word of {each!r}"


def test_reload_goes_on_with_its_players_after_an_edit_unless_the_world_has_changed(
    folder: Path, opened: list[Server | Miner]
) -> None:
    server = start(folder, opened, "--reload")
    ann, bob = come(server, opened, "ann", "bob")
    assert (ann.dig(), bob.dig()) == (1, 2)
    (folder / "mine.py").write_text(GAME + "    x = (\n")
    heard(server, "mine.py changed: checking ...", "SyntaxError: '(' was never closed (mine.py:22)")
    heard(server, "the server goes on as it was")
    assert ann.dig() == 3
    (folder / "mine.py").write_text(GAME.replace("dug += 1", "dug += 100"))
    heard(server, "mine.py changed: checking ...", "fine: restarting; 2 players stay in", "running again: ")
    for miner in (ann, bob):
        miner.return_after("SERVER_RESTARTING", server.ready()["port"])
    assert [bob.dig(), ann.dig()] == [103, 203], "the new code goes on with what the game has saved"
    assert server.ready()["pid"] == server.process.pid
    (journal,) = folder.glob("zoneserver-journal-*")
    (folder / "mine.py").write_text(GAME.replace("= 1_000", "= 500"))
    misfit = "the journal was written with a width of 1000, and now it is 500"
    heard(server, f"fine, but the zone begins anew: {misfit}", "running again: ")
    assert str(ann.player.read_until(Bye).code) == "SERVER_STOPPING"
    (cid,) = come(server, opened, "cid")
    assert (cid.how.epoch, cid.dig()) == (1, 1)
    (other,) = folder.glob("zoneserver-journal-*")
    assert other != journal
    code, out, _ = server.stop()
    assert code == 0
    assert re.findall("^left (ann|bob|cid)$", out, re.MULTILINE) == ["ann", "bob", "cid"], "only then, and once each"
    assert not [*folder.glob("zoneserver-journal-*")]


def test_players_stay_in_over_the_next_start_of_a_server_that_stops_by_sigusr2(
    folder: Path, opened: list[Server | Miner]
) -> None:
    first = start(folder, opened, "--journal", "journal")
    (ann,) = come(first, opened, "ann")
    stranger = first.player("bob")
    stranger.read_until(Snapshot)
    assert ann.dig() == 1
    assert ask(control(folder, first), ["stop", "--drain"]).code == 0
    first.process.send_signal(signal.SIGUSR2)
    assert str(stranger.read_until(Bye).code) == "SERVER_STOPPING", "who cannot come back has to join again"
    stranger.close()
    code, out, err = first.ended()
    assert (code, "left ann" in out) == (0, False)
    assert "closing all sessions ...; 1 of 2 players stay in for the next start" in err
    second = start(folder, opened, "--journal", "journal")
    ann.return_after("SERVER_RESTARTING", second.ready()["port"])
    assert ann.dig() == 2
    come(second, opened, "cid")
    assert ask(control(folder, second), ["stop", "--keep"]) == (
        0,
        "the server stops, and its players stay in over the next start",
    )
    assert second.ended()[0] == 0


def test_sigusr2_after_a_stop_lets_the_server_end_in_good_order(folder: Path, opened: list[Server | Miner]) -> None:
    server = start(folder, opened, "--journal", "journal")
    come(server, opened, "ann")
    assert ask(control(folder, server), ["stop"]).code == 0
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGUSR2)
    code, out, _ = server.ended()
    assert (code, "left ann" in out) == (0, True), "the stop was first"


def test_check_refuses_a_game_that_cannot_go_on_with_the_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for name in ("mine", "other"):
        (folder / f"{name}.py").write_text(GAME)
    journal = Journal.open(folder / "journal")
    zone = Zone(Rules(), hz=20, seed=1)
    journal.begin(Header(1, zone.info), first_checkpoint(zone))
    journal.close()
    assert main(["run", "other:Mine", "--check", "--journal", "journal"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "the journal was written with the game rules, and now it is mine: the zone cannot go on" in err


class ListeningServer:
    """A server as `Restart` sees it: settings, and sockets."""

    def __init__(self, players: list[socket.socket], statistics: socket.socket | None, **settings: Any) -> None:
        self.config = Config(**settings)
        self.sockets: list[socket.socket] = []
        self.stats_socket: socket.socket | None = None
        self.ports = self
        self._shared = players, statistics

    def share(self) -> tuple[list[socket.socket], socket.socket | None]:
        return self._shared


@pytest.mark.parametrize("given", ["", "zone.socket"])
def test_sockets_go_to_the_next_start_unless_it_has_another_address(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as players, socket.create_server(("127.0.0.1", 0)) as statistics:
        handed: list[tuple[str, socket.socket]] = [(given, players)] if given else []
        monkeypatch.setattr("zoneserver.support.systemd.take_sockets", lambda: handed)
        monkeypatch.setattr("zoneserver.support.systemd.hand_over", handed.extend)
        monkeypatch.setattr("os.execv", lambda *_: os.chdir("/no/such/folder"))
        first = Restart(ListeningServer([players], statistics, host="::1", port=0))  # type: ignore[arg-type]
        first.take_sockets()
        first.keep_sockets()
        handed.clear()
        with pytest.raises(CannotStartError, match=r"cannot start .* again: No such file or directory"):
            first.become()
        again = ListeningServer([], None, host="::1", port=0)
        second = Restart(again)  # type: ignore[arg-type]
        second.take_sockets()
        assert (again.sockets, again.stats_socket, second.is_again) == ([players], statistics, not given)
        elsewhere = ListeningServer([], None, host="::1", port=7, stats_port=8)
        Restart(elsewhere).take_sockets()  # type: ignore[arg-type]
        assert (elsewhere.sockets, elsewhere.stats_socket) == ([players] if given else [], None)
        assert (players.fileno() == -1, statistics.fileno()) == (not given, -1)
