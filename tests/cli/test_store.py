"""`zoneserver run --store` in a process of its own: stops, kills, and a store that cannot be written."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_command import Server, until

from zoneserver.cli.main import main
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import RecordedTick
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Act, Welcome


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.close()


def start(servers: list[Server], folder: Path, *arguments: str) -> Server:
    (folder / "purse.py").write_text((ROOT / "tests/helpers/purse.py").read_text())
    servers.append(Server(folder, "purse:Purse", "--hz", "50", *arguments, cwd=folder))
    return servers[-1]


def saved(path: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT name, saved FROM players").fetchall()
    return {name: json.loads(text)["gold"] for name, text in rows}


def earn(server: Server, name: str) -> None:
    with contextlib.closing(server.player(name)) as player:
        player.read_until(Welcome)
        before = server.stats()["actions_in_total"]
        player.sock.sendall(length_prefixed(Act(1, [("earn",)]).encode()))
        until(lambda: server.stats()["actions_in_total"] > before)


def test_stop_saves_who_is_in_and_the_second_start_has_it(servers: list[Server], tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    for gold in (1, 2):
        server = start(servers, tmp_path, "--store", "accounts.db")
        player = server.player("ann")
        player.read_until(Welcome)
        player.sock.sendall(length_prefixed(Act(1, [("earn",)]).encode()))
        until(lambda server=server: server.stats()["actions_in_total"])
        code, out, err = server.stop()
        player.close()
        assert code == 0, err
        assert saved(path) == {"ann": gold}
        assert "saved in accounts.db" in err
        assert re.search(r"^store +\d+ read, \d+ written, 0 failures, 0 unsaved$", out, re.MULTILINE)


def test_kill_loses_at_most_the_interval(servers: list[Server], tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    server = start(servers, tmp_path, "--store", str(path), "--store-interval", "100ms")
    player = server.player("ann")
    player.read_until(Welcome)
    for seq in (1, 2, 3):
        player.sock.sendall(length_prefixed(Act(seq, [("earn",)]).encode()))
        until(lambda seq=seq: saved(path).get("ann") == seq)
    server.process.send_signal(signal.SIGKILL)
    server.ended()
    player.close()
    assert saved(path) == {"ann": 3}
    again = start(servers, tmp_path, "--store", str(path))
    earn(again, "ann")
    assert again.stop()[0] == 0
    assert saved(path) == {"ann": 4}


def test_start_hands_over_what_waited_for_the_store_and_nothing_else(servers: list[Server], tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    with_journal = "--store", "accounts.db", "--journal", "journal"
    server = start(servers, tmp_path, *with_journal)
    earn(server, "ann")
    until(lambda: saved(path) == {"ann": 1})
    journal = JournalReader(tmp_path / "journal")
    newest = max(entry.tick for entry in journal.entries() if isinstance(entry, RecordedTick) and entry.saves)
    until(lambda: journal.saved_tick >= newest)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        earn(server, "bob")
        until(lambda: server.stats()["store_failures_total"])
        server.process.send_signal(signal.SIGKILL)
        server.ended()
        # Ann goes on in another zone.
        other.execute("""UPDATE players SET saved = '{"gold":1000}'""")
        other.execute("COMMIT")
    again = start(servers, tmp_path, *with_journal)
    until(lambda: saved(path) == {"ann": 1000, "bob": 1})
    assert again.stop()[0] == 0


def test_stop_with_a_store_that_cannot_be_written_fails_and_names_the_file(
    servers: list[Server], tmp_path: Path
) -> None:
    # The command itself, with less patience.
    (tmp_path / "impatient.py").write_text(
        "from zoneserver import persistence\nfrom zoneserver.cli.main import main\n"
        "persistence.STORE_SECONDS = 0.3\nraise SystemExit(main())\n"
    )
    server = start(servers, tmp_path, "--store", "accounts.db")
    server.close()
    arguments = server.process.args
    assert isinstance(arguments, list)
    server.ready_file.unlink(missing_ok=True)
    server.process = subprocess.Popen(
        [sys.executable, "impatient.py", *arguments[3:]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    player = server.player("ann")
    player.read_until(Welcome)
    with contextlib.closing(sqlite3.connect(tmp_path / "accounts.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, out, err = server.stop()
    player.close()
    assert code == 1
    (file,) = tmp_path.glob("unsaved-purse-*.jsonl")
    assert json.loads(file.read_text()) == {"name": "ann", "saved": {"gold": 0}}
    assert f"1 players could not be written to the store accounts.db: they are in {file.name}" in err
    assert "1 unsaved" in out


def test_show_config_shows_no_password(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONE_STORE", "postgresql://zone:hunter2@db/game")
    with pytest.raises(SystemExit):
        main(["run", "--show-config"])
    shown = capsys.readouterr().out
    assert re.search(r'^store = "postgresql://zone:\*\*\*@db/game" +# ZONE_STORE$', shown, re.MULTILINE)
    assert re.search(r"^store-interval = \S+ +# default$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("store", "text"),
    [
        (
            "mysql://db/game",
            "there is no store mysql://: name a file for SQLite, postgresql://user@host/database, or memory:",
        ),
        (":memory:", "':memory:' is almost the store in memory: write memory: for it, or ./:memory: for a file"),
        ("memory", "'memory' is almost the store in memory: write memory: for it, or ./memory for a file"),
    ],
)
def test_store_that_makes_no_sense_is_wrong_usage(store: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "--store", store])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_store_that_cannot_be_opened_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["run", "--port", "0", "--stats-port", "0", "--store", f"{tmp_path}/none/accounts.db"])
    assert code == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"cannot open the store {tmp_path}/none/accounts.db: unable to open database file")
