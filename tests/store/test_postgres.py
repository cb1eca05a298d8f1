"""PostgreSQL: a real server that is there, gone, and back."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.postgres import Postgres

from zoneserver.store.backend import open_backend
from zoneserver.store.store import Store
from zoneserver.support.errors import CannotStartError, MissingExtraError


@contextlib.contextmanager
def opened(url: str) -> Iterator[Any]:
    with contextlib.closing(open_backend(url)) as backend:
        yield backend


def test_saved_players_are_there_after_another_start(postgres: Postgres) -> None:
    url = postgres.url()
    with opened(url) as backend:
        assert backend.load("ann") is None
        backend.save({"ann": "1", "bob": "2"})
        backend.save({"ann": '{"name":"Ångström \N{SNOWMAN} \\u0000"}'})
    with opened(url) as backend:
        assert (backend.load("ann"), backend.load("bob")) == ('{"name":"Ångström \N{SNOWMAN} \\u0000"}', "2")


def test_batch_is_saved_whole_or_not_at_all(postgres: Postgres) -> None:
    import psycopg

    with opened(postgres.url()) as backend:
        backend.save({"ann": "1"})
        with pytest.raises(psycopg.DataError):
            backend.save({"ann": "2", "bob": "a\0b"})
        assert backend.load("ann") == "1"
        backend.save({"ann": "3"})
        assert backend.load("ann") == "3"


def test_server_that_is_gone_fails_and_one_that_is_back_does_not(postgres: Postgres) -> None:
    import psycopg

    with opened(postgres.url()) as backend:
        backend.save({"ann": "1"})
        postgres.stop()
        try:
            with pytest.raises(psycopg.OperationalError):
                backend.load("ann")
            with pytest.raises(psycopg.OperationalError):
                backend.save({"ann": "2"})
        finally:
            postgres.start()
        assert backend.load("ann") == "1"
        postgres.stop()
        postgres.start()
        backend.save({"ann": "3"})  # by a connection that has ended meanwhile
        assert backend.load("ann") == "3"


def test_who_may_not_create_tables_can_use_one_that_exists(postgres: Postgres) -> None:
    import psycopg

    url = postgres.url()
    with opened(url), psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS guest")
        admin.execute("CREATE ROLE guest LOGIN")
        admin.execute("GRANT SELECT, INSERT, UPDATE ON players TO guest")
    with opened(url.replace("zone@", "guest@")) as backend:
        backend.save({"ann": "1"})
        assert backend.load("ann") == "1"


def test_people_can_read_the_table(postgres: Postgres) -> None:
    import psycopg

    url = postgres.url()
    with opened(url) as backend, psycopg.connect(url) as shell:
        backend.save({"ann": '{"gold":7}'})
        assert shell.execute(
            "SELECT name, (saved::json ->> 'gold')::int, saved_at <= now() FROM players"
        ).fetchall() == [("ann", 7, True)]


async def test_server_that_is_not_there_is_told_at_the_start_without_the_password(tmp_path: object) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(CannotStartError) as raised:
        await Store.open(f"postgresql://zone:hunter2@/game?host={tmp_path}")
    assert str(raised.value).startswith(f"cannot open the store postgresql://zone:***@/game?host={tmp_path}: ")
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_missing_package_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"psycopg is not installed: pip install 'zoneserver\[postgres\]'"):
        await Store.open("postgresql://db/game")
