"""The statistics as lines of text and of JSON."""

from __future__ import annotations

import json

from helpers.dashboards import (
    screen_state,
    stats,
    stats_after,
)
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.screen import lines

from zoneserver.admin.stats import Stats


def test_json_line_holds_the_statistics_and_the_rates() -> None:
    history = History(1.0, 60)
    history.add(stats(), 0.0)
    document = json.loads(lines.json_line(history.add(stats_after(1.0, actions_in_total=10), 1.0)))
    rates = document.pop("rates")
    assert Stats.from_json(document) == stats_after(1.0, actions_in_total=10)
    assert rates["actions_in_per_s"] == 10.0


def test_line_is_as_wide_as_the_header() -> None:
    header = lines.header()
    for sample in (*screen_state().server.samples, Sample(0.0, stats(players=65_000, frame_bytes=10**8), None)):
        assert len(lines.line(sample)) == len(header)
