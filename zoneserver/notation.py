"""The notation of single settings: what a user may write for a port, a store, and the journal."""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple

from zoneserver.support.parse import above_zero, parse_duration, parse_integer, parse_size

__all__ = [
    "JournalKeep",
    "journal_kept",
    "parse_journal_keep",
    "parse_journal_sync",
    "parse_port_or_off",
    "parse_store",
    "sync_seconds",
]


def parse_port_or_off(text: str) -> int | str:
    """A port for players, or `off`. Raises ValueError otherwise.

    >>> parse_port_or_off("7000"), parse_port_or_off("off")
    (7000, 'off')
    """
    try:
        return text if text == "off" else parse_integer(text)
    except ValueError as error:
        raise ValueError(f"{error}, and not off") from None


def parse_store(text: str) -> str:
    """Returns the name of a store unchanged. Raises ValueError for a database that is not supported, and for a name
    that almost means the memory."""
    if text != "memory:" and text.strip().strip(":").lower() == "memory":
        raise ValueError(f"{text!r} is almost the store in memory: write memory: for it, or ./{text} for a file")
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in {"postgresql", "postgres"}:
        raise ValueError(
            f"there is no store {scheme}://: name a file for SQLite, postgresql://user@host/database, or memory:"
        )
    return text


def parse_journal_sync(text: str) -> str:
    """Returns a setting `journal_sync` unchanged. Raises ValueError if `sync_seconds` cannot read it."""
    sync_seconds(text)
    return text


def sync_seconds(text: str) -> float:
    """How often the disk is told to keep the journal: 0 for each tick, infinite for never. Raises ValueError.

    >>> sync_seconds("200ms"), sync_seconds("tick"), sync_seconds("never")
    (0.2, 0.0, inf)
    """
    if text in {"tick", "never"}:
        return 0.0 if text == "tick" else math.inf
    try:
        return above_zero(parse_duration)(text)
    except ValueError:
        raise ValueError(f"{text!r} is no interval of the journal: write tick, never, or a duration as 200ms") from None


class JournalKeep(NamedTuple):
    """How much of a journal is kept beside what a restart needs: the last seconds, or the last bytes."""

    seconds: float = 0.0
    bytes: float = 0.0


def parse_journal_keep(text: str) -> str:
    """Returns a setting `journal_keep` unchanged. Raises ValueError if `journal_kept` cannot read it."""
    journal_kept(text)
    return text


def journal_kept(text: str) -> JournalKeep:
    """How much a setting `journal_keep` keeps. Raises ValueError.

    >>> journal_kept("1h"), journal_kept("10GB")
    (JournalKeep(seconds=3600.0, bytes=0.0), JournalKeep(seconds=0.0, bytes=10000000000))
    """
    if text in {"", "all"}:
        return JournalKeep(math.inf if text else 0.0)
    # A number alone could be either.
    if not text.isdigit():
        for name, parse in ("bytes", parse_size), ("seconds", parse_duration):
            with contextlib.suppress(ValueError):
                return JournalKeep(**{name: parse(text)})
    raise ValueError(f"{text!r} is neither a duration, a size nor all: write 1h, 10GB or all")
