"""The report as text."""

from __future__ import annotations

import dataclasses
import re

import pytest
from helpers.swarm_results import errors_of, full_report, outcome, rendered_text
from zonetools.swarm.measure.errors import CLOSE, CONNECT, Errors
from zonetools.swarm.report import build as report
from zonetools.swarm.report.text import show


def test_report_in_a_pipe_is_neither_wrapped_nor_padded(capsys: pytest.CaptureFixture[str]) -> None:
    errors = Errors()
    errors.add(CLOSE, "CONNECTION_LOST", "x" * 300, bot="ann", now=0.0)
    tally = dataclasses.replace(outcome().tally, errors=errors)
    show(report.summary(outcome(tally)))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("x" * 300) for line in lines)
    assert [line for line in lines if line != line.rstrip()] == []


def test_cpu_of_a_server_that_ended_is_not_measured() -> None:
    assert "server not measured, swarm 25 % of a core" in rendered_text(
        report.summary(outcome(cpu_percent_server=None))
    )


def test_largest_error_groups_are_shown_with_their_first_error() -> None:
    errors = errors_of({f"CODE_{n}": n for n in range(1, 9)})
    errors.add(CONNECT, "ConnectionRefusedError", "Connection refused", bot="bob", now=12.5)
    result = report.summary(outcome(dataclasses.replace(outcome().tally, errors=errors), began=10.0))
    assert result["errors"][0]["count"] == 8
    first = {"s": 2.5, "bot": "bob", "text": "Connection refused"}
    assert {"kind": "connect", "code": "ConnectionRefusedError", "count": 1, "first": first} in result["errors"]
    shown = rendered_text(result)
    assert "8 x close CODE_8, first at -10.0 s, ann: the text of CODE_8 number 0" in shown
    assert "CODE_1" not in shown, "the smallest groups are only in the JSON"


def test_text_contains_the_latency_split_and_its_floor() -> None:
    shown = rendered_text(full_report())
    assert re.search(r"to the server +p50 2\.0 +p99 10\.\d +\(half of a PING's round trip\)", shown)
    assert re.search(r"wait for tick +mean 26\.\d .*\(floor: mean 25, max 50\)", shown)
    assert re.search(r"tick to client +mean 10\.\d", shown)
