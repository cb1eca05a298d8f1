"""Figures by name, the conditions under which a run fails, and two runs compared."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from helpers.swarm_results import full_report, outcome, text_of
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.report.compare import compare, parse_report_file, read_report
from zonetools.swarm.report.conditions import judge, parse_condition
from zonetools.swarm.report.metrics import FIGURES, Figure, Unit

COMPARISONS = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    "==": lambda one, other: one == other,
}
WRITTEN = {Unit.COUNT: "", Unit.MILLISECONDS: "ms", Unit.SECONDS: "s", Unit.PERCENT: "%", Unit.BYTES: "B"}

figures = st.sampled_from(list(FIGURES.values()))
comparisons = st.sampled_from(list(COMPARISONS))
# As many digits after the point as a person writes.
numbers = st.integers(0, 10**9).map(lambda number: Fraction(number, 1000))
spaces = st.sampled_from(["", " ", "  "])


def text_of_number(number: Fraction) -> str:
    return f"{number.numerator * 1000 // number.denominator / 1000:.3f}"


@pytest.fixture
def full() -> dict[str, Any]:
    """A report in which everything was measured."""
    return full_report()


# --- Figures --------------------------------------------------------------------------------------


def test_every_figure_is_somewhere_in_a_report_that_measured_everything(full: dict[str, Any]) -> None:
    assert {name for name, figure in FIGURES.items() if figure.of(full) is None} == set()
    assert all(name == figure.name for name, figure in FIGURES.items())


def test_a_figure_that_is_not_there_was_not_measured() -> None:
    assert {figure.of({}) for figure in FIGURES.values()} == {None}
    assert FIGURES["p99"].of({"latency_ms": {"p99": None}}) is None
    assert FIGURES["p99"].of({"latency_ms": 5}) is None


@given(figures, st.floats(0, 1e12) | st.integers(0, 10**12))
def test_a_value_for_people_has_its_unit(figure: Figure, value: float) -> None:
    text = figure.text(value)
    assert len(text) <= 24
    assert text.endswith(figure.unit.value)
    assert not text.endswith(" ")


# --- Conditions -----------------------------------------------------------------------------------


@given(figures, comparisons, numbers, st.floats(0, 1e9), spaces, spaces, spaces)
def test_a_condition_holds_as_arithmetic_has_it(
    figure: Figure, comparison: str, number: Fraction, measured: float, before: str, between: str, after: str
) -> None:
    unit = WRITTEN[figure.unit]
    text = f"{before}{figure.name}{between}{comparison}{after}{text_of_number(number)}{between}{unit}{before}"
    condition = parse_condition(text)
    assert (condition.figure, condition.comparison, condition.value) == (figure, comparison, number)
    assert condition.holds(measured) == COMPARISONS[comparison](Fraction(measured), number)
    assert condition.holds(float(number)) == COMPARISONS[comparison](Fraction(float(number)), number)
    assert condition.holds(None), "what was not measured fails"


@given(figures, comparisons, numbers)
def test_a_condition_reads_back_as_it_is_shown(figure: Figure, comparison: str, number: Fraction) -> None:
    condition = parse_condition(f"{figure.name} {comparison} {text_of_number(number)} {WRITTEN[figure.unit]}")
    assert " " not in str(condition)
    assert parse_condition(str(condition)) == condition


@given(comparisons, numbers)
def test_units_of_one_kind_are_the_same_value(comparison: str, number: Fraction) -> None:
    def value(text: str) -> Fraction:
        return parse_condition(text).value

    digits = text_of_number(number)
    assert value(f"p99{comparison}{digits}s") == value(f"p99{comparison}{digits}ms") * 1000
    assert value(f"join_seconds{comparison}{digits}s") == value(f"join_seconds{comparison}{digits}ms") * 1000
    assert value(f"sent{comparison}{digits}k") == value(f"sent{comparison}{digits}") * 1000
    assert value(f"memory_server{comparison}{digits}KiB") == value(f"memory_server{comparison}{digits}") * 1024
    assert value(f"cpu_server{comparison}{digits}%") == value(f"cpu_server{comparison}{digits}")


@given(st.text(max_size=30) | st.from_regex(r"[a-z_0-9]{1,8}(>=|==|<|=)[0-9.]{0,4}[a-zA-Z%]{0,3}", fullmatch=True))
def test_whatever_is_written_is_a_condition_or_is_explained(text: str) -> None:
    try:
        condition = parse_condition(text)
    except ValueError as error:
        assert str(error).isprintable()
    else:
        assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("p9>150ms", "there is no figure 'p9'; did you mean 'p99'"),
        ("latency>1ms", "there is no figure 'latency'"),
        ("cpu_sever>80%", "did you mean 'cpu_server'"),
        ("p99>150", "'150' does not go with p99, which is a time: write 150ms"),
        ("p99>150%", "'150%' does not go with p99"),
        ("lost>0ms", "'0ms' does not go with lost, which is a count"),
        ("cpu_server>1s", "a share of a core: write 80%"),
        ("bytes_per_action>5ms", "a size"),
        ("p99", "is not a condition"),
        ("p99=150ms", "is not a condition"),
        ("p99>-1ms", "is not a condition"),
        ("p99>1e3ms", "'1e' does not go|is not a condition"),
        ("p99>150ms and lost>0", "is not a condition"),
        ("", "is not a condition"),
    ],
)
def test_what_is_no_condition_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_condition(text)


def test_a_condition_that_holds_fails_a_run_in_which_everybody_got_everything() -> None:
    result = report.summary(outcome())
    assert report.passed(result)
    conditions = [parse_condition(text) for text in ("p99>150ms", "lost>0", "cpu_server >= 40%")]
    result["conditions"] = judge(conditions, result)
    assert [(judged["condition"], judged["failed"]) for judged in result["conditions"]] == [
        ("p99>150ms", False),
        ("lost>0", False),
        ("cpu_server>=40%", True),
    ]
    assert not report.passed(result)
    assert report.got_everything(result)
    shown = text_of(result)
    assert "everybody got everything; 1 of 3 conditions FAILED" in shown
    assert "FAILED: cpu_server>=40%: it was 40.0 %" in shown
    assert "passed: p99>150ms: it was 99" in shown


def test_a_condition_on_what_was_not_measured_fails_and_says_so() -> None:
    result = report.summary(outcome(cpu_percent_server=None))
    result["conditions"] = judge([parse_condition("cpu_server>80%")], result)
    assert not report.passed(result)
    assert "FAILED: cpu_server>80%: it was not measured" in text_of(result)


# --- Two runs -------------------------------------------------------------------------------------


def written(tmp_path: Path, document: Any) -> str:
    file = tmp_path / "old.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_a_run_compared_with_itself_is_the_same(tmp_path: Path, full: dict[str, Any]) -> None:
    compared = compare(read_report(written(tmp_path, full)), full)
    assert compared["differences"] == []
    assert [row["name"] for row in compared["figures"]] == list(FIGURES)
    assert all(row["old"] == row["new"] for row in compared["figures"])
    assert {row["ratio"] for row in compared["figures"]} <= {1.0, None}
    assert {row["verdict"] for row in compared["figures"]} == {""}


def test_what_changed_is_told_with_its_ratio_and_whether_it_is_better(tmp_path: Path) -> None:
    old = report.summary(outcome())
    slower = copy.deepcopy(old)
    slower["latency_ms"]["p99"] *= 2
    slower["cpu_percent"]["server"] = 20.0
    slower["actions"]["lost"] = 3
    slower["bytes_per_delivered_action"] = None
    slower["compared"] = compared = compare(read_report(written(tmp_path, old)), slower)
    rows = {row["name"]: row for row in compared["figures"]}
    assert (rows["p99"]["ratio"], rows["p99"]["verdict"]) == (2.0, "worse")
    assert (rows["cpu_server"]["ratio"], rows["cpu_server"]["verdict"]) == (0.5, "better")
    assert (rows["lost"]["ratio"], rows["lost"]["verdict"]) == (None, "worse")
    assert (rows["bytes_per_action"]["ratio"], rows["bytes_per_action"]["verdict"]) == (None, "")
    assert rows["p50"]["verdict"] == ""
    shown = text_of(slower)
    assert f"against {compared['file']}, of {old['started']}" in shown
    assert any(
        line.split() == ["cpu_server", "40.0", "%", "20.0", "%", "x", "0.50", "better"] for line in shown.splitlines()
    )
    assert "diverged  0" not in shown, "what is nothing in both is left out"


def test_plans_that_differ_are_named_and_neither_run_is_better(tmp_path: Path) -> None:
    old, new = report.summary(outcome()), report.summary(outcome(plan=Plan(bots=10, rate=7.0), hz=30))
    new["latency_ms"]["p99"] *= 2
    new["compared"] = compared = compare(read_report(written(tmp_path, old)), new)
    assert compared["differences"] == [
        {"name": "rate", "old": 5.0, "new": 7.0},
        {"name": "hz", "old": 20, "new": 30},
    ]
    assert {row["verdict"] for row in compared["figures"]} == {""}
    assert "not the same run: rate was 5.0 and is 7.0" in text_of(new)


def test_another_machine_is_a_difference(tmp_path: Path) -> None:
    old = report.summary(outcome())
    new = report.summary(outcome(machine=outcome().machine | {"cpus": 64}))
    assert compare(read_report(written(tmp_path, old)), new)["differences"] == [{"name": "cpus", "old": 2, "new": 64}]


def test_a_report_of_an_older_schema_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    old = {"schema": "zone-swarm/1", "latency_ms": {"p99": 50.0}, "plan": {"rate": 5.0}}
    rows = {
        row["name"]: row for row in compare(read_report(written(tmp_path, old)), report.summary(outcome()))["figures"]
    }
    assert rows["p99"]["ratio"] == pytest.approx(1.98, abs=0.02)
    assert (rows["sent"]["old"], rows["sent"]["new"]) == (None, 110)


@pytest.mark.parametrize("document", [{}, [], {"schema": "zone-bench/1"}, "zone-swarm/2", None])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(ValueError, match="is no report of a swarm"):
        parse_report_file(written(tmp_path, document))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*: No such file"):
        parse_report_file(str(tmp_path / "missing.json"))
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="is no report"):
        parse_report_file(str(tmp_path / "binary"))
