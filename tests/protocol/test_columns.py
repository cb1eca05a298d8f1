"""Columns and sets of slots, compared with naive implementations."""

import struct
from array import array

import pytest
from hypothesis import given
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
# A few slots anywhere, or many slots close together.
slot_lists = st.one_of(
    st.sets(st.integers(0, 65_535), max_size=20),
    st.sets(st.integers(0, 300), max_size=300),
).map(sorted)


def naive_bitmap(slots: list[int]) -> bytes:
    number = sum(1 << slot for slot in slots)
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


@given(typed_values)
def test_pack_column_packs_values_side_by_side_in_little_endian(typed: tuple[str, list[int]]) -> None:
    typecode, values = typed
    assert pack_column(typecode, values) == struct.pack(f"<{len(values)}{typecode}", *values)


@given(typed_values)
def test_column_survives_packing_and_unpacking(typed: tuple[str, list[int]]) -> None:
    typecode, values = typed
    assert unpack_column(typecode, pack_column(typecode, values)) == array(typecode, values)


@pytest.mark.parametrize("typecode", sorted(RANGES))
def test_pack_column_packs_arrays_and_iterators_alike(typecode: str) -> None:
    values = list(RANGES[typecode])
    assert pack_column(typecode, array(typecode, values)) == pack_column(typecode, iter(values))


def test_pack_column_does_not_change_its_array() -> None:
    column = array("i", [1, -2])
    pack_column("i", column)
    assert list(column) == [1, -2]


@pytest.mark.parametrize("typecode", sorted(RANGES))
def test_pack_column_raises_overflow_error_beyond_the_range_of_the_type(typecode: str) -> None:
    for value in (RANGES[typecode][0] - 1, RANGES[typecode][1] + 1):
        with pytest.raises(OverflowError):
            pack_column(typecode, [value])


@pytest.mark.parametrize(("typecode", "length"), [("H", 1), ("h", 3), ("i", 6), ("I", 7)])
def test_unpack_column_rejects_a_partial_value(typecode: str, length: int) -> None:
    with pytest.raises(ColumnError, match=f"{length} bytes are not a whole number"):
        unpack_column(typecode, bytes(length))


@given(slot_lists)
def test_slots_survive_packing_and_unpacking(slots: list[int]) -> None:
    assert unpack_slots(pack_slots(slots)) == slots


@given(slot_lists)
def test_pack_slots_uses_the_shorter_of_bitmap_and_list(slots: list[int]) -> None:
    bitmap = bytes([BITMAP]) + naive_bitmap(slots)
    plain_list = bytes([LIST]) + struct.pack(f"<{len(slots)}H", *slots)
    packed = pack_slots(slots)
    assert packed in {bitmap, plain_list}
    assert len(packed) == min(len(bitmap), len(plain_list))


@given(slot_lists)
def test_unpack_slots_accepts_both_forms(slots: list[int]) -> None:
    assert unpack_slots(bytes([BITMAP]) + naive_bitmap(slots)) == slots
    assert unpack_slots(bytes([LIST]) + struct.pack(f"<{len(slots)}H", *slots)) == slots


def test_pack_slots_uses_a_bitmap_at_equal_lengths() -> None:
    assert pack_slots([15])[0] == BITMAP
    assert pack_slots([16])[0] == LIST


def test_all_65536_slots_fit_a_bitmap() -> None:
    packed = pack_slots(range(65_536))
    assert len(packed) == 1 + 8192
    assert unpack_slots(packed) == list(range(65_536))


def test_unpack_slots_rejects_a_bitmap_beyond_the_last_slot() -> None:
    with pytest.raises(ColumnError):
        unpack_slots(bytes(1 + 8193))


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x01\x00", b"\xff"])
def test_unpack_slots_rejects_an_unknown_form(data: bytes) -> None:
    with pytest.raises(ColumnError, match="must be a bitmap or a list"):
        unpack_slots(data)


@pytest.mark.parametrize("slots", [[1, 1], [2, 1], [1, 5, 4]])
def test_unpack_slots_rejects_a_list_that_does_not_rise(slots: list[int]) -> None:
    with pytest.raises(ColumnError, match="must be in rising order"):
        unpack_slots(bytes([LIST]) + pack_column("H", slots))


def test_unpack_slots_rejects_a_list_of_odd_length() -> None:
    with pytest.raises(ColumnError):
        unpack_slots(b"\x01\x00\x00\x00")


@given(st.binary(max_size=40))
def test_unpack_slots_returns_rising_slots_or_raises_column_error_for_any_bytes(data: bytes) -> None:
    try:
        slots = unpack_slots(data)
    except ColumnError:
        return
    assert slots == sorted(set(slots))
