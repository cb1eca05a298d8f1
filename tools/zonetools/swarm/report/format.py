"""Formats the values of a report for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["NOT_MEASURED", "counts_text", "date_text", "difference_text"]

NOT_MEASURED = "not measured"


def counts_text(counts: Mapping[str, int], empty: str = "none") -> str:
    """Return counts by code in one line.

    >>> counts_text({"COOLDOWN": 1_200, "DEAD": 3}), counts_text({})
    ('1,200 COOLDOWN, 3 DEAD', 'none')
    """
    return ", ".join(f"{count:,} {code}" for code, count in counts.items()) or empty


def date_text(started: str | None) -> str:
    """Return the start of a run without its seconds.

    >>> date_text("2026-11-24T17:39:39+00:00")
    '2026-11-24 17:39 UTC'
    """
    return f"{started[:10]} {started[11:16]} UTC" if started else "an unknown time"


def difference_text(difference: Mapping[str, Any]) -> str:
    """Return a difference between two plans or machines as a warning.

    >>> difference_text({"name": "bots", "old": 1000, "new": 500})
    'the runs differ: bots was 1000 and is 500'
    """
    return f"the runs differ: {difference['name']} was {difference['old']} and is {difference['new']}"
