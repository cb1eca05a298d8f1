"""Pending connections, whose player is not in the zone yet: each counts by its address and has a deadline."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

from zoneserver.config import Config
from zoneserver.gateway.address_limits import AddressBudgets, AddressLimits, exempt_from
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import PROTOCOL_VERSION, WATCH, Hello, Resume
from zoneserver.protocol.player_names import NAME_TEXT, is_name
from zoneserver.support.addresses import Networks
from zoneserver.support.logs import fields
from zoneserver.zone.link import AddressBan

__all__ = ["PendingConnections", "objection_to"]

log = logging.getLogger(__name__)

# At most so many rejected connections are told why at once. Connections beyond this are dropped without a goodbye.
_REJECTED_MAX = 64
# How long the first bytes of a connection may be on their way. At most so many connections that are to be rejected are
# given this time.
_DOUBTFUL_MAX, _DOUBT_SECONDS = 256, 0.5
_NO_DOUBT = (0.0, None)
# How many control frames and fragments a connection may send before its HELLO is complete.
_PARTS_MAX = 16


def objection_to(hello: Hello | Resume, game_version: str) -> tuple[CloseReason, str] | None:
    """A reason to reject a HELLO or a RESUME as soon as it is read, and its text; None if there is none."""
    if hello.version != PROTOCOL_VERSION:
        text = f"this server speaks version {PROTOCOL_VERSION}, the client {hello.version}"
        return CloseReason.VERSION_MISMATCH, text
    if hello.game_version not in {"", game_version}:
        text = f"this server runs version {game_version!r} of the game, the client asks for {hello.game_version!r:.40}"
        return CloseReason.GAME_VERSION, text
    is_allowed = is_name(hello.name) or (isinstance(hello, Hello) and not hello.name and WATCH in hello.options)
    return None if is_allowed else (CloseReason.BAD_NAME, NAME_TEXT)


class PendingConnections:
    """The connections that have not said HELLO, or whose join the zone has not answered.

    `now` is in seconds of the caller's clock.

    The caller must report every session that ends (`leave`) or is gone (`gone`).
    """

    def __init__(self, config: Config, counters: GatewayCounters, connections_max: int) -> None:
        # The proxies whose connections come from an address of which they tell a little later.
        self._trusted = Networks(config.forwarded_from)
        self.address_limits = AddressLimits(config.limits, config.ban_seconds, exempt_from(self._trusted))
        self._config = config
        # The caller's clock may be a tick behind. With this margin no connection gets less than the whole time.
        self._margin_seconds = 1 / config.hz
        self._counters = counters
        self._connections_max = connections_max
        # When each session that has not said HELLO began to wait for it, the oldest first.
        self._handshaking: dict[Session, float] = {}
        # The tick by which the zone must have let each joining player in, the earliest first. It counts ticks, since
        # time dilates under load. A crowd that fills the zone may join at once, and comes in bit by bit.
        self._joining: dict[Session, int] = {}
        # The ticks since the start of the gateway. The zone's own may begin anywhere, and a replay jumps.
        self._ticks = 0
        joins_per_tick = max(1, config.limits.joins_per_second // config.hz)
        handshake_ticks = math.ceil(config.limits.handshake_seconds * config.hz)
        self._joining_ticks = handshake_ticks + config.max_players // joins_per_tick
        # Each session that counts in `address_limits`, until it is gone, and whether it counts as handshaking.
        self._counted: dict[Session, bool] = {}
        # Connections beyond a limit of their address: when each is to be rejected, and why. They are rejected at once
        # when their client turns out to be a player. A browser opens several connections to load the page, and asks
        # each of them for a document.
        self._doubtful: dict[Session, tuple[float, tuple[CloseReason, str]]] = {}
        # The control frames and fragments that handshaking sessions have sent.
        self._parts: dict[Session, int] = {}
        # Rejected sessions that are not gone yet.
        self._rejected: set[Session] = set()
        self._bans: list[tuple[str, float]] = []

    def __len__(self) -> int:
        """Connections that have not said HELLO yet."""
        return len(self._handshaking)

    def count(self, session: Session, now: float) -> tuple[CloseReason, str] | None:
        """Counts a connection by its address, once. Returns a reason to reject it and its text, or None.

        A connection from a trusted proxy counts when the address behind it is known: see `identify`.
        """
        if session in self._counted or session.host in self._trusted:
            return None
        self._counters.connections_total += 1
        return self._count(session, now)

    def identify(self, session: Session, now: float) -> None:
        """The client of a connection is a player, and their address is known. The connection counts, or is rejected."""
        due, doubt = self._doubtful.pop(session, _NO_DOUBT)
        if doubt is None:
            if session in self._counted:
                return
            self._counters.connections_total += 1
        # One that was beyond a limit may have a place now: it is not silent.
        objection = self._count(session, now, is_silent=False)
        if objection is not None:
            self._reject(session, *objection)
        elif doubt is not None:
            self._handshaking[session] = due - _DOUBT_SECONDS

    def _count(self, session: Session, now: float, *, is_silent: bool = True) -> tuple[CloseReason, str] | None:
        # Silent connections must not keep neighbours at their address out, so the oldest one makes room.
        handshaking, silent = self.address_limits.handshaking(session.host), None
        if len(handshaking) >= self._config.limits.address_handshakes_max:
            silent = next((each for each in handshaking if self._is_silent(each, now)), None)
            if silent is None and is_silent:
                text = f"too many connections before HELLO from {session.host} (limit: address_handshakes_max)"
                return CloseReason.TOO_MANY_CONNECTIONS, text
        objection = self.address_limits.opened(session.host, session, now)
        if objection is None:
            self._counted[session] = True
            if silent is not None:
                text = "a newer connection from this address needed the place (limit: address_handshakes_max)"
                silent.end(CloseReason.HANDSHAKE_TIMEOUT, text)
                silent.abort()
        return objection

    def _is_silent(self, session: Session, now: float) -> bool:
        """Whether a handshaking connection may have to make room."""
        # A connection within its TLS handshake belongs to the listener. The first bytes of a new one may be on the way.
        since = self._handshaking.get(session)
        return since is not None and since + (_DOUBT_SECONDS if session.is_undecided else 0.0) <= now

    def enter(self, session: Session, connections: int, now: float) -> None:
        """Gives a new connection its deadline, or rejects it. `connections` counts it too."""
        objection = self.count(session, now)
        if objection is not None and session.is_undecided and len(self._doubtful) < _DOUBTFUL_MAX:
            self._doubtful[session] = now + _DOUBT_SECONDS, objection
            return
        if objection is not None:
            self._reject(session, *objection)
            return
        self._handshaking[session] = now
        if connections > self._connections_max:
            self._make_room(session)

    def _make_room(self, newest: Session) -> None:
        """Ends the connection that has been silent for longest, so that silent ones cannot fill the server.

        Where all others have players, the newest connection ends.
        """
        silent = next(iter(self._handshaking))
        if silent is newest:
            self._reject(newest, CloseReason.SERVER_FULL, "no room for another connection")
        else:
            silent.end(CloseReason.HANDSHAKE_TIMEOUT, "another connection needed the place before HELLO arrived")
            silent.abort()

    def _reject(self, session: Session, reason: CloseReason, text: str = "") -> None:
        """Tells a connection why it cannot stay, unless too many are being told already."""
        self._rejected.add(session)
        session.end(reason, text)
        if len(self._rejected) > _REJECTED_MAX:
            session.abort()

    def silent(self, host: str) -> list[Session]:
        """The connections from the network of an address that have not said HELLO yet."""
        return [session for session in self.address_limits.handshaking(host) if session in self._handshaking]

    def leave(self, session: Session) -> tuple[CloseReason, str] | None:
        """The session has ended, or its player is in the zone. Returns why it was to be rejected, if it was."""
        objection = self._doubtful.pop(session, _NO_DOUBT)[1]
        self._joining.pop(session, None)
        self._greeted(session)
        return objection

    def _greeted(self, session: Session) -> None:
        self._handshaking.pop(session, None)
        self._parts.pop(session, None)
        if self._counted.get(session):
            self._counted[session] = False
            self.address_limits.greeted(session.host, session)

    def admit_part(self, session: Session) -> bool:
        """Counts a control frame or a fragment before HELLO. Returns False if there are too many."""
        self._parts[session] = self._parts.get(session, 0) + 1
        return self._parts[session] <= _PARTS_MAX

    def join(self, session: Session) -> None:
        """The session said HELLO, and its player waits for the zone to let them in."""
        self._greeted(session)
        self._joining[session] = self._ticks + self._joining_ticks

    def release(self, session: Session, now: float) -> tuple[CloseReason, str] | None:
        """The connection asks for documents: it no longer counts as one of a player. Returns a reason to end it and its
        text, or None."""
        objection = self._doubtful.pop(session, _NO_DOUBT)[1]
        if objection is None or objection[0] is not CloseReason.BANNED:
            objection = self.address_limits.released(session.host, session, now, is_counted=session in self._counted)
        if objection is not None:
            return objection
        if session in self._counted:
            self._counted[session] = False
        self._handshaking.pop(session, None)
        self.gone(session, now)
        return None

    def gone(self, session: Session, now: float) -> None:
        """The session's connection is gone."""
        self.leave(session)
        self._rejected.discard(session)
        if self._counted.pop(session, None) is not None:
            self.address_limits.gone(session.host, now)

    def expire(self, now: float) -> None:
        """Ends connections whose HELLO is late."""
        while self._doubtful:
            session, (due, objection) = next(iter(self._doubtful.items()))
            if due > now:
                break
            del self._doubtful[session]
            self._reject(session, *objection)
        for session, since in tuple(self._handshaking.items()):
            if since + session.handshake_seconds + self._margin_seconds <= now:
                session.end(CloseReason.HANDSHAKE_TIMEOUT)

    def tick(self) -> None:
        """Ends connections whose join the zone has not answered in time. Called once per tick of the zone: while it is
        away, joins wait."""
        self._ticks += 1
        while self._joining:
            session, last = next(iter(self._joining.items()))
            if last >= self._ticks:
                break
            session.end(CloseReason.INTERNAL_ERROR, "the zone did not answer the request to join")

    def address_budgets(self, session: Session) -> AddressBudgets | None:
        """The budgets of the session's address; None when the address is exempt."""
        return self.address_limits.budgets(session.host)

    def ban(self, session: Session, why: str, now: float) -> bool:
        """Bans the session's address for a while, unless the address is exempt. Returns whether the ban is new."""
        is_new = self.address_limits.ban(session.host, now)
        if is_new:
            seconds = self._config.ban_seconds
            told = session.log_fields(code=str(CloseReason.BANNED), reason=why, seconds=seconds)
            log.info("BANNED: %s for %g s, %s: %r", session.host, seconds, why, session, extra=told)
            self._bans.append((session.host, seconds))
        return is_new

    def take_bans(self) -> list[tuple[str, float]]:
        """(host, seconds) of each ban of this gateway since the last call."""
        bans, self._bans = self._bans, []
        return bans

    def learn_bans(self, bans: Iterable[AddressBan], now: float) -> None:
        """Takes over what the zone says of bans: connections from a banned address are rejected at once."""
        for ban in self.address_limits.learn(bans, now):
            is_endless = ban.seconds == math.inf
            told = fields(
                address=ban.network, code=str(CloseReason.BANNED), seconds=None if is_endless else ban.seconds
            )
            until = "until the ban is lifted" if is_endless else f"for {ban.seconds:.0f} s"
            whose = "by an operator" if ban.is_ordered else "as another gateway has told"
            log.info("BANNED: %s %s, %s", ban.network, until, whose, extra=told)
