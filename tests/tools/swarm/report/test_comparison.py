"""Two reports compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.swarm_results import full_report, outcome, rendered_text
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.report.comparison import compare, parse_report_file, read_report
from zonetools.swarm.report.metrics import METRICS


@pytest.fixture
def full() -> dict[str, Any]:
    """Return a report without missing values."""
    return full_report()


def written(tmp_path: Path, document: Any) -> str:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_report_compared_with_itself_has_no_differences(tmp_path: Path, full: dict[str, Any]) -> None:
    compared = compare(read_report(written(tmp_path, full)), full)
    assert compared["differences"] == []
    assert [row["name"] for row in compared["figures"]] == list(METRICS)
    assert all(row["old"] == row["new"] for row in compared["figures"])
    assert {row["ratio"] for row in compared["figures"]} <= {1.0, None}
    assert {row["verdict"] for row in compared["figures"]} == {""}


def test_compare_gives_ratio_and_verdict_of_each_change(tmp_path: Path) -> None:
    old = report.summary(outcome())
    slower = copy.deepcopy(old)
    slower["latency_ms"]["p99"] *= 2
    slower["cpu_percent"]["server"] = 20.0
    slower["actions"]["lost"] = 3
    slower["bytes_per_delivered_action"] = None
    slower["compared"] = compared = compare(read_report(written(tmp_path, old)), slower)
    rows = {row["name"]: row for row in compared["figures"]}
    assert (rows["p99"]["ratio"], rows["p99"]["verdict"]) == (2.0, "worse")
    assert (rows["cpu_server"]["ratio"], rows["cpu_server"]["verdict"]) == (0.5, "better")
    assert (rows["lost"]["ratio"], rows["lost"]["verdict"]) == (None, "worse")
    assert (rows["bytes_per_action"]["ratio"], rows["bytes_per_action"]["verdict"]) == (None, "")
    assert rows["p50"]["verdict"] == ""
    shown = rendered_text(slower)
    assert f"compared with {compared['file']}, of {old['started']}" in shown
    assert any(
        line.split() == ["cpu_server", "40.0", "%", "20.0", "%", "x", "0.50", "better"] for line in shown.splitlines()
    )
    assert "diverged  0" not in shown, "a metric that is 0 in both reports is left out"


def test_different_plans_are_named_and_get_no_verdict(tmp_path: Path) -> None:
    old, new = report.summary(outcome()), report.summary(outcome(plan=Plan(bots=10, rate=7.0), hz=30))
    new["latency_ms"]["p99"] *= 2
    new["compared"] = compared = compare(read_report(written(tmp_path, old)), new)
    assert compared["differences"] == [
        {"name": "rate", "old": 5.0, "new": 7.0},
        {"name": "hz", "old": 20, "new": 30},
    ]
    assert {row["verdict"] for row in compared["figures"]} == {""}
    assert "the runs differ: rate was 5.0 and is 7.0" in rendered_text(new)


def test_another_machine_is_a_difference(tmp_path: Path) -> None:
    old = report.summary(outcome())
    new = report.summary(outcome(machine=outcome().machine | {"cpus": 64}))
    assert compare(read_report(written(tmp_path, old)), new)["differences"] == [{"name": "cpus", "old": 2, "new": 64}]


def test_report_of_an_older_schema_is_compared_where_possible(tmp_path: Path) -> None:
    old = {"schema": "zone-swarm/1", "latency_ms": {"p99": 50.0}, "plan": {"rate": 5.0}}
    rows = {
        row["name"]: row for row in compare(read_report(written(tmp_path, old)), report.summary(outcome()))["figures"]
    }
    assert rows["p99"]["ratio"] == pytest.approx(1.98, abs=0.02)
    assert (rows["sent"]["old"], rows["sent"]["new"]) == (None, 110)


@pytest.mark.parametrize("document", [{}, [], {"schema": "zone-bench/1"}, "zone-swarm/2", None])
def test_file_without_a_report_is_rejected(tmp_path: Path, document: Any) -> None:
    with pytest.raises(ValueError, match="is not a report of zone-swarm"):
        parse_report_file(written(tmp_path, document))


def test_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*: No such file"):
        parse_report_file(str(tmp_path / "missing.json"))
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="is not a report"):
        parse_report_file(str(tmp_path / "binary"))
