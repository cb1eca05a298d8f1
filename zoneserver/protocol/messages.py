"""All messages of the protocol as values, and their encoding. PROTOCOL.md is the authority; this module follows it.

A message is one msgpack array whose first element is its op. `encode` returns a payload, without framing. The way
back is in `decoding`.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from zoneserver.protocol.columns import pack_column, pack_slots

__all__ = [
    "ACTIONS_PER_PACKET",
    "DEFLATE",
    "EVENT_BYTES_MAX",
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
    "op_of",
]

PROTOCOL_VERSION = 1
ACTIONS_PER_PACKET = 16
"""The most actions in one ACT, and the most elements in any array that a client sends."""
DEFLATE = "deflate"
"""The encoding that a client asks for in HELLO if it accepts DEFLATED messages."""
SERVER_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The largest payload a client accepts: a snapshot of 65,536 players fits."""

EVENT_BYTES_MAX = 65_535
"""The largest event, packed."""

Plain = int | float | str | bytes | bool | None
Value = Plain | Sequence[Plain]
"""An argument of an action: a plain value, or a list or tuple of at most ACTIONS_PER_PACKET plain values."""
_PLAIN_TYPES = frozenset({int, float, str, bytes, bool, type(None)})


class Op(enum.IntEnum):
    """The first element of every message. Clients send those below 16, servers those from 16 on."""

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


# One packer for the process: creating one costs as much as packing a small message. It resets itself after each value
# and after an error.
_pack = msgpack.Packer(autoreset=True).pack


# --- Messages of a client -------------------------------------------------------------------------


class Hello(NamedTuple):
    """The first message of a session: the name of the player, and the ticket, empty if the server asks for none."""

    version: int
    name: str
    ticket: bytes
    encodings: Sequence[str] = ()
    """Forms of SNAPSHOT and TICK that the client accepts besides the plain one, such as DEFLATE."""

    def encode(self) -> bytes:
        *always, encodings = self
        return _pack((Op.HELLO, *always, encodings) if encodings else (Op.HELLO, *always))


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
        return _pack((Op.PING, *self))


class Goodbye(NamedTuple):
    """The client leaves on purpose."""

    def encode(self) -> bytes:
        return _pack((Op.GOODBYE,))


ClientMessage = Hello | Act | Ping | Goodbye


def encode_action(kind: str, *arguments: Value) -> bytes:
    """Packs one action by itself, so that its size is known before it is put into a packet.

    Raises TypeError for an argument that is not a Value, ValueError for too many arguments or items and for a whole
    number beyond 64 bits.
    """
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an action must be a str, not {kind!r:.40}")
    if len(arguments) >= ACTIONS_PER_PACKET:
        raise ValueError(f"an action has at most {ACTIONS_PER_PACKET - 1} arguments")
    for argument in arguments:
        if isinstance(argument, list | tuple):
            if len(argument) > ACTIONS_PER_PACKET:
                raise ValueError(f"a list in an action has at most {ACTIONS_PER_PACKET} items")
            _check_plain("an item of a list in an action", argument)
        else:
            _check_plain("an argument of an action", (argument,))
    try:
        return _pack((kind, *arguments))
    except OverflowError:
        raise ValueError("a whole number must fit 64 bits") from None


def _check_plain(what: str, values: Sequence[Any]) -> None:
    for value in values:
        if type(value) not in _PLAIN_TYPES:
            kind = type(value).__name__
            raise TypeError(f"{what} must be an int, float, str, bytes, bool or None, not {kind}")


def encode_act(seq: int, actions: Sequence[bytes]) -> bytes:
    """The payload of an Act whose actions `encode_action` has packed."""
    head = _pack((Op.ACT, seq, None))
    # The actions take the place of the last element of the head, nil.
    return b"".join((head[:-1], _array_header(len(actions)), *actions))


# --- Messages of a server -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to HELLO: the player's slot, the game, and the limits of this session."""

    version: int
    slot: int
    tick: int
    hz: int
    game: str
    width: int
    height: int
    stats: list[tuple[str, int]]
    """The name and the initial value of each stat. Frames refer to a stat by its index in this list."""
    payload_bytes_max: int
    """The largest payload that this client may send."""
    actions_max: int
    """The most actions in one ACT."""
    encodings: Sequence[str] = ()
    """The encodings of HELLO that the server may use in this session."""

    def encode(self) -> bytes:
        head = Op.WELCOME, self.version, self.slot, self.tick, self.hz, self.game
        always = *head, (self.width, self.height), self.stats, (self.payload_bytes_max, self.actions_max)
        return _pack((*always, self.encodings) if self.encodings else always)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state of the zone at the end of `tick`. A column holds one value per slot, free slots included."""

    tick: int
    names: list[str | None]
    """The name of the player in each slot; None for a free slot."""
    x: array[int]
    y: array[int]
    vx: array[int]
    vy: array[int]
    since: array[int]
    """The tick in which the player stood at (x, y)."""
    seq: array[int]
    """The low byte of the sequence of the player's newest action that was applied."""
    stats: list[array[int]]

    def encode(self) -> bytes:
        columns = self.x, self.y, self.vx, self.vy, self.since, self.seq
        packed = (pack_column(code, column) for code, column in zip("iibbIB", columns, strict=True))
        return _pack((Op.SNAPSHOT, self.tick, self.names, *packed, [pack_column("i", stat) for stat in self.stats]))


@dataclass(frozen=True, slots=True)
class Tick:
    """The frame: everything that changed within one tick. World.apply says in which order it is applied."""

    tick: int
    dilation_percent: int
    """100 when the zone runs at full speed, less when its time is dilated."""
    hash: int | None
    """The state hash after this tick, in about one frame a second."""
    movers: Sequence[int]
    """The slots of the players whose own action set their motion, in rising order."""
    seqs: Sequence[int]
    """For each slot in `movers`, the low byte of that action's sequence. `vx` and `vy` run beside `movers` as well."""
    vx: Sequence[int]
    vy: Sequence[int]
    placed: Sequence[int]
    """Motion that the rules imposed: slot, x, y, vx, vy for each record."""
    joins: Sequence[tuple[int, str]]
    leaves: Sequence[int]
    stats: Sequence[int]
    """Stats that changed: slot, index of the stat, new value for each record."""
    events: Sequence[Sequence[Any]]
    """(slot, seq, kind, value, ...) for a player's action, (None, None, kind, value, ...) for an event of the zone."""

    def encode(self, packed_events: Sequence[bytes] | None = None) -> bytes:
        """The payload. `packed_events` stand for `events` where `encode_event` has packed them already."""
        events = [encode_event(*event) for event in self.events] if packed_events is None else packed_events
        motions = pack_slots(self.movers), bytes(self.seqs), pack_column("b", self.vx), pack_column("b", self.vy)
        changes = self.placed, self.joins, self.leaves, self.stats
        head = _pack((Op.TICK, self.tick, self.dilation_percent, self.hash, *motions, *changes, None))
        # The events take the place of the last element of the head, nil.
        return b"".join((head[:-1], _array_header(len(events)), *events))


class Pong(NamedTuple):
    """The answer to PING, with the last tick that is finished."""

    token: int
    tick: int

    def encode(self) -> bytes:
        return _pack((Op.PONG, *self))


class Refusal(NamedTuple):
    """An action that was refused; only its own player gets this message."""

    tick: int
    seq: int
    code: str
    text: str

    def encode(self) -> bytes:
        return _pack((Op.REFUSED, *self))


class Bye(NamedTuple):
    """The last message of the server: a close code, a sentence, and whether the client should reconnect."""

    code: str
    text: str
    retry: bool

    def encode(self) -> bytes:
        return _pack((Op.BYE, *self))


class Deflated(NamedTuple):
    """The payload of one SNAPSHOT or TICK in raw deflate, for a client that asked for this encoding."""

    data: bytes

    def encode(self) -> bytes:
        return _pack((Op.DEFLATED, *self))


ServerMessage = Welcome | Snapshot | Tick | Pong | Refusal | Bye | Deflated


def encode_event(slot: int | None, seq: int | None, kind: str, *values: Any) -> bytes:
    """Packs one event. Packing it when it happens makes an error the fault of the rule that caused it.

    A value is a number, a str, bytes, None, or a list or tuple of values. Raises TypeError for any other value,
    ValueError for a text that is no Unicode, for lists nested too deeply and for an event beyond EVENT_BYTES_MAX,
    OverflowError for a whole number beyond 64 bits: what this function packs, every client accepts.
    """
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an event must be a str, not {type(kind).__name__}")
    try:
        packed = _pack((slot, seq, kind, *values))
    except TypeError:
        _check_values(values, kind)
        raise
    if len(packed) > EVENT_BYTES_MAX:
        raise ValueError(
            f"the event {kind[:32]!r} takes {len(packed):,} bytes, and an event has at most {EVENT_BYTES_MAX:,}"
        )
    if not _PLAIN_TYPES.issuperset(map(type, values)):
        # msgpack also packs maps and extensions.
        _check_values(values, kind)
    return packed


def _check_values(values: Sequence[Any], kind: str) -> None:
    """Raises TypeError for a value that has no form in this protocol, with its place in the event."""
    unchecked = [("values", values)]
    for place, parts in unchecked:
        for index, value in enumerate(parts):
            if isinstance(value, list | tuple) and not isinstance(value, msgpack.ExtType):
                unchecked.append((f"{place}[{index}]", value))
            elif not (value is None or isinstance(value, int | float | str | bytes)):
                raise TypeError(
                    f"{place}[{index}] of the event {kind[:32]!r} is of type {type(value).__name__}: an event carries "
                    "numbers, texts, bytes, None, and lists of these"
                )


def _array_header(length: int) -> bytes:
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2) if length < 65536 else b"\xdd" + length.to_bytes(4)


def op_of(payload: bytes) -> int:
    """The op of a message, without decoding the rest; 0 for bytes that are not a message.

    Every message has fewer than 16 elements, so its array header is one byte and the next is the op.
    """
    return payload[1] if len(payload) > 1 and payload[0] & 0xF0 == 0x90 else 0
