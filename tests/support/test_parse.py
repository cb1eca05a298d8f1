"""Durations, counts and names as people write them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.support.parse import (
    above_zero,
    at_most,
    nearest,
    one_of,
    parse_count,
    parse_duration,
    parse_integer,
    parse_number,
    parse_port,
    parse_size,
    take_option,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        ("1.5", 1.5),
        ("30s", 30.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1h30m", 5400.0),
        ("1d", 86_400.0),
        ("1m30.5s", 90.5),
        ("1s500ms", 1.5),
    ],
)
def test_parse_duration_reads_seconds_and_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "s", "-1", "-1s", "+1", "1 s", " 1", "1x", "1S", "1h 30m", "1e3", "nan", "inf", ".5", "1.", "1,5"]
)
def test_parse_duration_rejects_other_text_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1000", 1000), ("10k", 10_000), ("1.5k", 1500), ("1.5M", 1_500_000), ("2M", 2_000_000), ("3.0", 3)],
)
def test_parse_count_reads_whole_numbers_with_and_without_a_unit(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "k", "-1", "1K", "1m", "1 k", "1e3", "nan", "inf", "0x10", "1_000", "1,000"])
def test_parse_count_rejects_other_text_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a count: write 1000"):
        parse_count(text)


@pytest.mark.parametrize("text", ["1.5", "0.5", "1.0005k", "0.0000001M"])
def test_parse_count_rejects_a_fraction(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_count(text)


@given(st.integers(0, 9_999_999))
def test_parse_count_reads_thousands_with_three_decimals(count: int) -> None:
    assert parse_count(f"{count // 1000}.{count % 1000:03d}k") == count


def test_parse_count_is_exact_for_large_numbers() -> None:
    assert parse_count(str(2**53 + 1)) == 2**53 + 1


def test_parse_count_of_400_digits_is_exact_or_raises_value_error() -> None:
    with contextlib.suppress(ValueError):
        assert parse_count("9" * 400) == 10**400 - 1


def test_parse_duration_of_400_digits_raises_value_error() -> None:
    with pytest.raises(ValueError, match="is too long: the longest duration is 36525d"):
        parse_duration("9" * 400)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_parse_duration_adds_hours_minutes_and_seconds(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


def test_one_of_names_the_nearest_name() -> None:
    parse = one_of(("text", "json"), "format")
    assert parse("json") == "json"
    with pytest.raises(ValueError, match=r"there is no format 'jsn'; did you mean 'json'\?"):
        parse("jsn")


def test_nearest_lists_all_names_when_none_is_near() -> None:
    assert nearest("xyz", ["host", "port"]) == "there are host, port"


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_size, "65536", 65_536),
        (parse_size, "1.5 MiB", 1_572_864),
        (parse_size, "100kB", 100_000),
        (parse_integer, "-3", -3),
        (parse_number, "0.5", 0.5),
        (parse_port, "65535", 65_535),
    ],
)
def test_parse_reads_the_value(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "error"),
    [
        (parse_size, "64K", "is not a size: write 65536, 64KiB or 1.5MiB"),
        (parse_size, "-1", "is not a size"),
        (parse_integer, "1.5", "is not a whole number"),
        (parse_number, "-1", "is not a number: write 5 or 0.5"),
        (parse_number, "1e3", "is not a number"),
        (parse_port, "0", "is not a port: write 1 to 65535"),
        (parse_port, "65536", "is not a port"),
        (parse_port, "²", "is not a port"),
        (above_zero(parse_count), "0", "0 is not above zero"),
    ],
)
def test_parse_rejects_other_text_with_a_sentence(parse: Callable[[str], float], text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse(text)


@pytest.mark.parametrize("parse", [parse_count, parse_integer, parse_number, parse_size, parse_duration, parse_port])
@pytest.mark.parametrize("digits", [25, 400, 5000])
def test_a_number_beyond_every_range_raises_one_short_line(parse: Callable[[str], float], digits: int) -> None:
    with pytest.raises(ValueError, match=r"is too large|is too long|is not a ") as caught:
        parse("9" * digits)
    assert "\n" not in str(caught.value)


def test_parse_size_rejects_a_part_of_a_byte() -> None:
    assert (parse_size("0"), parse_size("0.001kB"), parse_size("1.3KiB")) == (0, 1, 1331)
    with pytest.raises(ValueError, match=r"0\.5 is less than one byte"):
        parse_size("0.5")


def test_at_most_accepts_its_bound_and_nothing_above() -> None:
    parse = at_most(12, parse_count)
    assert parse("12") == 12
    with pytest.raises(ValueError, match="13 is too large: at most 12"):
        parse("13")


def test_option_is_taken_out_of_the_words() -> None:
    assert take_option(["--for", "1h", "ann"], "--for") == ("1h", ["ann"])
    assert take_option(["ann"], "--for") == (None, ["ann"])
