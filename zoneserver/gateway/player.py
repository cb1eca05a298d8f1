"""A player as the gateway sees it: a session that said HELLO or RESUME."""

from __future__ import annotations

import hashlib

from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import PlayerState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import DEFLATE, PROTOCOL_VERSION, RESUME, WATCH, WHOLE, Hello, Resume, Return, Welcome
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.support.statistic import CodeCounter
from zoneserver.zone.frame_history import Form
from zoneserver.zone.link import Join

__all__ = ["Player", "stop_reason"]


class Player:
    """The gateway's state of one player. The zone knows the player by `ref`.

    `token` is that with which the player may come back, empty if they may not. `resume` is the message of a player who
    comes back.
    """

    __slots__ = (
        *("dropped_seq", "form", "guard", "is_unconfirmed", "name", "ref", "refusals", "resume", "seq"),
        *("session", "slot", "state", "token"),
    )

    def __init__(
        self,
        ref: int,
        session: Session,
        name: str,
        guard: FloodGuard,
        form: Form,
        token: bytes = b"",
        resume: Resume | None = None,
    ) -> None:
        self.ref = ref
        self.session = session
        self.token = token
        self.resume = resume
        self.is_unconfirmed = resume is not None
        """Whether the player has come back, and no packet shows yet that the WELCOME has arrived."""
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
        self.refusals = CodeCounter()
        """How many actions were refused, by code."""

    def request_to_join(self, hello: Hello | Resume) -> Join:
        """What the zone is asked. It knows of a token only the hash."""
        join = Join(self.ref, self.name, b"", self.session.host, token=_hashed(self.token))
        if isinstance(hello, Resume):
            return join._replace(claim=_hashed(hello.token), tick=hello.tick)
        return join._replace(ticket=hello.ticket, watch=WATCH in hello.options)

    def enter(self, slot: int | None) -> None:
        """The zone has let the player in, with this slot; a watcher gets none."""
        self.state, self.slot = PlayerState.WATCHING if slot is None else PlayerState.PLAYING, slot

    @property
    def may_return(self) -> bool:
        """Whether the player keeps their place when the connection is lost."""
        return bool(self.token) and self.slot is not None

    def welcome(
        self, info: ZoneInfo, tick: int, payload_bytes_max: int, grace_ticks: int = 0, epoch: int = 1
    ) -> Welcome:
        """The WELCOME of a player whom the zone has let in with this tick."""
        may_return = self.may_return
        options = [DEFLATE] * self.form.deflated + [WATCH] * (self.slot is None) + [RESUME] * may_return
        resume = Return(self.token, grace_ticks, epoch, self.seq) if may_return else None
        limits = payload_bytes_max, ACTIONS_PER_PACKET
        return Welcome(PROTOCOL_VERSION, self.slot, tick, info, *limits, options, resume)

    def has_tick(self, epoch: int, former_tick: int) -> int | None:
        """The tick that the client has already; None if it needs the whole state. This epoch has begun after
        `former_tick`: up to there, the ticks of the epoch before are its own too."""
        if self.resume is None:
            return None
        is_former = self.resume.epoch == epoch - 1 and self.resume.tick <= former_tick
        return self.resume.tick if is_former or self.resume.epoch == epoch else None

    @property
    def wants_whole(self) -> bool:
        """Whether the client wants every frame that it has missed."""
        return self.resume is not None and WHOLE in self.resume.options


def stop_reason(player: Player | None, keep: bool) -> CloseReason:
    """Why a session ends when the server stops. With `keep`, players who may come back stay in."""
    stays = keep and player is not None and player.may_return
    return CloseReason.SERVER_RESTARTING if stays else CloseReason.SERVER_STOPPING


def _hashed(token: bytes) -> bytes:
    return hashlib.sha256(token).digest() if token else b""
