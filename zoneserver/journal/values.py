"""What a journal holds, as values."""

from __future__ import annotations

from typing import Any, NamedTuple

from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.support.errors import CannotStartError
from zoneserver.zone.link import Resumed, TickInput

__all__ = ["Checkpoint", "Entry", "Header", "JournalError", "RecordedTick"]


class JournalError(CannotStartError):
    """A journal cannot be written, or is not what it was when it was written. The text names the file."""


class Header(NamedTuple):
    """The facts about the server that wrote a segment. Each segment begins with one."""

    epoch: int
    """Which start of the server this was, from 1."""
    game: ZoneInfo
    target: str = ""
    """Where the game is, as `module:Class`; empty if that is not known."""
    code: str = ""
    """A digest of the game's code, in hexadecimal."""
    versions: str = ""
    """The versions of zoneserver and Python, for people."""
    parameters: dict[str, Any] = {}  # noqa: RUF012 - nobody changes a header
    """What else the zone was made with, as plain values."""
    unix_seconds: float = 0.0
    """The time of day at which the segment began."""


class Checkpoint(NamedTuple):
    """The whole state of the zone after a tick."""

    tick: int
    snapshot: bytes
    """The payload of a SNAPSHOT."""
    state: dict[str, Any]
    """What is in no snapshot, as plain values. `game` is the state of the game, or None if the game cannot save it."""


class RecordedTick(NamedTuple):
    """One tick: what went into the zone, and what came out."""

    tick_input: TickInput
    frame: bytes
    """The payload of the TICK message, exactly."""
    joined: list[tuple[int, int | None]]
    """As in `TickOutput`."""
    resumed: list[Resumed]
    private: int
    """A checksum over all that players, watchers and operators were told alone."""
    saves: list[tuple[str, str]]
    """As in `TickOutput`."""

    @property
    def tick(self) -> int:
        return self.tick_input.tick


Entry = Header | Checkpoint | RecordedTick
