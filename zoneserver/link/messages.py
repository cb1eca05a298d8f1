"""The messages of a link, as bytes: between a zone and its gateways in other processes.

Both ends run the same version, which ATTACH checks. The bytes of a TICK are one buffer for all gateways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import AddressBan, Requests

__all__ = [
    "LINK_VERSION",
    "Ask",
    "Attach",
    "Attached",
    "BatchMessage",
    "Detach",
    "Facts",
    "Jump",
    "LinkError",
    "MessageOfGateway",
    "MessageOfZone",
    "Op",
    "PartMessage",
    "Rejected",
    "Start",
    "Stopping",
    "TickMessage",
    "decode",
    "decoded",
    "read_start",
]

LINK_VERSION = 1

# Whatever a payload of another form makes the readers raise.
_UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RecursionError, MemoryError, msgpack.UnpackException),
)

_pack = msgpack.Packer(autoreset=True).pack


class LinkError(ValueError):
    """A payload that no other end of this version sends."""


class Op(IntEnum):
    """What a message is: its first value."""

    ATTACH = 1
    BATCH = 2
    ASK = 3
    DETACH = 4
    ATTACHED = 10
    REJECTED = 11
    TICK = 12
    PART = 13
    JUMP = 14
    STOPPING = 15


class Start(NamedTuple):
    """Names one start of a zone. A later start compares higher."""

    epoch: int
    unix_ms: int
    """When it was: without a journal every start has epoch 1."""


class Facts(NamedTuple):
    """What a gateway has to know about the zone."""

    info: ZoneInfo
    schema: Mapping[str, Any]
    """What a client has to know about the game."""
    commands: tuple[tuple[str, str], ...]
    former_tick: int
    """The last tick before this start, 0 for a new zone. Up to it, ticks of the start before are its own too."""
    resume_seconds: float
    max_players: int
    needs_ticket: bool


# --- From a gateway -------------------------------------------------------------------------------


class Attach(NamedTuple):
    """A gateway asks to be told of each tick."""

    version: int
    gateway: int
    """The number that the gateway has made up for itself."""
    name: str
    figures: Mapping[str, Any]
    """What the zone tells operators about the gateway."""

    def encode(self) -> bytes:
        return _pack((Op.ATTACH, *self))


class BatchMessage(NamedTuple):
    """The requests of a gateway since its last batch."""

    gateway: int
    number: int
    start: Start
    tick: int
    """The newest tick that the gateway has."""
    requests: Requests
    figures: Mapping[str, Any] | None
    """As in ATTACH, now and then."""

    def encode(self) -> bytes:
        requests = self.requests
        of_players = requests.joins, requests.leaves, requests.drops, requests.confirmed, requests.actions
        lists = *of_players, requests.bans, requests.standings
        return _pack((Op.BATCH, self.gateway, self.number, self.start, self.tick, lists, self.figures))


class Ask(NamedTuple):
    """A gateway asks for everything after the tick that it has; None if it has no state."""

    gateway: int
    start: Start
    tick: int | None

    def encode(self) -> bytes:
        return _pack((Op.ASK, *self))


class Detach(NamedTuple):
    """A gateway stops. Its players come back at another one."""

    gateway: int

    def encode(self) -> bytes:
        return _pack((Op.DETACH, *self))


# --- From the zone --------------------------------------------------------------------------------


class Attached(NamedTuple):
    """The answer to an ATTACH."""

    start: Start
    gateway: int
    taken: int
    """The number of the newest batch that the zone has taken of this gateway; 0 if it knows of none."""
    facts: Facts

    def encode(self) -> bytes:
        return _pack((Op.ATTACHED, *self))


class Rejected(NamedTuple):
    """The gateway has no place at this zone. If it `may_begin_anew`, it may come with another number."""

    gateway: int
    may_begin_anew: bool
    text: str

    def encode(self) -> bytes:
        return _pack((Op.REJECTED, *self))


class TickMessage(NamedTuple):
    """One tick, for all gateways."""

    start: Start
    tick: int
    frame: bytes
    records: int
    due_us: int
    """When the next tick is due: microseconds from now."""
    share: int
    """How many actions the zone takes of each gateway within one tick."""
    taken: tuple[tuple[int, int, int], ...]
    """For each gateway: (number, its newest batch that the zone has taken, how many microseconds before it was due)."""
    with_part: tuple[int, ...]
    """The gateways to which the tick also says something alone, by a PART that was sent before."""
    bans: tuple[AddressBan, ...]

    def encode(self) -> bytes:
        return _pack((Op.TICK, *self))


class PartMessage(NamedTuple):
    """What ticks say to one gateway alone."""

    start: Start
    gateway: int
    since: int
    tick: int
    """The parts are all those of the ticks after `since` and up to this one."""
    parts: tuple[tuple[int, bytes], ...]
    """(tick, `zoneserver.zone.gateways.Part` as bytes) of each."""

    def encode(self) -> bytes:
        return _pack((Op.PART, *self))


class Jump(NamedTuple):
    """The state after a tick, for a gateway that has missed more than the zone has kept."""

    tick: bytes
    """The TICK as it was sent."""
    snapshot: bytes
    """The payload of a SNAPSHOT, deflated by zlib."""
    bans: tuple[AddressBan, ...]
    """All bans of addresses."""

    def encode(self) -> bytes:
        return _pack((Op.JUMP, *self))


class Stopping(NamedTuple):
    """The zone stops. With `keep` the players stay in for its next start."""

    start: Start
    keep: bool

    def encode(self) -> bytes:
        return _pack((Op.STOPPING, *self))


MessageOfGateway = Attach | BatchMessage | Ask | Detach
MessageOfZone = Attached | Rejected | TickMessage | PartMessage | Jump | Stopping


def decode(payload: bytes) -> MessageOfZone:
    """The message in a payload of a zone. Raises LinkError for one that is none."""
    message: MessageOfZone = decoded(payload, _READERS)
    return message


def decoded(payload: bytes, readers: Mapping[int, Any], **limits: Any) -> Any:
    """The message in a payload, by the reader of its operation. `limits` are those of msgpack. Raises LinkError."""
    try:
        op, *values = msgpack.unpackb(payload, use_list=False, **limits)
        return readers[op](*values)
    except _UNREADABLE as error:
        text = f"{type(error).__name__}: {error}".removesuffix(": ") if not isinstance(error, LinkError) else str(error)
        raise LinkError(f"a message of the link cannot be read: {text:.200}") from None


def read_start(values: Sequence[Any]) -> Start:
    epoch, unix_ms = values
    if not type(epoch) is type(unix_ms) is int:
        raise LinkError("a start of a zone has two numbers")
    return Start(epoch, unix_ms)


def _attached(start: Sequence[int], gateway: int, taken: int, facts: Sequence[Any]) -> Attached:
    info, schema, commands, *rest = facts
    name, version, hz, width, height, speed_step, kinds, board = info
    info = ZoneInfo(name, version, hz, width, height, speed_step, tuple(Kind(*kind) for kind in kinds), board)
    return Attached(Start(*start), gateway, taken, Facts(info, schema, commands, *rest))


def _tick(start: Sequence[int], *values: Any) -> TickMessage:
    message = TickMessage(read_start(start), *values)
    return message._replace(bans=_bans(message.bans))


def _bans(bans: Sequence[Any]) -> tuple[AddressBan, ...]:
    return tuple(AddressBan(*ban) for ban in bans)


_READERS: dict[int, Any] = {
    Op.ATTACHED: _attached,
    Op.REJECTED: Rejected,
    Op.TICK: _tick,
    Op.PART: lambda start, *values: PartMessage(Start(*start), *values),
    Op.JUMP: lambda tick, snapshot, bans: Jump(tick, snapshot, _bans(bans)),
    Op.STOPPING: lambda start, keep: Stopping(Start(*start), keep),
}
