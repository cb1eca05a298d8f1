"""The hostile bots in the report."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from helpers.swarm_results import outcome, text_of
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.report import build as report


def kicked(**changes: Any) -> RoleTally:
    """Two bots that got what they should: twice, and a ban each time."""
    values: dict[str, Any] = {
        "bots": 2,
        "expected": ["FLOOD", "BANNED"],
        "refusals": ["WARNED", "MUTED"],
        "got": Counter(FLOOD=2, BANNED=2),
        "refused": Counter(WARNED=2, MUTED=2),
    }
    return RoleTally(**values | changes)


SERVER = {"FLOOD": 2, "BANNED": 2, "CLIENT_LEFT": 10}


def test_the_report_shows_expected_and_got_and_the_control_run() -> None:
    result = report.summary(outcome(hostile={"flood": kicked()}, closed_server=SERVER), control=outcome())
    assert result["hostile"]["flood"]["ok"]
    assert result["control"] == {
        "latency_ms": result["latency_ms"],
        "p99_ratio": 1.0,
        "limited_by_swarm": False,
        "passed": True,
    }
    assert json.loads(json.dumps(result)) == result
    assert report.passed(result)
    shown = text_of(result)
    assert "everybody got everything, hostile bots the expected codes" in shown
    assert "honest bots' p99: 99" in shown
    assert "2 FLOOD" in shown


def test_a_hostile_bot_that_gets_the_wrong_code_fails_the_run() -> None:
    wrong = kicked(got=Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1))
    result = report.summary(outcome(hostile={"flood": wrong}, closed_server=SERVER))
    assert not report.passed(result)
    shown = text_of(result)
    assert "everybody got everything, hostile bots NOT the expected codes" in shown
    assert "NO: 1 x INTERNAL_ERROR" in shown


def test_a_control_run_that_is_not_clean_fails_the_run() -> None:
    result = report.summary(outcome(), control=outcome(digests_mismatched=1))
    assert not report.passed(result)
    assert "NOT everybody got everything in the run without them" in text_of(result)


def test_a_ratio_that_a_busy_machine_made_says_so() -> None:
    result = report.summary(outcome(), control=outcome(cpu_percent_busiest=99.0))
    assert (result["limited_by_swarm"], result["control"]["limited_by_swarm"]) == (False, True)
    assert report.passed(result)
    assert "limited by the swarm" in text_of(result)


def test_a_run_that_was_interrupted_before_it_was_measured_claims_no_ratio() -> None:
    result = report.summary(outcome(Tally(), interrupted=True), control=outcome())
    assert result["control"]["p99_ratio"] is None
    assert "honest bots' p99: not measured with or without the hostile bots" in text_of(result)
