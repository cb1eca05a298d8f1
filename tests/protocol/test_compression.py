"""Deflate and inflate, hostile data, and where deflate blocks start."""

import random
import tracemalloc
import zlib

import msgpack
import pytest
from helpers.sample_messages import SERVER_MESSAGES, pack
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.compression import DeflateError, deflate, inflate, seams_of
from zoneserver.protocol.messages import Op, ServerMessage

MEBIBYTE = 1024 * 1024


@given(st.binary(max_size=2000) | st.binary(min_size=1, max_size=8).map(lambda piece: piece * 300))
def test_inflate_returns_the_data_at_exactly_the_allowed_length(data: bytes) -> None:
    assert inflate(deflate(data), len(data)) == data


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=9).map(sorted))
def test_seams_do_not_change_the_inflated_data(data: bytes, seams: list[int]) -> None:
    assert inflate(deflate(data, seams), len(data)) == data


def test_a_seam_between_two_kinds_of_data_saves_bytes() -> None:
    chance = random.Random(1)
    noise, steps = chance.randbytes(500), bytes(chance.choices(range(16), k=500))
    assert len(deflate(noise + steps, [500])) < len(deflate(noise + steps)) - 50


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_inflate_rejects_one_byte_more_than_allowed(data: bytes, chance: st.DataObject) -> None:
    allowed = chance.draw(st.integers(0, len(data) - 1))
    with pytest.raises(DeflateError, match=f"more than {allowed} bytes"):
        inflate(deflate(data), allowed)


@given(st.binary(max_size=500), st.integers(0, 9), st.data())
def test_inflate_rejects_data_cut_short_anywhere(data: bytes, level: int, chance: st.DataObject) -> None:
    deflated = zlib.compress(data, level, -15)
    with pytest.raises(DeflateError):
        inflate(deflated[: chance.draw(st.integers(0, len(deflated) - 1))], 1000)


@given(st.binary(max_size=500), st.binary(min_size=1, max_size=50))
def test_inflate_rejects_bytes_after_the_end(data: bytes, more: bytes) -> None:
    with pytest.raises(DeflateError, match=f"^{len(more)} bytes follow the end"):
        inflate(deflate(data) + more, 1000)


@given(st.binary(max_size=300))
def test_inflate_returns_data_or_raises_deflate_error_for_any_bytes(data: bytes) -> None:
    try:
        inflated = inflate(data, 1000)
    except DeflateError:
        return
    assert inflate(deflate(inflated), len(inflated)) == inflated


@pytest.mark.parametrize("level", range(10))
def test_inflate_accepts_every_level_of_compression(level: int) -> None:
    data = bytes(range(256)) * 20
    assert inflate(zlib.compress(data, level, -15), len(data)) == data


@pytest.mark.parametrize("wrapped", [zlib.compress(b"a zone"), b"\x1f\x8b\x08\x00", b"", b"\xff"])
def test_inflate_rejects_headers_and_empty_data(wrapped: bytes) -> None:
    with pytest.raises(DeflateError):
        inflate(wrapped, 1000)


def test_inflate_of_a_bomb_stays_within_its_memory_bound() -> None:
    bomb = deflate(bytes(256 * MEBIBYTE))
    tracemalloc.start()
    try:
        with pytest.raises(DeflateError, match="more than 1048576 bytes"):
            inflate(bomb, MEBIBYTE)
        # The peak includes the parts of the result, and the rest of the bomb.
        assert tracemalloc.get_traced_memory()[1] < 4 * MEBIBYTE
    finally:
        tracemalloc.stop()


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
def test_seams_of_surround_long_elements_only(lengths: list[int], seams: list[int]) -> None:
    head = b"\xdc" + (1 + len(lengths)).to_bytes(2) + b"\x12" if len(lengths) > 14 else pack(Op.TICK, *lengths)[:2]
    # The header of a column of up to 255 bytes is two bytes of its element.
    elements = [msgpack.packb(bytes(length - (2 if length < 258 else 3))) for length in lengths]
    shift = len(head) - 2
    assert seams_of(head + b"".join(elements)) == [seam + shift for seam in seams]


@pytest.mark.parametrize("message", SERVER_MESSAGES, ids=lambda message: type(message).__name__)
def test_seams_of_any_message_rise_and_lie_within_it(message: ServerMessage) -> None:
    payload = message.encode()
    seams = seams_of(payload)
    assert seams == sorted(set(seams))
    assert not seams or 0 < seams[0] <= seams[-1] < len(payload)
