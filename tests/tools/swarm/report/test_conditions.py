"""The conditions under which a run fails."""

from __future__ import annotations

from fractions import Fraction

import pytest
from helpers.swarm_results import outcome, rendered_text
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.report import build as report
from zonetools.swarm.report.conditions import evaluate, parse_condition
from zonetools.swarm.report.metrics import METRICS, Metric, Unit

COMPARISONS = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    "==": lambda one, other: one == other,
}


WRITTEN = {Unit.COUNT: "", Unit.MILLISECONDS: "ms", Unit.SECONDS: "s", Unit.PERCENT: "%", Unit.BYTES: "B"}


figures = st.sampled_from(list(METRICS.values()))


comparisons = st.sampled_from(list(COMPARISONS))


# Three digits after the point.
numbers = st.integers(0, 10**9).map(lambda number: Fraction(number, 1000))


spaces = st.sampled_from(["", " ", "  "])


def text_of_number(number: Fraction) -> str:
    return f"{number.numerator * 1000 // number.denominator / 1000:.3f}"


@given(figures, comparisons, numbers, st.floats(0, 1e9), spaces, spaces, spaces)
def test_condition_holds_by_exact_arithmetic(
    figure: Metric, comparison: str, number: Fraction, measured: float, before: str, between: str, after: str
) -> None:
    unit = WRITTEN[figure.unit]
    text = f"{before}{figure.name}{between}{comparison}{after}{text_of_number(number)}{between}{unit}{before}"
    condition = parse_condition(text)
    assert (condition.metric, condition.comparison, condition.value) == (figure, comparison, number)
    assert condition.holds(measured) == COMPARISONS[comparison](Fraction(measured), number)
    assert condition.holds(float(number)) == COMPARISONS[comparison](Fraction(float(number)), number)
    assert condition.holds(None), "an unmeasured metric fails the run"


@given(figures, comparisons, numbers)
def test_condition_text_parses_to_an_equal_condition(figure: Metric, comparison: str, number: Fraction) -> None:
    condition = parse_condition(f"{figure.name} {comparison} {text_of_number(number)} {WRITTEN[figure.unit]}")
    assert " " not in condition.text
    assert parse_condition(condition.text) == condition


@given(comparisons, numbers)
def test_values_in_different_units_are_equal(comparison: str, number: Fraction) -> None:
    def value(text: str) -> Fraction:
        return parse_condition(text).value

    digits = text_of_number(number)
    assert value(f"p99{comparison}{digits}s") == value(f"p99{comparison}{digits}ms") * 1000
    assert value(f"join_seconds{comparison}{digits}s") == value(f"join_seconds{comparison}{digits}ms") * 1000
    assert value(f"sent{comparison}{digits}k") == value(f"sent{comparison}{digits}") * 1000
    assert value(f"memory_server{comparison}{digits}KiB") == value(f"memory_server{comparison}{digits}") * 1024
    assert value(f"cpu_server{comparison}{digits}%") == value(f"cpu_server{comparison}{digits}")


@given(st.text(max_size=30) | st.from_regex(r"[a-z_0-9]{1,8}(>=|==|<|=)[0-9.]{0,4}[a-zA-Z%]{0,3}", fullmatch=True))
def test_parse_condition_parses_or_explains_any_text(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert parse_condition(condition.text) == condition


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("p9>150ms", "there is no metric 'p9'; did you mean 'p99'"),
        ("latency>1ms", "there is no metric 'latency'"),
        ("cpu_sever>80%", "did you mean 'cpu_server'"),
        ("p99>150", "'150' is no value of p99, which is a time: write 150ms"),
        ("p99>150%", "'150%' is no value of p99"),
        ("lost>0ms", "'0ms' is no value of lost, which is a count"),
        ("cpu_server>1s", "a share of a core: write 80%"),
        ("bytes_per_action>5ms", "a size"),
        ("p99", "is not a condition"),
        ("p99=150ms", "is not a condition"),
        ("p99>-1ms", "is not a condition"),
        ("p99>1e3ms", "'1e' is no value|is not a condition"),
        ("p99>150ms and lost>0", "is not a condition"),
        ("", "is not a condition"),
    ],
)
def test_parse_condition_explains_an_invalid_condition(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_condition(text)


def test_condition_that_holds_fails_a_run_without_faults() -> None:
    result = report.summary(outcome())
    assert report.passed(result)
    conditions = [parse_condition(text) for text in ("p99>150ms", "lost>0", "cpu_server >= 40%")]
    result["conditions"] = evaluate(conditions, result)
    assert [(judged["condition"], judged["failed"]) for judged in result["conditions"]] == [
        ("p99>150ms", False),
        ("lost>0", False),
        ("cpu_server>=40%", True),
    ]
    assert not report.passed(result)
    assert report.got_everything(result)
    shown = rendered_text(result)
    assert "everybody got everything; 1 of 3 conditions FAILED" in shown
    assert "FAILED: cpu_server>=40%: it was 40.0 %" in shown
    assert "passed: p99>150ms: it was 99" in shown


def test_condition_on_an_unmeasured_metric_fails() -> None:
    result = report.summary(outcome(cpu_percent_server=None))
    result["conditions"] = evaluate([parse_condition("cpu_server>80%")], result)
    assert not report.passed(result)
    assert "FAILED: cpu_server>80%: it was not measured" in rendered_text(result)
