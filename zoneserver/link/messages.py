"""The messages of a link, as bytes: between a zone and its gateways in other processes.

Both ends run the same version, which ATTACH checks. The bytes of a TICK are one buffer for all gateways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.player_names import NAME_CHARACTERS
from zoneserver.protocol.values import ACTIONS_PER_PACKET
from zoneserver.protocol.zone_info import Kind, ZoneInfo
from zoneserver.zone.link import Actions, AddressBan, Join, Requests, Standing, gateway_of

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

_NAME_CHARACTERS_MAX = 256
_HOST_CHARACTERS_MAX = 256
_SEQ_MAX = 2**32 - 1
_BAN_SECONDS_MAX = 1e9
# What a Standing has at most.
_LEVEL_MAX, _BUCKETS, _TEXT_CHARACTERS_MAX = 3, 4, 1_000
_JOIN_TYPES = int, str, bytes, str, bool, str, bytes, bytes, int

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
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, msgpack.UnpackException) as error:
        raise LinkError(f"a message of the link cannot be read: {error!s:.200}") from None


def _attach(version: int, *values: Any) -> Attach:
    if version != LINK_VERSION:
        # What follows the number may be anything.
        return Attach(version, _number(values[0]), "", {})
    gateway, name, figures = values
    if type(name) is not str or not 0 < len(name) <= _NAME_CHARACTERS_MAX or not name.isprintable():
        raise LinkError(f"{name!r:.40} is no name of a gateway")
    return Attach(version, _number(gateway), name, _figures(figures))


# What follows is all that stands between the zone and a gateway that errs: a tick must not fail because of it, since
# it is the tick of all gateways. It accepts whatever a gateway accepts from its clients.


def _batch(gateway: int, number: int, start: Sequence[int], tick: int, lists: Sequence[Any], figures: Any) -> Any:
    joins, leaves, drops, confirmed, actions, bans, standings = lists
    if type(tick) is not int:
        raise LinkError(f"{tick!r:.40} is no tick")
    requests = Requests(
        joins=[_join(join) for join in joins],
        leaves=list(leaves),
        drops=list(drops),
        confirmed=list(confirmed),
        actions=[_packet(*each) for each in actions],
        bans=[_ban(*each) for each in bans],
        standings=[_standing(*each) for each in standings],
    )
    refs = [each[0] for each in (*requests.joins, *requests.actions, *requests.standings)]
    if any(gateway_of(ref) != gateway for ref in (*refs, *leaves, *drops, *confirmed)):
        raise LinkError(f"gateway {gateway} speaks for the player of another one")
    figures = None if figures is None else _figures(figures)
    return BatchMessage(_number(gateway), _number(number), _start(start), tick, requests, figures)


def _join(values: Sequence[Any]) -> Join:
    join = Join(*values)
    if tuple(map(type, join)) != _JOIN_TYPES:
        raise LinkError("a join has values of other types")
    # The gateway has asked whether it is a name, perhaps by another Unicode than this one.
    is_named = len(join.name) <= NAME_CHARACTERS and (join.watch or bool(join.name))
    if not is_named or len(join.host) > _HOST_CHARACTERS_MAX or not 0 <= join.tick <= _SEQ_MAX:
        raise LinkError(f"no player can come in as {join.name!r:.40} from {join.host!r:.40}")
    # What is saved is for the store to say.
    return join._replace(saved="")


def _packet(ref: int, seq: int, actions: Sequence[Any]) -> Actions:
    if type(seq) is not int or not 0 < seq <= _SEQ_MAX or type(actions) is not tuple:
        raise LinkError(f"no packet has the sequence {seq!r:.40}")
    if not 0 < len(actions) <= ACTIONS_PER_PACKET:
        raise LinkError(f"no packet has {len(actions)} actions")
    for action in actions:
        if type(action) is not tuple or not action or type(action[0]) is not str:
            raise LinkError("an action does not begin with its kind")
    return ref, seq, actions


def _ban(host: str, seconds: float) -> tuple[str, float]:
    seconds = min(float(seconds), _BAN_SECONDS_MAX)
    if type(host) is not str or len(host) > _HOST_CHARACTERS_MAX or not seconds >= 0:
        raise LinkError(f"{host!r:.40} cannot be banned for {seconds} s")
    return host, seconds


def _standing(ref: int, values: Sequence[Any]) -> tuple[int, Standing]:
    level, reason, text, fills, age_seconds = values
    is_known = type(level) is int and 0 <= level <= _LEVEL_MAX and reason in CloseReason.__members__
    if not is_known or type(text) is not str or len(text) > _TEXT_CHARACTERS_MAX or type(fills) is not tuple:
        raise LinkError(f"no player stands at level {level!r:.40} for {reason!r:.40}")
    if len(fills) != _BUCKETS or any(type(fill) is not int or not 0 <= fill <= _SEQ_MAX for fill in fills):
        raise LinkError("a standing does not say how full the buckets are")
    return ref, Standing(level, reason, text, fills, float(age_seconds))


def _figures(figures: Any) -> dict[str, Any]:
    """The figures of a gateway that can be shown. Those that count are checked where they are added."""
    return {
        str(name)[:_NAME_CHARACTERS_MAX]: value[:_NAME_CHARACTERS_MAX] if type(value) is str else value
        for name, value in dict(figures).items()
        if type(value) in (int, float, str, dict)
    }


def _start(values: Sequence[Any]) -> Start:
    epoch, unix_ms = values
    if not type(epoch) is type(unix_ms) is int:
        raise LinkError("a start of a zone has two numbers")
    return Start(epoch, unix_ms)


def _ask(gateway: int, start: Sequence[int], tick: Any) -> Ask:
    if tick is not None and type(tick) is not int:
        raise LinkError(f"{tick!r:.40} is no tick")
    return Ask(_number(gateway), _start(start), tick)


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
    message = TickMessage(_start(start), *values)
    return message._replace(bans=_bans(message.bans))


def _bans(bans: Sequence[Any]) -> tuple[AddressBan, ...]:
    return tuple(AddressBan(*ban) for ban in bans)


_READERS: dict[int, Any] = {
    _Op.ATTACH: _attach,
    _Op.BATCH: _batch,
    _Op.ASK: _ask,
    _Op.DETACH: lambda gateway: Detach(_number(gateway)),
    _Op.ATTACHED: _attached,
    _Op.REJECTED: Rejected,
    _Op.TICK: _tick,
    _Op.PART: lambda start, *values: PartMessage(Start(*start), *values),
    _Op.JUMP: lambda tick, snapshot, bans: Jump(tick, snapshot, _bans(bans)),
    _Op.STOPPING: lambda start, keep: Stopping(Start(*start), keep),
}
