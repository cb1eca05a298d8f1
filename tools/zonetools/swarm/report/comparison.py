"""Compares a report with an earlier one, metric by metric."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zonetools.swarm.report.metrics import METRICS, Metric

# Two runs of one plan differ by up to this share.
_NOISE = 0.1


def read_report(file: str) -> dict[str, Any]:
    """Return the report in a file that `--json` wrote. Raises ValueError if the file contains no report."""
    try:
        report = json.loads(Path(file).read_text())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        report = None
    if not isinstance(report, dict) or not str(report.get("schema")).startswith("zone-swarm/"):
        raise ValueError(f"{file} is not a report of zone-swarm: --json FILE writes one")
    return {**report, "file": file}


def parse_report_file(file: str) -> str:
    """Check before the run that a file contains a report; return its name. Raises ValueError."""
    read_report(file)
    return file


def compare(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the part `compared` of the new report. A ratio is new over old, or None."""
    differences = _differences(old, new)
    rows = []
    for metric in METRICS.values():
        before, now = metric.of(old), metric.of(new)
        # After a run with another plan or on another machine a verdict would be unfair.
        verdict = "" if differences else _verdict(metric, before, now)
        ratio = None if not before or now is None else round(now / before, 3)
        row = {"name": metric.name, "unit": metric.unit.value, "old": before, "new": now}
        rows.append({**row, "ratio": ratio, "verdict": verdict})
    return {"file": old["file"], "started": old.get("started"), "differences": differences, "figures": rows}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the settings of the plans, and the properties of the machines, that differ."""
    found = []
    for part, names in (("plan", tuple(new["plan"])), ("machine", ("cpus", "system", "python"))):
        was, now = old.get(part) or {}, new[part]
        found += [
            {"name": name, "old": was.get(name), "new": now.get(name)}
            for name in names
            if was.get(name) != now.get(name)
        ]
    return found


def _verdict(metric: Metric, old: float | None, new: float | None) -> str:
    """Return `better` or `worse` if the values differ by more than the noise, else an empty text.

    >>> p99 = METRICS["p99"]
    >>> _verdict(p99, 50.0, 100.0), _verdict(p99, 50.0, 30.0), _verdict(p99, 50.0, 51.0), _verdict(p99, None, 51.0)
    ('worse', 'better', '', '')
    """
    if old is None or new is None or not metric.better or abs(new - old) <= _NOISE * abs(old):
        return ""
    return "better" if (new > old) == (metric.better > 0) else "worse"
