"""The hub: the zone's end of a link, through which gateways in other processes read the log of its ticks.

A gateway sends a numbered batch of requests for each tick, and says which tick it has. The hub sends every tick to all
gateways in one buffer. A gateway that has missed one asks, and gets everything since the tick that it has.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Sequence

from zoneserver.link.admission import Admission
from zoneserver.link.attached_gateway import AttachedGateway
from zoneserver.link.carrier import IGNORED_SECONDS, ZoneCarrier
from zoneserver.link.counters import HubCounters
from zoneserver.link.messages import (
    Ask,
    Attach,
    Attached,
    BatchMessage,
    Detach,
    Facts,
    Jump,
    LinkError,
    PartMessage,
    Rejected,
    Start,
    Stopping,
    TickMessage,
    decode,
)
from zoneserver.link.validation import decode_up
from zoneserver.support.logs import fields
from zoneserver.zone.frame_history import History
from zoneserver.zone.gateways import Gateways
from zoneserver.zone.link import NO_BANS, AddressBan, Batch, Requests, TickOutput, ZoneLink

__all__ = ["LEASE_SECONDS", "GatewayHub"]

log = logging.getLogger(__name__)

LEASE_SECONDS = 2.0
"""A gateway that sends no batch for so long is lost: its players are parked. The time is counted in ticks, so that a
zone that was stopped itself holds nothing against its gateways."""
# After a start of the zone, gateways have so much longer.
_START_SECONDS = 5.0
_ZLIB_LEVEL = 1


class GatewayHub:
    """Hands the requests of all gateways to `link`, and the outputs that it is given to all gateways.

    `former` has the last frames before this start, and `due` says when the next tick is due; both clocks are `now`'s.
    `bans` returns all bans of addresses.
    `superseded` is called when another zone of this name runs that has started later, and `on_figures` when a gateway
    has sent what operators want to know.
    """

    def __init__(
        self,
        link: ZoneLink,
        gateways: Gateways,
        carrier: ZoneCarrier,
        start: Start,
        facts: Facts,
        history_ticks: int,
        actions_per_tick: int,
        former: Iterable[tuple[int, bytes]],
        now: Callable[[], float],
        due: Callable[[], float],
        superseded: Callable[[], None],
        on_figures: Callable[[AttachedGateway], None],
        bans: Callable[[], Sequence[AddressBan]] = tuple,
    ) -> None:
        self.counters = HubCounters()
        self.carrier = carrier
        self._link = link
        self._gateways = gateways
        self._start = start
        self._facts = facts
        self._actions_per_tick = actions_per_tick
        self._now = now
        self._due = due
        self._superseded = superseded
        self._on_figures = on_figures
        self._bans = bans
        # When the tick was due that the next output is of.
        self._due_at = 0.0
        self._tick = facts.former_tick
        self._newest = b""
        # The ticks as they were sent. A jump holds the newest one.
        self._history = History(history_ticks, self._jump)
        parts = {number: {tick for tick, _ in gateways.parts_since(number, 0)} for number in gateways.numbers()}
        # The bans of these ticks are not known. A gateway that has missed one of them learns all bans.
        all_bans = NO_BANS, *bans()
        for tick, frame in former:
            with_part = tuple(number for number, ticks in parts.items() if tick in ticks)
            self._newest = TickMessage(
                start, tick, frame, 0, 0, 0, (), with_part, all_bans if tick == self._tick else ()
            ).encode()
            self._history.append(tick, self._newest)
        self._attached: dict[int, AttachedGateway] = {}
        # The gateways that were lost or have stopped since the last tick: the zone does not know it yet. Until then
        # nobody can say whether it will know of their batches.
        self._leaving: set[int] = set()
        # Ticks without a batch of each gateway that the zone knew before this start and that has not come since.
        self._awaited = dict.fromkeys(gateways.numbers(), 0)
        # What was told last to each peer that was rejected.
        self._rejected: dict[str, str] = {}
        self._admission = Admission(gateways, self._attached, facts.info.hz, names_peers=carrier.names_peers)
        self._lease_ticks = round(LEASE_SECONDS * facts.info.hz)

    async def open(self) -> None:
        """Lets gateways attach. Raises CannotStartError."""
        await self.carrier.open(self.receive, self.gone)

    @property
    def gateways(self) -> Iterable[AttachedGateway]:
        """The gateways that have attached and are not forgotten, lost ones included."""
        return self._attached.values()

    # --- From gateways ----------------------------------------------------------------------------

    def receive(self, peer: str, payload: bytes) -> None:
        """Takes a payload of a gateway; of another zone if `peer` is empty."""
        try:
            message = decode_up(payload) if peer else decode(payload)
        except LinkError as error:
            self._drop(peer, str(error))
            return
        match message:
            case Attach():
                self._attach(peer, message)
            case BatchMessage():
                self._take(peer, message)
            case Ask():
                self._answer(peer, message)
            case Detach():
                gateway = self._attached.get(message.gateway)
                if gateway is not None and gateway.peer == peer:
                    self._detach(message.gateway)
            case _:
                self._hear_other(message)

    def _drop(self, peer: str, error: str) -> None:
        """A payload cannot be read."""
        if not peer:
            log.error("%s: another zone of this name has published it", error)
            return
        who = next((each.name for each in self._attached.values() if each.peer == peer), peer)
        fate = f"it is not listened to for {IGNORED_SECONDS:g} s" if self.carrier.names_peers else "it is disconnected"
        log.error(
            "gateway %s: %s: %s (run the same version on both sides)", who, error, fate, extra=fields(gateway=who)
        )
        self.carrier.drop(peer)

    def gone(self, peer: str) -> None:
        """The way to a gateway is closed. It may return, until its lease has ended."""
        self._admission.gone(peer)
        self._rejected.pop(peer, None)
        for gateway in self._attached.values():
            if gateway.peer == peer:
                gateway.peer = ""

    def _attach(self, peer: str, message: Attach) -> None:
        if message.gateway in self._leaving:
            return  # It asks again.
        objection = self._admission.objection(peer, message, self._tick)
        if objection is not None:
            if objection.text:
                self._reject(peer, message.gateway, *objection)
            return
        for other in [each for each in self._attached.values() if each.number != message.gateway]:
            # One way leads to one gateway, and so does one name: nobody can make up thousands.
            if other.peer == peer or other.name == message.name:
                self._detach(other.number)
        gateway = AttachedGateway(message, peer, self._gateways.taken(message.gateway), self._now())
        before = self._attached.get(message.gateway)
        is_known = before is not None and before.peer == peer
        if before is not None:
            gateway.lost_at, gateway.taken = before.lost_at, before.taken
            # A gateway that hears nothing attaches again and again, and no batch of it is taken.
            gateway.silent_ticks = before.silent_ticks
            gateway.asks_total, gateway.resent_total = before.asks_total, before.resent_total
            gateway.answered_at = before.answered_at if before.peer == peer else gateway.answered_at
        elif message.gateway in self._gateways.lost:
            gateway.lost_at = self._now()
        self._attached[message.gateway] = gateway
        self._awaited.pop(message.gateway, None)
        self._on_figures(gateway)
        self.carrier.accept(peer)
        # What was handed to the zone since the last tick is not taken yet: the zone may be killed before.
        taken = self._gateways.taken(message.gateway)
        self.carrier.send(peer, Attached(self._start, message.gateway, taken, self._facts).encode())
        if before is not None and is_known:
            gateway.attached_at, gateway.tick = before.attached_at, before.tick
            return  # It has heard nothing for a while.
        self.counters.gateways_attached_total += 1
        gateway.report_attached()

    def _reject(self, peer: str, number: int, text: str, may_begin_anew: bool = False, is_final: bool = True) -> None:
        """Tells a gateway that it has no place here. It is the last that is sent to this peer, if it `is_final`."""
        if not peer:
            return
        if self._rejected.get(peer) != text:  # It asks again and again.
            self._rejected[peer] = text
            log.warning("a gateway was rejected: %s", text)
        self.carrier.send(peer, Rejected(number, may_begin_anew, text).encode())
        if is_final and not may_begin_anew:
            self.carrier.drop(peer)

    def _take(self, peer: str, message: BatchMessage) -> None:
        gateway = self._attached.get(message.gateway)
        if gateway is None or gateway.peer != peer or message.start != self._start:
            return  # A tick tells the gateway that it is not attached, or that the zone has been started again.
        if message.gateway in self._leaving:
            return  # It sends the batch again.
        if message.figures is not None:
            gateway.figures, gateway.figures_at = message.figures, self._now()
            self._on_figures(gateway)
        gateway.silent_ticks = 0
        if message.number != gateway.taken + 1:
            return  # It is here already, or one before it was lost. The next tick says which one is here.
        gateway.taken, gateway.taken_at = message.number, self._now()
        gateway.tick = message.tick
        if gateway.lost_at is not None:
            seconds, gateway.lost_at = self._now() - gateway.lost_at, None
            told = gateway.log_fields() | fields(seconds=round(seconds, 3))
            log.info("gateway %s is back after %.1f s: its players go on", gateway.name, seconds, extra=told)
        requests = message.requests
        name = "" if gateway.number in self._gateways else gateway.name
        requests.batches = [Batch(message.gateway, message.number, message.tick, name)]
        self._link.send(requests)

    def _answer(self, peer: str, message: Ask) -> None:
        gateway = self._attached.get(message.gateway)
        if gateway is None or gateway.peer != peer or not self._newest or gateway.answered_at == self._tick:
            return  # It asks again. An answer may be all that the history has.
        if self._gateways.is_full(gateway.number) or (message.tick and gateway.number not in self._gateways):
            return  # What was said to it alone is not here any more. It hears that it has to begin anew.
        tick = message.tick
        if message.start != self._start and (tick is None or tick > self._facts.former_tick):
            tick = None
        gateway.answered_at = self._tick
        gateway.asks_total += 1
        since = message.tick or 0
        parts = tuple(each for each in self._gateways.parts_since(gateway.number, since) if each[0] <= self._tick)
        self.carrier.send(peer, PartMessage(self._start, gateway.number, since, self._tick, parts).encode())
        # A gateway that has just come has missed nothing.
        has_missed = message.tick is not None or gateway.tick > 0
        for missed in self._history.since(tick, whole=True):
            gateway.resent_total += has_missed
            self.counters.link_resent_total += has_missed
            self.carrier.send(peer, missed.payload)

    def _detach(self, number: int) -> None:
        """The gateway has stopped. Its players come back elsewhere."""
        gateway = self._attached.pop(number, None)
        if gateway is not None:
            # Its first batch may have been handed to the zone since the last tick.
            if gateway.taken or number in self._gateways:
                self._tell_lost(number)
            log.info("gateway %s has stopped", gateway.name, extra=gateway.log_fields())

    # --- To gateways ------------------------------------------------------------------------------

    def on_tick(self, output: TickOutput) -> None:
        """Sends the output of a tick to all gateways."""
        now, due = self._now(), self._due()
        self._tick = output.tick
        for number in self._leaving:
            self._report_lost(number)
        self._leaving.clear()
        for number, part in output.parts.items():
            gateway = self._attached.get(number)
            if gateway is not None and gateway.peer:
                told = PartMessage(self._start, number, output.tick - 1, output.tick, ((output.tick, part),))
                self.carrier.send(gateway.peer, told.encode())
        self._count_silence()
        here = [each for each in self._attached.values() if each.peer and each.lost_at is None]
        for gateway in here:
            gateway.waited_us = round((self._due_at - gateway.taken_at) * 1e6)
        self._newest = TickMessage(
            self._start,
            output.tick,
            output.frame,
            output.records,
            round(max(0.0, due - now) * 1e6),
            self._actions_per_tick // max(1, len(here)),
            tuple((each.number, each.taken, each.waited_us) for each in self._attached.values()),
            tuple(output.parts),
            tuple(output.bans),
        ).encode()
        self._due_at = due
        self._history.append(output.tick, self._newest)
        self.carrier.publish(self._newest)

    def _count_silence(self) -> None:
        """Notices the gateways whose lease has ended."""
        for gateway in list(self._attached.values()):
            if self._gateways.is_full(gateway.number):
                text = "it has not confirmed what the zone has told it"
                self._reject(gateway.peer, gateway.number, text, may_begin_anew=True)
                self._detach(gateway.number)
            elif gateway.lost_at is not None and gateway.number not in self._gateways:
                del self._attached[gateway.number]  # None of its players is left.
            elif self.carrier.is_up and gateway.lost_at is None:
                gateway.silent_ticks += 1
                if gateway.silent_ticks >= self._lease_ticks:
                    self._lose(gateway)
        if self.carrier.is_up and self._awaited:
            wait_ticks = self._lease_ticks + round(_START_SECONDS * self._facts.info.hz)
            for number in list(self._awaited):
                self._awaited[number] += 1
                if self._awaited[number] > wait_ticks:
                    del self._awaited[number]
                    if number not in self._gateways.lost:
                        self._tell_lost(number)

    def _tell_lost(self, number: int) -> None:
        self._link.send(Requests(lost=[number]))
        self._leaving.add(number)

    def _lose(self, gateway: AttachedGateway) -> None:
        self.counters.gateways_lost_total += 1
        gateway.lost_at = self._now()
        if gateway.number in self._gateways:
            # The tick that parks its players comes first.
            self._tell_lost(gateway.number)
        else:
            self._report_lost(gateway.number)
            del self._attached[gateway.number]

    def _report_lost(self, number: int) -> None:
        """Logs that a gateway is lost, once the zone has parked its players. It does nothing for one that has
        stopped."""
        gateway = self._attached.get(number)
        if gateway is not None and gateway.lost_at is not None:
            gateway.report_lost(self._gateways.parked_count(number), self._facts.info.hz)

    def _jump(self) -> bytes:
        snapshot = zlib.compress(self._link.snapshot(), _ZLIB_LEVEL)
        return Jump(self._newest, snapshot, tuple(self._bans())).encode()

    def stop(self, *, keep: bool) -> None:
        """Tells all gateways that the zone stops."""
        self.carrier.publish(Stopping(self._start, keep).encode())

    async def close(self) -> None:
        """Sends what is queued, and closes all ways."""
        await self.carrier.close()

    # --- Other zones of this name -----------------------------------------------------------------

    def _hear_other(self, message: object) -> None:
        if isinstance(message, TickMessage) and message.start > self._start:
            log.critical(
                "another zone of this name runs at %s with a later start (epoch %d, this one %d): this zone stops",
                *(self.carrier.address, message.start.epoch, self._start.epoch),
            )
            self._superseded()
