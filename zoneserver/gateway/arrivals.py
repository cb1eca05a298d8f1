"""Arrivals: players on their way in, from their HELLO or RESUME to their first frame."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from zoneserver.config import Config, resume_ticks
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.flood_guard import FloodGuard
from zoneserver.gateway.handshake import PendingConnections, objection_to
from zoneserver.gateway.parked import Parked
from zoneserver.gateway.penalties import Penalties
from zoneserver.gateway.player import Player
from zoneserver.gateway.session import Session
from zoneserver.protocol.messages import DEFLATE, RESUME, TOKEN_BYTES, Hello, Resume
from zoneserver.zone.frame_history import Form
from zoneserver.zone.link import Join, RefusedAction, Resumed, TickOutput, ZoneLink

__all__ = ["Arrivals"]


class Arrivals:
    """Makes a player of each HELLO and RESUME, and welcomes the players whom the zone has let in.

    `players` has all players of the gateway, by ref. `entered` is called with each player who has come in, before they
    are told anything.
    """

    def __init__(
        self,
        link: ZoneLink,
        config: Config,
        counters: GatewayCounters,
        players: dict[int, Player],
        pending: PendingConnections,
        parked: Parked,
        broadcaster: Broadcaster,
        penalties: Penalties,
        entered: Callable[[Player], None],
    ) -> None:
        self._link = link
        self._limits = config.limits
        self._counters = counters
        self._players = players
        self._pending = pending
        self._parked = parked
        self._broadcaster = broadcaster
        self._penalties = penalties
        self._entered = entered
        self._grace_ticks = resume_ticks(config)

    def hello(self, session: Session, hello: Hello | Resume) -> Join | None:
        """Makes a player. Returns what to ask the zone; None if the session has ended instead."""
        objection = objection_to(hello, self._link.info.version)
        if objection is not None:
            session.end(*objection)
            return None
        session.label = hello.name
        guard = FloodGuard(self._limits, self._pending.address_budgets(session))
        form = Form(session.framing, DEFLATE in hello.options)
        may_return = self._grace_ticks and RESUME in hello.options
        token = secrets.token_bytes(TOKEN_BYTES) if may_return else b""
        resume = hello if isinstance(hello, Resume) else None
        player = Player(self._link.next_ref(), session, hello.name, guard, form, token, resume)
        self._players[player.ref] = session.context = player
        self._pending.join(session)
        return player.request_to_join(hello)

    def go_on(self, resumed: Resumed, now: float) -> None:
        """A player has come back: the new session has the budgets and the penalties of the one before."""
        before, player = self._players.get(resumed.former), self._players.get(resumed.ref)
        self._parked.forget(resumed.former)
        if player is not None:
            # WELCOME tells the sequence only to a client that may come back. Another one begins with 1.
            player.seq = resumed.seq if player.token else 0
            standing = resumed.standing if before is None else before.guard.standing(now)
            if standing is not None:
                player.guard.take_over(standing, now)

    def welcome(self, output: TickOutput, joined: Mapping[int, int | None], now: float) -> None:
        """Sends the players who joined or came back in this tick what they need, all from one snapshot."""
        told: dict[int, list[bytes]] = {}
        for ref, payload in output.told if joined else ():
            if ref in joined:
                told.setdefault(ref, []).append(payload)
        # After ticks that the gateway has missed, some of them refuse what those who came back did before.
        refused = [each for each in output.refused if each.ref in joined] if joined else ()
        for ref, slot in joined.items():
            player = self._players.get(ref)
            if player is not None:  # Else the session has ended, and the next requests tell the zone.
                of_player = [each for each in refused if each.ref == ref] if refused else ()
                self._welcome(player, slot, output.tick, told.get(ref, ()), of_player, now)

    def _welcome(
        self,
        player: Player,
        slot: int | None,
        tick: int,
        told: Sequence[bytes],
        refused: Sequence[RefusedAction],
        now: float,
    ) -> None:
        session, resume = player.session, player.resume
        self._pending.leave(session)
        player.enter(slot)
        self._entered(player)
        self._counters.resumes_total += resume is not None
        self._counters.joins_total += slot is not None and resume is None
        info, epoch = self._link.info, self._link.epoch
        welcome = player.welcome(info, tick, self._limits.client_frame_bytes, self._grace_ticks, epoch)
        self._tell(session, welcome.encode(), *(told if resume is not None else ()))
        for each in refused:
            self._penalties.refuse(player, each.refusal, each.is_violation, now)
        session.flush()
        if session.is_over:
            return
        self._broadcaster.join(
            session, player.form, now, player.has_tick(epoch, self._link.former_tick), player.wants_whole
        )
        if resume is None:
            self._tell(session, *told)
        session.flush()
        self._penalties.go_on(player)

    def _tell(self, session: Session, *payloads: bytes) -> None:
        for payload in payloads:
            self._counters.bytes_out_total += session.queue(payload)
