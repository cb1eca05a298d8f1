"""How a statistic is declared: once, as a field of a dataclass, with all that every reader of it needs.

`/stats`, `/metrics`, the log's lines and the dashboard are made from these declarations.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import Any

__all__ = ["CodeCounter", "Metric", "codes", "count", "gauge", "info", "metric_of", "seconds"]

# Far more codes than the engine and any sensible game have.
_CODES_MAX = 100


@dataclass(frozen=True, slots=True)
class Metric:
    """What a statistic means, and what Prometheus calls it."""

    text: str
    name: str
    kind: str = "gauge"
    """`counter`, `gauge`, `summary`, `histogram`, or `info` for a fact that becomes a label."""
    scale: float = 1.0
    """Factor from the statistic's unit to the metric's: Prometheus asks for seconds, bytes and ratios."""
    label: str = ""
    """For a statistic with several values: the name of the label that tells them apart."""
    adds: str = ""
    """How a zone adds the figures of its gateways in other processes to its own: `sum` or `max`. Empty: the figure is
    that of the process alone."""


class CodeCounter(Counter[str]):
    """Counts by code. Games make codes of their own, so beyond 100 codes a new one is counted as OTHER.

    >>> counts = CodeCounter({f"CODE_{number}": 1 for number in range(100)})
    >>> counts["NEW"] += 1; counts["NEWER"] += 1; counts["CODE_7"] += 1
    >>> counts["OTHER"], counts["CODE_7"], len(counts)
    (2, 2, 101)
    """

    def __setitem__(self, code: str, number: int) -> None:
        if code not in self and len(self) >= _CODES_MAX:
            code, number = "OTHER", self["OTHER"] + number
        super().__setitem__(code, number)


def count(text: str, name: str, *, adds: str = "") -> Any:
    """Declares a number that only grows."""
    return dataclasses.field(default=0, metadata={"metric": Metric(text, name, "counter", adds=adds)})


def seconds(text: str, name: str, *, adds: str = "") -> Any:
    """Declares an amount of time that only grows, in seconds."""
    return dataclasses.field(default=0.0, metadata={"metric": Metric(text, name, "counter", adds=adds)})


def codes(text: str, name: str, *, adds: str = "") -> Any:
    """Declares numbers by code that only grow."""
    return dataclasses.field(
        default_factory=CodeCounter, metadata={"metric": Metric(text, name, "counter", label="code", adds=adds)}
    )


def gauge(
    text: str,
    name: str,
    *,
    kind: str = "gauge",
    scale: float = 1.0,
    label: str = "",
    default: Any = dataclasses.MISSING,
    adds: str = "",
) -> Any:
    """Declares a figure of the present, which the caller gives by name if it has no default."""
    metric = Metric(text, name, kind, scale, label, adds)
    return dataclasses.field(default=default, metadata={"metric": metric}, kw_only=True)


def info(text: str, name: str = "zone_info", *, default: Any = dataclasses.MISSING) -> Any:
    """Declares a fact of the server that becomes a label of one metric."""
    return gauge(text, name, kind="info", default=default)


def metric_of(field: dataclasses.Field[Any]) -> Metric:
    """The declaration of a field that was made by the functions above."""
    metric: Metric = field.metadata["metric"]
    return metric
