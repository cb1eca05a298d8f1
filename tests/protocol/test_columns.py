"""Columns and sets of slots, against implementations too plain to be wrong."""

import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.protocol.columns import ColumnError, pack_column, pack_slots, unpack_column, unpack_slots

RANGES = {
    "b": (-(2**7), 2**7 - 1),
    "B": (0, 2**8 - 1),
    "h": (-(2**15), 2**15 - 1),
    "H": (0, 2**16 - 1),
    "i": (-(2**31), 2**31 - 1),
    "I": (0, 2**32 - 1),
}
BITMAP, LIST = 0, 1

typed_values = st.sampled_from(sorted(RANGES)).flatmap(
    lambda typecode: st.tuples(st.just(typecode), st.lists(st.integers(*RANGES[typecode]), max_size=20))
)
# Few slots anywhere, and many slots close together.
slot_lists = st.one_of(
    st.sets(st.integers(0, 65_535), max_size=20),
    st.sets(st.integers(0, 300), max_size=300),
).map(sorted)


def naive_bitmap(slots: list[int]) -> bytes:
    number = sum(1 << slot for slot in slots)
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


@settings(max_examples=100, deadline=None)
@given(typed_values)
def test_a_column_is_its_values_side_by_side_little_endian(typed: tuple[str, list[int]]) -> None:
    typecode, values = typed
    assert pack_column(typecode, values) == struct.pack(f"<{len(values)}{typecode}", *values)


@settings(max_examples=100, deadline=None)
@given(typed_values)
def test_a_column_comes_back_as_it_was(typed: tuple[str, list[int]]) -> None:
    typecode, values = typed
    assert unpack_column(typecode, pack_column(typecode, values)) == array(typecode, values)


@pytest.mark.parametrize("typecode", sorted(RANGES))
def test_an_array_and_a_list_of_the_same_values_pack_alike(typecode: str) -> None:
    values = list(RANGES[typecode])
    assert pack_column(typecode, array(typecode, values)) == pack_column(typecode, iter(values))


def test_packing_an_array_leaves_it_as_it_is() -> None:
    column = array("i", [1, -2])
    pack_column("i", column)
    assert list(column) == [1, -2]


@pytest.mark.parametrize("typecode", sorted(RANGES))
def test_a_value_that_the_type_cannot_hold_is_an_overflow(typecode: str) -> None:
    for value in (RANGES[typecode][0] - 1, RANGES[typecode][1] + 1):
        with pytest.raises(OverflowError):
            pack_column(typecode, [value])


@pytest.mark.parametrize(("typecode", "length"), [("H", 1), ("h", 3), ("i", 6), ("I", 7)])
def test_a_column_with_a_part_of_a_value_is_refused(typecode: str, length: int) -> None:
    with pytest.raises(ColumnError, match=f"{length} bytes are no whole number"):
        unpack_column(typecode, bytes(length))


@settings(max_examples=100, deadline=None)
@given(slot_lists)
def test_slots_come_back_as_they_were(slots: list[int]) -> None:
    assert unpack_slots(pack_slots(slots)) == slots


@settings(max_examples=100, deadline=None)
@given(slot_lists)
def test_slots_take_the_shorter_of_bitmap_and_list(slots: list[int]) -> None:
    bitmap = bytes([BITMAP]) + naive_bitmap(slots)
    plain_list = bytes([LIST]) + struct.pack(f"<{len(slots)}H", *slots)
    packed = pack_slots(slots)
    assert packed in {bitmap, plain_list}
    assert len(packed) == min(len(bitmap), len(plain_list))


@settings(max_examples=100, deadline=None)
@given(slot_lists)
def test_either_form_of_the_same_slots_is_understood(slots: list[int]) -> None:
    assert unpack_slots(bytes([BITMAP]) + naive_bitmap(slots)) == slots
    assert unpack_slots(bytes([LIST]) + struct.pack(f"<{len(slots)}H", *slots)) == slots


def test_equal_lengths_make_a_bitmap() -> None:
    assert pack_slots([15])[0] == BITMAP
    assert pack_slots([16])[0] == LIST


def test_all_slots_there_are_fit_a_bitmap() -> None:
    packed = pack_slots(range(65_536))
    assert len(packed) == 1 + 8192
    assert unpack_slots(packed) == list(range(65_536))


def test_a_bitmap_for_more_slots_than_there_are_is_refused() -> None:
    with pytest.raises(ColumnError):
        unpack_slots(bytes(1 + 8193))


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x01\x00", b"\xff"])
def test_an_unknown_form_is_refused(data: bytes) -> None:
    with pytest.raises(ColumnError, match="neither a bitmap nor a list"):
        unpack_slots(data)


@pytest.mark.parametrize("slots", [[1, 1], [2, 1], [1, 5, 4]])
def test_a_list_that_does_not_rise_is_refused(slots: list[int]) -> None:
    with pytest.raises(ColumnError, match="does not rise"):
        unpack_slots(bytes([LIST]) + pack_column("H", slots))


def test_a_list_of_odd_length_is_refused() -> None:
    with pytest.raises(ColumnError):
        unpack_slots(b"\x01\x00\x00\x00")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_rising_slots_or_refused(data: bytes) -> None:
    try:
        slots = unpack_slots(data)
    except ColumnError:
        return
    assert slots == sorted(set(slots))
