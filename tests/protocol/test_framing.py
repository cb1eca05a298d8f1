"""Framing: whatever the network does to a stream, the payloads are the same."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.framing import HEADER_BYTES, Deframer, length_prefixed

PAYLOAD_BYTES_MAX = 64

payloads_lists = st.lists(st.binary(min_size=1, max_size=PAYLOAD_BYTES_MAX), max_size=8)
# Where a stream is cut, in per mille of its length.
cuts_lists = st.lists(st.integers(0, 1000), max_size=8)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream, cut in places."""
    places = [0, *sorted(cut * len(stream) // 1000 for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


def header(length: int) -> bytes:
    return length.to_bytes(HEADER_BYTES)


def received(stream: list[bytes]) -> tuple[list[bytes], bool]:
    """The payloads in a stream, and whether it broke."""
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    payloads = [payload for piece in stream for payload in deframer.receive(piece)]
    return payloads, deframer.error is not None


def test_a_frame_is_four_bytes_of_length_and_the_payload() -> None:
    assert length_prefixed(b"x" * 258) == b"\x00\x00\x01\x02" + b"x" * 258


@given(payloads_lists, cuts_lists)
def test_any_split_of_a_stream_gives_the_same_payloads(payloads: list[bytes], cuts: list[int]) -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    stream = b"".join(map(length_prefixed, payloads))
    assert [payload for piece in pieces(stream, cuts) for payload in deframer.receive(piece)] == payloads
    assert deframer.buffered_bytes == 0


@given(payloads_lists, cuts_lists, st.integers(1, 3))
def test_a_limit_delays_payloads_and_loses_none(payloads: list[bytes], cuts: list[int], limit: int) -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    taken: list[bytes] = []
    for piece in pieces(b"".join(map(length_prefixed, payloads)), cuts):
        some = deframer.receive(piece, limit)
        while some:
            assert len(some) <= limit
            taken += some
            some = deframer.receive(b"", limit)
    assert taken == payloads


@given(payloads_lists, cuts_lists)
def test_any_split_of_a_stream_that_breaks_gives_the_same_payloads(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(length_prefixed, payloads)) + header(PAYLOAD_BYTES_MAX + 1)
    assert received(pieces(stream, cuts)) == (payloads, True)


def test_one_byte_at_a_time_gives_each_payload_with_its_last_byte() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    stream = length_prefixed(b"ab") + length_prefixed(b"c")
    answers = [deframer.receive(stream[place : place + 1]) for place in range(len(stream))]
    assert [(place, answer) for place, answer in enumerate(answers) if answer] == [(5, [b"ab"]), (10, [b"c"])]


def test_a_whole_frame_in_one_piece_is_not_held_back() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    assert deframer.receive(length_prefixed(b"abc"), 1) == [b"abc"]
    assert deframer.buffered_bytes == 0


def test_frames_beyond_the_limit_wait_for_the_next_call() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    assert deframer.receive(length_prefixed(b"a") + length_prefixed(b"b") + length_prefixed(b"c"), 2) == [b"a", b"b"]
    assert deframer.buffered_bytes == len(length_prefixed(b"c"))
    assert deframer.receive(b"", 2) == [b"c"]
    assert deframer.receive(b"", 2) == []


def test_a_whole_frame_stays_in_line_behind_what_is_buffered() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    deframer.receive(length_prefixed(b"a") + length_prefixed(b"b"), 1)
    assert deframer.receive(length_prefixed(b"c")) == [b"b", b"c"]


@pytest.mark.parametrize("length", [1, PAYLOAD_BYTES_MAX])
def test_the_smallest_and_the_largest_payload_pass(length: int) -> None:
    assert received([length_prefixed(b"x" * length)]) == ([b"x" * length], False)


@pytest.mark.parametrize("length", [0, PAYLOAD_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_that_no_frame_may_have_is_refused_on_its_header(length: int) -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    assert deframer.receive(header(length)[:3]) == []
    assert deframer.receive(header(length)[3:]) == []
    assert deframer.error is not None and f"frame of {length} bytes" in deframer.error
    assert deframer.buffered_bytes == 0


def test_an_oversize_frame_in_one_piece_is_refused_too() -> None:
    assert received([length_prefixed(b"x" * (PAYLOAD_BYTES_MAX + 1))]) == ([], True)


def test_the_body_of_an_oversize_frame_is_never_kept() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    body = b"x" * (PAYLOAD_BYTES_MAX + 1)
    deframer.receive(length_prefixed(body))
    deframer.receive(body)
    assert deframer.buffered_bytes == 0


def test_a_bad_header_behind_the_limit_is_refused_when_its_turn_comes() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    assert deframer.receive(length_prefixed(b"a") + header(0), 1) == [b"a"]
    assert deframer.error is None
    assert deframer.receive(b"", 1) == []
    assert deframer.error is not None


def test_nothing_is_given_after_an_error() -> None:
    assert received([header(0), length_prefixed(b"a"), length_prefixed(b"b") + length_prefixed(b"c")]) == ([], True)


def test_a_partial_frame_is_all_that_is_buffered() -> None:
    deframer = Deframer(PAYLOAD_BYTES_MAX)
    assert deframer.receive(length_prefixed(b"ab") + length_prefixed(b"cd")[:5]) == [b"ab"]
    assert deframer.buffered_bytes == 5
