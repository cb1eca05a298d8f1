"""The conditions of `--fail-if`, such as `p99>150ms`: a run fails when one of them holds. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zoneserver.support.parse import nearest
from zonetools.swarm.report.metrics import METRICS, Metric, Unit

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
_CONDITION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(>=|<=|==|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*")
_SECOND = {"ms": Fraction(1, 1000), "s": Fraction(1)}
# The units in which a value may be written, as multiples of the unit of the metric.
_UNITS: dict[Unit, dict[str, Fraction]] = {
    Unit.COUNT: {"": Fraction(1), "k": Fraction(1000), "M": Fraction(10**6)},
    Unit.MILLISECONDS: {name: 1000 * seconds for name, seconds in _SECOND.items()},
    Unit.SECONDS: _SECOND,
    Unit.PERCENT: {"%": Fraction(1), "": Fraction(1)},
    Unit.BYTES: {
        name: Fraction(size)
        for name, size in {"B": 1, "": 1, "kB": 10**3, "MB": 10**6, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}.items()
    },
}
_EXAMPLES = {
    Unit.COUNT: "a count: write 100 or 10k",
    Unit.MILLISECONDS: "a time: write 150ms or 0.15s",
    Unit.SECONDS: "a time: write 2s or 1500ms",
    Unit.PERCENT: "a share of a core: write 80%",
    Unit.BYTES: "a size: write 4.5B or 64KiB",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A run fails when this holds, or when the metric was not measured."""

    metric: Metric
    comparison: str
    value: Fraction
    """In the unit of the metric."""
    text: str
    """The condition as the user wrote it, without spaces."""

    def __str__(self) -> str:
        return self.text

    def holds(self, measured: float | None) -> bool:
        """Whether a run with this value fails."""
        return measured is None or _COMPARISONS[self.comparison](Fraction(measured), self.value)


def parse_condition(text: str) -> Condition:
    """Parse a condition such as `p99>150ms`, `lost>0` or `cpu_server >= 80%`. Raises ValueError.

    >>> condition = parse_condition("p99 > 0.15s")
    >>> condition.text, condition.holds(150.0), condition.holds(150.1), condition.holds(None)
    ('p99>0.15s', False, True, True)
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a condition: write a metric, one of {' '.join(_COMPARISONS)}, and a value")
    name, comparison, number, unit = match.groups()
    metric = METRICS.get(name)
    if metric is None:
        raise ValueError(f"there is no metric {name!r}; {nearest(name, tuple(METRICS))}")
    if unit not in _UNITS[metric.unit]:
        raise ValueError(f"{number + unit!r} is no value of {name}, which is {_EXAMPLES[metric.unit]}")
    value = Fraction(number) * _UNITS[metric.unit][unit]
    return Condition(metric, comparison, value, f"{name}{comparison}{number}{unit}")


def evaluate(conditions: Sequence[Condition], report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the part `conditions` of the report: the value and the result of each condition."""
    results = []
    for condition in conditions:
        measured = condition.metric.of(report)
        results.append(
            {
                "condition": condition.text,
                "measured": measured,
                "failed": condition.holds(measured),
                "text": f"{condition.text}: it was {condition.metric.value_text(measured)}",
            }
        )
    return results
