"""Payloads of gateways that no honest gateway sends."""

from __future__ import annotations

import time
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.link.carrier import PAYLOAD_UP_BYTES_MAX
from zoneserver.link.messages import LINK_VERSION, Ask, Attach, BatchMessage, LinkError, Start
from zoneserver.link.validation import decode_up
from zoneserver.zone.link import Join, Requests, Standing, first_ref

GATEWAY = 5
ANN = first_ref(GATEWAY)


def join(ref: int, name: Any, **more: Any) -> Join:
    return Join(ref, name, b"", "127.0.0.1", **more)


def batch(number: int, **requests: Any) -> BatchMessage:
    return BatchMessage(GATEWAY, number, Start(1, 1), 0, Requests(**requests), None)


def _with(**requests: Any) -> bytes:
    return batch(1, **requests).encode()


_SHAPES: list[bytes] = [
    _with(joins=[join(ANN, "ann"), join(ANN, "a" * 300)]),
    _with(joins=[join(ANN, 7)]),
    _with(joins=[join(ANN, "ann", claim="text")]),
    _with(joins=[join(ANN, "ann", token=b"token", tick=-1)]),
    _with(actions=[(ANN, 1, 7)]),
    _with(actions=[(ANN, 1, [[]])]),
    _with(actions=[(ANN, 1, [[{}]])]),
    _with(actions=[(ANN, 1, [["a", {}]])]),
    _with(actions=[(ANN, 1, [["a", [[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]])]),
    _with(standings=[(ANN, Standing(1, "FLOOD", "text", (1, 2, 3, 4), float("nan")))]),
    _with(actions=[(ANN, 2**64 - 1, [["a"]])]),
    _with(actions=[(ANN, -1, [["a"]])]),
    _with(actions=[(ANN, 1.5, [["a"]])]),
    _with(bans=[("192.0.2.1", float("nan"))]),
    _with(bans=[(b"", 1.0)]),  # type: ignore[list-item]
    batch(1)._replace(tick=float("inf")).encode(),
    Attach(LINK_VERSION, GATEWAY, "gw\n" * 99, {}).encode(),
    msgpack.packb((3, GATEWAY, (1, 1), "text")),
    msgpack.packb((3, GATEWAY, ("a", 1), 7)),
    msgpack.packb((3, GATEWAY, (1, 1), 1.5)),
    msgpack.packb((4, {})),
    msgpack.packb((4, 2**31)),
    msgpack.packb((1, "a" * 10_000, GATEWAY)),
    batch(2**60).encode(),
    b"",
    b"\xc1",
    msgpack.packb(("a" * 10_000,)),
]


@pytest.mark.parametrize("payload", _SHAPES)
def test_payload_with_a_value_that_no_gateway_sends_is_no_message(payload: bytes) -> None:
    with pytest.raises(LinkError) as caught:
        decode_up(payload)
    assert len(str(caught.value)) < 300


def test_payload_that_cannot_be_read_is_explained() -> None:
    with pytest.raises(LinkError, match=r": \w"):
        decode_up(b"\xc1")


SAMPLES = [
    Attach(LINK_VERSION, GATEWAY, "gw", {"pid": 7, "closes": {"KICKED": 1}}).encode(),
    Ask(GATEWAY, Start(1, 1), 7).encode(),
    batch(
        1,
        joins=[join(ANN, "ann")],
        actions=[(ANN, 1, [["say", "hello"]])],
        leaves=[ANN],
        bans=[("192.0.2.1", 60.0)],
        standings=[(ANN, Standing(1, "FLOOD", "text", (1, 2, 3, 4)))],
    ).encode(),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3)), max_size=4))
def test_payload_that_was_changed_is_a_message_or_a_link_error(
    payload: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for place, data in changes:
        payload = payload[:place] + data + payload[place + len(data) :]
    try:
        message = decode_up(payload)
    except LinkError:
        return
    message.encode()


def _array(item: bytes, size: int) -> bytes:
    count = size // len(item)
    return b"\xdd" + count.to_bytes(4) + item * count


def test_arguments_that_a_client_may_send_are_read() -> None:
    nested: Any = 7
    for _ in range(16):
        nested = (nested,)
    message = decode_up(_with(actions=[(ANN, 1, (("a", nested, 1.5, "b", b"c", None), ("d",)))]))
    assert isinstance(message, BatchMessage)
    assert message.requests.actions == [(ANN, 1, (("a", nested, 1.5, "b", b"c", None), ("d",)))]


def test_payload_of_many_objects_costs_no_more_than_its_bytes() -> None:
    size = PAYLOAD_UP_BYTES_MAX - 5
    began = time.process_time()
    msgpack.unpackb(_array(b"\x93\xc0\xc0\xc0", size), use_list=False)
    plain = time.process_time() - began
    # Empty maps, maps, and extensions cost many times as much. Arrays within arrays are the most that is read.
    for item in (b"\x80", b"\x81\xa0\xc0", b"\xd4\x05a", b"\xd6\xff\0\0\0\0"):
        began = time.process_time()
        with pytest.raises(LinkError):
            decode_up(_array(item, size))
        assert time.process_time() - began < max(plain, 0.01)
    with pytest.raises(LinkError, match=r"at most 1,048,576 bytes"):
        decode_up(bytes(PAYLOAD_UP_BYTES_MAX + 1))


def test_figures_that_cannot_be_shown_are_left_out() -> None:
    figures = {"pid": float("nan"), "host": {"a": [b"x"], "b": 2}, "address": b"", "players": 3, "stats": "x" * 999}
    message = decode_up(Attach(LINK_VERSION, GATEWAY, "gw", figures).encode())
    assert isinstance(message, Attach)
    assert message.figures == {"host": {"b": 2}, "players": 3, "stats": "x" * 256}
