"""How values are written for people, and that `parse` reads the exact ones again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.support.format import exact_duration, exact_size, format_count, format_size, printable
from zoneserver.support.parse import parse_duration, parse_size


@given(st.text())
def test_printable_is_one_line_and_keeps_every_printable_character(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert text.isprintable() or shown != text
    assert all(character in shown for character in text if character.isprintable())


@given(st.integers(0, 10**7).map(lambda ms: ms / 1000))
def test_parse_duration_reads_what_exact_duration_writes(seconds: float) -> None:
    assert parse_duration(exact_duration(seconds)) == pytest.approx(seconds, abs=1e-4)


@given(st.integers(0, 2**50))
def test_parse_size_reads_what_exact_size_writes(size: int) -> None:
    assert parse_size(exact_size(size)) == size


@given(st.floats(0, 999e12))
def test_format_count_takes_at_most_five_characters(value: float) -> None:
    assert len(format_count(value)) <= 5


@given(st.floats(0, 999 * 2.0**50))
def test_format_size_takes_at_most_eight_characters(value: float) -> None:
    assert len(format_size(value)) <= 8
