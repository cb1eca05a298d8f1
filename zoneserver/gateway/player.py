"""A player as the gateway sees it: a session that said HELLO."""

from __future__ import annotations

from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import PlayerState
from zoneserver.protocol.messages import ACTIONS_PER_PACKET, DEFLATE, PROTOCOL_VERSION, Welcome
from zoneserver.zone.frame_history import Form
from zoneserver.zone.link import ZoneInfo

__all__ = ["Player"]


class Player:
    """The gateway's state of one player. The zone knows the player by `session.number`."""

    __slots__ = ("dropped_seq", "form", "guard", "name", "refusals_total", "seq", "session", "slot", "state")

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
        self.dropped_seq = 0
        """The newest action that was dropped because the player is muted; 0 if none was."""
        self.refusals_total = 0

    def welcome(self, info: ZoneInfo, tick: int, payload_bytes_max: int) -> Welcome:
        """The WELCOME of a player whom the zone has let in with this tick."""
        assert self.slot is not None
        encodings = (DEFLATE,) if self.form.deflated else ()
        place = info.hz, info.name, info.width, info.height, list(info.stats)
        return Welcome(PROTOCOL_VERSION, self.slot, tick, *place, payload_bytes_max, ACTIONS_PER_PACKET, encodings)
