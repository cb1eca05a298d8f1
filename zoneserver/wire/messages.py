"""Every message as bytes, both ways. PROTOCOL.md is the authority; this module follows it.

A message is one msgpack array whose first element is its operation. Encoders return a payload
without its length (see `framing`); decoders either return a message or raise WireError, and read
nothing beyond the limits that stand beside them.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from zoneserver.wire.columns import ColumnError, pack_column, pack_slots, unpack_column, unpack_slots

__all__ = [
    "ACTIONS_PER_PACKET",
    "NAME_CHARACTERS",
    "PROTOCOL_VERSION",
    "Act",
    "Bye",
    "ClientMessage",
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
    "WireError",
]

PROTOCOL_VERSION = 1
ACTIONS_PER_PACKET = 16
"""Actions in one ACT, and elements in any array that a client sends."""
NAME_CHARACTERS = 24
SERVER_PAYLOAD_BYTES = 16 * 1024 * 1024
"""The largest payload a client accepts: a snapshot of 65,536 players fits."""
_SLOTS_MAX = 65_536
_SEQ_MAX = 2**32 - 1

Value = int | float | str | bool | None
"""What an action or an event may carry."""


class WireError(ValueError):
    """Bytes that are no message of this protocol. The connection they came on cannot go on."""


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


# One packer for the process: making one costs as much as packing a small message. It starts afresh
# after each value, and after an error too.
_pack = msgpack.Packer(autoreset=True).pack


# --- What a client says ---------------------------------------------------------------------------


class Hello(NamedTuple):
    """The first message of a session: who wants in. `ticket` is empty where none is asked for."""

    version: int
    name: str
    ticket: bytes

    def encode(self) -> bytes:
        return _pack((Op.HELLO, *self))


class Act(NamedTuple):
    """Everything one player did within one client frame: action i has the sequence `seq` + i.

    Each action is `(kind, argument, ...)`.
    """

    seq: int
    actions: Sequence[tuple[Any, ...]]

    def encode(self) -> bytes:
        return _pack((Op.ACT, *self))


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


def decode_client(payload: bytes) -> ClientMessage:
    """The message in a payload from a client. Raises WireError, whatever the bytes are."""
    try:
        message = msgpack.unpackb(
            payload,
            use_list=False,
            max_array_len=ACTIONS_PER_PACKET,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=1024,
            max_bin_len=1024,
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"not a msgpack value within the limits: {error}"[:120]) from None
    match message:
        # bool is an int in Python: each number is therefore asked for its very type.
        case (Op.ACT, seq, tuple(actions)) if type(seq) is int and 0 < seq <= _SEQ_MAX - ACTIONS_PER_PACKET:
            if not actions:
                raise WireError("ACT without an action")
            for act in actions:
                if type(act) is not tuple or not act or type(act[0]) is not str:
                    raise WireError("an action is an array that begins with the name of its kind")
            return Act(seq, actions)
        case (Op.HELLO, version, str(name), bytes(ticket)) if type(version) is int:
            return Hello(version, name, ticket)
        case (Op.PING, token) if type(token) is int and 0 <= token < 2**63:
            return Ping(token)
        case (Op.GOODBYE,):
            return Goodbye()
    raise WireError("no message that a client may send")


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

    def encode(self) -> bytes:
        return _pack(
            (
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
        )


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


ServerMessage = Welcome | Snapshot | Tick | Pong | Refusal | Bye


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


def decode_server(payload: bytes) -> ServerMessage:
    """The message in a payload from a server. Raises WireError, whatever the bytes are."""
    try:
        message = msgpack.unpackb(
            payload, use_list=False, max_map_len=0, max_ext_len=0, max_array_len=1_000_000, max_str_len=65_536
        )
        return _SERVER_DECODERS[message[0]](*message[1:])
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"not a message of a server: {error}"[:120]) from None


def _decode_welcome(
    version: Any, slot: Any, tick: Any, hz: Any, game: Any, size: Any, stats: Any, limits: Any, *_more: Any
) -> Welcome:
    width, height = _integers(size)
    payload_bytes_max, actions_max = _integers(limits)
    slot, tick, hz = _integers((slot, tick, hz))
    if type(version) is not int or type(game) is not str or hz < 1:
        raise WireError("WELCOME does not hold what it should")
    named = [(str(name), int(value)) for name, value in stats]
    return Welcome(version, slot, tick, hz, game, width, height, named, payload_bytes_max, actions_max)


def _decode_snapshot(
    tick: Any, names: Any, x: Any, y: Any, vx: Any, vy: Any, since: Any, seq: Any, stats: Any, *_more: Any
) -> Snapshot:
    typecodes = ("i", "i", "b", "b", "I", "B", *("i" for _ in stats))
    columns = [
        unpack_column(code, data) for code, data in zip(typecodes, (x, y, vx, vy, since, seq, *stats), strict=True)
    ]
    if len(names) > _SLOTS_MAX or any(len(column) != len(names) for column in columns):
        raise ColumnError("a column of a snapshot is longer or shorter than its names")
    if not all(name is None or type(name) is str for name in names):
        raise WireError("a name is text or nil")
    (tick,) = _integers((tick,))
    x, y, vx, vy, since, seq, *stats = columns
    return Snapshot(tick, list(names), x, y, vx, vy, since, seq, stats)


def _decode_tick(
    tick: Any,
    dilation_percent: Any,
    state_hash: Any,
    who: Any,
    seqs: Any,
    vx: Any,
    vy: Any,
    placed: Any,
    joins: Any,
    leaves: Any,
    stats: Any,
    events: Any,
    *_more: Any,
) -> Tick:
    movers = unpack_slots(who)
    columns = unpack_column("B", seqs), unpack_column("b", vx), unpack_column("b", vy)
    if any(len(column) != len(movers) for column in columns):
        raise ColumnError("a column of a frame is longer or shorter than its slots")
    tick, dilation_percent, _ = _integers((tick, dilation_percent, 0 if state_hash is None else state_hash))
    if len(_integers(placed)) % 5 or len(_integers(stats)) % 3:
        raise WireError("a record of a frame is cut short")
    _integers(leaves)
    for slot, name in joins:
        if type(slot) is not int or type(name) is not str:
            raise WireError("a join is a slot and a name")
    if any(type(event) is not tuple or len(event) < 3 for event in events):
        raise WireError("an event is an array of at least three")
    return Tick(tick, dilation_percent, state_hash, movers, *columns, placed, joins, leaves, stats, events)


def _integers(values: Iterable[Any]) -> Sequence[int]:
    if type(values) is not tuple or not all(type(value) is int for value in values):
        raise WireError("a whole number is missing where one should stand")
    return values


_SERVER_DECODERS: dict[int, Callable[..., ServerMessage]] = {
    Op.WELCOME: _decode_welcome,
    Op.SNAPSHOT: _decode_snapshot,
    Op.TICK: _decode_tick,
    Op.PONG: lambda token, tick, *_more: Pong(int(token), int(tick)),
    Op.REFUSED: lambda tick, seq, code, text, *_more: Refusal(int(tick), int(seq), str(code), str(text)),
    Op.BYE: lambda code, text, retry, *_more: Bye(str(code), str(text), bool(retry)),
}
