"""Messages as bytes, both ways, and what is refused."""

import contextlib
import math
from array import array
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.protocol import messages
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import WireError, decode_act, decode_client, decode_server, inflate_message
from zoneserver.protocol.messages import (
    ACTIONS_PER_PACKET,
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    ClientMessage,
    Deflated,
    Goodbye,
    Hello,
    Op,
    Ping,
    Pong,
    Refusal,
    ServerMessage,
    Snapshot,
    Tick,
    Welcome,
)
from zoneserver.protocol.names import NAME_CHARACTERS

CLIENT_MESSAGES: list[ClientMessage] = [
    Hello(1, "ann", b""),
    Hello(PROTOCOL_VERSION, "Zoë 猫", b"\x00ticket"),
    Hello(PROTOCOL_VERSION, "ann", b"", ("deflate", "")),
    Act(1, (("move", 3, -4),)),
    Act(7, (("say", "hi"), ("aim", 0.5, True, False, None), ("jump",))),
    Ping(0),
    Ping(2**63 - 1),
    Goodbye(),
]
WELCOME_WITH_ENCODING = Welcome(1, 5, 900, 20, "chat", 1, 1, [], 1024, 16, ("deflate",))
WELCOME = Welcome(1, 5, 900, 20, "plaza", 10_000, 8_000, [("hp", 100), ("kills", 0)], 1024, 16)
SNAPSHOT = Snapshot(
    77,
    ["ann", None, "bob"],
    array("i", [1, 0, -(2**31)]),
    array("i", [2, 0, 2**31 - 1]),
    array("b", [-127, 0, 127]),
    array("b", [5, 0, -5]),
    array("I", [70, 0, 2**32 - 1]),
    array("B", [255, 0, 1]),
    [array("i", [100, 0, 0]), array("i", [0, 0, -3])],
)
TICK = Tick(
    tick=78,
    dilation_percent=50,
    hash=2**32 - 1,
    movers=[0, 2],
    seqs=array("B", [4, 255]),
    vx=array("b", [-127, 127]),
    vy=array("b", [0, -1]),
    placed=(2, 10, 20, -1, 1),
    joins=((2, "bob"), (3, "Zoë")),
    leaves=(1, 3),
    stats=(0, 1, -5),
    events=((0, 9, "say", "hi"), (None, None, "boom", 1.5, True, None)),
)
EMPTY_TICK = Tick(1, 100, None, [], array("B"), array("b"), array("b"), (), (), (), (), ())
SERVER_MESSAGES: list[ServerMessage] = [
    WELCOME,
    WELCOME_WITH_ENCODING,
    SNAPSHOT,
    Snapshot(0, [], array("i"), array("i"), array("b"), array("b"), array("I"), array("B"), []),
    TICK,
    EMPTY_TICK,
    Pong(2**63 - 1, 12),
    Refusal(12, 2**32 - 1, "COOLDOWN", "ready again in 3 ticks"),
    Bye("SERVER_STOPPING", "the server is shutting down", True),
    Deflated(deflate(TICK.encode())),
    Deflated(b""),
]


def pack(*elements: Any) -> bytes:
    return msgpack.packb(elements)


def refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_client(payload)


def refused_from_server(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_server(payload)


def act_with(argument: bytes) -> bytes:
    """An ACT with one action that has one argument, packed already."""
    return b"\x93\x02\x01\x91\x92\xa1a" + argument


# --- There and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_what_a_client_says_comes_back_as_it_was(message: ClientMessage) -> None:
    assert decode_client(message.encode()) == message


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_what_the_server_says_comes_back_as_it_was(message: ServerMessage) -> None:
    assert decode_server(message.encode()) == message


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_any_number_of_events_has_its_header(count: int) -> None:
    packed = [messages.encode_event((None, None, "e"))] * count
    tick = decode_server(messages.encode_tick(1, 100, None, [], b"", b"", b"", [], [], [], [], packed))
    assert isinstance(tick, Tick)
    assert len(tick.events) == count


def test_a_snapshot_of_every_slot_there_is_comes_back_and_fits_a_payload() -> None:
    slots = 65_536
    columns = [array(code, bytes(slots * array(code).itemsize)) for code in "iibbIBii"]
    x, y, vx, vy, since, seq, *stats = columns
    payload = Snapshot(1, ["x" * NAME_CHARACTERS] * slots, x, y, vx, vy, since, seq, stats).encode()
    assert len(payload) <= messages.SERVER_PAYLOAD_BYTES
    snapshot = decode_server(payload)
    assert isinstance(snapshot, Snapshot)
    assert len(snapshot.names) == slots


@pytest.mark.parametrize("value", [{1}, object(), 1j, 2**64])
def test_an_event_that_cannot_be_packed_raises_and_harms_no_later_one(value: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        messages.encode_event((None, None, "good", value))
    assert messages.encode_event((None, None, "e")) == pack(None, None, "e")


# --- What a client may say ------------------------------------------------------------------------


def test_the_largest_packet_of_actions_passes_and_one_more_is_refused() -> None:
    actions = [("a",)] * ACTIONS_PER_PACKET
    assert decode_client(Act(1, actions).encode()) == Act(1, tuple(actions))
    refused(Act(1, [*actions, ("a",)]).encode())


def test_the_most_arguments_pass_and_one_more_is_refused() -> None:
    action = ("a", *range(ACTIONS_PER_PACKET - 1))
    assert decode_client(Act(1, [action]).encode()) == Act(1, (action,))
    refused(msgpack.packb((Op.ACT, 1, ((*action, 1),))))
    with pytest.raises(ValueError, match="at most 15 arguments"):
        Act(1, [(*action, 1)]).encode()


@pytest.mark.parametrize("seq", [1, 2**32 - 1 - ACTIONS_PER_PACKET])
def test_the_first_and_the_last_sequence_pass(seq: int) -> None:
    assert decode_client(Act(seq, [("a",)]).encode()) == Act(seq, (("a",),))


@pytest.mark.parametrize("seq", [0, -1, 2**32 - ACTIONS_PER_PACKET, 2**63, True, 1.0, "1", None])
def test_any_other_sequence_is_refused(seq: Any) -> None:
    refused(pack(Op.ACT, seq, [["a"]]))


@pytest.mark.parametrize("token", [-1, 2**63, True, False, 1.0, math.nan, math.inf, "1", b"1", None])
def test_a_token_that_is_no_whole_number_within_63_bits_is_refused(token: Any) -> None:
    refused(pack(Op.PING, token))


@pytest.mark.parametrize("version", [True, 1.0, math.nan, "1", None])
def test_a_version_that_is_no_whole_number_is_refused(version: Any) -> None:
    refused(pack(Op.HELLO, version, "ann", b""))


@pytest.mark.parametrize(("name", "ticket"), [(b"ann", b""), (None, b""), (1, b""), ("ann", ""), ("ann", None)])
def test_a_name_is_text_and_a_ticket_is_bytes(name: Any, ticket: Any) -> None:
    refused(pack(Op.HELLO, 1, name, ticket))


@pytest.mark.parametrize("length", [1023, 1024])
def test_text_and_bytes_up_to_the_limit_pass(length: int) -> None:
    assert decode_client(Hello(1, "x" * length, b"").encode()) == Hello(1, "x" * length, b"")
    assert decode_client(Hello(1, "x", b"y" * length).encode()) == Hello(1, "x", b"y" * length)


def test_text_and_bytes_beyond_the_limit_are_refused() -> None:
    refused(Hello(1, "x" * 1025, b"").encode())
    refused(Hello(1, "x", b"y" * 1025).encode())


def test_text_that_is_no_utf_8_is_refused() -> None:
    refused(act_with(b"\xa2\xff\xfe"))
    refused(act_with(b"\xa3\xed\xa0\x80"))  # half of a surrogate pair


@pytest.mark.parametrize(
    "actions", [[], None, 1, "a", b"a", ["a"], [1], [[]], [[1]], [[b"a"]], [[None]], [["a"], []], [["a"], "b"]]
)
def test_actions_are_arrays_that_begin_with_a_kind(actions: Any) -> None:
    refused(pack(Op.ACT, 1, actions))


@pytest.mark.parametrize(
    "elements",
    [
        (),
        (0,),
        (5,),
        (255,),
        (-1,),
        (None,),
        ("GOODBYE",),
        (Op.GOODBYE, 1),
        (Op.PING,),
        (Op.PING, 1, 2),
        (Op.ACT, 1),
        (Op.ACT, 1, [["a"]], 1),
        (Op.HELLO, 1, "ann"),
        (Op.HELLO, 1, "ann", b"", 1),
        (Op.HELLO, 1, "ann", b"", None),
        (Op.HELLO, 1, "ann", b"", "deflate"),
        (Op.HELLO, 1, "ann", b"", [b"deflate"]),
        (Op.HELLO, 1, "ann", b"", ["deflate", 1]),
        (Op.HELLO, 1, "ann", b"", ["e"] * 17),
        (Op.HELLO, 1, "ann", b"", ["deflate"], 1),
    ],
)
def test_an_unknown_operation_or_another_number_of_elements_is_refused(elements: tuple[Any, ...]) -> None:
    refused(pack(*elements))


@pytest.mark.parametrize("op", [True, 1.0])
def test_an_operation_of_a_client_is_a_whole_number(op: Any) -> None:
    refused(pack(op, 1, "ann", b""))


@pytest.mark.parametrize("value", [1, "text", b"\x04", None, True, 1.5])
def test_what_is_no_array_is_refused(value: Any) -> None:
    refused(msgpack.packb(value))


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_a_client_may_not_say_what_the_server_says(message: ServerMessage) -> None:
    refused(message.encode())


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_a_message_cut_short_anywhere_is_refused(message: ClientMessage) -> None:
    payload = message.encode()
    for length in range(len(payload)):
        refused(payload[:length])


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_bytes_after_a_message_are_refused(message: ClientMessage) -> None:
    refused(message.encode() + b"\xc0")


@pytest.mark.parametrize("header", [b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdc\x00\x11"])
def test_a_header_that_promises_too_many_elements_is_refused(header: bytes) -> None:
    refused(header)
    refused(act_with(header))


@pytest.mark.parametrize("header", [b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xda\xff\xff", b"\xc5\xff\xff"])
def test_a_header_that_promises_too_much_text_is_refused(header: bytes) -> None:
    refused(header)
    refused(act_with(header))


@pytest.mark.parametrize("form", [b"\x81\x01\x02", b"\xde\x00\x01\x01\x02", b"\xdf\xff\xff\xff\xff", b"\x80"])
def test_a_map_is_refused(form: bytes) -> None:
    refused(form)
    refused(act_with(form))


@pytest.mark.parametrize(
    "form",
    [
        b"\xd4\x05\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xd7\xff" + bytes(8),
        b"\xc7\x0c\xff" + bytes(12),
        b"\xc9\xff\xff\xff\xff\x05",
        b"\xc7\x00\xff",
        b"\xc7\x00\x05",
    ],
)
def test_an_extension_is_refused(form: bytes) -> None:
    refused(form)
    refused(act_with(form))


def test_an_action_that_cannot_be_sent_is_refused_however_deep_it_is() -> None:
    message = decode_client(act_with(b"\x91" * 1000 + b"\x01"))
    with pytest.raises(TypeError):
        message.encode()


@pytest.mark.parametrize("depth", [100, 1000, 1023, 10_000])
def test_deep_nesting_is_refused_or_read_and_nothing_worse(depth: int) -> None:
    refused(b"\x91" * depth + b"\x01")
    with contextlib.suppress(WireError):
        decode_client(act_with(b"\x91" * depth + b"\x01"))


# --- What the server may say ----------------------------------------------------------------------


def test_more_elements_than_we_know_are_ignored() -> None:
    assert decode_server(pack(Op.PONG, 1, 2, "new", [3])) == Pong(1, 2)


@pytest.mark.parametrize(
    "message",
    [WELCOME, Pong(1, 2), Refusal(1, 2, "A", "b"), Bye("A", "b", False)],
    ids=lambda message: type(message).__name__,
)
def test_a_server_message_cut_short_anywhere_is_refused(message: ServerMessage) -> None:
    payload = message.encode()
    for length in range(len(payload)):
        refused_from_server(payload[:length])


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_a_server_does_not_say_what_clients_say(message: ClientMessage) -> None:
    refused_from_server(message.encode())


@pytest.mark.parametrize("value", [bytes([Op.PONG, 1, 2]), 1, None, "text", [], [[]], [-1], [Op.PONG], [255, 1]])
def test_what_is_no_message_of_a_server_is_refused(value: Any) -> None:
    refused_from_server(msgpack.packb(value))


@pytest.mark.parametrize("depth", [100, 900, 1020])
@pytest.mark.parametrize(
    "around",
    [
        lambda deep: b"\x94\x15" + deep + b"\xa1b\xc3",
        lambda deep: b"\x95\x14\x01\x02\xa1A" + deep,
        lambda deep: b"\x93\x13" + deep + b"\x01",
    ],
)
def test_deep_nesting_in_a_server_message_is_refused_or_read(around: Callable[[bytes], bytes], depth: int) -> None:
    with contextlib.suppress(WireError):
        decode_server(around(b"\x91" * depth + b"\x01"))


def tick_elements(**changes: Any) -> list[Any]:
    """The elements of a TICK with two movers, some of them changed."""
    elements: dict[str, Any] = {
        "op": Op.TICK,
        "tick": 1,
        "dilation_percent": 100,
        "hash": None,
        "who": b"\x01\x00\x00\x02\x00",
        "seqs": b"\x01\x02",
        "vx": b"\x01\x02",
        "vy": b"\x01\x02",
        "placed": [],
        "joins": [],
        "leaves": [],
        "stats": [],
        "events": [],
    }
    return list((elements | changes).values())


def test_the_tick_that_the_next_test_spoils_is_sound() -> None:
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
        {"joins": [[1]]},
        {"joins": [["1", "ann"]]},
        {"joins": [[1, b"ann"]]},
        {"joins": [[True, "ann"]]},
        {"joins": [[-1, "ann"]]},
        {"joins": [[65_536, "ann"]]},
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
def test_a_tick_that_does_not_add_up_is_refused(changes: dict[str, Any]) -> None:
    refused_from_server(pack(*tick_elements(**changes)))


def snapshot_elements(**changes: Any) -> list[Any]:
    """The elements of a SNAPSHOT of one player, some of them changed."""
    elements: dict[str, Any] = {
        "op": Op.SNAPSHOT,
        "tick": 1,
        "names": ["ann"],
        "x": bytes(4),
        "y": bytes(4),
        "vx": bytes(1),
        "vy": bytes(1),
        "since": bytes(4),
        "seq": bytes(1),
        "stats": [bytes(4)],
    }
    return list((elements | changes).values())


def test_the_snapshot_that_the_next_test_spoils_is_sound() -> None:
    assert isinstance(decode_server(pack(*snapshot_elements())), Snapshot)


@pytest.mark.parametrize(
    "changes",
    [
        {"tick": 1.0},
        {"names": [1]},
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
def test_a_snapshot_that_does_not_add_up_is_refused(changes: dict[str, Any]) -> None:
    refused_from_server(pack(*snapshot_elements(**changes)))


def test_a_snapshot_of_one_slot_too_many_is_refused() -> None:
    slots = 65_537
    wide, narrow = bytes(4 * slots), bytes(slots)
    columns = {"x": wide, "y": wide, "vx": narrow, "vy": narrow, "since": wide, "seq": narrow, "stats": [wide]}
    refused_from_server(pack(*snapshot_elements(names=[None] * slots, **columns)))


@pytest.mark.parametrize(
    "elements",
    [
        (Op.WELCOME, 1, 0, 0, 0, "g", [1, 1], [], [1, 1]),
        (Op.WELCOME, True, 0, 0, 20, "g", [1, 1], [], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, b"g", [1, 1], [], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1], [], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1, 1], [["hp"]], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1, 1], [["hp", "x"]], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1, 1], [], [1.0, 1]),
        (Op.WELCOME, 1, None, 0, 20, "g", [1, 1], [], [1, 1]),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1, 1], [], [1, 1], "deflate"),
        (Op.WELCOME, 1, 0, 0, 20, "g", [1, 1], [], [1, 1], [b"deflate"]),
    ],
    ids=repr,
)
def test_a_welcome_that_does_not_hold_what_it_should_is_refused(elements: tuple[Any, ...]) -> None:
    refused_from_server(pack(*elements))


# --- What is deflated -----------------------------------------------------------------------------


def test_who_asks_for_nothing_says_and_hears_the_same_bytes_as_ever() -> None:
    assert Hello(1, "ann", b"").encode() == Hello(1, "ann", b"", ()).encode() == pack(Op.HELLO, 1, "ann", b"")
    assert WELCOME.encode() == pack(*msgpack.unpackb(WELCOME.encode())[:9])


@pytest.mark.parametrize("message", [TICK, EMPTY_TICK, SNAPSHOT], ids=lambda message: type(message).__name__)
def test_a_deflated_message_is_the_same_message(message: Tick | Snapshot) -> None:
    assert inflate_message(Deflated(deflate(message.encode())).encode()) == message.encode()


def test_elements_beside_what_is_deflated_are_ignored() -> None:
    assert inflate_message(pack(Op.DEFLATED, deflate(TICK.encode()), None, 7)) == TICK.encode()


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_nothing_but_a_snapshot_or_a_tick_is_deflated(message: ServerMessage) -> None:
    deflated = Deflated(deflate(message.encode())).encode()
    if isinstance(message, Snapshot | Tick):
        assert inflate_message(deflated) == message.encode()
    else:
        with pytest.raises(WireError):
            inflate_message(deflated)


@pytest.mark.parametrize("message", [WELCOME, SNAPSHOT, TICK, Pong(1, 2)], ids=lambda message: type(message).__name__)
def test_a_message_that_is_not_deflated_is_not_inflated(message: ServerMessage) -> None:
    with pytest.raises(WireError):
        inflate_message(message.encode())


def test_a_payload_that_grows_beyond_what_a_payload_may_be_is_refused() -> None:
    tick = b"\x9d\x12"
    assert len(inflate_message(Deflated(deflate(tick + bytes(SERVER_PAYLOAD_BYTES - 2))).encode())) == 2**24
    with pytest.raises(WireError, match="more than 16777216 bytes"):
        inflate_message(Deflated(deflate(tick + bytes(SERVER_PAYLOAD_BYTES - 1))).encode())


@pytest.mark.parametrize(
    ("lengths", "seams"),
    [
        ([], []),
        ([127], []),
        ([128], []),
        ([127, 5], []),
        ([128, 5], [130]),
        ([5, 200, 300, 5], [207, 507]),
        ([200, *[5] * 25, 200], [202]),
        ([200, *[5] * 26, 200], [202, 332]),
    ],
)
def test_a_long_element_has_seams_around_it_and_short_ones_go_with_what_follows(
    lengths: list[int], seams: list[int]
) -> None:
    head = b"\xdc" + (1 + len(lengths)).to_bytes(2) + b"\x12" if len(lengths) > 14 else pack(Op.TICK, *lengths)[:2]
    # The header of a column of up to 255 bytes is two bytes of its element.
    elements = [msgpack.packb(bytes(length - (2 if length < 258 else 3))) for length in lengths]
    shift = len(head) - 2
    assert messages.seams_of(head + b"".join(elements)) == [seam + shift for seam in seams]


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_the_seams_of_any_message_rise_and_lie_within_it(message: ServerMessage) -> None:
    payload = message.encode()
    seams = messages.seams_of(payload)
    assert seams == sorted(set(seams))
    assert not seams or 0 < seams[0] <= seams[-1] < len(payload)


# --- Whatever the bytes are -----------------------------------------------------------------------

# Pieces of msgpack that may stand anywhere, among them the beginnings of arrays, texts and columns.
VALUES: list[Any] = [0, 1, 20, 255, -1, 2**31, 2**63, 2**64 - 1, None, True, False, 0.5, 1.0, math.nan, math.inf]
TEXTS: list[Any] = ["", "ann", "5", b"", b"\x01", bytes(4), []]
BEGINNINGS = "80 81 91 92 93 95 a1 c1 c401 d405 c700ff dc0002 ddffffffff dfffffffff db00000001"
PIECES = [*map(msgpack.packb, VALUES + TEXTS), *map(bytes.fromhex, BEGINNINGS.split())]
packed_values = st.tuples(st.sampled_from(sorted(Op)), st.lists(st.sampled_from(PIECES), max_size=14)).map(
    lambda parts: bytes([0x90 + min(15, 1 + len(parts[1])), parts[0]]) + b"".join(parts[1])
)
sound = st.sampled_from([message.encode() for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES)])
spoiled = st.tuples(sound, st.integers(0, 500), st.binary(max_size=4)).map(
    lambda spoil: spoil[0][: spoil[1]] + spoil[2] + spoil[0][spoil[1] + len(spoil[2]) :]
)
any_bytes = st.binary(max_size=200) | packed_values | spoiled


@settings(max_examples=500, deadline=None)
@given(any_bytes)
def test_any_bytes_from_a_client_are_a_message_or_a_wire_error(payload: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_client(payload), ClientMessage)


@settings(max_examples=500, deadline=None)
@given(any_bytes)
def test_any_bytes_from_a_server_are_a_message_or_a_wire_error(payload: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_server(payload), ServerMessage)


def test_the_op_of_a_message_is_known_without_reading_it() -> None:
    for message in (*CLIENT_MESSAGES, *SERVER_MESSAGES):
        assert messages.op_of(message.encode()) == msgpack.unpackb(message.encode())[0]


@pytest.mark.parametrize("payload", [b"", b"\x91", b"\xc0\x01", b"\xa2\x12\x12", b"\xc4\x01\x13"])
def test_what_is_no_message_has_no_op(payload: bytes) -> None:
    assert messages.op_of(payload) == 0


@pytest.mark.parametrize("more", [(), ("ann",), ("ann", b"", "a later element"), ([],)])
def test_a_hello_of_another_version_is_read_whatever_else_it_holds(more: tuple[Any, ...]) -> None:
    payload = msgpack.packb((Op.HELLO, 2, *more))
    assert decode_client(payload) == Hello(2, "", b"")


@given(
    st.integers(1, 2**32 - 17), st.lists(st.tuples(st.text(max_size=5), st.integers(-5, 5)), min_size=1, max_size=16)
)
def test_an_act_read_as_plain_values_is_the_same_act(seq: int, actions: list[tuple[Any, ...]]) -> None:
    payload = Act(seq, actions).encode()
    assert decode_act(payload) == tuple(decode_client(payload)) == (seq, tuple(actions))


@given(st.binary(max_size=60))
def test_whatever_calls_itself_an_act_is_one_to_both_or_to_neither(rest: bytes) -> None:
    for head in range(0x90, 0xA0):
        payload = bytes((head, Op.ACT)) + rest
        try:
            expected: object = tuple(decode_client(payload))
        except WireError as error:
            expected = str(error)
        try:
            found: object = decode_act(payload)
        except WireError as error:
            found = str(error)
        assert found == expected
