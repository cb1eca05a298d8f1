"""The link of a gateway to a zone in another process.

The gateway keeps a replica of the zone, so that it makes snapshots and checks the state hash by itself. It takes each
tick of the zone once and in order, and asks for those that it has missed. Its requests leave in numbered batches; those
that the zone has not taken are sent again. So nothing is lost and nothing happens twice, whatever the way between them
loses, and whether or not the zone was killed and started again.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from zoneserver.link.batches import Batches, Lead
from zoneserver.link.counters import GatewayLinkCounters
from zoneserver.link.messages import (
    LINK_VERSION,
    Ask,
    Attach,
    Attached,
    Detach,
    Facts,
    Jump,
    LinkError,
    MessageOfZone,
    PartMessage,
    Rejected,
    Start,
    Stopping,
    TickMessage,
    decode,
)
from zoneserver.link.replica import ZoneReplica
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.gateways import Part
from zoneserver.zone.link import NO_BANS, AddressBan, Requests, TickOutput, first_ref

__all__ = ["LinkUser", "RemoteZoneLink"]

log = logging.getLogger(__name__)

# A question that was not answered for so long is lost.
_ASK_SECONDS = 0.25
# Without a tick for so long, the gateway attaches again: the zone may have been started again, or have forgotten it.
_SILENT_SECONDS = 1.0
_GATEWAY_BITS = 31
_NO_START = Start(0, 0)
_NO_INFO = ZoneInfo()


def _at_once(function: Callable[[], None]) -> None:
    function()


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
    """Implements `ZoneLink`. `send_payload` hands a payload to the carrier, which may lose it.

    What arrives is read in the next turn of the loop (`call_soon`), all of it together: a gateway that is behind hands
    several ticks to its players in one send.
    """

    def __init__(
        self,
        name: str,
        send_payload: Callable[[bytes], None],
        now: Callable[[], float],
        user: LinkUser,
        call_soon: Callable[[Callable[[], None]], object] = _at_once,
    ) -> None:
        self.name = name
        self.counters = GatewayLinkCounters()
        self.facts = Facts(_NO_INFO, {}, (), 0, 0.0, 0, needs_ticket=False)
        self.replica = ZoneReplica(_NO_INFO)
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
        # Whether the zone has no place for this gateway, and never will have.
        self._is_rejected = False
        self._new_number()
        self._start = _NO_START
        # The start that has accepted this gateway; another one has to be asked first.
        self._attached_to = _NO_START
        self.tick = 0
        """The newest tick that the gateway has; 0 if it has none."""
        # What later ticks say to this gateway alone. It has all that ticks up to this one have said.
        self._parts: dict[int, bytes] = {}
        self._has_parts_until = 0
        # Payloads that are not read yet, and an output that is not handed out yet.
        self._inbox: list[bytes] = []
        self._output: TickOutput | None = None
        self._call_soon = call_soon
        # How often `send` was called since the newest tick.
        self._beats = 0
        self._asked_at = self._attach_at = -_ASK_SECONDS

    def _new_number(self) -> None:
        """Takes a number that no other gateway has, and forgets all that was said under the former one."""
        self.number = secrets.randbits(_GATEWAY_BITS) or 1
        self._refs = itertools.count(first_ref(self.number))
        self._batches = Batches(self.number)

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

    def next_ref(self) -> int:
        return next(self._refs)

    def subscribe(self, receive: Callable[[TickOutput], None]) -> None:
        self._receivers.append(receive)

    def send(self, requests: Requests) -> None:
        """Sends a batch, or lets the requests wait while too many batches are on their way."""
        self._beats += 1
        self._batches.add(requests)
        if not self.is_attached:
            self._attach()
        elif self._is_silent:
            # A way that is half dead keeps what it is given, and delivers all of it at once.
            self._attach(_SILENT_SECONDS)
        elif self.replica.needs_state and self._is_begun:
            self._ask()
        if self.is_attached and self.tick:
            batch = self._batches.next(self._start, self.tick, self.figures)
            if batch is not None:
                self.figures = None
                self._send_payload(batch.encode())

    @property
    def has_room(self) -> bool:
        return self._batches.has_room

    def snapshot(self) -> bytes:
        return self.replica.snapshot()

    # --- Attaching --------------------------------------------------------------------------------

    def knock(self) -> None:
        """Asks the zone to accept this gateway, unless it has. An answer may be lost, or the zone wait before it."""
        if not self.is_attached:
            self._attach()

    def changed(self, is_up: bool) -> None:
        """The link to the zone stands, or is lost."""
        self._attached_to = _NO_START
        self._attach_at = -_ASK_SECONDS
        if is_up:
            self._attach()

    def _attach(self, rest_seconds: float = _ASK_SECONDS) -> None:
        now = self._now()
        if now - self._attach_at >= rest_seconds and not self._is_rejected:
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
        self.tick, self.replica.needs_state = 0, True
        self._has_parts_until = 0
        self._attached_to = _NO_START
        self._attach()

    def _accepted(self, message: Attached) -> None:
        if message.gateway != self.number or not self._may_follow(message.start):
            return
        is_new = message.start != self._start
        # The epoch rises with each start from one journal.
        may_go_on = message.start.epoch > self._start.epoch and self.tick <= message.facts.former_tick
        has_other_log = is_new and self.tick > 0 and not may_go_on
        if (message.taken < self._batches.taken or has_other_log) and self._is_begun:
            # The zone has forgotten this gateway, or is another one: nobody there knows of its players.
            self._start = message.start
            self.facts = message.facts
            self._user.link_broken("the zone does not know this gateway any more")
            return
        # A start between them may have gone on from an earlier tick than this gateway has.
        self.replica.needs_state |= self._is_begun and message.start.epoch > self._start.epoch + 1
        is_known = message.start == self._attached_to
        self._start = self._attached_to = message.start
        if not self._is_begun:
            self.facts = message.facts
            self.replica = ZoneReplica(message.facts.info)
            self.lead = Lead(1 / message.facts.info.hz)
        elif is_new:
            self.facts = message.facts
        self._batches.take_until(message.taken)
        self._resend()
        if not is_known:
            self._user.link_attached()
        if self._is_begun:
            self._ask()

    # --- From the zone ----------------------------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """Takes a payload of the zone."""
        self._inbox.append(payload)
        if len(self._inbox) == 1:
            self._call_soon(self._read)

    def _read(self) -> None:
        payloads, self._inbox = self._inbox, []
        for payload in payloads:
            self._take(payload)
        self._hand_out()

    def _take(self, payload: bytes) -> None:
        try:
            message = decode(payload)
            if not isinstance(message, TickMessage | PartMessage):
                self._hand_out()
            self._receive(message)
        except LinkError as error:
            log.error("%s: run the same version on both sides", error)

    def _receive(self, message: MessageOfZone) -> None:
        match message:
            case Attached():
                self._accepted(message)
            case TickMessage():
                if self._is_current(message.start):
                    self._take_tick(message)
            case PartMessage():
                if message.gateway == self.number and message.start == self._start:
                    self._parts |= {tick: part for tick, part in message.parts if tick > self.tick}
                    if message.since <= self._has_parts_until:
                        self._has_parts_until = max(self._has_parts_until, message.tick)
            case Jump():
                self._jump(message)
            case Rejected() if message.gateway == self.number:
                if message.may_begin_anew:
                    self._user.link_broken(message.text)
                elif not self._is_rejected:
                    self._is_rejected = True
                    self._attached_to = _NO_START  # The zone takes nothing from this gateway any more.
                    self._user.link_rejected(message.text)
            case Stopping() if message.start == self._start:
                self._user.link_stopping(keep=message.keep)

    def _is_current(self, start: Start) -> bool:
        """Whether a tick comes from the start that has accepted the gateway. Another start has to be asked first."""
        if self.is_attached and start == self._start:
            return self._is_begun
        if self._may_follow(start):
            self._attach()
        return False

    def _may_follow(self, start: Start) -> bool:
        """Whether this is the start to follow. An earlier one may answer late; but if nothing else speaks, a zone runs
        without the journal of before, or on a machine whose clock was set back."""
        return start >= self._start or self._is_silent

    @property
    def _is_silent(self) -> bool:
        # A process that was stopped, or has too little of a processor, has ticks that it has not read.
        return not self._is_begun or self._beats > self.info.hz * _SILENT_SECONDS

    def _take_tick(self, message: TickMessage) -> None:
        if not self.tick or message.tick > self.tick + 1:
            self._ask()
        elif message.tick == self.tick + 1:
            if self.number in message.with_part and message.tick not in self._parts:
                self._ask()
            else:
                self._publish(message)

    def _publish(self, message: TickMessage, all_bans: Sequence[AddressBan] | None = None) -> None:
        """Hands out a tick, with what was said to this gateway alone since the one before. `all_bans` are those after a
        jump to the tick."""
        now = self._now()
        self._hand_out(is_last=False)
        self.heard_at, self.due = now, now + message.due_us / 1e6
        self.tick, self._beats = message.tick, 0
        self._has_parts_until = max(self._has_parts_until, message.tick)
        self._asked_at = -_ASK_SECONDS
        self._batches.settle(message, self.lead)
        if self._batches.late_ticks(message.tick) > self.info.hz:
            self._attach()  # The zone does not know this gateway.
        if self._batches.are_lost(message.tick):
            self._resend()
        told = Part([], [], [], [], [])
        for tick in sorted(self._parts):
            if tick <= message.tick:
                told.add(Part.decode(self._parts.pop(tick)))
        if all_bans is None:
            self.replica.add(message.frame)
        self._output = TickOutput(
            message.tick,
            message.frame,
            message.records,
            told.joined,
            told.ended,
            told.refused,
            told.told,
            resumed=told.resumed,
            bans=list(message.bans) if all_bans is None else [NO_BANS, *all_bans],
            share=message.share,
        )

    def _hand_out(self, *, is_last: bool = True) -> None:
        """Hands out the newest tick, if that was not done. If it is not the last one, another one follows at once."""
        output, self._output = self._output, None
        if output is None:
            return
        for receive in self._receivers:
            receive(output if is_last else replace(output, is_last=False))
        self.replica.apply()
        if self.replica.needs_state:
            self._ask()

    def _jump(self, message: Jump) -> None:
        tick = decode(message.tick)
        if not (isinstance(tick, TickMessage) and self._is_current(tick.start)):
            return
        if tick.tick < self.tick:
            return
        if tick.tick > self._has_parts_until:
            self._ask()
            return
        self.replica.restore(message.snapshot)
        if tick.tick > self.tick:
            self.counters.ticks_missed_total += tick.tick - self.tick - 1 if self.tick else 0
            self._publish(tick, message.bans)

    def _ask(self) -> None:
        now = self._now()
        if now - self._asked_at >= _ASK_SECONDS:
            self._asked_at = now
            self.counters.asks_total += self.tick > 0  # The first time it has missed nothing.
            self._send_payload(Ask(self.number, self._start, None if self.replica.needs_state else self.tick).encode())

    def _resend(self) -> None:
        for batch in self._batches.again(self._start, self.tick):
            self.counters.batches_resent_total += 1
            self._send_payload(batch.encode())
