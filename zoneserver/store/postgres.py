"""Saved players in PostgreSQL, which servers on several machines can share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from zoneserver.support.errors import MissingExtraError

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresBackend"]

Answer = TypeVar("Answer")

# A connection to a machine that is gone ends within seconds, because all reads wait behind it. The address of the
# store may set other values.
_PARAMETERS: dict[str, Any] = {
    "application_name": "zoneserver",
    "connect_timeout": 2,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
}
_CREATE = """
CREATE TABLE IF NOT EXISTS players (
    name text PRIMARY KEY,
    saved text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
)"""
# This statement changes nothing. It fails if the table belongs to another program, or cannot be written.
_TRY = "UPDATE players SET name = name, saved = saved, saved_at = saved_at WHERE 1 = 0"
_SAVE = """
INSERT INTO players (name, saved) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET saved = excluded.saved, saved_at = excluded.saved_at"""
# The number of the lock that a server holds while it creates the table, so that two servers do not both create it.
_CREATE_LOCK = 0x7A6F6E65


class PostgresBackend:
    """Keeps saved players in the table `players` of a database, and connects again after a failure.

    Raises MissingExtraError without psycopg, and psycopg.Error if the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise MissingExtraError("psycopg", "postgres") from None
        self._psycopg = psycopg
        self._parameters = _PARAMETERS | psycopg.conninfo.conninfo_to_dict(url)
        self._connection: psycopg.Connection[Any] | None = None
        self._run(_create_table)

    def load(self, name: str) -> str | None:
        found = self._run(lambda db: db.execute("SELECT saved FROM players WHERE name = %s", (name,)).fetchone())
        return None if found is None else found[0]

    def save(self, saved: Mapping[str, str]) -> None:
        # All servers write names in the same order, so that two servers cannot wait for each other.
        rows = sorted(saved.items())

        def save(db: psycopg.Connection[Any]) -> None:
            with db.transaction(), db.cursor() as cursor:
                cursor.executemany(_SAVE, rows)

        self._run(save)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _run(self, work: Callable[[psycopg.Connection[Any]], Answer]) -> Answer:
        """Does some work with a connection. If an older connection has ended meanwhile, for example because the
        database was restarted, the work is done again with a new one."""
        is_new = self._connection is None
        try:
            if self._connection is None:
                self._connection = self._psycopg.connect(**self._parameters, autocommit=True)
            return work(self._connection)
        except self._psycopg.Error as error:
            self.close()
            if is_new or not isinstance(error, self._psycopg.OperationalError):
                raise
        return self._run(work)


def _create_table(db: psycopg.Connection[Any]) -> None:
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_CREATE_LOCK,))
        # A user who may not create tables can use one that exists.
        found = db.execute("SELECT to_regclass('players')").fetchone()
        if found is None or found[0] is None:
            db.execute(_CREATE)
        db.execute(_TRY)
