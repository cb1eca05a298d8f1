"""The messages of a link, as bytes: between a zone and its gateways in other processes.

Both ends run the same version, which ATTACH checks. The bytes of a TICK are one buffer for all gateways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import AddressBan, Join, Requests, Standing, gateway_of

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
    "LinkMessage",
    "PartMessage",
    "Rejected",
    "Start",
    "Stopping",
    "TickMessage",
    "decode",
]

LINK_VERSION = 1

_pack = msgpack.Packer(autoreset=True).pack


class LinkError(ValueError):
    """A payload that no other end of this version sends."""


class _Op(IntEnum):
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
        return _pack((_Op.ATTACH, *self))


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
        return _pack((_Op.BATCH, self.gateway, self.number, self.start, self.tick, lists, self.figures))


class Ask(NamedTuple):
    """A gateway asks for everything after the tick that it has; None if it has no state."""

    gateway: int
    start: Start
    tick: int | None

    def encode(self) -> bytes:
        return _pack((_Op.ASK, *self))


class Detach(NamedTuple):
    """A gateway stops. Its players come back at another one."""

    gateway: int

    def encode(self) -> bytes:
        return _pack((_Op.DETACH, *self))


# --- From the zone --------------------------------------------------------------------------------


class Attached(NamedTuple):
    """The answer to an ATTACH."""

    start: Start
    gateway: int
    taken: int
    """The number of the newest batch that the zone has taken of this gateway; 0 if it knows of none."""
    facts: Facts

    def encode(self) -> bytes:
        return _pack((_Op.ATTACHED, *self))


class Rejected(NamedTuple):
    """The gateway has no place at this zone. If it `may_begin_anew`, it may come with another number."""

    gateway: int
    may_begin_anew: bool
    text: str

    def encode(self) -> bytes:
        return _pack((_Op.REJECTED, *self))


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
        return _pack((_Op.TICK, *self))


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
        return _pack((_Op.PART, *self))


class Jump(NamedTuple):
    """The state after a tick, for a gateway that has missed more than the zone has kept."""

    tick: bytes
    """The TICK as it was sent."""
    snapshot: bytes
    """The payload of a SNAPSHOT, deflated by zlib."""
    bans: tuple[AddressBan, ...]
    """All bans of addresses."""

    def encode(self) -> bytes:
        return _pack((_Op.JUMP, *self))


class Stopping(NamedTuple):
    """The zone stops. With `keep` the players stay in for its next start."""

    start: Start
    keep: bool

    def encode(self) -> bytes:
        return _pack((_Op.STOPPING, *self))


LinkMessage = Attach | BatchMessage | Ask | Detach | Attached | Rejected | TickMessage | PartMessage | Jump | Stopping


def decode(payload: bytes) -> LinkMessage:
    """The message in a payload. Raises LinkError for one that is none."""
    try:
        op, *values = msgpack.unpackb(payload, use_list=False)
        message: LinkMessage = _READERS[op](*values)
        return message
    except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        raise LinkError(f"a message of the link cannot be read: {error}") from None


def _attach(version: int, *values: Any) -> Attach:
    if version != LINK_VERSION:
        # What follows the number may be anything.
        return Attach(version, _number(values[0]), "", {})
    gateway, name, figures = values
    return Attach(version, _number(gateway), str(name), dict(figures))


def _batch(gateway: int, number: int, start: Sequence[int], tick: int, lists: Sequence[Any], figures: Any) -> Any:
    joins, leaves, drops, confirmed, actions, bans, standings = lists
    requests = Requests(
        joins=[Join(*join) for join in joins],
        leaves=list(leaves),
        drops=list(drops),
        confirmed=list(confirmed),
        actions=list(actions),
        bans=[(str(host), float(seconds)) for host, seconds in bans],
        standings=[(ref, Standing(*standing)) for ref, standing in standings],
    )
    refs = [each[0] for each in (*requests.joins, *actions, *standings)]
    if any(gateway_of(ref) != gateway for ref in (*refs, *leaves, *drops, *confirmed)):
        raise LinkError(f"gateway {gateway} speaks for the player of another one")
    figures = None if figures is None else dict(figures)
    return BatchMessage(_number(gateway), _number(number), Start(*start), int(tick), requests, figures)


def _number(value: Any) -> int:
    if type(value) is not int or value <= 0:
        raise LinkError(f"{value!r:.40} is no number")
    return value


def _attached(start: Sequence[int], gateway: int, taken: int, facts: Sequence[Any]) -> Attached:
    info, schema, commands, *rest = facts
    name, version, hz, width, height, speed_step, kinds, board = info
    info = ZoneInfo(name, version, hz, width, height, speed_step, tuple(Kind(*kind) for kind in kinds), board)
    return Attached(Start(*start), gateway, taken, Facts(info, schema, commands, *rest))


def _tick(start: Sequence[int], *values: Any) -> TickMessage:
    message = TickMessage(Start(*start), *values)
    return message._replace(bans=_bans(message.bans))


def _bans(bans: Sequence[Any]) -> tuple[AddressBan, ...]:
    return tuple(AddressBan(*ban) for ban in bans)


_READERS: dict[int, Any] = {
    _Op.ATTACH: _attach,
    _Op.BATCH: _batch,
    _Op.ASK: lambda gateway, start, tick: Ask(_number(gateway), Start(*start), tick),
    _Op.DETACH: Detach,
    _Op.ATTACHED: _attached,
    _Op.REJECTED: Rejected,
    _Op.TICK: _tick,
    _Op.PART: lambda start, *values: PartMessage(Start(*start), *values),
    _Op.JUMP: lambda tick, snapshot, bans: Jump(tick, snapshot, _bans(bans)),
    _Op.STOPPING: lambda start, keep: Stopping(Start(*start), keep),
}
