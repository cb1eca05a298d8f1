"""Decoding of client messages: what a server accepts from untrusted clients."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from helpers.sample_messages import CLIENT_MESSAGES, SERVER_MESSAGES, any_bytes, pack
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.decoding import WireError, decode_act, decode_client
from zoneserver.protocol.messages import Act, ClientMessage, Hello, Op, ServerMessage
from zoneserver.protocol.values import ACTIONS_PER_PACKET, NESTING_MAX


def rejected(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_client(payload)


def act_with(argument: bytes) -> bytes:
    """An ACT with one action that has one argument, which is packed already."""
    return b"\x93\x02\x01\x91\x92\xa1a" + argument


def test_act_has_at_most_16_actions() -> None:
    actions = [("a",)] * ACTIONS_PER_PACKET
    assert decode_client(Act(1, actions).encode()) == Act(1, tuple(actions))
    rejected(Act(1, [*actions, ("a",)]).encode())


def test_action_has_at_most_15_arguments() -> None:
    action = ("a", *range(ACTIONS_PER_PACKET - 1))
    assert decode_client(Act(1, [action]).encode()) == Act(1, (action,))
    rejected(msgpack.packb((Op.ACT, 1, ((*action, 1),))))
    with pytest.raises(ValueError, match="at most 15 arguments"):
        Act(1, [(*action, 1)]).encode()


@pytest.mark.parametrize("seq", [1, 2**32 - 1 - ACTIONS_PER_PACKET])
def test_act_accepts_the_lowest_and_the_highest_sequence(seq: int) -> None:
    assert decode_client(Act(seq, [("a",)]).encode()) == Act(seq, (("a",),))


@pytest.mark.parametrize("seq", [0, -1, 2**32 - ACTIONS_PER_PACKET, 2**63, True, 1.0, "1", None])
def test_act_rejects_any_other_sequence(seq: Any) -> None:
    rejected(pack(Op.ACT, seq, [["a"]]))


@pytest.mark.parametrize("token", [-1, 2**63, True, False, 1.0, math.nan, math.inf, "1", b"1", None])
def test_ping_rejects_a_token_that_is_not_a_whole_number_of_63_bits(token: Any) -> None:
    rejected(pack(Op.PING, token))


@pytest.mark.parametrize("version", [True, 1.0, math.nan, "1", None])
def test_hello_rejects_a_version_that_is_not_a_whole_number(version: Any) -> None:
    rejected(pack(Op.HELLO, version, "ann", b"", [], ""))


@pytest.mark.parametrize(("name", "ticket"), [(b"ann", b""), (None, b""), (1, b""), ("ann", ""), ("ann", None)])
def test_hello_rejects_a_name_or_ticket_of_another_type(name: Any, ticket: Any) -> None:
    rejected(pack(Op.HELLO, 2, name, ticket, [], ""))


@pytest.mark.parametrize("length", [1023, 1024])
def test_hello_accepts_str_and_bin_up_to_the_limit(length: int) -> None:
    assert decode_client(Hello(2, "x" * length, b"").encode()) == Hello(2, "x" * length, b"")
    assert decode_client(Hello(2, "x", b"y" * length).encode()) == Hello(2, "x", b"y" * length)


def test_hello_rejects_str_and_bin_beyond_the_limit() -> None:
    rejected(Hello(2, "x" * 1025, b"").encode())
    rejected(Hello(2, "x", b"y" * 1025).encode())


def test_decode_client_rejects_str_that_is_not_utf_8() -> None:
    rejected(act_with(b"\xa2\xff\xfe"))
    rejected(act_with(b"\xa3\xed\xa0\x80"))  # half of a surrogate pair


@pytest.mark.parametrize(
    "actions", [[], None, 1, "a", b"a", ["a"], [1], [[]], [[1]], [[b"a"]], [[None]], [["a"], []], [["a"], "b"]]
)
def test_act_rejects_an_action_without_a_kind(actions: Any) -> None:
    rejected(pack(Op.ACT, 1, actions))


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
        (Op.HELLO, 2, "ann"),
        (Op.HELLO, 2, "ann", b""),
        (Op.HELLO, 2, "ann", b"", []),
        (Op.HELLO, 2, "ann", b"", 1, ""),
        (Op.HELLO, 2, "ann", b"", None, ""),
        (Op.HELLO, 2, "ann", b"", "deflate", ""),
        (Op.HELLO, 2, "ann", b"", [b"deflate"], ""),
        (Op.HELLO, 2, "ann", b"", ["deflate", 1], ""),
        (Op.HELLO, 2, "ann", b"", ["e"] * 17, ""),
        (Op.HELLO, 2, "ann", b"", ["deflate"], 3),
        (Op.HELLO, 2, "ann", b"", ["deflate"], None),
        (Op.HELLO, 2, "ann", b"", ["deflate"], "", 1),
    ],
)
def test_decode_client_rejects_an_unknown_op_and_a_wrong_number_of_elements(elements: tuple[Any, ...]) -> None:
    rejected(pack(*elements))


@pytest.mark.parametrize("op", [True, 1.0])
def test_decode_client_rejects_an_op_that_is_not_a_whole_number(op: Any) -> None:
    rejected(pack(op, 1, "ann", b""))


@pytest.mark.parametrize("value", [1, "text", b"\x04", None, True, 1.5])
def test_decode_client_rejects_any_value_but_an_array(value: Any) -> None:
    rejected(msgpack.packb(value))


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_decode_client_rejects_server_messages(message: ServerMessage) -> None:
    rejected(message.encode())


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_decode_client_rejects_a_message_cut_short_anywhere(message: ClientMessage) -> None:
    payload = message.encode()
    for length in range(len(payload)):
        rejected(payload[:length])


@pytest.mark.parametrize("message", CLIENT_MESSAGES, ids=repr)
def test_decode_client_rejects_bytes_after_a_message(message: ClientMessage) -> None:
    rejected(message.encode() + b"\xc0")


@pytest.mark.parametrize("header", [b"\xdd\xff\xff\xff\xff", b"\xdc\xff\xff", b"\xdc\x00\x11"])
def test_decode_client_rejects_a_header_of_too_many_elements(header: bytes) -> None:
    rejected(header)
    rejected(act_with(header))


@pytest.mark.parametrize("header", [b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xda\xff\xff", b"\xc5\xff\xff"])
def test_decode_client_rejects_a_header_of_too_much_text(header: bytes) -> None:
    rejected(header)
    rejected(act_with(header))


@pytest.mark.parametrize("form", [b"\x81\x01\x02", b"\xde\x00\x01\x01\x02", b"\xdf\xff\xff\xff\xff", b"\x80"])
def test_decode_client_rejects_a_map(form: bytes) -> None:
    rejected(form)
    rejected(act_with(form))


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
def test_decode_client_rejects_an_extension(form: bytes) -> None:
    rejected(form)
    rejected(act_with(form))


def test_encode_rejects_the_nested_argument_that_decode_client_accepts() -> None:
    message = decode_client(act_with(b"\x91" * NESTING_MAX + b"\x01"))
    with pytest.raises(TypeError):
        message.encode()


@pytest.mark.parametrize("innermost", [b"\x90", b"\x91\x01", b"\x92\x01\x02"])
def test_arguments_that_are_nested_too_deeply_are_rejected_in_the_shortest_act_too(innermost: bytes) -> None:
    head, arrays = b"\x93\x02\x01\x91\x92\xa0", b"\x91" * (NESTING_MAX - 1) + innermost
    assert Act(*decode_act(head + arrays)) == decode_client(head + arrays)
    for decode in (decode_act, decode_client):
        with pytest.raises(WireError, match="nested more than 16 deep"):
            decode(head + b"\x91" + arrays)


@pytest.mark.parametrize("depth", [100, 1000, 1023, 10_000])
def test_decode_client_raises_wire_error_for_deep_nesting(depth: int) -> None:
    rejected(b"\x91" * depth + b"\x01")
    rejected(act_with(b"\x91" * depth + b"\x01"))


@given(any_bytes)
def test_decode_client_returns_a_message_or_raises_wire_error_for_any_bytes(payload: bytes) -> None:
    with contextlib.suppress(WireError):
        assert isinstance(decode_client(payload), ClientMessage)


@pytest.mark.parametrize("more", [(), ("ann",), ("ann", b"", "a later element"), ([],)])
def test_hello_of_another_version_may_have_any_other_elements(more: tuple[Any, ...]) -> None:
    payload = msgpack.packb((Op.HELLO, 1, *more))
    assert decode_client(payload) == Hello(1, "", b"")


@given(
    st.integers(1, 2**32 - 17), st.lists(st.tuples(st.text(max_size=5), st.integers(-5, 5)), min_size=1, max_size=16)
)
def test_decode_act_returns_the_fields_of_the_act(seq: int, actions: list[tuple[Any, ...]]) -> None:
    payload = Act(seq, actions).encode()
    assert decode_act(payload) == tuple(decode_client(payload)) == (seq, tuple(actions))


@given(st.binary(max_size=60))
def test_decode_act_and_decode_client_accept_the_same_bytes(rest: bytes) -> None:
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


@pytest.mark.parametrize("version", [0, 1, 3, -1, 2**63, 2**64 - 1])
@pytest.mark.parametrize(
    "more",
    [[], [{}], [{"name": "ann"}], [[1] * 17], [msgpack.ExtType(1, b"a")], ["x" * 900], range(17), range(100)],
    ids=["none", "empty map", "map", "long array", "extension", "long text", "17 elements", "100 elements"],
)
def test_hello_of_another_version_is_decoded_whatever_else_it_holds(version: int, more: Sequence[Any]) -> None:
    assert decode_client(msgpack.packb([Op.HELLO, version, *more])) == Hello(version, "", b"")


@pytest.mark.parametrize(
    "message", [[1, 2, {}], [2, 3, {}], [1.0, 3, {}], [True, 3, {}], [1, 3.0, {}], [1, True, {}], [[1], 3, {}], [1, {}]]
)
def test_message_that_begins_as_no_hello_of_another_version_is_rejected(message: list[Any]) -> None:
    rejected(msgpack.packb(message))


@pytest.mark.parametrize(
    "payload", [b"\x93\x01", b"\x91\x01\x02", b"\xdc\x00", b"\xdf\xff\xff\xff\xff\x01\x02", b"\x81\x01\x02"]
)
def test_hello_that_is_cut_short_before_its_version_is_rejected(payload: bytes) -> None:
    rejected(payload)
