"""A report as tables for a spreadsheet: every second, every figure, every group of errors. Pure."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Any

from zonetools.swarm.measure.series import Row
from zonetools.swarm.report.metrics import FIGURES

__all__ = ["SHEETS", "sheets"]

SHEETS = ("seconds", "figures", "errors")
"""What the tables are called."""


def sheets(report: dict[str, Any]) -> dict[str, str]:
    """The tables by name, as CSV with a header; what was not measured is empty."""
    columns = [field.name for field in dataclasses.fields(Row)]
    first = ("s", "bot", "text")
    return {
        "seconds": _sheet(columns, ([row[name] for name in columns] for row in report["series"])),
        "figures": _sheet(
            ("figure", "value", "unit", "what"),
            ((name, figure.of(report), figure.unit.value, figure.says) for name, figure in FIGURES.items()),
        ),
        "errors": _sheet(
            ("kind", "code", "count", *(f"first_{name}" for name in first)),
            (
                (error["kind"], error["code"], error["count"], *(error["first"][name] for name in first))
                for error in report["errors"]
            ),
        ),
    }


def _sheet(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
