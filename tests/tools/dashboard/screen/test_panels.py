"""The panels: numbers, phases, charts."""

from __future__ import annotations

import re

import pytest
from helpers.dashboards import (
    screen_state,
    stats,
    stats_after,
)
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.screen.view import render

from zoneserver.support.format import format_count, format_size


@pytest.mark.parametrize("value", [0, 0.04, 1, 9.96, 99.97, 999.6, 9_999.7, 10_000, 99_960, 999_999, 123_456_789, 1e15])
def test_number_never_outgrows_its_column(value: float) -> None:
    assert len(format_count(value)) <= 5
    assert len(format_size(value)) <= 8


@pytest.mark.parametrize("milliseconds", [0.0, 0.3])
def test_deflate_phase_is_shown_only_when_it_takes_time(milliseconds: float) -> None:
    sample = Sample(59.0, stats(phases_ms={**stats().phases_ms, "deflate": milliseconds}), None)
    rows = render(screen_state(samples=(sample,)), 120, 36).plain.split("\n")
    assert any(re.search(r"deflate .* 0\.30 ms", row) for row in rows) is bool(milliseconds)


def test_large_screen_has_charts_and_small_screen_a_sparkline() -> None:
    assert "deliveries out per s" in render(screen_state(), 200, 60).plain
    assert "deliveries out per s" not in render(screen_state(), 80, 24).plain
    assert "ms peak" in render(screen_state(), 80, 24).plain


def test_changed_number_moves_nothing_else() -> None:
    first, last = (Sample(59.0, stats_after(1.0, frame_bytes=size), None) for size in (7, 123_456))
    before, after = (render(screen_state(samples=(sample,)), 80, 24).plain.split("\n") for sample in (first, last))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][0].index("frame") == changed[0][1].index("frame")


def test_parked_players_gateways_and_the_journal_are_shown_once_there_are_any() -> None:
    def text(**changes: float) -> str:
        return render(screen_state(samples=(Sample(59.0, stats(**changes), None),)), 200, 60).plain

    labels = ("parked", "resumes", "gateways lost", "sent again", "journal", "slow writes", "longest write", "epoch")
    assert [label for label in labels if label in text()] == []
    shown = text(
        parked=3,
        resumes_total=7,
        gateways_attached_total=2,
        gateways_lost_total=1,
        journal_bytes_total=1,
        journal_longest_write_ms=0.25,
        epoch=2,
    )
    assert re.search(r"parked +3 +resumes +7 ", shown)
    assert [label for label in labels if label in shown] == list(labels)
    assert re.search(r"longest write +0\.25 ms", shown)
