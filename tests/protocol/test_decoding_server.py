"""Decoding of server messages: what a client accepts from any server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from helpers.sample_messages import (
    CLIENT_MESSAGES,
    EMPTY_TICK,
    SERVER_MESSAGES,
    SNAPSHOT,
    TICK,
    WELCOME,
    any_bytes,
    pack,
)
from hypothesis import given

from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import WireError, decode_server, inflate_message
from zoneserver.protocol.messages import (
    SERVER_PAYLOAD_BYTES,
    Bye,
    ClientMessage,
    Deflated,
    Op,
    Pong,
    Refusal,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)


def rejected(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_server(payload)


def test_decode_server_ignores_additional_elements() -> None:
    assert decode_server(pack(Op.PONG, 1, 2, 3, "new", [3])) == Pong(1, 2, 3)


@pytest.mark.parametrize(
    "message",
    [WELCOME, Pong(1, 2, 3), Refusal(1, 2, "A", "b"), Bye("A", "b", False)],
    ids=lambda message: type(message).__name__,
)
def test_decode_server_rejects_a_message_cut_short_anywhere(message: ServerMessage) -> None:
    payload = message.encode()
    for length in range(len(payload)):
        rejected(payload[:length])


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_decode_server_rejects_client_messages(message: ClientMessage) -> None:
    rejected(message.encode())


@pytest.mark.parametrize("value", [bytes([Op.PONG, 1, 2]), 1, None, "text", [], [[]], [-1], [Op.PONG], [255, 1]])
def test_decode_server_rejects_values_that_are_not_messages(value: Any) -> None:
    rejected(msgpack.packb(value))


@pytest.mark.parametrize("depth", [100, 900, 1020])
@pytest.mark.parametrize(
    "around",
    [
        lambda deep: b"\x94\x15" + deep + b"\xa1b\xc3",
        lambda deep: b"\x95\x14\x01\x02\xa1A" + deep,
        lambda deep: b"\x93\x13" + deep + b"\x01",
    ],
)
def test_decode_server_decodes_deep_nesting_or_raises_wire_error(around: Callable[[bytes], bytes], depth: int) -> None:
    with contextlib.suppress(WireError):
        decode_server(around(b"\x91" * depth + b"\x01"))


def tick_elements(**changes: Any) -> list[Any]:
    """The elements of a TICK with two movers, some of them changed."""
    acted: dict[str, Any] = {
        "who": b"\x01\x00\x00\x02\x00",
        "seqs": b"\x01\x02",
        "vx": b"\x01\x02",
        "vy": b"\x01\x02",
    }
    elements: dict[str, Any] = {
        "op": Op.TICK,
        "tick": 1,
        "dilation_percent": 100,
        "hash": None,
        "leaves": [],
        "joins": [],
        "acted": list((acted | {name: changes.pop(name) for name in acted if name in changes}).values()),
        "steered": [b"\x01\x00\x00", b"\x05", b"\xff"],
        "placed": [],
        "stats": [],
        "board": [],
        "events": [],
    }
    return list((elements | changes).values())


def test_tick_elements_without_changes_are_accepted() -> None:
    assert isinstance(decode_server(pack(*tick_elements())), Tick)


@pytest.mark.parametrize(
    "changes",
    [
        {"tick": "1"},
        {"tick": None},
        {"tick": True},
        {"dilation_percent": 1.5},
        {"hash": "x"},
        {"hash": False},
        {"who": b"\x02"},
        {"who": None},
        {"who": b"\x01\x02\x00\x01\x00"},
        {"seqs": b"\x01"},
        {"vx": b"\x01\x02\x03"},
        {"vy": b""},
        {"vy": None},
        {"placed": [1, 2, 3, 4]},
        {"placed": [1, 2, 3, 4, "5"]},
        {"placed": None},
        {"acted": [b"\x01", b"", b""]},
        {"acted": None},
        {"steered": [b"\x01\x00\x00", b"\x05"]},
        {"steered": [b"\x01\x00\x00", b"\x05", b""]},
        {"steered": [b"\x01", b"\x05", b""]},
        {"board": [0]},
        {"board": ["0", 1]},
        {"board": [0, 1.5]},
        {"board": [0, None]},
        {"board": [0, 2**53]},
        {"board": [0, "x" * 257]},
        {"joins": [1]},
        {"joins": [[1, "ann"]]},
        {"joins": ["1", "ann"]},
        {"joins": [1, b"ann"]},
        {"joins": [1, 0]},
        {"joins": [1, True]},
        {"joins": [True, "ann"]},
        {"joins": [-1, "ann"]},
        {"joins": [65_536, "ann"]},
        {"joins": ""},
        {"leaves": ["1"]},
        {"leaves": 1},
        {"stats": [1, 2]},
        {"stats": [1, 2, 3.0]},
        {"events": [[1, 2]]},
        {"events": ["abc"]},
        {"events": [b"abc"]},
        {"events": ""},
        {"events": [["1", 1, "say"]]},
        {"events": [[1, "1", "say"]]},
        {"events": [[1, None, "say"]]},
        {"events": [[None, 1, "say"]]},
        {"events": [[True, 1, "say"]]},
        {"events": [[1, 1, 1]]},
        {"events": 1},
    ],
    ids=repr,
)
def test_tick_with_one_wrong_element_is_rejected(changes: dict[str, Any]) -> None:
    rejected(pack(*tick_elements(**changes)))


def snapshot_elements(**changes: Any) -> list[Any]:
    """The elements of a SNAPSHOT of one player, some of them changed."""
    motion: dict[str, Any] = {
        "x": bytes(4),
        "y": bytes(4),
        "vx": bytes(1),
        "vy": bytes(1),
        "since": bytes(4),
        "seq": bytes(1),
    }
    elements: dict[str, Any] = {
        "op": Op.SNAPSHOT,
        "tick": 1,
        "names": ["ann"],
        "motion": list((motion | {name: changes.pop(name) for name in motion if name in changes}).values()),
        "stats": [bytes(4)],
        "board": [1, "ann"],
    }
    return list((elements | changes).values())


def test_snapshot_elements_without_changes_are_accepted() -> None:
    assert isinstance(decode_server(pack(*snapshot_elements())), Snapshot)


@pytest.mark.parametrize(
    "changes",
    [
        {"tick": 1.0},
        {"names": [0]},
        {"names": [True]},
        {"names": [b"ann"]},
        {"motion": [bytes(4)] * 5},
        {"board": None},
        {"board": [1.5]},
        {"names": ["ann", None]},
        {"names": []},
        {"names": None},
        {"x": bytes(3)},
        {"y": bytes(8)},
        {"vx": b""},
        {"vy": "x"},
        {"since": None},
        {"seq": 1},
        {"stats": [bytes(5)]},
        {"stats": [bytes(8)]},
        {"stats": None},
        {"names": ["a"] * 65_537, **{name: bytes(65_537 * 4) for name in ("x", "y", "since")}},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_snapshot_with_one_wrong_element_is_rejected(changes: dict[str, Any]) -> None:
    rejected(pack(*snapshot_elements(**changes)))


def test_snapshot_of_one_slot_too_many_is_rejected() -> None:
    slots = 65_537
    wide, narrow = bytes(4 * slots), bytes(slots)
    columns = {"x": wide, "y": wide, "vx": narrow, "vy": narrow, "since": wide, "seq": narrow, "stats": [wide]}
    rejected(pack(*snapshot_elements(names=[None] * slots, **columns)))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": True},
        {"slot": "0"},
        {"slot": False},
        {"tick": None},
        {"game": ["g"]},
        {"game": [b"g", ""]},
        {"game": ["g", 3]},
        {"game": "g"},
        {"measures": [0, 1, 1, 1]},
        {"measures": [20, 1, 1, 0]},
        {"measures": [20, 1, 1]},
        {"measures": [20, 1, 1.0, 1]},
        {"kinds": []},
        {"kinds": [["player"]]},
        {"kinds": [["player", [["hp"]]]]},
        {"kinds": [["player", [["hp", "x"]]]]},
        {"kinds": [["player", []]] * 257},
        {"board": [["match"]]},
        {"board": [["match", None]]},
        {"board": [[1, 1]]},
        {"limits": [1.0, 1]},
        {"limits": [1]},
        {"options": "deflate"},
        {"options": [b"deflate"]},
        {"resume": [bytes(15), 300, 1, 0]},
        {"resume": ["a" * 16, 300, 1, 0]},
        {"resume": [bytes(16), 300, 1]},
        {"resume": [bytes(16), 300, 1, None]},
        {"resume": 7},
    ],
    ids=repr,
)
def test_welcome_with_one_wrong_element_is_rejected(changes: dict[str, Any]) -> None:
    elements: dict[str, Any] = {
        "op": Op.WELCOME,
        "version": 2,
        "slot": 0,
        "tick": 0,
        "game": ["g", ""],
        "measures": [20, 1, 1, 20],
        "kinds": [["player", [["hp", 100]]]],
        "board": [["match", 0]],
        "limits": [1024, 16],
        "options": [],
        "resume": [bytes(16), 300, 1, 0],
    }
    assert isinstance(decode_server(pack(*elements.values())), Welcome)
    rejected(pack(*(elements | changes).values()))


@pytest.mark.parametrize("message", [TICK, EMPTY_TICK, SNAPSHOT], ids=lambda message: type(message).__name__)
def test_inflate_message_returns_the_deflated_payload(message: Tick | Snapshot) -> None:
    assert inflate_message(Deflated(deflate(message.encode())).encode()) == message.encode()


def test_inflate_message_ignores_additional_elements() -> None:
    assert inflate_message(pack(Op.DEFLATED, deflate(TICK.encode()), None, 7)) == TICK.encode()


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_inflate_message_accepts_only_snapshot_and_tick(message: ServerMessage) -> None:
    deflated = Deflated(deflate(message.encode())).encode()
    if isinstance(message, Snapshot | Tick):
        assert inflate_message(deflated) == message.encode()
    else:
        with pytest.raises(WireError):
            inflate_message(deflated)


@pytest.mark.parametrize(
    "message", [WELCOME, SNAPSHOT, TICK, Pong(1, 2, 3)], ids=lambda message: type(message).__name__
)
def test_inflate_message_rejects_a_message_that_is_not_deflated(message: ServerMessage) -> None:
    with pytest.raises(WireError):
        inflate_message(message.encode())


def test_inflate_message_rejects_a_payload_above_16_mib() -> None:
    tick = b"\x9d\x12"
    assert len(inflate_message(Deflated(deflate(tick + bytes(SERVER_PAYLOAD_BYTES - 2))).encode())) == 2**24
    with pytest.raises(WireError, match="more than 16777216 bytes"):
        inflate_message(Deflated(deflate(tick + bytes(SERVER_PAYLOAD_BYTES - 1))).encode())


@given(any_bytes)
def test_decode_server_returns_a_message_or_raises_wire_error_for_any_bytes(payload: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_server(payload), ServerMessage)
