"""A player as the gateway sees it: a session that said HELLO."""

from __future__ import annotations

from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import PlayerState
from zoneserver.protocol.messages import DEFLATE, PROTOCOL_VERSION, WATCH, Welcome
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.frame_history import Form

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
        """None until the zone has let the player in, and for a watcher."""
        self.seq = 0
        """The sequence of the newest action."""
        self.dropped_seq = 0
        """The newest action that was dropped because the player is muted; 0 if none was."""
        self.refusals_total = 0

    def enter(self, slot: int | None) -> None:
        """The zone has let the player in, with this slot; a watcher gets none."""
        self.state, self.slot = PlayerState.WATCHING if slot is None else PlayerState.PLAYING, slot

    def welcome(self, info: ZoneInfo, tick: int, payload_bytes_max: int) -> Welcome:
        """The WELCOME of a player whom the zone has let in with this tick."""
        options = [DEFLATE] * self.form.deflated + [WATCH] * (self.slot is None)
        return Welcome(PROTOCOL_VERSION, self.slot, tick, info, payload_bytes_max, ACTIONS_PER_PACKET, options)
