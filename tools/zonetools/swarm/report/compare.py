"""Two reports side by side: what changed, by how much, and whether they may be compared at all. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zonetools.swarm.report.metrics import FIGURES, Figure

__all__ = ["compare", "parse_report_file", "read_report"]

# Two runs of the very same thing differ by so much.
_NOISE = 0.1


def read_report(file: str) -> dict[str, Any]:
    """The report that `--json` wrote into this file. Raises ValueError when it is none."""
    try:
        report = json.loads(Path(file).read_text())
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        report = None
    if not isinstance(report, dict) or not str(report.get("schema")).startswith("zone-swarm/"):
        raise ValueError(f"{file} is no report of a swarm: --json FILE writes one")
    return {**report, "file": file}


def parse_report_file(file: str) -> str:
    """A file with such a report: nobody wants to learn otherwise when the run is over. Raises ValueError."""
    read_report(file)
    return file


def compare(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The part `compared` of the new report. A ratio is new over old; None where there is none."""
    differences = _differences(old, new)
    rows = [_row(figure, figure.of(old), figure.of(new)) for figure in FIGURES.values()]
    if differences:
        # Of two runs that are not the same, neither is better.
        rows = [{**row, "verdict": ""} for row in rows]
    return {"file": old["file"], "started": old.get("started"), "differences": differences, "figures": rows}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """What of the plans, and of the machines, is not the same."""
    found = []
    for part, names in (("plan", tuple(new["plan"])), ("machine", ("cpus", "system", "python"))):
        was, now = old.get(part) or {}, new[part]
        found += [
            {"name": name, "old": was.get(name), "new": now.get(name)}
            for name in names
            if was.get(name) != now.get(name)
        ]
    return found


def _row(figure: Figure, old: float | None, new: float | None) -> dict[str, Any]:
    ratio = None if not old or new is None else round(new / old, 3)
    return {
        "name": figure.name,
        "unit": figure.unit.value,
        "old": old,
        "new": new,
        "ratio": ratio,
        "verdict": _verdict(figure, old, new),
    }


def _verdict(figure: Figure, old: float | None, new: float | None) -> str:
    """`better` or `worse` where one of them is, and by more than two runs of the same may differ.

    >>> p99 = FIGURES["p99"]
    >>> _verdict(p99, 50.0, 100.0), _verdict(p99, 50.0, 30.0), _verdict(p99, 50.0, 51.0), _verdict(p99, None, 51.0)
    ('worse', 'better', '', '')
    """
    if old is None or new is None or not figure.better or abs(new - old) <= _NOISE * abs(old):
        return ""
    return "better" if (new > old) == (figure.better > 0) else "worse"
