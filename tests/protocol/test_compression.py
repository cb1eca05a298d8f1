"""Deflate: there and back, and what is refused before it costs anything."""

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.compression import DeflateError, deflate, inflate

MEBIBYTE = 1024 * 1024


@given(st.binary(max_size=2000) | st.binary(min_size=1, max_size=8).map(lambda piece: piece * 300))
def test_what_was_deflated_comes_back_and_may_be_exactly_as_long_as_is_allowed(data: bytes) -> None:
    assert inflate(deflate(data), len(data)) == data


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=9).map(sorted))
def test_seams_change_nothing_in_what_comes_back(data: bytes, seams: list[int]) -> None:
    assert inflate(deflate(data, seams), len(data)) == data


def test_what_is_of_different_kinds_takes_less_with_a_seam_between() -> None:
    chance = random.Random(1)
    noise, steps = chance.randbytes(500), bytes(chance.choices(range(16), k=500))
    assert len(deflate(noise + steps, [500])) < len(deflate(noise + steps)) - 50


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_one_byte_more_than_is_allowed_is_refused(data: bytes, chance: st.DataObject) -> None:
    allowed = chance.draw(st.integers(0, len(data) - 1))
    with pytest.raises(DeflateError, match=f"more than {allowed} bytes"):
        inflate(deflate(data), allowed)


@given(st.binary(max_size=500), st.integers(0, 9), st.data())
def test_whatever_is_cut_short_is_refused(data: bytes, level: int, chance: st.DataObject) -> None:
    deflated = zlib.compress(data, level, -15)
    with pytest.raises(DeflateError):
        inflate(deflated[: chance.draw(st.integers(0, len(deflated) - 1))], 1000)


@given(st.binary(max_size=500), st.binary(min_size=1, max_size=50))
def test_bytes_behind_the_end_are_refused(data: bytes, more: bytes) -> None:
    with pytest.raises(DeflateError, match=f"^{len(more)} bytes follow the end"):
        inflate(deflate(data) + more, 1000)


@given(st.binary(max_size=300))
def test_any_bytes_are_inflated_or_refused(data: bytes) -> None:
    try:
        inflated = inflate(data, 1000)
    except DeflateError:
        return
    assert inflate(deflate(inflated), len(inflated)) == inflated


@pytest.mark.parametrize("level", range(10))
def test_a_peer_may_deflate_as_hard_as_it_likes(level: int) -> None:
    data = bytes(range(256)) * 20
    assert inflate(zlib.compress(data, level, -15), len(data)) == data


@pytest.mark.parametrize("wrapped", [zlib.compress(b"a zone"), b"\x1f\x8b\x08\x00", b"", b"\xff"])
def test_a_header_or_nothing_is_refused(wrapped: bytes) -> None:
    with pytest.raises(DeflateError):
        inflate(wrapped, 1000)


def test_a_bomb_never_takes_more_memory_than_is_allowed() -> None:
    bomb = deflate(bytes(256 * MEBIBYTE))
    tracemalloc.start()
    try:
        with pytest.raises(DeflateError, match="more than 1048576 bytes"):
            inflate(bomb, MEBIBYTE)
        # What it is put together from, and the rest of the bomb itself, are in there too.
        assert tracemalloc.get_traced_memory()[1] < 4 * MEBIBYTE
    finally:
        tracemalloc.stop()
