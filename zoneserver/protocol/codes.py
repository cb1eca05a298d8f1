"""The codes of every layer: why a session ended, and why an action was refused.

A code has one name on the wire, in the logs, in the statistics and in the reports, so that there is no table of
numbers to keep in step. (The model is `ClosedState` of NATS, with text in place of integers.)
"""

from __future__ import annotations

import enum
from typing import Self

__all__ = ["ORDINARY_CLOSES", "RESTRAINTS", "CloseReason", "GameReason", "RefusalCode"]


class CloseReason(str, enum.Enum):
    """Why a session ended. The server sends it in BYE if the connection still carries that.

    `text` is a sentence for people. `retry` says whether the client may reconnect without changing anything.

    >>> CloseReason.SERVER_FULL.retry, CloseReason("SERVER_FULL").text
    (True, 'the zone has no room for another player')
    """

    text: str
    retry: bool

    def __new__(cls, code: str, text: str, retry: bool) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.text = text
        member.retry = retry
        return member

    def __str__(self) -> str:
        return str(self.value)

    CLIENT_LEFT = "CLIENT_LEFT", "the player said goodbye", True
    CONNECTION_LOST = "CONNECTION_LOST", "the connection ended without a goodbye", True
    SERVER_STOPPING = "SERVER_STOPPING", "the server is shutting down", True
    SERVER_RESTARTING = "SERVER_RESTARTING", "the server restarts, and your player stays in", True
    SERVER_FULL = "SERVER_FULL", "the zone has no room for another player", True
    HANDSHAKE_TIMEOUT = "HANDSHAKE_TIMEOUT", "no complete HELLO arrived in time", True
    VERSION_MISMATCH = "VERSION_MISMATCH", "the server speaks another protocol version", False
    GAME_VERSION = "GAME_VERSION", "the server runs another version of the game", False
    BAD_NAME = "BAD_NAME", "the name is not allowed", False
    NAME_TAKEN = "NAME_TAKEN", "a player at another address has this name", True
    REPLACED = "REPLACED", "a newer session joined under this name", False
    RESUME_FAILED = (
        "RESUME_FAILED",
        "the player is not in the zone any more, or the token is not theirs: join again",
        True,
    )
    BAD_TICKET = "BAD_TICKET", "the ticket is not valid for this name, zone and time", False
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS", "the address has too many connections, or opens them too fast", True
    BANNED = "BANNED", "a player from this address was kicked a short while ago", True
    FLOOD = "FLOOD", "the client sent far more than any player does", False
    PROTOCOL_ERROR = "PROTOCOL_ERROR", "the client broke the protocol", False
    STORE_FAILED = "STORE_FAILED", "what is stored of this player could not be read", True
    SLOW_CONSUMER = "SLOW_CONSUMER", "the client did not read what the server sent", True
    INTERNAL_ERROR = "INTERNAL_ERROR", "the server failed while serving this session", True


ORDINARY_CLOSES = frozenset(
    {
        CloseReason.CLIENT_LEFT,
        CloseReason.CONNECTION_LOST,
        CloseReason.SERVER_STOPPING,
        CloseReason.SERVER_RESTARTING,
    }
)
"""Closes without a fault. All other closes are kicks: the server ended the session for a cause."""


class GameReason(str):
    """A reason of the game's own to turn a player away or to throw one out: any upper-case word.

    >>> GameReason("TOO_LATE").retry
    False
    """

    __slots__ = ()

    text = "the game ended the session"
    retry = False


class RefusalCode(enum.StrEnum):
    """Why the engine refused an action. A game adds its own codes: any upper-case word."""

    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    BAD_PAYLOAD = "BAD_PAYLOAD"
    NO_TARGET = "NO_TARGET"
    TOO_MANY_ACTIONS = "TOO_MANY_ACTIONS"
    WARNED = "WARNED"
    MUTED = "MUTED"
    UNMUTED = "UNMUTED"
    RULE_FAILED = "RULE_FAILED"


RESTRAINTS = frozenset({RefusalCode.WARNED, RefusalCode.MUTED, RefusalCode.UNMUTED})
"""Codes about a session, and not about a single action. No game refuses an action with one of these."""
