"""Saved players in a file of SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

__all__ = ["SqliteBackend"]

# The time that a call waits for another process that has locked the file. It is short, because all reads wait behind
# the call.
_LOCK_SECONDS = 0.5

_CREATE = """
CREATE TABLE IF NOT EXISTS players (
    name TEXT PRIMARY KEY,
    saved TEXT NOT NULL,
    saved_at TEXT NOT NULL
)"""
# This statement changes nothing. It fails if the table belongs to another program, or if the file cannot be written.
_TRY = "UPDATE players SET name = name, saved = saved, saved_at = saved_at WHERE 1 = 0"
_SAVE = """
INSERT INTO players (name, saved, saved_at) VALUES (?, ?, datetime('now'))
ON CONFLICT (name) DO UPDATE SET saved = excluded.saved, saved_at = excluded.saved_at"""


class SqliteBackend:
    """Keeps saved players in the table `players` of a file. Raises sqlite3.Error if the file cannot be used."""

    def __init__(self, path: str) -> None:
        # Transactions begin and end explicitly. The thread that closes the connection is the one that opened it.
        self._connection = sqlite3.connect(path, timeout=_LOCK_SECONDS, isolation_level=None)
        try:
            # With a write-ahead log, a program that reads the file does not hold up the server. When a commit
            # returns, it is on disk.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._transaction():
                self._connection.execute(_CREATE)
                self._connection.execute(_TRY)
        except BaseException:
            self._connection.close()
            raise

    def load(self, name: str) -> str | None:
        found = self._connection.execute("SELECT saved FROM players WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def save(self, saved: Mapping[str, str]) -> None:
        with self._transaction():
            self._connection.executemany(_SAVE, saved.items())

    def close(self) -> None:
        self._connection.close()

    def _transaction(self) -> sqlite3.Connection:
        """Begins a transaction that may write. The `with` block commits it, or takes it back when it raises."""
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection
