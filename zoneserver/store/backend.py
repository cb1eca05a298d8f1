"""The backends of the store: a table `players` in SQLite or PostgreSQL, or a dict in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

__all__ = ["Backend", "MemoryStore", "open_backend", "shown_target"]


class Backend(Protocol):
    """Keeps one JSON text per name. All its methods are called in one thread, and may raise any exception.

    A method that failed is called again later: the backend connects again by itself.
    """

    def load(self, name: str) -> str | None:
        """The text of this name; None if there is none."""

    def save(self, saved: Mapping[str, str]) -> None:
        """Keeps the text of each name. It keeps all of them, or none if it raises."""

    def close(self) -> None:
        """Frees the resources of the backend. No method is called afterwards."""


class MemoryStore:
    """Keeps saved players in a dict, for tests. It can be given to one server after the other.

    >>> store = MemoryStore()
    >>> store.save({"ann": '{"gold":7}'})
    >>> store.load("ann"), store.load("bob")
    ('{"gold":7}', None)
    """

    def __init__(self) -> None:
        self.players: dict[str, str] = {}
        """The JSON text of each player, by name."""

    def load(self, name: str) -> str | None:
        return self.players.get(name)

    def save(self, saved: Mapping[str, str]) -> None:
        self.players |= saved

    def close(self) -> None:
        pass


def open_backend(target: str) -> Backend:
    """Opens the backend that `--store` names, and creates its table if it does not exist.

    Raises MissingExtraError where a package is missing, and any exception of the database.
    """
    # Each library is imported only by a server that uses it.
    if target.startswith(("postgresql://", "postgres://")):
        from zoneserver.store.postgres import PostgresBackend

        return PostgresBackend(target)
    if target == "memory:":
        return MemoryStore()
    from zoneserver.store.sqlite import SqliteBackend

    return SqliteBackend(target)


def shown_target(target: object) -> str:
    """The name of a store without its password, for logs and errors.

    >>> shown_target("postgresql://zone:hunter2@db/game")
    'postgresql://zone:***@db/game'
    """
    if not isinstance(target, str):
        return type(target).__name__
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", re.sub(r"(?<=[?&]password=)[^&]*", "***", target))
