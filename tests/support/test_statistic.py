"""The declarations of statistics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from zoneserver.support.statistic import Metric, codes, count, gauge, info, metric_of, seconds


@dataclass
class Sample:
    """One field of each kind."""

    sent_total: int = count("Sent.", "zone_sent_total")
    busy_seconds_total: float = seconds("Busy.", "zone_busy_seconds_total")
    closes: dict[str, int] = codes("Closed.", "zone_closes_total")
    load_percent: float = gauge("Load.", "zone_load_ratio", scale=0.01)
    game: str = info("The game.")


def test_metric_of_returns_the_declaration_of_a_field() -> None:
    assert {field.name: metric_of(field) for field in dataclasses.fields(Sample)} == {
        "sent_total": Metric("Sent.", "zone_sent_total", "counter"),
        "busy_seconds_total": Metric("Busy.", "zone_busy_seconds_total", "counter"),
        "closes": Metric("Closed.", "zone_closes_total", "counter", label="code"),
        "load_percent": Metric("Load.", "zone_load_ratio", "gauge", 0.01),
        "game": Metric("The game.", "zone_info", "info"),
    }


def test_counters_start_at_zero_with_a_table_of_their_own() -> None:
    one, other = Sample(load_percent=1.0, game="plaza"), Sample(load_percent=1.0, game="plaza")
    one.closes["FLOOD"] += 1
    assert (other.sent_total, other.busy_seconds_total, other.closes) == (0, 0.0, {})


def test_gauges_and_facts_must_be_given() -> None:
    with pytest.raises(TypeError):
        Sample()
