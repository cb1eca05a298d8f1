"""The bounds of Config, and limits given by name."""

from __future__ import annotations

from typing import Any

import pytest

from zoneserver.config import Config, Limits, parse_limits

BOUNDS = [("port", 0, 65_535), ("stats_port", 0, 65_535), ("hz", 1, 100), ("max_players", 1, 65_000)]


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_config_accepts_a_value_at_either_bound(name: str, low: int, high: int) -> None:
    for value in (low, high):
        settings_given: dict[str, Any] = {name: value}
        assert getattr(Config(**settings_given), name) == value


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_config_rejects_a_value_beyond_either_bound_by_name(name: str, low: int, high: int) -> None:
    for value in (low - 1, high + 1):
        settings_given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name} must be from {low} to {high}, not {value}"):
            Config(**settings_given)


def test_config_accepts_none_as_stats_port() -> None:
    assert Config(stats_port=None).stats_port is None


def test_config_rejects_equal_ports_other_than_zero() -> None:
    with pytest.raises(ValueError, match="port and stats_port must differ: both are 7000"):
        Config(port=7000, stats_port=7000)
    assert Config(port=0, stats_port=0).port == 0


def test_config_and_limits_are_immutable() -> None:
    for made, name in ((Config(), "hz"), (Limits(), "stall_seconds")):
        with pytest.raises(AttributeError):
            setattr(made, name, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stall_second=3", "there is no limit 'stall_second'; did you mean 'stall_seconds'?"),
        ("stall_seconds=soon", "'stall_seconds=soon' is not of the form limit=number, as in stall_seconds=5"),
        ("history_ticks=0", "history_ticks=0: a limit must be above zero"),
        ("history_ticks=1.5", "not of the form limit=number"),
        ("stall_seconds=nan", "a limit must be above zero"),
    ],
)
def test_parse_limits_rejects_unknown_names_and_values_out_of_range(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        parse_limits(text)
