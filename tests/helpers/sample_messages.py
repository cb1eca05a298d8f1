"""A message of every kind, and hostile bytes like those of messages."""

from __future__ import annotations

import math
from array import array
from typing import Any

import msgpack
from helpers.worlds import world_of_size, zone_info
from hypothesis import strategies as st

from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import decode_server, inflate_message
from zoneserver.protocol.messages import (
    PROTOCOL_VERSION,
    Act,
    Answered,
    Bye,
    ClientMessage,
    Deflated,
    Goodbye,
    Hello,
    Op,
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
    op_of,
)

CLIENT_MESSAGES: list[ClientMessage] = [
    Hello(PROTOCOL_VERSION, "ann", b""),
    Hello(PROTOCOL_VERSION, "ann", b"", ("watch",), "3"),
    Hello(PROTOCOL_VERSION, "Zoë 猫", b"\x00ticket"),
    Hello(PROTOCOL_VERSION, "ann", b"", ("deflate", "")),
    Resume(PROTOCOL_VERSION, "ann", bytes(16), 1, 0),
    Resume(PROTOCOL_VERSION, "ann", b"\xff" * 16, 2**32 - 1, 2**32 - 1, ("resume", "whole"), "3"),
    Act(1, (("move", 3, -4),)),
    Act(7, (("say", "hi"), ("aim", 0.5, True, False, None), ("jump",))),
    Ping(0),
    Ping(2**63 - 1),
    Goodbye(),
]
WELCOME_WITH_ENCODING = Welcome(2, None, 900, zone_info(1, 1, name="chat"), 1024, 16, ("deflate", "watch"))
ZONE = zone_info(
    *(10_000, 8_000, {"hp": 100, "kills": 0}),
    kinds={"coin": {"worth": 1}, "wall": {}},
    board={"match": -(2**53) + 1, "leader": "Zoë"},
    speed_step=4,
    name="plaza",
    version="3",
)
WELCOME = Welcome(2, 5, 900, ZONE, 1024, 16)
SNAPSHOT = Snapshot(
    77,
    ["ann", None, "bob", 1],
    array("i", [1, 0, -(2**31), 7]),
    array("i", [2, 0, 2**31 - 1, 8]),
    array("b", [-127, 0, 127, 0]),
    array("b", [5, 0, -5, 0]),
    array("I", [70, 0, 2**32 - 1, 1]),
    array("B", [255, 0, 1, 0]),
    [array("i", [100, 0, 0, 5]), array("i", [0, 0, -3, 0])],
    (7, "ann"),
)
TICK = Tick(
    tick=78,
    dilation_percent=50,
    hash=2**32 - 1,
    movers=[0, 2],
    seqs=array("B", [4, 255]),
    vx=array("b", [-127, 127]),
    vy=array("b", [0, -1]),
    steered=[3, 70],
    steered_vx=array("b", [1, -127]),
    steered_vy=array("b", [0, 127]),
    placed=(2, 10, 20, -1, 1),
    joins=((2, "bob"), (3, "Zoë"), (4, 2)),
    leaves=(1, 3),
    stats=(0, 1, -5),
    board=(0, 2**53 - 1, 1, "bob"),
    events=((0, 9, "say", "hi"), (None, None, "boom", 1.5, True, None)),
)
EMPTY_TICK = decode_server(Tick(1, 100, None).encode())
assert isinstance(EMPTY_TICK, Tick)
SERVER_MESSAGES: list[ServerMessage] = [
    WELCOME,
    WELCOME_WITH_ENCODING,
    Welcome(2, 5, 900, ZONE, 1024, 16, ("resume",), Return(bytes(16), 300, 1, 2**32 - 1)),
    SNAPSHOT,
    Snapshot(0, [], array("i"), array("i"), array("b"), array("b"), array("I"), array("B"), [], ()),
    TICK,
    EMPTY_TICK,
    Pong(2**63 - 1, 12, 49_999),
    Told(12, "inventory", (1, "a", (b"x", None))),
    Answered(12, 2**32 - 1, ()),
    Refusal(12, 2**32 - 1, "COOLDOWN", "ready again in 3 ticks"),
    Bye("SERVER_STOPPING", "the server is shutting down", True),
    Deflated(deflate(TICK.encode())),
    Deflated(b""),
]


def pack(*elements: Any) -> bytes:
    return msgpack.packb(elements)


# Pieces of msgpack, among them the beginnings of arrays, texts and columns.
VALUES: list[Any] = [0, 1, 20, 255, -1, 2**31, 2**63, 2**64 - 1, None, True, False, 0.5, 1.0, math.nan, math.inf]
TEXTS: list[Any] = ["", "ann", "5", b"", b"\x01", bytes(4), []]
BEGINNINGS = "80 81 91 92 93 95 a1 c1 c401 d405 c700ff dc0002 ddffffffff dfffffffff db00000001"
PIECES = [*map(msgpack.packb, VALUES + TEXTS), *map(bytes.fromhex, BEGINNINGS.split())]
packed_values = st.tuples(st.sampled_from(sorted(Op)), st.lists(st.sampled_from(PIECES), max_size=14)).map(
    lambda parts: bytes([0x90 + min(15, 1 + len(parts[1])), parts[0]]) + b"".join(parts[1])
)
valid = st.sampled_from([message.encode() for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES)])
damaged = st.tuples(valid, st.integers(0, 500), st.binary(max_size=4)).map(
    lambda damage: damage[0][: damage[1]] + damage[2] + damage[0][damage[1] + len(damage[2]) :]
)
any_bytes = st.binary(max_size=200) | packed_values | damaged


def frame_of(tick: int, size: int) -> bytes:
    """The payload of a frame with `size` bytes that deflate well."""
    return Tick(tick, 100, None, events=((None, None, "x" * size),)).encode()


def snapshot_of(tick: int, size: int) -> bytes:
    """The payload of a snapshot with `size` bytes that deflate well."""
    world = world_of_size(10, 10)
    world.tick = tick
    world.join(0, "y" * size)
    return world.snapshot().encode()


def plain(payload: bytes) -> bytes:
    """The payload, inflated if it is a DEFLATED message."""
    return inflate_message(payload) if op_of(payload) == Op.DEFLATED else payload
