"""How values are written for people, and that `parse` reads the exact ones again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.support.format import (
    exact_duration,
    exact_size,
    format_address,
    format_count,
    format_decimal,
    format_duration,
    format_milliseconds,
    format_size,
    level,
    printable,
)
from zoneserver.support.parse import parse_duration, parse_size


@pytest.mark.parametrize(
    ("write", "values", "texts"),
    [
        (format_count, (0, 2.345, 1234, 12_345, 999_999, 4_560_000), ("0", "2.3", "1,234", "12.3k", "1.00M", "4.56M")),
        (partial(format_decimal, digits=1), (1234.5, 0), ("1,234.5", "0.0")),
        (format_size, (0, 512, 2048, 123_456, 5_000_000_000), ("0 B", "512 B", "2.00 KiB", "121 KiB", "4.66 GiB")),
        (exact_size, (268_435_456, 100_000, 0), ("256MiB", "100kB", "0")),
        (format_milliseconds, (0.123, 45.67, 1234.5), ("0.12", "45.7", "1234")),
        (format_duration, (5, 65, 3_725, 90_000), ("5s", "1m 05s", "1h 02m", "1d 01h")),
        (exact_duration, (5400, 0.25, 61.5), ("1h30m", "250ms", "1m1.5s")),
        (level, (0.2, 0.5, 0.9), (("fine", "green"), ("busy", "yellow"), ("over", "red"))),
        (printable, ("ann", "a\nb\x1b[31m"), ("ann", r"a\nb\x1b[31m")),
    ],
)
def test_value_is_written_for_people(write: Callable[[Any], object], values: tuple[Any, ...], texts: object) -> None:
    assert tuple(map(write, values)) == texts


@pytest.mark.parametrize("write", [format_count, format_decimal, format_size])
def test_unknown_value_is_a_dash(write: Callable[[None], str]) -> None:
    assert write(None) == "-"


def test_format_address_puts_ipv6_in_brackets() -> None:
    assert format_address("127.0.0.1", 7777) == "127.0.0.1:7777"
    assert format_address("::1", 7777) == "[::1]:7777"


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
