"""Messages in the form that this project writes, and the forms that a client has to read beside it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import msgpack

from golden.meaning import meaning
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import (
    Act,
    Answered,
    Bye,
    ClientMessage,
    Deflated,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Resume,
    Return,
    ServerMessage,
    Snapshot,
    Tick,
    Told,
    Welcome,
    encode_act,
)
from zoneserver.protocol.zone_info import Kind, ZoneInfo, player_kind

__all__ = ["COINS", "PLAZA", "bytes_of", "ignored", "messages", "reads", "snapshot", "stored"]

PLAZA = ZoneInfo("plaza", "", 20, 10_000, 10_000, 20, (player_kind(hp=100, kills=0),))
COINS = ZoneInfo(
    *("coinrush", "3", 20, 2_000, 1_000, 4),
    (player_kind(gold=5), Kind("coin", ()), Kind("wölf", (("hp", 30), ("bite", -3)))),
    (("match", 0), ("leader", "")),
)
"""A game with things, a board, and steps of velocity that are no whole units per tick."""


def snapshot(
    tick: int, holders: list[Any], rows: Mapping[int, tuple[int, ...]], stats: int, board: Any = ()
) -> Snapshot:
    """A SNAPSHOT. `rows` has (x, y, vx, vy, since, seq, stat, ...) for each slot in use."""
    full = [rows.get(slot, (0,) * (6 + stats)) for slot in range(len(holders))]
    columns = [array(code, (row[index] for row in full)) for index, code in enumerate("iibbIB" + "i" * stats)]
    x, y, vx, vy, since, seq, *stat_columns = columns
    return Snapshot(tick, list(holders), x, y, vx, vy, since, seq, stat_columns, board)


def stored(payload: bytes) -> bytes:
    """The payload in raw DEFLATE without compression: it is the same with every library."""
    length = len(payload)
    return b"\x01" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + payload


_SPARSE = snapshot(
    60, ["ann", None, "Zoë"], {0: (5000, 4000, 25, 0, 40, 255, 85, 1), 2: (10000, 0, -127, 127, 60, 3, 100, -1)}, 2
)
_THINGS = snapshot(
    400,
    ["ann", 1, None, 2],
    {0: (10, 20, 3, -3, 390, 7, 12, 0), 1: (500, 500, 0, 0, 1, 0, 0, 0), 3: (1000, 0, -127, 5, 399, 0, 30, -3)},
    2,
    (-(2**53 - 1), "Zoë"),
)
_EVERYTHING = Tick(
    *(61, 100, 0x4D3DDA00),
    leaves=[0],
    joins=[(0, "eve"), (1, "bob"), (4, 2)],
    movers=[2],
    seqs=[4],
    vx=[-25],
    vy=[10],
    steered=[1, 4],
    steered_vx=[-128 + 1, 127],
    steered_vy=[0, -1],
    placed=[1, 7000, 8000, -1, 2, 4, 0, 2**31 - 1, 0, 0],
    stats=[0, 0, 85, 2, 1, -(2**31)],
    board=[0, -7, 1, "bob"],
    events=[(2, 5, "say", "hi"), (None, None, "hit", None, 2, 15)],
)
_EVENTS = Tick(64, 99, None, events=[(slot, slot + 1, "emote", slot % 6) for slot in range(16)])
_NOTHING = Tick(2**31, 100, None)
# The payload of _EVENTS as zlib deflates it. It stands here since another library makes other bytes.
_DEFLATED_EVENTS = bytes.fromhex(
    "35cbb90d8030100551af0f30a72d2aa2174488482864253624a50f02caa0188496af492679c7304e17b3dc44b7f9daff"
    "63e6c7643174cecbbacd46c8ea9158a767c5793d273ee87909855e90a2842d236cac60ab1ab66e609b16b6ed60bb1eb6"
    "4fb029fff605"
)

_FROM_CLIENT: dict[str, ClientMessage] = {
    "hello": Hello(2, "Zoë", b""),
    "hello with a ticket, options and a version of the game": Hello(
        2, "ann", b"\x00\xff\x10", ["deflate", "watch", "tomorrow's"], "3"
    ),
    "hello with a name of 24 emoji": Hello(2, "🐍" * 24, b""),
    "resume": Resume(2, "Zoë", bytes(range(16)), 3, 77),
    "resume with options and a version of the game": Resume(
        2, "ann", b"\xff" * 16, 2**32 - 1, 2**32 - 1, ["resume", "whole"], "3"
    ),
    "act with one motion": Act(1, [("move", 24, -7)]),
    "act with every kind of value": Act(
        70_000, [("say", "hi 猫"), ("aim", 0.5, -129, True, False, None), ("jump",), ("put", b"\0\xff", (1, "a", None))]
    ),
    "act with the smallest and the largest integer": Act(200, [("count", -(2**63), 2**64 - 1, 2**53)]),
    "act with the last sequence": Act(4294967279, [("emote", 0)]),
    "act with sixteen actions": Act(300, [("emote", number) for number in range(16)]),
    "ping": Ping(123456789012345),
    "goodbye": Goodbye(),
}
_FROM_SERVER: dict[str, ServerMessage] = {
    "welcome": Welcome(2, 2, 60, PLAZA, 1024, 16),
    "welcome with kinds, a board and options": Welcome(2, 300, 400, COINS, 1024, 8, ["deflate"]),
    "welcome of a player who may come back": Welcome(
        2, 0, 60, PLAZA, 1024, 16, ["resume"], Return(bytes(range(16)), 300, 2, 70_000)
    ),
    "welcome of a watcher": Welcome(2, None, 400, COINS, 1024, 16, ["watch"]),
    "snapshot with a free slot": _SPARSE,
    "snapshot of nobody": snapshot(0, [], {}, 2),
    "snapshot with things and a board": _THINGS,
    "snapshot of 300 slots": snapshot(
        7, [f"p{slot}" for slot in range(300)], {slot: (slot, -slot, 0, 0, 7, slot & 255) for slot in range(300)}, 0
    ),
    "tick in which nothing happens": _NOTHING,
    "tick with everything": _EVERYTHING,
    "tick with lists": Tick(
        *(62, 50, None),
        movers=[3, 513, 65535],
        seqs=[1, 255, 0],
        vx=[-127, 127, 0],
        vy=[0, -1, 0],
        steered=[258],
        steered_vx=[1],
        steered_vy=[0],
    ),
    "tick with bitmaps": Tick(
        *(63, 1, 2**32 - 1),
        movers=[0, 1, 2, 7, 8, 15],
        seqs=[1, 2, 3, 4, 5, 6],
        vx=[1, -1, 2, -2, 3, -3],
        vy=[0] * 6,
        steered=list(range(16, 24)),
        steered_vx=list(range(8)),
        steered_vy=[-1] * 8,
    ),
    "tick with sixteen events": _EVENTS,
    "tick with every kind of value in an event": Tick(
        *(65, 100, None),
        events=[
            (0, 200, "all", None, True, False, 0, -1, 127, 128, -128, -129, 65_535, 65_536, -32_769, 2**31),
            (None, None, "more", -(2**63), 2**64 - 1, 2**53, 0.5, -1e300, -(2**31) - 1),
            (None, None, "most", "", "猫" * 100, b"", b"\0\xff", b"x" * 300, (), (1, ("x", None))),
        ],
    ),
    "pong": Pong(123456789012345, 61, 31_250),
    "refused": Refusal(61, 7, "COOLDOWN", "ready again in 3 ticks"),
    "refused with the last sequence": Refusal(61, 4294967294, "RULE_FAILED", ""),
    "refused: warned": Refusal(61, 0, "WARNED", "too many packets"),
    "refused: muted": Refusal(61, 8, "MUTED", "too many packets"),
    "refused: unmuted": Refusal(99, 31, "UNMUTED", ""),
    "refused with a text of 300 bytes": Refusal(61, 9, "LONG", "x" * 300),
    "told": Told(61, "inventory", ["sword", 3, [1.5, None, True]]),
    "answered": Answered(61, 4294967294, [b"\1\2"]),
    "answered without values": Answered(61, 9, []),
    "bye": Bye("SERVER_STOPPING", "the server is shutting down", True),
    "bye for good": Bye("GAME_VERSION", "", False),
    "deflated tick, stored as it is": Deflated(stored(_NOTHING.encode())),
    "deflated snapshot, stored as it is": Deflated(stored(_THINGS.encode())),
    "deflated tick": Deflated(_DEFLATED_EVENTS),
}
_HELD = {
    "deflated tick, stored as it is": "tick in which nothing happens",
    "deflated snapshot, stored as it is": "snapshot with things and a board",
    "deflated tick": "tick with sixteen events",
}


def messages() -> list[dict[str, Any]]:
    """Every message of both sides."""
    both: dict[str, Mapping[str, ClientMessage | ServerMessage]] = {"client": _FROM_CLIENT, "server": _FROM_SERVER}
    return [
        {"name": name, "from": side, "hex": bytes_of(message).hex(), "message": meaning(message)}
        | ({"holds": _HELD[name]} if name in _HELD else {})
        for side, named in both.items()
        for name, message in named.items()
    ]


def bytes_of(message: ClientMessage | ServerMessage) -> bytes:
    """The payload of a message."""
    if isinstance(message, Act):
        # The arguments of an action are packed apart from the message.
        return encode_act(message.seq, list(map(msgpack.packb, message.actions)))
    return message.encode()


# --- Other forms --------------------------------------------------------------------------------------


def _with(message: ServerMessage, *more: Any) -> bytes:
    """The message with elements that a later version may add."""
    payload = message.encode()
    return bytes((payload[0] + len(more),)) + payload[1:] + b"".join(map(msgpack.packb, more))


_LONG = {
    "integers in 8 bits": "94 13 cc05 cc3d cc07",
    "integers in 16 bits": "94 13 cd0005 d1003d cd0007",
    "integers in 32 bits": "94 13 ce00000005 ce0000003d d200000007",
    "integers in 64 bits": "94 13 cf0000000000000005 d3000000000000003d d3000000000000ffff",
    "signed integers that are positive": "94 13 d2000f4240 d3000000000000003d d07f",
    "a text in str 8": "94 15 d904 474f4e45 a0 c2",
    "a text in str 16": "94 15 da0004 474f4e45 a0 c2",
    "a text in str 32": "94 15 db00000004 474f4e45 d900 c2",
    "values in array 16": "94 17 3d a161 dc0002 01 02",
    "values in array 32": "94 17 3d a161 dd00000002 01 02",
    "floats of 32 bits": "94 18 3d 01 92 ca3fc00000 cabf000000",
    "a bin in bin 16 and bin 32": "94 18 3d 01 92 c500020102 c6000000020102",
    "a bitmap that ends in zero bytes": (
        "9c12 3f 64 c0 90 90 94 c40400010000 c40109 c4017f c40181 93c40101c400c400 90909090"
    ),
    "a list where a bitmap is shorter": (
        "9c12 3f 64 c0 90 90 94 c50003010300 c40109 c4017f c40181 93c40100c400c400 90909090"
    ),
    "a bitmap where a list is shorter": (
        "9c12 3f 64 c0 90 90 94 c4050000000080 c40101 c40102 c40103 93c40101c400c400 90909090"
    ),
    "a tick with a hash in 64 bits and arrays with long headers": (
        "9c12 d20000003f cc64 cf00000000ffffffff dc000101 dd0000000203a162 94c40101c400c400c400 93c40101c400c400 dc0000"
        " dc000303 00 d2ffffffff dd00000000 dc0001 dc000303cc07a173"
    ),
    "a snapshot with long headers": (
        "9611 3c dc0001d903616e6e 96c5000405000000c5000406000000c5000101c50001ffc500043b000000c50001ff"
        " dc0001c600000004 00000080 dd00000000"
    ),
}
_LATER: dict[str, bytes] = {
    "a welcome of a later version": _with(Welcome(2, 2, 60, PLAZA, 1024, 16), [b"\1" * 16, 300, 1, 7]),
    "a snapshot of a later version": _with(_SPARSE, [1, [2]]),
    "a tick of a later version": _with(Tick(62, 100, None), None, "later", [[1]]),
    "a pong of a later version": _with(Pong(1, 2, 3), 0.5),
    "a refusal of a later version": _with(Refusal(61, 7, "COOLDOWN", ""), True),
    "a bye of a later version": _with(Bye("SERVER_STOPPING", "", True), "unix:/there"),
    "something told of a later version": _with(Told(61, "a", []), 9),
    "an answer of a later version": _with(Answered(61, 7, []), 9),
    "deflated of a later version": _with(Deflated(stored(_NOTHING.encode())), 1),
}


def reads() -> list[dict[str, Any]]:
    """Messages of the server that this version does not write in this form, and that every client reads."""
    payloads = {name: bytes.fromhex(digits) for name, digits in _LONG.items()} | _LATER
    return [
        {"name": name, "hex": payload.hex(), "message": meaning(decode_server(payload))}
        for name, payload in payloads.items()
    ]


def ignored() -> list[dict[str, Any]]:
    """Messages with an op that this version does not have."""
    payloads = {
        "a cell": msgpack.packb([25, 61, [1, 2], b"\0"]),
        "the last op in one byte": msgpack.packb([127]),
        "an op with nothing more": msgpack.packb([26]),
    }
    return [{"name": name, "hex": payload.hex()} for name, payload in payloads.items()]
