"""The metrics of a report, by name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.swarm_results import full_report
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.report.metrics import METRICS, Metric

DOCUMENT = (ROOT / "docs/swarm-report.md").read_text()


def test_every_metric_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| `([^`]+)` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(name, f.unit.value or "count", f.path, f.description) for name, f in METRICS.items()]


@pytest.fixture
def full() -> dict[str, Any]:
    """Return a report without missing values."""
    return full_report()


def test_every_metric_has_a_value_in_a_full_report(full: dict[str, Any]) -> None:
    assert {name for name, figure in METRICS.items() if figure.of(full) is None} == set()
    assert all(name == figure.name for name, figure in METRICS.items())


def test_metric_missing_in_a_report_is_none() -> None:
    assert {figure.of({}) for figure in METRICS.values()} == {None}
    assert METRICS["p99"].of({"latency_ms": {"p99": None}}) is None
    assert METRICS["p99"].of({"latency_ms": 5}) is None


figures = st.sampled_from(list(METRICS.values()))


@given(figures, st.floats(0, 1e12) | st.integers(0, 10**12))
def test_value_text_ends_with_the_unit(figure: Metric, value: float) -> None:
    text = figure.value_text(value)
    assert len(text) <= 24
    assert text.endswith(figure.unit.value)
    assert not text.endswith(" ")
