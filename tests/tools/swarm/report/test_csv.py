"""The report as CSV tables."""

from __future__ import annotations

import csv
import dataclasses
import io

from helpers.swarm_results import ROW, full_report, outcome
from zonetools.swarm.measure.series import Row
from zonetools.swarm.report import build as report
from zonetools.swarm.report.csv import TABLES, csv_tables


def test_tables_contain_the_report() -> None:
    result = full_report()
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in csv_tables(result).items()}
    assert tuple(tables) == TABLES
    assert list(tables["seconds"][0]) == [field.name for field in dataclasses.fields(Row)]
    assert [row["s"] for row in tables["seconds"]] == [str(s) for s in range(30)]
    assert tables["seconds"][0]["latency_p99_ms"] == "55.0"
    assert {row["figure"]: row["value"] for row in tables["figures"]}["sent"] == "110"
    (error,) = tables["errors"]
    assert (error["code"], error["count"], error["first_bot"]) == ("SLOW_CONSUMER", "3", "ann")


def test_unmeasured_value_is_an_empty_cell() -> None:
    result = report.summary(outcome(cpu_percent_server=None, rows=[dataclasses.replace(ROW, cpu_percent_server=None)]))
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in csv_tables(result).items()}
    assert tables["seconds"][0]["cpu_percent_server"] == ""
    assert {row["figure"]: row["value"] for row in tables["figures"]}["cpu_server"] == ""
