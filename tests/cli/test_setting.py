"""The value of one setting in variables and files."""

from __future__ import annotations

from typing import Any

import pytest

from zoneserver.cli.setting import Setting
from zoneserver.support.parse import above_zero, parse_count, parse_duration


@pytest.mark.parametrize(
    ("setting", "value", "toml"),
    [
        (Setting("time", "time", above_zero(parse_duration)), 90.0, '"1m30s"'),
        (Setting("bots", "bots", parse_count), 10_000, "10000"),
        (Setting("mix", "mix"), {"walker": 90, "my bot": 10}, '{ walker = 90, "my bot" = 10 }'),
        (Setting("snore", "snore", const=True), True, "true"),
        (Setting("dream", "dream", repeats=True), ["of rain", "of sun"], '["of rain", "of sun"]'),
    ],
)
def test_to_toml_writes_the_value_in_the_notation_of_the_setting(setting: Setting, value: Any, toml: str) -> None:
    assert setting.to_toml(value) == toml


def test_metavar_is_that_of_the_notation_or_the_last_word_of_the_key() -> None:
    assert Setting("max-time", "max_time", above_zero(parse_duration)).metavar == "DURATION"
    assert Setting("own-bed", "bed").metavar == "BED"


def test_a_switch_with_another_value_than_true_sets_nothing_when_it_is_off() -> None:
    quiet = Setting("quiet", "log_level", const="warning")
    assert (quiet.from_variable("1"), quiet.from_variable("0")) == ("warning", None)
    snore = Setting("snore", "snore", const=True)
    assert (snore.from_file(True), snore.from_file(False)) == (True, False)
