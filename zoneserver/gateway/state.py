"""Where a session stands between the first byte and the last."""

from __future__ import annotations

import enum

__all__ = ["MAY_FOLLOW", "State"]


class State(enum.Enum):
    """Where a session stands. `Session.advance` is the one place that assigns it."""

    NEW = "new"
    """No transport yet."""
    HANDSHAKE = "handshake"
    """Connected; the only message it may send is HELLO."""
    JOINING = "joining"
    """Admitted; the zone takes it in with the next tick."""
    PLAYING = "playing"
    CLOSING = "closing"
    """Over: its owner has been told. What was queued drains, and what arrives is thrown away."""
    CLOSED = "closed"
    """The connection is gone."""


MAY_FOLLOW = {
    State.NEW: {State.HANDSHAKE, State.CLOSING},
    State.HANDSHAKE: {State.JOINING, State.CLOSING},
    State.JOINING: {State.PLAYING, State.CLOSING},
    State.PLAYING: {State.CLOSING},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set[State](),
}
"""What each state may be left for."""
