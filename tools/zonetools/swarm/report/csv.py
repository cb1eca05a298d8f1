"""A report as tables for a spreadsheet. Pure."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Any

from zonetools.swarm.measure.series import Row
from zonetools.swarm.report.metrics import METRICS

TABLES = ("seconds", "figures", "errors")
"""The names of the tables: every second, every metric, every group of errors."""


def csv_tables(report: dict[str, Any]) -> dict[str, str]:
    """Return the tables by name, as CSV with a header. The cell of a value that was not measured is empty."""
    columns = [field.name for field in dataclasses.fields(Row)]
    first = ("s", "bot", "text")
    return {
        "seconds": _csv(columns, ([row[name] for name in columns] for row in report["series"])),
        "figures": _csv(
            ("figure", "value", "unit", "what"),
            ((name, metric.of(report), metric.unit.value, metric.description) for name, metric in METRICS.items()),
        ),
        "errors": _csv(
            ("kind", "code", "count", *(f"first_{name}" for name in first)),
            (
                (error["kind"], error["code"], error["count"], *(error["first"][name] for name in first))
                for error in report["errors"]
            ),
        ),
    }


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
