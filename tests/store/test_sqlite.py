"""SQLite: what is kept, what people can read, and what happens when the file cannot be used."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoneserver.store import sqlite as module
from zoneserver.store.sqlite import SqliteBackend


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "accounts.db")


@contextlib.contextmanager
def opened(path: str) -> Iterator[SqliteBackend]:
    with contextlib.closing(SqliteBackend(path)) as backend:
        yield backend


def test_saved_players_are_there_after_another_start(path: str) -> None:
    with opened(path) as backend:
        assert backend.load("ann") is None
        backend.save({"ann": "1", "bob": "2"})
        backend.save({"ann": '{"name":"Ångström \N{SNOWMAN} \\u0000"}'})
    with opened(path) as backend:
        assert (backend.load("ann"), backend.load("bob")) == ('{"name":"Ångström \N{SNOWMAN} \\u0000"}', "2")


def test_people_can_read_and_change_the_table_while_it_is_in_use(path: str) -> None:
    with opened(path) as backend, contextlib.closing(sqlite3.connect(path)) as shell:
        backend.save({"ann": '{"gold":7}'})
        rows = shell.execute("SELECT name, saved ->> 'gold', saved_at < datetime('now', '1 second') FROM players")
        assert rows.fetchall() == [("ann", 7, 1)]
        with shell:
            shell.execute("UPDATE players SET saved = json_set(saved, '$.gold', 8) WHERE name = 'ann'")
        assert backend.load("ann") == '{"gold":8}'


def test_locked_file_can_be_read_and_fails_to_be_written_until_it_is_free(path: str) -> None:
    with opened(path) as backend, contextlib.closing(sqlite3.connect(path)) as other:
        backend.save({"ann": "1"})
        other.execute("BEGIN EXCLUSIVE")
        assert backend.load("ann") == "1"
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            backend.save({"ann": "2"})
        other.rollback()
        backend.save({"ann": "3"})
        assert backend.load("ann") == "3"


def test_full_disk_loses_nothing_that_was_saved_and_recovers(path: str) -> None:
    with opened(path) as backend:
        backend.save({"ann": "1"})
        pages = backend._connection.execute("PRAGMA page_count").fetchone()[0]
        backend._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            backend.save({"ann": "2"} | {f"p{number}": "x" * 1_000 for number in range(100)})
        assert (backend.load("ann"), backend.load("p0")) == ("1", None)
        backend._connection.execute("PRAGMA max_page_count = 1000000")
        backend.save({"ann": "3"})
        assert backend.load("ann") == "3"


def test_file_that_is_no_database_is_left_alone(path: str) -> None:
    Path(path).write_text("my diary, " * 1_000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        SqliteBackend(path)
    assert Path(path).read_text() == "my diary, " * 1_000


def test_table_of_another_program_is_told_at_the_start(path: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE players (id INTEGER)")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        SqliteBackend(path)


def test_file_that_cannot_be_written_is_told_at_the_start(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteBackend(path).close()
    # The permissions of a file do not hold for root.
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, uri=True))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        SqliteBackend(f"file:{path}?mode=ro")
