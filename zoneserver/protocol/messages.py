"""Every message as bytes, both ways. PROTOCOL.md is the authority; this module follows it.

A message is one msgpack array whose first element is its operation. `encode` returns a payload
without its length (see `framing`); the way back is in `decoding`.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.columns import pack_column, pack_slots
from zoneserver.protocol.compression import seams_of

__all__ = [
    "ACTIONS_PER_PACKET",
    "DEFLATE",
    "PROTOCOL_VERSION",
    "SERVER_PAYLOAD_BYTES",
    "Act",
    "Bye",
    "ClientMessage",
    "Deflated",
    "Goodbye",
    "Hello",
    "Op",
    "Ping",
    "Pong",
    "Refusal",
    "ServerMessage",
    "Snapshot",
    "Tick",
    "Value",
    "Welcome",
    "encode_act",
    "encode_action",
    "encode_event",
    "encode_tick",
    "op_of",
    "seams_of",
]

PROTOCOL_VERSION = 1
ACTIONS_PER_PACKET = 16
"""Actions in one ACT, and elements in any array that a client sends."""
DEFLATE = "deflate"
"""What a client asks for that takes DEFLATED messages too."""
SERVER_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The largest payload a client accepts: a snapshot of 65,536 players fits."""

Value = int | float | str | bool | None
"""What an action or an event may carry."""
_VALUE_TYPES = frozenset({int, float, str, bool, type(None)})


class Op(enum.IntEnum):
    """The first element of every message. Below 16 the client speaks, from 16 on the server."""

    HELLO = 1
    ACT = 2
    PING = 3
    GOODBYE = 4
    WELCOME = 16
    SNAPSHOT = 17
    TICK = 18
    PONG = 19
    REFUSED = 20
    BYE = 21
    DEFLATED = 22


# One packer for the process: making one costs as much as packing a small message. It starts afresh
# after each value, and after an error too.
_pack = msgpack.Packer(autoreset=True).pack


# --- What a client says ---------------------------------------------------------------------------


class Hello(NamedTuple):
    """The first message of a session: who wants in. `ticket` is empty where none is asked for."""

    version: int
    name: str
    ticket: bytes
    encodings: Sequence[str] = ()
    """In what forms it takes snapshots and ticks, besides as they are: DEFLATE, or what a server does not know."""

    def encode(self) -> bytes:
        *always, encodings = self
        return _pack((Op.HELLO, *always, encodings) if encodings else (Op.HELLO, *always))


class Act(NamedTuple):
    """Everything one player did within one client frame: action i has the sequence `seq` + i.

    Each action is `(kind, argument, ...)`.
    """

    seq: int
    actions: Sequence[tuple[Any, ...]]

    def encode(self) -> bytes:
        return encode_act(self.seq, [encode_action(*action) for action in self.actions])


class Ping(NamedTuple):
    """Asks for a PONG that carries the same token, 0 to 2**63 - 1."""

    token: int

    def encode(self) -> bytes:
        return _pack((Op.PING, *self))


class Goodbye(NamedTuple):
    """The client leaves on purpose."""

    def encode(self) -> bytes:
        return _pack((Op.GOODBYE,))


ClientMessage = Hello | Act | Ping | Goodbye


def encode_action(kind: str, *arguments: Value) -> bytes:
    """One action, packed by itself: its size is then known before its packet is.

    Raises TypeError for what is no Value, ValueError for too many of them and numbers beyond 64 bits.
    """
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an action is text, not {kind!r:.40}")
    if len(arguments) >= ACTIONS_PER_PACKET:
        raise ValueError(f"an action has at most {ACTIONS_PER_PACKET - 1} arguments")
    for argument in arguments:
        if type(argument) not in _VALUE_TYPES:
            raise TypeError(f"an action carries numbers, text, true, false and nil, not {type(argument).__name__}")
    try:
        return _pack((kind, *arguments))
    except OverflowError:
        raise ValueError("a whole number is sent in 64 bits") from None


def encode_act(seq: int, actions: Sequence[bytes]) -> bytes:
    """An Act from actions that are packed already."""
    head = _pack((Op.ACT, seq, None))
    # The last element of the head, nil, makes room for the actions.
    return b"".join((head[:-1], _array_header(len(actions)), *actions))


# --- What the server says -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to HELLO: where the player stands and by what rules the two will talk."""

    version: int
    slot: int
    tick: int
    hz: int
    game: str
    width: int
    height: int
    stats: list[tuple[str, int]]
    """The name and first value of each stat, in the order in which frames number them."""
    payload_bytes_max: int
    """The largest payload this client may send."""
    actions_max: int
    """The most actions that one ACT may carry."""
    encodings: Sequence[str] = ()
    """Of those that HELLO asked for, what the server may use."""

    def encode(self) -> bytes:
        always = (
            Op.WELCOME,
            self.version,
            self.slot,
            self.tick,
            self.hz,
            self.game,
            (self.width, self.height),
            self.stats,
            (self.payload_bytes_max, self.actions_max),
        )
        return _pack((*always, self.encodings) if self.encodings else always)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state of the zone after `tick`. Columns hold one value per slot, free slots too."""

    tick: int
    names: list[str | None]
    """None where a slot is free."""
    x: array[int]
    y: array[int]
    vx: array[int]
    vy: array[int]
    since: array[int]
    """The tick in which the player stood at (x, y)."""
    seq: array[int]
    """The low byte of the newest action of the player that was applied."""
    stats: list[array[int]]

    def encode(self) -> bytes:
        return _pack(
            (
                Op.SNAPSHOT,
                self.tick,
                self.names,
                pack_column("i", self.x),
                pack_column("i", self.y),
                pack_column("b", self.vx),
                pack_column("b", self.vy),
                pack_column("I", self.since),
                pack_column("B", self.seq),
                [pack_column("i", column) for column in self.stats],
            )
        )


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that everybody did within one tick, in the order in which it is to be applied."""

    tick: int
    dilation_percent: int
    """100 when the zone runs at full speed, less when time is stretched."""
    hash: int | None
    """The state hash after this tick, in about one frame a second."""
    movers: Sequence[int]
    """The slots whose own action changed their motion, rising; the next three run beside it."""
    seqs: Sequence[int]
    vx: Sequence[int]
    vy: Sequence[int]
    placed: Sequence[int]
    """Motion that the rules imposed, five numbers a record: slot, x, y, vx, vy."""
    joins: Sequence[tuple[int, str]]
    leaves: Sequence[int]
    stats: Sequence[int]
    """Stats that changed, three numbers a record: slot, index of the stat, value."""
    events: Sequence[Sequence[Any]]
    """(slot, seq, kind, value, ...) for an action, (None, None, kind, value, ...) for the zone's own."""

    def encode(self) -> bytes:
        return encode_tick(
            self.tick,
            self.dilation_percent,
            self.hash,
            self.movers,
            bytes(self.seqs),
            pack_column("b", self.vx),
            pack_column("b", self.vy),
            self.placed,
            self.joins,
            self.leaves,
            self.stats,
            [encode_event(event) for event in self.events],
        )


class Pong(NamedTuple):
    """The answer to PING, with the last tick the server finished."""

    token: int
    tick: int

    def encode(self) -> bytes:
        return _pack((Op.PONG, *self))


class Refusal(NamedTuple):
    """One action that did not happen, told to its player alone."""

    tick: int
    seq: int
    code: str
    text: str

    def encode(self) -> bytes:
        return _pack((Op.REFUSED, *self))


class Bye(NamedTuple):
    """The server's last message: a close code, a sentence, and whether to come back."""

    code: str
    text: str
    retry: bool

    def encode(self) -> bytes:
        return _pack((Op.BYE, *self))


class Deflated(NamedTuple):
    """One whole SNAPSHOT or TICK, for who asked for it in this form: its payload as raw deflate has it."""

    data: bytes

    def encode(self) -> bytes:
        return _pack((Op.DEFLATED, *self))


ServerMessage = Welcome | Snapshot | Tick | Pong | Refusal | Bye | Deflated


def encode_event(event: Sequence[Any]) -> bytes:
    """One event, packed at once: what cannot be packed is then the fault of the action it came from."""
    return _pack(event)


def encode_tick(
    tick: int,
    dilation_percent: int,
    state_hash: int | None,
    movers: Sequence[int],
    seqs: bytes,
    vx: bytes,
    vy: bytes,
    placed: Sequence[int],
    joins: Sequence[tuple[int, str]],
    leaves: Sequence[int],
    stats: Sequence[int],
    events: Sequence[bytes],
) -> bytes:
    """A Tick from columns and events that are packed already: the form in which the zone has them."""
    head = _pack(
        (
            Op.TICK,
            tick,
            dilation_percent,
            state_hash,
            pack_slots(movers),
            seqs,
            vx,
            vy,
            placed,
            joins,
            leaves,
            stats,
            None,
        )
    )
    # The last element of the head, nil, makes room for the events: they are msgpack already.
    return b"".join((head[:-1], _array_header(len(events)), *events))


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2) if length < 65536 else b"\xdd" + length.to_bytes(4)


def op_of(payload: bytes) -> int:
    """The operation of a message, without decoding the rest; 0 when it is no message.

    Every message has fewer than 16 elements, so its array header is one byte and the next is the op.
    """
    return payload[1] if len(payload) > 1 and payload[0] & 0xF0 == 0x90 else 0
