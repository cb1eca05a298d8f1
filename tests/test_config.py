"""What people may set, how they write it, and what a process asks of the system."""

import asyncio
import contextlib
import subprocess
import sys
from typing import Any

import pytest
from helpers.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.config import Config, Limits
from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.support import process
from zoneserver.support.parse import parse_count, parse_duration

# --- Durations and counts -------------------------------------------------------------------------


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
def test_a_duration_is_a_number_of_seconds_or_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "s", "-1", "-1s", "+1", "1 s", " 1", "1x", "1S", "1h 30m", "1e3", "nan", "inf", ".5", "1.", "1,5"]
)
def test_any_other_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1000", 1000), ("10k", 10_000), ("1.5k", 1500), ("1.5M", 1_500_000), ("2M", 2_000_000), ("3.0", 3)],
)
def test_a_count_is_a_whole_number_with_or_without_a_unit(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "k", "-1", "1K", "1m", "1 k", "1e3", "nan", "inf", "0x10", "1_000", "1,000"])
def test_any_other_count_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a count: write 1000"):
        parse_count(text)


@pytest.mark.parametrize("text", ["1.5", "0.5", "1.0005k", "0.0000001M"])
def test_a_count_with_a_part_left_over_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_count(text)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 9_999_999))
def test_any_whole_number_of_thousandths_of_a_thousand_is_a_count(count: int) -> None:
    assert parse_count(f"{count // 1000}.{count % 1000:03d}k") == count


def test_a_count_is_exact_however_large() -> None:
    assert parse_count(str(2**53 + 1)) == 2**53 + 1


def test_a_count_beyond_all_measure_is_itself_or_a_value_error() -> None:
    with contextlib.suppress(ValueError):
        assert parse_count("9" * 400) == 10**400 - 1


def test_a_duration_beyond_all_measure_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration("9" * 400)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


# --- Bounds ---------------------------------------------------------------------------------------

BOUNDS = [("port", 0, 65_535), ("stats_port", 0, 65_535), ("hz", 1, 100), ("max_players", 1, 65_000)]


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_a_setting_at_either_bound_passes(name: str, low: int, high: int) -> None:
    for value in (low, high):
        settings_given: dict[str, Any] = {name: value}
        assert getattr(Config(**settings_given), name) == value


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_a_setting_beyond_either_bound_is_refused_by_name(name: str, low: int, high: int) -> None:
    for value in (low - 1, high + 1):
        settings_given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name} must be from {low} to {high}, not {value}"):
            Config(**settings_given)


def test_without_a_stats_port_there_are_no_statistics() -> None:
    assert Config(stats_port=None).stats_port is None


def test_the_two_ports_differ_unless_the_system_chooses_them() -> None:
    with pytest.raises(ValueError, match="port and stats_port must differ: both are 7000"):
        Config(port=7000, stats_port=7000)
    assert Config(port=0, stats_port=0).port == 0


def test_limits_and_settings_do_not_change_once_made() -> None:
    for made, name in ((Config(), "hz"), (Limits(), "stall_seconds")):
        with pytest.raises(AttributeError):
            setattr(made, name, 1)


# --- The words that every layer shares ------------------------------------------------------------


@pytest.mark.parametrize("reason", CloseReason)
def test_a_close_reason_is_its_own_name_with_a_sentence(reason: CloseReason) -> None:
    assert reason == str(reason) == reason.name
    assert CloseReason[reason.value] is reason
    assert reason.text
    assert type(reason.retry) is bool


@pytest.mark.parametrize("code", RefusalCode)
def test_a_refusal_code_is_its_own_name(code: RefusalCode) -> None:
    assert code == str(code) == code.name


# --- The process ----------------------------------------------------------------------------------


def in_a_process(code: str) -> list[int]:
    """The whole numbers that a program prints; limits it sets are its own."""
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(word) for word in finished.stdout.split()]


RAISE = """
import resource
from zoneserver.support.process import raise_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
print(raise_open_files({wanted}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(("wanted", "limit"), [(50, 64), (64, 64), (100, 100), (128, 128), (1000, 128)])
def test_the_limit_of_open_files_is_raised_as_far_as_needed_and_possible(wanted: int, limit: int) -> None:
    assert in_a_process(RAISE.format(wanted=wanted)) == [limit, limit, 128]


async def test_the_collector_passes_over_what_is_there_at_each_new_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen_at: list[int] = []
    sizes = [0]
    monkeypatch.setattr(process.gc, "freeze", lambda: frozen_at.append(sizes[-1]))
    freezing = asyncio.create_task(process.freeze_growth(lambda: sizes[-1], 0.0))
    for size in (0, 3, 3, 2, 3, 7):
        sizes.append(size)
        for _ in range(4):  # turns of the loop, in each of which it looks
            await asyncio.sleep(0)
    freezing.cancel()
    await asyncio.gather(freezing, return_exceptions=True)
    assert frozen_at == [3, 7]


def test_a_process_holds_some_memory() -> None:
    assert process.rss_bytes() > 1_000_000


def test_asyncio_is_always_there() -> None:
    assert process.loop_factory("asyncio") == ("asyncio", None)


def test_a_loop_that_is_not_installed_is_refused_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert process.loop_factory("auto") == ("asyncio", None)
    with pytest.raises(process.MissingExtraError, match=r"pip install 'zoneserver\[speed\]'"):
        process.loop_factory("uvloop")
