"""The link of a gateway to a zone in another process.

The gateway keeps a replica of the zone, so that it makes snapshots and checks the state hash by itself. It takes each
tick of the zone once and in order, and asks for those that it has missed. Its requests leave in numbered batches; those
that the zone has not taken are sent again. So nothing is lost and nothing happens twice, whatever the way between them
loses, and whether or not the zone was killed and started again.
"""

from __future__ import annotations

import logging
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from zoneserver.link.messages import (
    LINK_VERSION,
    Ask,
    Attach,
    Attached,
    BatchMessage,
    Detach,
    Facts,
    Jump,
    LinkError,
    LinkMessage,
    PartMessage,
    Rejected,
    Start,
    Stopping,
    TickMessage,
    decode,
)
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.gateways import Part
from zoneserver.zone.link import Requests, TickOutput, first_ref

__all__ = ["Lead", "LinkUser", "RemoteLinkCounters", "RemoteZoneLink"]

log = logging.getLogger(__name__)

# At most so many batches are on their way. Later requests wait, and leave together.
_BATCHES_MAX = 8
# While more actions than this wait for the zone, further ones are refused.
_WAITING_ACTIONS_MAX = 20_000
# A batch that so many ticks have not taken is lost, and so is a question that so many seconds have not answered.
_LATE_TICKS = 3
_ASK_SECONDS = 0.25
# Without a tick for so long, the gateway attaches again: the zone may have been started again, or have forgotten it.
_SILENT_SECONDS = 1.0
_GATEWAY_BITS = 31
_NO_START = Start(0, 0)
_NO_INFO = ZoneInfo()


class Lead:
    """How long before a tick is due a batch leaves: as late as possible, and early enough to be there.

    The zone says how long the last batch lay there. The lead follows that, toward a margin.

    >>> lead = Lead(period_seconds=0.05)
    >>> for _ in range(50): lead.arrived(waited_seconds=0.010)
    >>> lead.seconds < 0.003
    True
    >>> lead.missed()
    >>> lead.seconds > 0.003
    True
    """

    _MARGIN, _FIRST, _LEAST = 0.003, 0.008, 0.001

    def __init__(self, period_seconds: float) -> None:
        self.seconds = min(self._FIRST, period_seconds / 2)
        self._most = period_seconds / 2

    def arrived(self, waited_seconds: float) -> None:
        """A batch was there so long before its tick was due; less than 0: after it was due, and just in time."""
        error = self._MARGIN - waited_seconds
        self._change(error * (0.5 if error > 0 else 0.1))

    def missed(self) -> None:
        """A batch came too late for its tick."""
        self._change(0.002)

    def _change(self, seconds: float) -> None:
        self.seconds = min(self._most, max(self._LEAST, self.seconds + seconds))


class RemoteLinkCounters:
    """What the link has counted since the start of the gateway."""

    def __init__(self) -> None:
        self.ticks_missed_total = 0
        """Ticks that a jump left out."""
        self.asks_total = 0
        self.batches_resent_total = 0


class LinkUser(Protocol):
    """What a gateway does when the zone says something that is no tick."""

    def link_figures(self) -> Mapping[str, Any]:
        """What the zone tells operators about the gateway."""

    def link_attached(self) -> None:
        """The zone has accepted the gateway. After the first time, `begin` lets the ticks come."""

    def link_broken(self, text: str) -> None:
        """The zone knows none of the gateway's players any more. All sessions have to end before `begin_anew`."""

    def link_rejected(self, text: str) -> None:
        """The gateway has no place at this zone, and never will have."""

    def link_stopping(self, *, keep: bool) -> None:
        """The zone stops. With `keep` the players stay in for its next start."""


class RemoteZoneLink:
    """Implements `ZoneLink`. `send_payload` hands a payload to the carrier, which may lose it."""

    has_room = True

    def __init__(
        self,
        name: str,
        send_payload: Callable[[bytes], None],
        now: Callable[[], float],
        user: LinkUser,
    ) -> None:
        self.name = name
        self.counters = RemoteLinkCounters()
        self.facts = Facts(_NO_INFO, {}, (), 0, 0.0, 0, needs_ticket=False)
        self.world = World(_NO_INFO)
        """The replica, after the newest tick."""
        self.lead = Lead(1 / _NO_INFO.hz)
        self.due = 0.0
        """When the next tick of the zone is due."""
        self.heard_at = 0.0
        """When the newest tick arrived."""
        self.figures: Mapping[str, Any] | None = None
        """What the next batch tells operators about the gateway."""
        self._send_payload = send_payload
        self._now = now
        self._user = user
        self._receivers: list[Callable[[TickOutput], None]] = []
        self._is_begun = False
        self._new_number()
        self._start = _NO_START
        # The start that has accepted this gateway; another one has to be asked first.
        self._attached_to = _NO_START
        self.tick = 0
        """The newest tick that the gateway has; 0 if it has none."""
        # Whether the replica needs a snapshot.
        self._needs_state = True
        self._parts: dict[int, bytes] = {}
        # Frames that the replica does not have yet: players come first.
        self._frames: list[bytes] = []
        self._asked_at = self._attach_at = -_ASK_SECONDS

    def _new_number(self) -> None:
        """Takes a number that no other gateway has, and forgets all that was said under the former one."""
        self.number = secrets.randbits(_GATEWAY_BITS) or 1
        self.first_ref = first_ref(self.number)
        self._batch = self._taken = 0
        # (batch, tick for which it was sent, tick that the gateway had when it was sent last) of each batch that the
        # zone has not taken.
        self._on_way: deque[tuple[BatchMessage, int, int]] = deque()
        self._waiting = Requests()

    # --- ZoneLink ---------------------------------------------------------------------------------

    @property
    def info(self) -> ZoneInfo:
        return self.facts.info

    @property
    def epoch(self) -> int:
        return self._start.epoch

    @property
    def former_tick(self) -> int:
        """The last tick before this start of the zone."""
        return self.facts.former_tick

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        return self.facts.commands

    @property
    def is_attached(self) -> bool:
        """Whether the zone has accepted this gateway, as far as it knows."""
        return self._attached_to == self._start != _NO_START

    def subscribe(self, receive: Callable[[TickOutput], None]) -> None:
        self._receivers.append(receive)

    def send(self, requests: Requests) -> None:
        """Sends a batch, or lets the requests wait while too many batches are on their way."""
        self._waiting.add(requests)
        if not self.is_attached or (self._is_begun and self._now() - self.heard_at > _SILENT_SECONDS):
            self._attach()
        elif self._needs_state and self._is_begun:
            self._ask()
        if self.is_attached and self.tick and len(self._on_way) < _BATCHES_MAX:
            requests, self._waiting = self._waiting, Requests()
            figures, self.figures = self.figures, None
            self._batch += 1
            batch = BatchMessage(self.number, self._batch, self._start, self.tick, requests, figures)
            self._on_way.append((batch, self.tick + 1, self.tick))
            self._send_payload(batch.encode())
        self.has_room = len(self._waiting.actions) < _WAITING_ACTIONS_MAX

    def snapshot(self) -> bytes:
        self._apply()
        return self.world.snapshot().encode()

    # --- Attaching --------------------------------------------------------------------------------

    def changed(self, is_up: bool) -> None:
        """The way to the zone stands again, or is lost."""
        self._attached_to = _NO_START
        self._attach_at = -_ASK_SECONDS
        if is_up:
            self._attach()

    def _attach(self) -> None:
        now = self._now()
        if now - self._attach_at >= _ASK_SECONDS:
            self._attach_at = now
            self._send_payload(Attach(LINK_VERSION, self.number, self.name, self._user.link_figures()).encode())

    def begin(self) -> None:
        """Lets the ticks come. The caller has subscribed."""
        self._is_begun = True
        self.heard_at = self._now()
        self._ask()

    def detach(self) -> None:
        """Tells the zone that the gateway stops: its players come back elsewhere."""
        self._send_payload(Detach(self.number).encode())

    def begin_anew(self) -> None:
        """Takes another number. The caller has ended all sessions."""
        self._new_number()
        self._parts.clear()
        self.tick, self._needs_state = 0, True
        self._attached_to = _NO_START
        self._attach()

    def _accepted(self, message: Attached) -> None:
        if message.gateway != self.number or message.start < self._start:
            return
        is_new = message.start != self._start
        has_other_log = is_new and self.tick > message.facts.former_tick
        if (message.taken < self._taken or has_other_log) and self._is_begun:
            # The zone has forgotten this gateway, or is another one: nobody there knows of its players.
            self._start = message.start
            self.facts = message.facts
            self._user.link_broken("the zone does not know this gateway any more")
            return
        self._start = self._attached_to = message.start
        if not self._is_begun:
            self.facts = message.facts
            self.world = World(message.facts.info)
            self.lead = Lead(1 / message.facts.info.hz)
        elif is_new:
            self.facts = message.facts
        self._take_until(message.taken)
        self._resend()
        self._user.link_attached()
        if self._is_begun:
            self._ask()

    # --- From the zone ----------------------------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """Takes a payload of the zone."""
        try:
            message = decode(payload)
            self._receive(message)
        except LinkError as error:
            log.error("%s: run the same version on both sides", error)

    def _receive(self, message: LinkMessage) -> None:
        match message:
            case Attached():
                self._accepted(message)
            case TickMessage():
                if self._is_current(message.start):
                    self._take_tick(message)
            case PartMessage():
                if message.gateway == self.number and message.start == self._start and message.tick > self.tick:
                    self._parts[message.tick] = message.part
            case Jump():
                self._jump(message)
            case Rejected() if message.gateway == self.number:
                if message.may_begin_anew:
                    self._user.link_broken(message.text)
                else:
                    self._user.link_rejected(message.text)
            case Stopping() if message.start == self._start:
                self._user.link_stopping(keep=message.keep)

    def _is_current(self, start: Start) -> bool:
        """Whether a tick comes from the start that has accepted the gateway. A later start has to be asked first."""
        if start > self._start or not self.is_attached:
            self._attach()
            return False
        return start == self._start and self._is_begun

    def _take_tick(self, message: TickMessage) -> None:
        if not self.tick or message.tick > self.tick + 1:
            self._ask()
        elif message.tick == self.tick + 1:
            if self.number in message.with_part and message.tick not in self._parts:
                self._ask()
            else:
                self._publish(message)

    def _publish(self, message: TickMessage, *, is_jump: bool = False) -> None:
        """Hands out a tick, with what was said to this gateway alone since the one before."""
        now = self._now()
        self.heard_at, self.due = now, now + message.due_us / 1e6
        self.tick = message.tick
        self._asked_at = -_ASK_SECONDS
        self._settle(message)
        told = Part([], [], [], [], [])
        for tick in sorted(self._parts):
            if tick <= message.tick:
                told.add(Part.decode(self._parts.pop(tick)))
        if not is_jump:
            self._frames.append(message.frame)
        output = TickOutput(
            message.tick,
            message.frame,
            message.records,
            told.joined,
            told.ended,
            told.refused,
            told.told,
            resumed=told.resumed,
            bans=list(message.bans),
        )
        for receive in self._receivers:
            receive(output)
        self._apply()

    def _apply(self) -> None:
        """Brings the replica up to date, and checks the hash."""
        frames, self._frames = self._frames, []
        for payload in frames:
            frame = decode_server(payload)
            assert isinstance(frame, Tick)
            try:
                self.world.apply(frame)
                is_right = frame.hash in (None, self.world.hash() if frame.hash is not None else None)
            except (ValueError, LookupError):
                is_right = False
            if not is_right and not self._needs_state:
                log.error("DIVERGED: the replica is not as the zone at tick %d: asking for its state", frame.tick)
                self._needs_state = True
                self._ask()

    def _jump(self, message: Jump) -> None:
        tick = decode(message.tick)
        if not (isinstance(tick, TickMessage) and self._is_current(tick.start)):
            return
        if tick.tick < self.tick:
            return
        snapshot = decode_server(zlib.decompress(message.snapshot))
        assert isinstance(snapshot, Snapshot)
        self._frames.clear()
        self.world.restore(snapshot)
        self._needs_state = False
        if tick.tick > self.tick:
            self.counters.ticks_missed_total += tick.tick - self.tick - 1 if self.tick else 0
            self._publish(tick, is_jump=True)

    def _ask(self) -> None:
        now = self._now()
        if now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            self.counters.asks_total += 1
            self._send_payload(Ask(self.number, self._start, None if self._needs_state else self.tick).encode())

    # --- Batches ----------------------------------------------------------------------------------

    def _settle(self, message: TickMessage) -> None:
        """Notices which batches the zone has taken, and sends again what it should have."""
        mine = next((each for each in message.taken if each[0] == self.number), None)
        _, taken, waited_us = mine or (0, 0, 0)
        for batch, aim, _ in self._on_way:
            if batch.number == taken:
                if message.tick == aim:
                    self.lead.arrived(waited_us / 1e6)
                elif message.tick > aim:
                    self.lead.missed()
        self._take_until(taken)
        if self._on_way:
            batch, aim, sent_at = self._on_way[0]
            if message.tick - aim > self.info.hz:
                self._attach()  # The zone does not know it.
            if message.tick - sent_at > _LATE_TICKS:
                self._resend()

    def _take_until(self, taken: int) -> None:
        self._taken = max(self._taken, taken)
        while self._on_way and self._on_way[0][0].number <= taken:
            self._on_way.popleft()

    def _resend(self) -> None:
        again = [(batch._replace(start=self._start), aim) for batch, aim, _ in self._on_way]
        self._on_way = deque((batch, aim, self.tick) for batch, aim in again)
        for batch, _ in again:
            self.counters.batches_resent_total += 1
            self._send_payload(batch.encode())
