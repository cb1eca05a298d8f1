"""The seam between a zone and its gateways: plain values both ways.

A gateway sends `Requests`: joins, leaves and actions. The zone answers each tick with one `TickOutput`.
Nothing else crosses, so a gateway may run in the zone's process or in another one, and a journal of inputs
is enough to rebuild everything.

A player is known to its gateway by a `ref`, a whole number that is never used again; within the zone it is known by
its slot. The gateway in the process of the zone counts its refs from 1. A gateway in another process has a number, and
it stands above the lower 32 bits of its refs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from zoneserver.protocol.codes import CloseReason, GameReason
from zoneserver.protocol.messages import Refusal
from zoneserver.protocol.zone_info import ZoneInfo

__all__ = [
    "NO_BANS",
    "USAGE",
    "Actions",
    "AddressBan",
    "Batch",
    "Command",
    "Ended",
    "Join",
    "RefusedAction",
    "Requests",
    "Resumed",
    "Standing",
    "TickInput",
    "TickOutput",
    "ZoneLink",
    "first_ref",
    "gateway_of",
]

_REF_BITS = 32
_CLOSE_REASONS = {str(reason): reason for reason in CloseReason}


def gateway_of(ref: int) -> int:
    """The number of the gateway that has this player; 0 for the one in the process of the zone.

    >>> gateway_of(7), gateway_of(first_ref(3)), gateway_of(first_ref(3) + 7)
    (0, 3, 3)
    """
    return ref >> _REF_BITS


def first_ref(gateway: int) -> int:
    """The first ref of the gateway with this number."""
    return (gateway << _REF_BITS) + 1


class Join(NamedTuple):
    """A player who asks to come in. The zone decides, with its next tick."""

    ref: int
    name: str
    ticket: bytes
    """Empty when the client sent none."""
    host: str
    """The address that the player connected from, without a port."""
    watch: bool = False
    """Whether they only watch: they get no slot."""
    saved: str = ""
    """What the store has of the player, as JSON text. Empty for a new player, and in a zone without a store."""
    token: bytes = b""
    """The SHA-256 of the token with which the player may come back. Empty for a client that does not come back."""
    claim: bytes = b""
    """The SHA-256 of the token that the client shows to come back. Empty for one that joins anew."""
    tick: int = 0
    """The newest tick that a client has that comes back."""


Actions = tuple[int, int, Sequence[tuple[Any, ...]]]
"""The actions of one packet: (ref, seq, actions), each action being `(kind, argument, ...)`.

The first action has sequence `seq`, each later one the next. A plain tuple, since there is one per packet.
"""


class Command(NamedTuple):
    """A command of an operator. The zone answers it with the output of its next tick."""

    ref: int
    """A number that the sender of the command chose."""
    words: tuple[str, ...]


class Batch(NamedTuple):
    """Says that the requests of a tick include one batch of a gateway in another process."""

    gateway: int
    number: int
    """The batches of a gateway are numbered from 1 without a gap. The zone takes each of them once."""
    tick: int
    """The newest tick that the gateway had when it sent the batch; 0 if it had none."""
    name: str = ""
    """The name of the gateway. It may be left out of a batch that is not the first."""


class Standing(NamedTuple):
    """How a player stands with the flood control of a gateway, so that they gain nothing by coming back elsewhere."""

    level: int
    """The penalty level."""
    reason: str
    """Why the session ends, should it come to that."""
    text: str
    fills: tuple[int, ...]
    """How full each bucket of the flood guard was, in thousandths."""
    age_seconds: float = 0.0
    """How long ago that was. The clocks of gateways differ."""


class Ended(NamedTuple):
    """A player that the zone rejected or removed. The gateway ends the session."""

    ref: int
    reason: CloseReason | GameReason
    text: str
    """Empty when the reason alone says enough."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> Ended:
        """Makes it of plain values."""
        ref, reason, text = values
        return cls(ref, _CLOSE_REASONS.get(reason) or GameReason(reason), text)


USAGE = "usage"
"""The result of a command that was typed wrongly is not done, and its text begins with this word and a colon."""


@dataclass(slots=True)
class Requests:
    """Joins, leaves and actions from the players of one gateway, and commands of operators. The zone ignores the leave
    and the drop of an unknown player."""

    joins: list[Join] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    actions: list[Actions] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    """Players whose connection is lost. One who cannot come back leaves."""
    confirmed: list[int] = field(default_factory=list)
    """Players who came back and have their new token: the one before it is not good any more."""
    batches: list[Batch] = field(default_factory=list)
    """The batches of other gateways whose requests are among these."""
    lost: list[int] = field(default_factory=list)
    """The numbers of gateways that have fallen silent. All their players have lost the connection."""
    bans: list[tuple[str, float]] = field(default_factory=list)
    """(address, seconds) of each address that a gateway has banned after a kick."""
    standings: list[tuple[int, Standing]] = field(default_factory=list)
    """(ref, standing) of each player who may come back, when their penalty level has risen or their connection is
    lost."""
    failed: list[Ended] = field(default_factory=list)
    """The joins that have failed on their way to the zone. The output says so to their gateways."""

    def add(self, more: Requests) -> None:
        """Appends the requests of another gateway, or later requests of this one."""
        self.joins += more.joins
        self.leaves += more.leaves
        self.drops += more.drops
        self.confirmed += more.confirmed
        self.actions += more.actions
        self.commands += more.commands
        self.batches += more.batches
        self.lost += more.lost
        self.bans += more.bans
        self.standings += more.standings
        self.failed += more.failed


class TickInput(NamedTuple):
    """The input of one tick, complete. Ticks are numbered from 1 without a gap."""

    tick: int
    unix_seconds: float
    """The time of day, for tickets that expire."""
    dilation_percent: int
    """100 when the zone runs at full speed, less when time is stretched."""
    requests: Requests


class Resumed(NamedTuple):
    """A player who came back: another connection has their place in the zone."""

    ref: int
    slot: int
    seq: int
    """The newest sequence of the player that the zone has taken."""
    former: int
    """The ref of the connection before."""
    standing: Standing | None = None
    """What another gateway said last of the player; None if it said nothing."""

    @classmethod
    def of(cls, values: Sequence[Any]) -> Resumed:
        """Makes it of plain values. Those of an earlier version have no standing."""
        resumed = cls(*values)
        return resumed if resumed.standing is None else resumed._replace(standing=Standing(*resumed.standing))


class AddressBan(NamedTuple):
    """A ban of an address, as gateways are told of it."""

    network: str
    """As `address_networks` returns it."""
    seconds: float
    """How long it lasts from now on: infinite until it is lifted, 0 when it is lifted."""
    text: str
    """Empty when the reason alone says enough."""
    is_ordered: bool
    """Whether an operator has ordered it: open connections end as well."""


NO_BANS = AddressBan("", 0.0, "", is_ordered=False)
"""All bans of addresses are lifted. The bans that follow in a list are all that there are."""


class RefusedAction(NamedTuple):
    """An action that did not happen."""

    ref: int
    refusal: Refusal
    is_violation: bool
    """Whether no honest client would have sent the action."""


@dataclass(frozen=True, slots=True)
class TickOutput:
    """The output of one tick, complete."""

    tick: int
    frame: bytes
    """What the tick changed: the payload of a TICK message, without framing."""
    records: int
    """How many changes the frame tells each receiver."""
    joined: list[tuple[int, int | None]]
    """(ref, slot) of each player who came in, (ref, None) of each watcher."""
    ended: list[Ended]
    refused: list[RefusedAction]
    told: list[tuple[int, bytes]] = field(default_factory=list)
    """(ref, payload) of each message for one player alone: a TOLD or an ANSWERED."""
    saves: list[tuple[str, str]] = field(default_factory=list)
    """(name, JSON text) of each player who was saved, for the store."""
    results: list[tuple[int, bool, str]] = field(default_factory=list)
    """(ref, whether it was done, text) of each command that ran."""
    resumed: list[Resumed] = field(default_factory=list)
    """Each player who came back. `told` has what they missed, refusals included."""
    parts: dict[int, bytes] = field(default_factory=dict)
    """For each gateway in another process to which the tick says something alone: that part, as bytes."""
    bans: list[AddressBan] = field(default_factory=list)
    """The bans of addresses that began or were lifted with this tick, in order."""
    share: int = 0
    """How many actions the gateway may send for one tick; 0: as many as configured."""
    is_last: bool = True
    """False if the output of another tick follows at once: players get the frames of both together."""


class ZoneLink(Protocol):
    """A zone as its gateway sees it, wherever the zone runs."""

    @property
    def info(self) -> ZoneInfo: ...

    @property
    def epoch(self) -> int:
        """Which start of the zone this is, from 1 on. A tick of another epoch leads nowhere."""

    @property
    def commands(self) -> Sequence[tuple[str, str]]:
        """The game's own commands for operators: each with its parameters, and what it does."""

    @property
    def has_room(self) -> bool:
        """Whether the link takes actions. It takes none while a zone elsewhere has not answered for a while."""

    @property
    def former_tick(self) -> int:
        """The last tick before this start; 0 for a new zone. The ticks up to it are those of the start before too."""

    def next_ref(self) -> int:
        """A ref for another player. It was never used before."""

    def send(self, requests: Requests) -> None:
        """Hands requests over to the zone's next tick. The caller must not change `requests` afterwards."""

    def subscribe(self, receive: Callable[[TickOutput], None]) -> None:
        """Calls `receive` with each later output, in the order of ticks."""

    def snapshot(self) -> bytes:
        """The state after the newest output: the payload of a SNAPSHOT message."""
