"""All messages of the protocol as values, and their encoding. PROTOCOL.md is the authority; this module follows it.

A message is one msgpack array whose first element is its op. `encode` returns a payload, without framing. The way
back is in `decoding`.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from zoneserver.protocol.columns import pack_column, pack_slots
from zoneserver.protocol.values import array_header, encode_action, encode_event, pack, pack_checked
from zoneserver.protocol.zone_info import ZoneInfo

__all__ = [
    "DEFLATE",
    "PROTOCOL_VERSION",
    "RESUME",
    "SERVER_PAYLOAD_BYTES",
    "TOKEN_BYTES",
    "WATCH",
    "WHOLE",
    "Act",
    "Answered",
    "Bye",
    "ClientMessage",
    "Deflated",
    "Goodbye",
    "Hello",
    "Op",
    "Ping",
    "Pong",
    "Refusal",
    "Resume",
    "Return",
    "ServerMessage",
    "Snapshot",
    "Tick",
    "Told",
    "Welcome",
    "encode_act",
    "op_of",
]

PROTOCOL_VERSION = 2
DEFLATE = "deflate"
"""The option of a client that accepts DEFLATED messages."""
WATCH = "watch"
"""The option of a client that gets the frames and has no player."""
RESUME = "resume"
"""The option of a client that comes back when its connection is lost."""
WHOLE = "whole"
"""The option of a client that comes back and wants every frame it missed, even if a snapshot is shorter."""
TOKEN_BYTES = 16
"""The size of a token, with which a client comes back."""
SERVER_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The largest payload a client accepts: a snapshot of 65,536 slots fits."""


class Op(enum.IntEnum):
    """The first element of every message. Clients send those below 16, servers those from 16 on."""

    HELLO = 1
    ACT = 2
    PING = 3
    GOODBYE = 4
    RESUME = 5
    WELCOME = 16
    SNAPSHOT = 17
    TICK = 18
    PONG = 19
    REFUSED = 20
    BYE = 21
    DEFLATED = 22
    TOLD = 23
    ANSWERED = 24


# --- Messages of a client -------------------------------------------------------------------------


class Hello(NamedTuple):
    """The first message of a session: the name of the player, and the ticket, empty if the server asks for none."""

    version: int
    name: str
    ticket: bytes
    options: Sequence[str] = ()
    """What the client can do or wants besides the ordinary, such as DEFLATE and WATCH."""
    game_version: str = ""
    """The version of the game that the client was written for; empty if it takes any."""

    def encode(self) -> bytes:
        return pack((Op.HELLO, *self))


class Resume(NamedTuple):
    """The first message of a session that goes on with the player of an earlier one, in place of HELLO."""

    version: int
    name: str
    token: bytes
    """The token of the last WELCOME."""
    epoch: int
    """The epoch of that WELCOME."""
    tick: int
    """The newest tick that the client has: it gets everything since then."""
    options: Sequence[str] = ()
    game_version: str = ""

    def encode(self) -> bytes:
        return pack((Op.RESUME, *self))


class Act(NamedTuple):
    """Everything that one player did since their last ACT: action i has the sequence `seq` + i.

    Each action is `(kind, argument, ...)`.
    """

    seq: int
    actions: Sequence[tuple[Any, ...]]

    def encode(self) -> bytes:
        return encode_act(self.seq, [encode_action(*action) for action in self.actions])


class Ping(NamedTuple):
    """Asks for a PONG with this token, 0 to 2**63 - 1."""

    token: int

    def encode(self) -> bytes:
        return pack((Op.PING, *self))


class Goodbye(NamedTuple):
    """The client leaves on purpose."""

    def encode(self) -> bytes:
        return pack((Op.GOODBYE,))


ClientMessage = Hello | Resume | Act | Ping | Goodbye


def encode_act(seq: int, actions: Sequence[bytes]) -> bytes:
    """The payload of an Act whose actions `encode_action` has packed."""
    head = pack((Op.ACT, seq, None))
    # The actions take the place of the last element of the head, nil.
    return b"".join((head[:-1], array_header(len(actions)), *actions))


# --- Messages of a server -------------------------------------------------------------------------


class Return(NamedTuple):
    """How a client comes back to its player when its connection is lost."""

    token: bytes
    """It is good once, for the name of this session."""
    grace_ticks: int
    """How long the player stays in the zone without a connection."""
    epoch: int
    """Which start of the server this is. A tick of another epoch leads nowhere."""
    seq: int
    """The newest sequence of this player that the zone has taken. Later actions may be sent again."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to HELLO and RESUME: the player's slot, the zone, and the limits of this session."""

    version: int
    slot: int | None
    """None for a watcher, who has no player."""
    tick: int
    zone: ZoneInfo
    payload_bytes_max: int
    """The largest payload that this client may send."""
    actions_max: int
    """The most actions in one ACT."""
    options: Sequence[str] = ()
    """The options of HELLO that hold in this session."""
    resume: Return | None = None
    """None for a client that did not ask for it, and on a server where nobody comes back."""

    def encode(self) -> bytes:
        zone, limits = self.zone, (self.payload_bytes_max, self.actions_max)
        head = Op.WELCOME, self.version, self.slot, self.tick, (zone.name, zone.version)
        measures = zone.hz, zone.width, zone.height, zone.speed_step
        return pack((*head, measures, zone.kinds, zone.board, limits, self.options, self.resume))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state of the zone at the end of `tick`. A column holds one value per slot, free slots included."""

    tick: int
    holders: list[str | int | None]
    """What holds each slot: the name of a player, the kind of a thing (from 1), or None for a free slot."""
    x: array[int]
    y: array[int]
    vx: array[int]
    vy: array[int]
    since: array[int]
    """The tick in which the holder stood at (x, y)."""
    seq: array[int]
    """The low byte of the sequence of the player's newest public action that happened."""
    stats: list[array[int]]
    """Column i is stat i of whatever holds the slot."""
    board: Sequence[int | str] = ()

    def encode(self) -> bytes:
        columns = self.x, self.y, self.vx, self.vy, self.since, self.seq
        packed = [pack_column(code, column) for code, column in zip("iibbIB", columns, strict=True)]
        stats = [pack_column("i", stat) for stat in self.stats]
        return pack((Op.SNAPSHOT, self.tick, self.holders, packed, stats, self.board))


@dataclass(frozen=True, slots=True)
class Tick:
    """The frame: everything that changed within one tick, in the order in which World.apply applies it."""

    tick: int
    dilation_percent: int
    """100 when the zone runs at full speed, less when its time is dilated."""
    hash: int | None
    """The state hash after this tick, in about one frame a second."""
    leaves: Sequence[int] = ()
    joins: Sequence[tuple[int, str | int]] = ()
    """(slot, holder) of each player who joined and each thing that appeared, the holder as in Snapshot."""
    movers: Sequence[int] = ()
    """The slots of the players whose own action set their motion, in rising order."""
    seqs: Sequence[int] = ()
    """For each slot in `movers`, the low byte of that action's sequence. `vx` and `vy` run beside `movers` as well."""
    vx: Sequence[int] = ()
    vy: Sequence[int] = ()
    steered: Sequence[int] = ()
    """The slots to which the rules gave another velocity, in rising order: `steered_vx` and `steered_vy` beside it."""
    steered_vx: Sequence[int] = ()
    steered_vy: Sequence[int] = ()
    placed: Sequence[int] = ()
    """Motion from another place than the predicted one: slot, x, y, vx, vy for each record."""
    stats: Sequence[int] = ()
    """Stats that changed: slot, index of the stat, new value for each record."""
    board: Sequence[int | str] = ()
    """Entries of the board that changed: index, new value for each record."""
    events: Sequence[Sequence[Any]] = ()
    """(slot, seq, kind, value, ...) for a player's action, (None, None, kind, value, ...) for an event of the zone."""

    def encode(self, packed_events: Sequence[bytes] | None = None) -> bytes:
        """The payload. `packed_events` stand for `events` where `encode_event` has packed them already."""
        events = [encode_event(*event) for event in self.events] if packed_events is None else packed_events
        acted = pack_slots(self.movers), bytes(self.seqs), pack_column("b", self.vx), pack_column("b", self.vy)
        steered = pack_slots(self.steered), pack_column("b", self.steered_vx), pack_column("b", self.steered_vy)
        came = tuple(chain.from_iterable(self.joins))
        changes = self.leaves, came, acted, steered, self.placed, self.stats, self.board
        head = pack((Op.TICK, self.tick, self.dilation_percent, self.hash, *changes, None))
        # The events take the place of the last element of the head, nil.
        return b"".join((head[:-1], array_header(len(events)), *events))


class Pong(NamedTuple):
    """The answer to PING, with the last tick that is finished and the microseconds since its end."""

    token: int
    tick: int
    microseconds: int = 0

    def encode(self) -> bytes:
        return pack((Op.PONG, *self))


class Refusal(NamedTuple):
    """An action that was refused; only its own player gets this message."""

    tick: int
    seq: int
    code: str
    text: str

    def encode(self) -> bytes:
        return pack((Op.REFUSED, *self))


class Told(NamedTuple):
    """What the game tells one player alone."""

    tick: int
    kind: str
    values: Sequence[Any]

    def encode(self) -> bytes:
        """The payload. Raises as `encode_event` does."""
        return pack_checked((Op.TOLD, *self), self.kind, self.values)


class Answered(NamedTuple):
    """A private action that happened; only its own player gets this message."""

    tick: int
    seq: int
    values: Sequence[Any]

    def encode(self) -> bytes:
        """The payload. Raises as `encode_event` does."""
        return pack_checked((Op.ANSWERED, *self), "answer", self.values)


class Bye(NamedTuple):
    """The last message of the server: a close code, a sentence, and whether the client should reconnect."""

    code: str
    text: str
    retry: bool

    def encode(self) -> bytes:
        return pack((Op.BYE, *self))


class Deflated(NamedTuple):
    """The payload of one SNAPSHOT or TICK in raw deflate, for a client that asked for this option."""

    data: bytes

    def encode(self) -> bytes:
        return pack((Op.DEFLATED, *self))


ServerMessage = Welcome | Snapshot | Tick | Pong | Refusal | Told | Answered | Bye | Deflated


def op_of(payload: bytes) -> int:
    """The op of a message, without decoding the rest; 0 for bytes that are not a message.

    Every message has fewer than 16 elements, so its array header is one byte and the next is the op.
    """
    return payload[1] if len(payload) > 1 and payload[0] & 0xF0 == 0x90 else 0
