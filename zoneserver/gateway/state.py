"""The states of a connection and of its player, and the messages that are legal in each: tables without code."""

from __future__ import annotations

import enum

from zoneserver.protocol.messages import Act, ClientMessage, Goodbye, Hello, Ping, Resume

__all__ = ["LEGAL", "MAY_FOLLOW", "PlayerState", "SessionState"]


class SessionState(enum.Enum):
    """The state of a connection. Only `Session._advance` assigns it."""

    NEW = "new"
    """There is no transport yet."""
    OPEN = "open"
    CLOSING = "closing"
    """The session has ended and its handler was told. The queue drains; what arrives is ignored."""
    CLOSED = "closed"
    """The connection is gone."""
    RELEASED = "released"
    """The connection belongs to another protocol now."""


MAY_FOLLOW = {
    SessionState.NEW: {SessionState.OPEN, SessionState.CLOSING},
    SessionState.OPEN: {SessionState.CLOSING, SessionState.RELEASED},
    SessionState.CLOSING: {SessionState.CLOSED},
    SessionState.CLOSED: set[SessionState](),
    SessionState.RELEASED: set[SessionState](),
}
"""Which state may follow which."""


class PlayerState(enum.Enum):
    """The state of the player of an open connection, or of its watcher."""

    HANDSHAKE = "handshake"
    """The client's HELLO or RESUME has not arrived yet."""
    JOINING = "joining"
    """The zone was asked to let the player in, and answers with its next tick."""
    PLAYING = "playing"
    WATCHING = "watching"
    """The client has no player."""


LEGAL: dict[PlayerState, set[type[ClientMessage]]] = {
    PlayerState.HANDSHAKE: {Hello, Resume, Goodbye},
    PlayerState.JOINING: {Goodbye},
    PlayerState.PLAYING: {Act, Ping, Goodbye},
    PlayerState.WATCHING: {Ping, Goodbye},
}
"""Which messages a client may send in which state. Any other ends its session with PROTOCOL_ERROR."""
