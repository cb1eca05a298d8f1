"""The hostile bots in the report."""

from __future__ import annotations

import json
from collections import Counter

from helpers.swarm_results import SERVER_CLOSES, flood_tally, outcome, rendered_text
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.report import build as report


def test_report_contains_hostile_roles_and_control_run() -> None:
    result = report.summary(outcome(hostile={"flood": flood_tally()}, closed_server=SERVER_CLOSES), control=outcome())
    assert result["hostile"]["flood"]["ok"]
    assert result["control"] == {
        "latency_ms": result["latency_ms"],
        "p99_ratio": 1.0,
        "limited_by_swarm": False,
        "passed": True,
    }
    assert json.loads(json.dumps(result)) == result
    assert report.passed(result)
    shown = rendered_text(result)
    assert "everybody got everything, hostile bots the expected codes" in shown
    assert "honest bots' p99: 99" in shown
    assert "2 FLOOD" in shown


def test_unexpected_code_of_a_hostile_bot_fails_the_run() -> None:
    wrong = flood_tally(got=Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1))
    result = report.summary(outcome(hostile={"flood": wrong}, closed_server=SERVER_CLOSES))
    assert not report.passed(result)
    shown = rendered_text(result)
    assert "everybody got everything, hostile bots NOT the expected codes" in shown
    assert "NO: 1 x INTERNAL_ERROR" in shown


def test_control_run_with_faults_fails_the_run() -> None:
    result = report.summary(outcome(), control=outcome(digests_mismatched=1))
    assert not report.passed(result)
    assert "NOT everybody got everything in the run without them" in rendered_text(result)


def test_busy_control_run_is_reported_as_limited_by_the_swarm() -> None:
    result = report.summary(outcome(), control=outcome(cpu_percent_busiest=99.0))
    assert (result["limited_by_swarm"], result["control"]["limited_by_swarm"]) == (False, True)
    assert report.passed(result)
    assert "limited by the swarm" in rendered_text(result)


def test_run_interrupted_before_measuring_has_no_ratio() -> None:
    result = report.summary(outcome(Tally(), interrupted=True), control=outcome())
    assert result["control"]["p99_ratio"] is None
    assert "honest bots' p99: not measured with or without the hostile bots" in rendered_text(result)
