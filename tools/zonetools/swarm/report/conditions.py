"""When a run fails beyond what is wrong anyway: conditions such as `p99>150ms`. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from zoneserver.support.parse import nearest
from zonetools.swarm.report.metrics import FIGURES, Figure, Unit

__all__ = ["Condition", "judge", "parse_condition"]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
_CONDITION = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(>=|<=|==|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*")
_SECOND = {"ms": Fraction(1, 1000), "s": Fraction(1)}
# What a value may be written in, as so many of the unit that the figure is given in.
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
    """A run fails where this holds; it fails as well where the figure was not measured."""

    figure: Figure
    comparison: str
    value: Fraction
    """In the unit of the figure."""
    written: str
    """As it was given, without spaces."""

    def __str__(self) -> str:
        return self.written

    def holds(self, measured: float | None) -> bool:
        """Whether the run fails by it."""
        return measured is None or _COMPARISONS[self.comparison](Fraction(measured), self.value)


def parse_condition(text: str) -> Condition:
    """A condition from `p99>150ms`, `lost>0` or `cpu_server >= 80%`. Raises ValueError otherwise.

    >>> condition = parse_condition("p99 > 0.15s")
    >>> str(condition), condition.holds(150.0), condition.holds(150.1), condition.holds(None)
    ('p99>0.15s', False, True, True)
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a condition: write a figure, one of {' '.join(_COMPARISONS)}, and a value")
    name, comparison, number, unit = match.groups()
    figure = FIGURES.get(name)
    if figure is None:
        raise ValueError(f"there is no figure {name!r}; {nearest(name, tuple(FIGURES))}")
    if unit not in _UNITS[figure.unit]:
        raise ValueError(f"{number + unit!r} does not go with {name}, which is {_EXAMPLES[figure.unit]}")
    value = Fraction(number) * _UNITS[figure.unit][unit]
    return Condition(figure, comparison, value, f"{name}{comparison}{number}{unit}")


def judge(conditions: Sequence[Condition], report: dict[str, Any]) -> list[dict[str, Any]]:
    """The part `conditions` of the report: what each of them came to."""
    judged = []
    for condition in conditions:
        measured = condition.figure.of(report)
        failed = condition.holds(measured)
        judged.append(
            {
                "condition": str(condition),
                "measured": measured,
                "failed": failed,
                "text": f"{condition}: it was {condition.figure.text(measured)}"
                if measured is not None
                else f"{condition}: it was not measured",
            }
        )
    return judged
