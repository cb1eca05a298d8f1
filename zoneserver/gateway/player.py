"""A player as the gateway sees it: a session that said HELLO."""

from __future__ import annotations

from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import PlayerState
from zoneserver.zone.frame_history import Form

__all__ = ["Player"]


class Player:
    """The gateway's state of one player. The zone knows the player by `session.number`."""

    __slots__ = ("form", "guard", "name", "refusals_total", "seq", "session", "slot", "state")

    def __init__(self, session: Session, name: str, guard: FloodGuard, form: Form) -> None:
        self.session = session
        self.name = name
        self.guard = guard
        self.form = form
        """The form in which the player gets its frames."""
        self.state = PlayerState.JOINING
        self.slot: int | None = None
        """None until the zone has let the player in."""
        self.seq = 0
        """The sequence of the newest action."""
        self.refusals_total = 0
