"""The gateway: sessions on one side, the link to a zone on the other, and one buffer a tick between them.

The gateway interprets the messages of clients, sends requests to the zone, and hands out the zone's answers.
It bounds what a client may send before others pay for it: by address (`handshake`) and by session
(`flood_guard`). It never sees a rule or the zone itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from zoneserver.config import Config
from zoneserver.gateway.action_intake import ActionIntake
from zoneserver.gateway.arrivals import Arrivals
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.connections import Connections
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.handshake import PendingConnections
from zoneserver.gateway.parked import Parked
from zoneserver.gateway.penalties import Penalties
from zoneserver.gateway.player import Player, stop_reason
from zoneserver.gateway.session import Session
from zoneserver.gateway.state import LEGAL, PlayerState
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import WireError, decode_client
from zoneserver.protocol.messages import Goodbye, Hello, Op, Ping, Pong, Resume, op_of
from zoneserver.zone.frame_history import History
from zoneserver.zone.link import AddressBan, Requests, TickOutput, ZoneLink

__all__ = ["Gateway"]

_ACT, _PLAYING = int(Op.ACT), PlayerState.PLAYING

# One tick moves the gateway's clock by at most this. While the process was stopped, or a tick took very long, no
# client could reach the server: that time counts against no client.
_STEP_SECONDS_MAX = 1.0
# Reasons that ban the address.
_BANNING = {CloseReason.FLOOD, CloseReason.PROTOCOL_ERROR}
# Reasons that are no will of the player's: the player may come back.
_PARKING = {CloseReason.CONNECTION_LOST, CloseReason.SLOW_CONSUMER, CloseReason.INTERNAL_ERROR}


class Gateway:
    """Owns the sessions of one zone; implements `session.SessionHandler`.

    `former` has the last frames before this start of the zone.
    """

    def __init__(
        self,
        link: ZoneLink,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        connections_max: int,
        former: Sequence[tuple[int, bytes]] = (),
    ) -> None:
        self.counters = GatewayCounters()
        self.history = History(config.limits.history_ticks, link.snapshot)
        for tick, frame in former:
            self.history.append(tick, frame)
        self.players_count = 0
        """Players in the zone."""
        self.players_peak = 0
        self.watchers_count = 0
        self._connections = Connections(loop)
        self.closed = self._connections.closed
        """The sessions that ended last, the newest first."""
        self._link = link
        self._loop = loop
        # Players by the ref under which the zone knows them. `Session.context` is the session's player, or None.
        self._players: dict[int, Player] = {}
        self.pending = PendingConnections(config, self.counters, connections_max)
        self.parked = Parked(config.limits.address_connections_max, self.pending.address_limits.exempt)
        """The players whose connection is lost and who may come back."""
        # The requests that `send_requests` will send to the zone.
        self._requests = Requests()
        # The changes in frames that were not sent yet.
        self._records = 0
        # Sessions that are not read before the next requests.
        self._held: set[Session] = set()
        self.broadcaster = self.make_broadcaster(self.history, config, self.counters)
        self._penalties = Penalties(self.counters, self.broadcaster, self.pending)
        self._intake = ActionIntake(config, self.counters, self._penalties)
        self._arrivals = Arrivals(
            *(link, config, self.counters, self._players, self.pending, self.parked, self.broadcaster),
            *(self._penalties, self._entered),
        )
        # The gateway's clock: the loop's clock as of the last tick, less the times when the process was stopped.
        self._now = 0.0
        self._ticked_at = self._tick_ended_at = loop.time()
        # The broadcaster's limits on time are checked with every so many requests.
        self._expire_beats = max(1, config.hz // 4)
        self._beats = 0
        self._is_stopping = False
        link.subscribe(self.on_tick)

    def make_broadcaster(self, history: History, config: Config, counters: GatewayCounters) -> Broadcaster:
        """Makes the broadcaster. A subclass that delivers in another way overrides it."""
        return Broadcaster(history, config, counters)

    @property
    def players(self) -> Iterable[Player]:
        """Players who are in the zone or about to come in."""
        return self._players.values()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._connections)

    def opened_at(self, session: Session) -> float:
        """When the session's connection was accepted, by the loop's clock."""
        return self._connections.opened_at(session)

    # --- Callbacks of sessions (session_handler.SessionHandler) ----------------------------------------

    def session_accepted(self, session: Session) -> tuple[CloseReason, str] | None:
        self._connections.accept(session)
        return self.pending.count(session, self._now)

    def session_opened(self, session: Session) -> None:
        self._connections.open(session)
        if self._is_stopping:
            self.pending.count(session, self._now)
            session.end(CloseReason.SERVER_STOPPING)
        else:
            self.pending.enter(session, len(self._connections), self._now)

    def session_identified(self, session: Session) -> None:
        self.pending.identify(session, self._now)

    def session_released(self, session: Session) -> tuple[CloseReason, str] | None:
        objection = self.pending.release(session, self._now)
        if objection is None:
            self._connections.forget(session)
        return objection

    def session_received(self, session: Session, payload: bytes) -> None:
        size = len(payload) + session.overhead_bytes
        self.counters.packets_in_total += 1
        self.counters.bytes_in_total += size
        player: Player | None = session.context
        if player is not None:
            guard = player.guard
            if player.is_unconfirmed and player.state is _PLAYING:
                player.is_unconfirmed = False
                self._requests.confirmed.append(player.ref)
            if guard.record_packet(size, self._now):
                self._penalties.raised(player)
            if guard.level:
                # A client at its rate limit is read once per tick, so that TCP slows it down.
                session.hold()
                self._held.add(session)
            # ACT packets wait for the tick: a hundred packets decoded in a row cost less than each one by itself,
            # between two calls of the kernel.
            if op_of(payload) == _ACT and player.state is _PLAYING:
                self._intake.add(player, payload, self._now)
                return
        if session.reason is None:
            self._read(session, player, payload)

    def session_blocked(self, session: Session) -> None:
        self.broadcaster.blocked(session)

    def session_cleared(self, session: Session) -> None:
        self.broadcaster.cleared(session)

    def session_stalled(self, session: Session) -> None:
        self.broadcaster.stalled(session, self._now)

    def session_drained(self, session: Session) -> None:
        self.broadcaster.drained(session, self._now)

    def session_ended(self, session: Session) -> None:
        reason, text = self.pending.leave(session) or (session.reason, session.reason_text)
        self.counters.closes[str(reason)] += 1
        # Without this reference an ended session is in no cycle, so it is freed without the garbage collector.
        player: Player | None = session.context
        session.context = None
        self._connections.ended(session, str(reason), text, "" if player is None else player.name)
        self.broadcaster.leave(session)
        if player is not None:
            del self._players[player.ref]
            self._penalties.forget(player)
            may_return = session.reason in _PARKING and player.token and player.state is _PLAYING
            if may_return and self.parked.add(player.ref, session.host):
                self._requests.drops.append(player.ref)
                standing = player.guard.standing(self._now)
                if standing is not None:
                    self._requests.standings.append((player.ref, standing))
                self.counters.drops_total += 1
            else:
                self._requests.leaves.append(player.ref)
            self.players_count -= player.state is _PLAYING
            self.watchers_count -= player.state is PlayerState.WATCHING
            # Only a player who got in is banned: a web page can make its visitor's browser connect and send garbage.
            is_banning = isinstance(session.reason, CloseReason) and session.reason in _BANNING
            if is_banning and player.state is _PLAYING:
                self.pending.ban(session, text, self._now)

    def _entered(self, player: Player) -> None:
        self.players_count += player.state is _PLAYING
        self.watchers_count += player.state is PlayerState.WATCHING
        self.players_peak = max(self.players_peak, self.players_count)

    def session_gone(self, session: Session) -> None:
        self.pending.gone(session, self._now)
        self._connections.forget(session)

    # --- Messages of clients -------------------------------------------------------------------------

    def _read(self, session: Session, player: Player | None, payload: bytes) -> None:
        if not payload:
            # A control frame or a fragment. It has been counted as a packet of the player, if there is one.
            if player is None and not self.pending.admit_part(session):
                session.end(CloseReason.PROTOCOL_ERROR, "too many control frames and fragments before HELLO")
            return
        try:
            message = decode_client(payload)
        except WireError as error:
            session.end(CloseReason.PROTOCOL_ERROR, str(error))
            return
        state = PlayerState.HANDSHAKE if player is None else player.state
        if type(message) not in LEGAL[state]:
            session.end(CloseReason.PROTOCOL_ERROR, f"{type(message).__name__.upper()} while in {state.value}")
            return
        match message:
            case Ping():
                since = round((self._loop.time() - self._tick_ended_at) * 1e6)
                pong = Pong(message.token, self.broadcaster.tick, max(0, since))
                self.counters.bytes_out_total += session.answer(pong.encode())
            case Hello() | Resume():
                if (join := self._arrivals.hello(session, message)) is not None:
                    self._requests.joins.append(join)
            case Goodbye():
                session.end(CloseReason.CLIENT_LEFT)

    # --- The tick ---------------------------------------------------------------------------------

    @property
    def has_actions(self) -> bool:
        """Whether there are packets that the zone has not been sent yet."""
        return self._intake.has_packets

    def send_requests(self) -> None:
        """Sends the collected requests to the zone. Called once per period of the zone's ticks, shortly before each
        tick; also while the zone is away."""
        now = self._loop.time()
        seconds = now - self._ticked_at
        self._now += min(seconds, _STEP_SECONDS_MAX)
        self._ticked_at = now
        if seconds > _STEP_SECONDS_MAX:
            self._excuse(seconds - _STEP_SECONDS_MAX)
        self.pending.expire(self._now)
        self._beats += 1
        if self._beats % self._expire_beats == 0:
            self.broadcaster.expire(self._now)
        self._intake.read(now=self._now)
        self._penalties.end_mutes(self._now)
        requests, self._requests = self._requests, Requests()
        requests.bans = self.pending.take_bans()
        requests.standings += self._penalties.take_standings(self._now)
        requests.actions = self._intake.take(self._players, has_room=self._link.has_room)
        self._link.send(requests)
        held, self._held = self._held, set()
        for session in held:
            session.release()

    def _excuse(self, seconds: float) -> None:
        """Does not count it against clients that their packets of a pause arrive at once, within as long a time."""
        until = self._now + max(seconds, _STEP_SECONDS_MAX)
        for player in self._players.values():
            player.guard.excuse(seconds, until)
        self.pending.address_limits.excuse(seconds, until)

    def on_tick(self, output: TickOutput) -> None:
        """Hands out the output of a tick of the zone."""
        self.history.append(output.tick, output.frame)
        for resumed in output.resumed:
            self._arrivals.go_on(resumed, self._now)
        for ref, reason, text in output.ended:
            self.parked.forget(ref)
            if ref in self._players:
                self._players[ref].session.end(reason, text)
        for ref, refusal, is_violation in output.refused:
            player = self._players.get(ref)
            if player is not None:
                self._penalties.refuse(player, refusal, is_violation, self._now)
        if output.bans:
            self.learn_bans(output.bans)
        self._intake.set_share(output.share)
        joined = dict(output.joined) | {each.ref: each.slot for each in output.resumed}
        for ref, payload in output.told:
            if ref in self._players and ref not in joined:
                self.counters.bytes_out_total += self._players[ref].session.queue(payload)
        self._records += output.records
        if output.is_last or joined:
            records, self._records = self._records, 0
            self.broadcaster.send(records, self._now, self._intake.take_acting())
        self._tick_ended_at = self._loop.time()
        self._arrivals.welcome(output, joined, self._now)
        self.pending.tick()

    def learn_bans(self, bans: Sequence[AddressBan]) -> None:
        """Takes over what the zone says of bans of addresses."""
        self._penalties.learn_bans(bans, self._players.values(), self._now)

    # --- The end ----------------------------------------------------------------------------------

    def end_all(self, reason: CloseReason, *, is_unknown: bool = True) -> None:
        """Ends all sessions. If their players are unknown to the zone, it is told nothing of them. Otherwise some may
        still be on their way to it."""
        for session in tuple(self._connections):
            session.end(reason)
        if is_unknown:
            self._requests = Requests()
        self.parked.clear()
        self._intake.clear()

    async def close(self, deadline_seconds: float, *, keep: bool = False) -> None:
        """Tells every client why its session ends (`stop_reason`), and drops those that have not gone in time."""
        self._is_stopping = True
        for session in self._connections:
            session.end(stop_reason(session.context, keep))
        await self._connections.wait_gone(deadline_seconds)
