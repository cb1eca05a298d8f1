"""Messages survive encoding and decoding, and `op_of` reads the op of a payload."""

from __future__ import annotations

import enum
from array import array
from typing import Any

import msgpack
import pytest
from helpers.sample_messages import CLIENT_MESSAGES, EMPTY_TICK, SERVER_MESSAGES, pack

from zoneserver.protocol import messages
from zoneserver.protocol.decoding import decode_act, decode_client, decode_server
from zoneserver.protocol.messages import ClientMessage, ServerMessage, Snapshot, Tick, encode_act
from zoneserver.protocol.player_names import NAME_CHARACTERS
from zoneserver.protocol.values import encode_action


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_a_client_message_survives_encoding_and_decoding(message: ClientMessage) -> None:
    assert decode_client(message.encode()) == message


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_a_server_message_survives_encoding_and_decoding(message: ServerMessage) -> None:
    assert decode_server(message.encode()) == message


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_tick_encodes_any_number_of_events(count: int) -> None:
    packed = [messages.encode_event(None, None, "e")] * count
    tick = decode_server(EMPTY_TICK.encode(packed))
    assert isinstance(tick, Tick)
    assert len(tick.events) == count


def test_snapshot_of_all_slots_fits_a_payload() -> None:
    slots = 65_536
    columns = [array(code, bytes(slots * array(code).itemsize)) for code in "iibbIBii"]
    x, y, vx, vy, since, seq, *stats = columns
    payload = Snapshot(1, ["x" * NAME_CHARACTERS] * slots, x, y, vx, vy, since, seq, stats).encode()
    assert len(payload) <= messages.SERVER_PAYLOAD_BYTES
    snapshot = decode_server(payload)
    assert isinstance(snapshot, Snapshot)
    assert len(snapshot.holders) == slots


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({1}, "values[1] of the event 'good' is of type set"),
        ({"a": 1}, "values[1] of the event 'good' is of type dict"),
        ([1, (2, {})], "values[1][1][1] of the event 'good' is of type dict"),
        (msgpack.Timestamp(1), "values[1] of the event 'good' is of type Timestamp"),
        (msgpack.ExtType(1, b""), "values[1] of the event 'good' is of type ExtType"),
        (KeyError("x"), "values[1] of the event 'good' is of type KeyError"),
        (1j, "values[1] of the event 'good' is of type complex"),
        (2**64, "out of range"),
        ("\ud800", "surrogates"),
        ("x" * 65_536, "the event 'good' takes 65,5"),
        (b"x" * 65_536, "the event 'good' takes 65,5"),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_encode_event_raises_for_a_value_no_client_accepts_and_works_afterwards(value: object, error: str) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
        messages.encode_event(None, None, "good", 7, value)
    assert error.removesuffix("65,5") in str(raised.value)
    assert messages.encode_event(None, None, "e") == pack(None, None, "e")


@pytest.mark.parametrize("kind", [5, None, b"say", ("say",)])
def test_encode_event_raises_for_a_kind_that_is_no_str(kind: object) -> None:
    with pytest.raises(TypeError, match="the kind of an event must be a str"):
        messages.encode_event(None, None, kind)  # type: ignore[arg-type]


def test_encode_event_packs_lists_and_subclasses_of_plain_types() -> None:
    class Suit(enum.StrEnum):
        HEARTS = "hearts"

    class Rank(enum.IntEnum):
        ACE = 1

    packed = messages.encode_event(3, 200, Suit.HEARTS, Rank.ACE, [1, ("x", None)], b"raw", 1.5)
    tick = decode_server(EMPTY_TICK.encode([packed]))
    assert isinstance(tick, Tick)
    assert list(tick.events) == [(3, 200, "hearts", 1, (1, ("x", None)), b"raw", 1.5)]


def test_op_of_every_message_is_its_first_element() -> None:
    for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES):
        assert messages.op_of(message.encode()) == msgpack.unpackb(message.encode())[0]


@pytest.mark.parametrize("payload", [b"", b"\x91", b"\xc0\x01", b"\xa2\x12\x12", b"\xc4\x01\x13"])
def test_op_of_other_bytes_is_zero(payload: bytes) -> None:
    assert messages.op_of(payload) == 0


def test_encode_action_packs_every_plain_value_and_lists_of_these() -> None:
    arguments = (1, -1.5, "x", b"raw", True, None, [1, "x", b"", None], (), [0] * 16)
    _, actions = decode_act(encode_act(7, [encode_action("go", *arguments)]))
    assert actions == (("go", 1, -1.5, "x", b"raw", True, None, (1, "x", b"", None), (), (0,) * 16),)


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        ({}, TypeError, "an argument of an action must be an int, float, str, bytes, bool or None, not dict"),
        (1j, TypeError, "not complex"),
        (bytearray(b"x"), TypeError, "not bytearray"),
        ([[1]], TypeError, "an item of a list in an action must be an int, .* not list"),
        (({},), TypeError, "not dict"),
        ([0] * 17, ValueError, "a list in an action has at most 16 items"),
        ([2**64], ValueError, "a whole number must fit 64 bits"),
    ],
)
def test_encode_action_raises_for_what_no_server_reads(argument: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        encode_action("go", argument)
