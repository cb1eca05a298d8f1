"""The interface of the object that a session reports to."""

from __future__ import annotations

from typing import Protocol, TypeVar

from zoneserver.protocol.codes import CloseReason

__all__ = ["SessionHandler"]

_Session_contra = TypeVar("_Session_contra", contravariant=True)


class SessionHandler(Protocol[_Session_contra]):
    """The callbacks of a session."""

    def session_accepted(self, session: _Session_contra) -> tuple[CloseReason, str] | None:
        """Called before the TLS handshake. Returns a reason to reject the connection and its text, or None."""

    def session_opened(self, session: _Session_contra) -> None:
        """The connection is established."""

    def session_received(self, session: _Session_contra, payload: bytes) -> None:
        """One whole payload arrived. Answers that are queued meanwhile leave in one send with the others."""

    def session_identified(self, session: _Session_contra) -> None:
        """The client is no browser that asks for documents, and `session.host` is its address also behind a proxy."""

    def session_released(self, session: _Session_contra) -> tuple[CloseReason, str] | None:
        """The connection is about to leave the session, since it asks for documents and not for a player. Returns a
        reason to end the session instead and its text, or None. No other method is called after None."""

    def session_blocked(self, session: _Session_contra) -> None:
        """`is_clear` no longer holds: nothing may pass the queue."""

    def session_cleared(self, session: _Session_contra) -> None:
        """`is_clear` holds again."""

    def session_stalled(self, session: _Session_contra) -> None:
        """The kernel did not take everything: a send is in flight."""

    def session_drained(self, session: _Session_contra) -> None:
        """The send in flight is complete. What the handler queues now leaves in the next gather send."""

    def session_ended(self, session: _Session_contra) -> None:
        """The session has ended for `session.reason`. Called exactly once, before `session_gone`."""

    def session_gone(self, session: _Session_contra) -> None:
        """The connection is gone and its descriptor free. Called exactly once, last of all."""
