"""The report as others read it: its documented shape, its page, its tables."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.swarm_results import ROW, full_report, histogram, outcome, text_of
from helpers.web_page import assert_whole_page
from zonetools.swarm.measure.series import Row
from zonetools.swarm.report import build as report
from zonetools.swarm.report.csv import SHEETS, sheets
from zonetools.swarm.report.html import page
from zonetools.swarm.report.metrics import FIGURES

DOCUMENT = (ROOT / "docs/swarm-report.md").read_text()


# --- The shape ------------------------------------------------------------------------------------

# What in the report is named by somebody else: a role, a code, a percentile.
OPEN = (
    r"plan\.mix|actions\.refused|latency_ms|latency_uncorrected_ms|latency_split_ms\.\w+|swarm\.\w+_ms"
    r"|closed|closed_server|hostile|hostile\.\*\.(got|refused)|control\.latency_ms"
)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Where something stands in a report."""
    match value:
        case dict() if value and not path.startswith("compared.differences[]."):
            for key, part in value.items():
                yield from paths(part, f"{path}.{'*' if re.fullmatch(OPEN, path) else key}".lstrip("."))
        case list() if value:
            for part in value:
                yield from paths(part, f"{path}[]")
        case _:
            yield path


def documented() -> dict[str, str]:
    """The types of the documented paths."""
    table = DOCUMENT[: DOCUMENT.index("## Where the latency")]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE))


def test_every_key_of_a_report_is_documented_and_the_other_way_round() -> None:
    # What is an object, or null, has a line of its own beside those of its keys.
    objects = {path for path, kind in documented().items() if kind.startswith("object")}
    assert set(paths(full_report())) == set(documented()) - objects
    assert all(any(path.startswith(f"{each}.") for path in documented()) for each in objects)


def test_every_value_has_its_documented_type() -> None:
    names = {"str": str, "bool": bool, "int": int, "float": int | float, "null": type(None), "object": dict}

    def values(value: Any, path: list[str]) -> Iterator[Any]:
        if not path:
            yield value
        elif path[0] == "[]":
            for part in value:
                yield from values(part, path[1:])
        elif value is not None:
            for part in value.values() if path[0] == "*" else [value[path[0]]]:
                yield from values(part, path[1:])

    least = report.summary(outcome(superseded_server=None, cpu_percent_server=None, hz=None, closed_server=None))
    for result in (full_report(), least):
        for path, kind in documented().items():
            allowed = [names[name] for name in kind.split(" or ") if name != "any"]
            for value in values(result, path.replace("[]", ".[]").split(".")):
                assert not allowed or any(isinstance(value, each) for each in allowed), (path, value)


def test_every_figure_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| `([^`]+)` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(name, f.unit.value or "count", f.path, f.says) for name, f in FIGURES.items()]


def test_the_schema_is_the_documented_one() -> None:
    assert f"schema `{report.SCHEMA}`" in DOCUMENT
    assert report.summary(outcome())["schema"] == report.SCHEMA


def test_a_report_is_plain_values() -> None:
    result = full_report()
    assert json.loads(json.dumps(result)) == result


# --- Where the latency comes from -----------------------------------------------------------------


def test_a_latency_is_split_at_the_server_and_at_the_tick() -> None:
    split = full_report()["latency_split_ms"]
    assert split["client_to_server"] == {"p50": pytest.approx(2, rel=0.01), "p99": pytest.approx(10, rel=0.01)}
    # From sending to the tick, less the way: (10 + 30 + 46) / 3 - 2 milliseconds.
    assert split["wait_for_tick"]["mean"] == pytest.approx(26.67, rel=0.01)
    assert split["wait_for_tick"]["p99"] == pytest.approx(44, rel=0.01)
    assert split["tick_to_client"] == {name: pytest.approx(value, rel=0.01) for name, value in PARTS.items()}
    assert split["floor"] == {"mean": 25.0, "max": 50.0}


PARTS = {"mean": 10, "p50": 8, "p99": 12}


def test_a_way_that_is_longer_than_the_wait_leaves_none() -> None:
    tally = dataclasses.replace(
        outcome().tally, to_tick=histogram(1_000), from_tick=histogram(1), round_trip=histogram(90_000)
    )
    assert report.summary(outcome(tally))["latency_split_ms"]["wait_for_tick"] == {"mean": 0, "p50": 0, "p99": 0}


@pytest.mark.parametrize("missing", ["to_tick", "round_trip", "hz"])
def test_without_a_grid_or_a_ping_there_is_no_split(missing: str) -> None:
    measured = {"to_tick": histogram(10_000), "from_tick": histogram(10_000), "round_trip": histogram(2_000)}
    measured.pop(missing, None)
    made = outcome(dataclasses.replace(outcome().tally, **measured), hz=None if missing == "hz" else 20)
    result = report.summary(made)
    assert result["latency_split_ms"] is None
    assert "wait for tick" not in text_of(result)
    assert "waiting for the tick" not in page(result).replace("waiting for the tick,", "")


def test_the_text_shows_the_parts_beside_the_floor() -> None:
    shown = text_of(full_report())
    assert re.search(r"to the server +p50 2\.0 +p99 10\.\d +\(half of a PING's round trip\)", shown)
    assert re.search(r"wait for tick +mean 26\.\d .*\(floor: mean 25, max 50\)", shown)
    assert re.search(r"tick to client +mean 10\.\d", shown)


# --- The page -------------------------------------------------------------------------------------


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = page(full_report())
    assert_whole_page(text)
    assert text.index("<h1") < text.index("How late") < text.index("What it cost") < text.index("the limit?")
    assert text.index("the limit?") < text.index("What went wrong") < text.index("All figures")
    for words in (
        "1 of 2 conditions FAILED",
        "failed: p99&gt;1ms",
        "passed: lost&gt;0",
        "Yes, it may have been: a process of the swarm used 90 % of a core",
        "SLOW_CONSUMER",
        "the text of SLOW_CONSUMER number 0",
        "Hostile bots",
        "Against old.json",
        "not the same run: bots was 10 and is 11",
        "2 cores, Linux x86_64",
        "2023-11-14 22:13 UTC",
    ):
        assert words in text, words
    assert text.count("<svg") == 5


def test_the_page_of_a_run_in_which_nothing_was_measured_claims_nothing() -> None:
    made = outcome(cpu_percent_server=None, superseded_server=None, hz=None, closed_server=None, interrupted=True)
    text = page(report.summary(dataclasses.replace(made, tally=type(made.tally)())))
    assert_whole_page(text)
    assert "not measured" in text
    assert "Interrupted: what had been measured by then." in text
    assert "its side is not known" in text
    assert "<svg" not in text


def test_what_a_server_says_does_not_become_part_of_the_page() -> None:
    result = full_report()
    result["errors"][0]["first"]["text"] = "<script>alert(1)</script>"
    result["errors"][0]["code"] = "<img src=x>"
    result["plan"]["game"] = "<b>game</b>"
    result["actions"]["refused"] = {"<i>": 3}
    text = page(result)
    assert_whole_page(text)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_the_page_of_a_long_run_stays_small() -> None:
    result = full_report()
    result["series"] = [dataclasses.replace(ROW, s=s).plain() for s in range(3_600)]
    text = page(result)
    assert_whole_page(text)
    assert len(text) < 400_000


# --- The tables -----------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_report() -> None:
    result = full_report()
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in sheets(result).items()}
    assert tuple(tables) == SHEETS
    assert list(tables["seconds"][0]) == [field.name for field in dataclasses.fields(Row)]
    assert [row["s"] for row in tables["seconds"]] == [str(s) for s in range(30)]
    assert tables["seconds"][0]["latency_p99_ms"] == "55.0"
    assert {row["figure"]: row["value"] for row in tables["figures"]}["sent"] == "110"
    (error,) = tables["errors"]
    assert (error["code"], error["count"], error["first_bot"]) == ("SLOW_CONSUMER", "3", "ann")


def test_what_was_not_measured_is_an_empty_cell() -> None:
    result = report.summary(outcome(cpu_percent_server=None, rows=[dataclasses.replace(ROW, cpu_percent_server=None)]))
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in sheets(result).items()}
    assert tables["seconds"][0]["cpu_percent_server"] == ""
    assert {row["figure"]: row["value"] for row in tables["figures"]}["cpu_server"] == ""
