"""The report: its values, its verdict, its documented shape."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.swarm_results import SERVER_CLOSES, flood_tally, full_report, histogram, outcome, rendered_text
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.report.html import html_page


def test_summary_contains_the_counts() -> None:
    result = report.summary(outcome())
    assert result["bots"] == {"requested": 10, "joined": 10, "failed": 0, "web": 0}
    assert result["actions"] == {
        "sent": 110,
        "delivered": 100,
        "answered": 0,
        "superseded": 5,
        "unanswered": 0,
        "resent": 0,
        "refused": {"COOLDOWN": 5},
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "unaccounted": 0,
    }
    assert result["latency_ms"]["p50"] == pytest.approx(50, rel=0.01)
    assert result["latency_ms"]["max"] == 100
    assert result["bytes_in_per_bot_per_s"] == 500
    assert result["bytes_per_delivered_action"] == 20
    assert result["cpu_percent"] == {"swarm": 25.0, "server": 40.0}
    assert result["closed"] == {"CLIENT_LEFT": 10}
    assert not result["limited_by_swarm"]
    assert report.passed(result)
    assert "everybody got everything" in rendered_text(result)
    assert "NOT" not in rendered_text(result)


def test_outcomes_that_drops_took_are_counted_and_no_faults() -> None:
    tally = dataclasses.replace(outcome().tally, delivered=98, unanswered=2, resent=7, drops=3, resumed=2)
    result = report.summary(outcome(tally))
    assert (result["actions"]["unanswered"], result["actions"]["resent"], result["actions"]["unaccounted"]) == (2, 7, 0)
    assert report.passed(result)
    shown = rendered_text(result)
    assert "2 unanswered, 7 resent" in shown
    assert "3 drops, 2 came back, 0 failed, 0 ticks missed" in shown


def test_summary_of_an_empty_run_has_no_values() -> None:
    result = report.summary(outcome(Tally(), superseded_server=None, cpu_percent_server=None, hz=None))
    assert result["bytes_per_delivered_action"] is result["bytes_in_per_bot_per_s"] is None
    assert set(result["latency_ms"].values()) == {None}
    assert result["cpu_percent"] == {"swarm": None, "server": None}
    assert rendered_text(result).count("not measured") == 4
    assert "0.0" not in rendered_text(result)
    assert not report.passed(result), "no bot joined"
    assert "no admin port" in rendered_text(result)


FAULTS: list[dict[str, int]] = [
    {"lost": 1},
    {"duplicated": 1},
    {"reordered": 1},
    {"delivered": 1},
    {"broken": 1},
    {"mismatched": 1},
    {"gaps": 1},
    {"diverged": 1},
    {"failed": 1},
    {"closed_early": 1},
    {"joined": 9},
    # One more than the count of the server.
    {"superseded": 6},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: next(iter(fault)))
def test_each_single_fault_fails_the_run(fault: dict[str, int]) -> None:
    result = report.summary(outcome(dataclasses.replace(outcome().tally, **fault)))
    assert not report.passed(result)
    assert "NOT everybody got everything" in rendered_text(result)


def test_report_of_a_mixed_crowd_says_how_many_came_each_way() -> None:
    tally = dataclasses.replace(outcome().tally, joined_web=4)
    result = report.summary(outcome(tally, plan=Plan(bots=10, web=0.4)))
    assert (result["bots"]["web"], result["plan"]["web"]) == (4, 0.4)
    assert "4 over WebSocket, 6 over TCP" in rendered_text(result)
    assert "WebSocket" not in rendered_text(report.summary(outcome()))


def test_frames_that_differ_between_processes_fail_the_run() -> None:
    result = report.summary(outcome(digests_mismatched=2))
    assert result["frames"]["mismatched"] == 2
    assert not report.passed(result)


def test_unaccounted_action_fails_the_run() -> None:
    result = report.summary(outcome(dataclasses.replace(outcome().tally, sent=111)))
    assert not report.passed(result)


def test_superseded_beyond_the_servers_count_is_lost() -> None:
    tally = dataclasses.replace(outcome().tally, superseded=8)
    actions = report.summary(outcome(tally, superseded_server=5))["actions"]
    assert (actions["superseded"], actions["lost"]) == (5, 3)
    # A higher count of the server includes other players, and motions before a snapshot.
    actions = report.summary(outcome(tally, superseded_server=50))["actions"]
    assert (actions["superseded"], actions["lost"]) == (8, 0)
    # Without the count of the server no motion is known to be lost.
    actions = report.summary(outcome(tally, superseded_server=None))["actions"]
    assert (actions["superseded"], actions["lost"]) == (8, 0)


def test_interrupted_ramp_passes_but_failed_bot_does_not() -> None:
    tally = dataclasses.replace(outcome().tally, joined=4)
    assert report.passed(report.summary(outcome(tally, interrupted=True)))
    assert "(interrupted)" in rendered_text(report.summary(outcome(tally, interrupted=True)))
    tally = dataclasses.replace(tally, failed=1)
    assert not report.passed(report.summary(outcome(tally, interrupted=True)))


def test_verdict_of_an_interrupted_ramp_names_the_joined_bots() -> None:
    text = rendered_text(report.summary(outcome(plan=Plan(bots=1000), interrupted=True)))
    assert "the 10 of 1,000 bots that had joined got everything  (interrupted)" in text
    assert "everybody got everything" not in text


def test_busy_or_late_swarm_is_reported_as_the_limit() -> None:
    assert report.summary(outcome(cpu_percent_busiest=99.0))["limited_by_swarm"]
    for late in ("loop_lag", "send_delay"):
        tally = dataclasses.replace(outcome().tally, **{late: histogram(50_000)})
        result = report.summary(outcome(tally))
        assert result["limited_by_swarm"]
        assert report.passed(result), "the latencies are in doubt, but the deliveries are complete"
        assert "limited by the swarm" in rendered_text(result)


def test_summary_does_not_change_the_outcome() -> None:
    made = outcome()
    before = pickle.dumps(made.tally)
    report.summary(made)
    assert pickle.dumps(made.tally) == before


DOCUMENT = (ROOT / "docs/swarm-report.md").read_text()


# The objects of a report whose keys are not fixed: roles, codes, percentiles.
OPEN = (
    r"plan\.mix|actions\.refused|latency_ms|latency_uncorrected_ms|latency_split_ms\.\w+|swarm\.\w+_ms|resume\.away_ms|targets\[\]\.\w+_ms"
    r"|closed|closed_server|hostile|hostile\.\*\.(got|refused)|control\.latency_ms"
)


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all values in a report."""
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
    """Return the types of the documented paths."""
    table = DOCUMENT[: DOCUMENT.index("## Where the latency")]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE))


def test_document_lists_exactly_the_keys_of_a_report() -> None:
    # An object that may be null has a row of its own, besides the rows of its keys.
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


def test_schema_is_the_documented_one() -> None:
    assert f"schema `{report.SCHEMA}`" in DOCUMENT
    assert report.summary(outcome())["schema"] == report.SCHEMA


def test_report_survives_json() -> None:
    result = full_report()
    assert json.loads(json.dumps(result)) == result


def test_latency_is_split_at_the_server_and_at_the_tick() -> None:
    split = full_report()["latency_split_ms"]
    assert split["client_to_server"] == {"p50": pytest.approx(2, rel=0.01), "p99": pytest.approx(10, rel=0.01)}
    # From sending to the tick, less half a round trip: (10 + 30 + 46) / 3 - 2 milliseconds.
    assert split["wait_for_tick"]["mean"] == pytest.approx(26.67, rel=0.01)
    assert split["wait_for_tick"]["p99"] == pytest.approx(44, rel=0.01)
    assert split["tick_to_client"] == {name: pytest.approx(value, rel=0.01) for name, value in PARTS.items()}
    assert split["floor"] == {"mean": 25.0, "max": 50.0}


PARTS = {"mean": 10, "p50": 8, "p99": 12}


def test_wait_for_tick_is_never_negative() -> None:
    tally = dataclasses.replace(
        outcome().tally, to_tick=histogram(1_000), from_tick=histogram(1), round_trip=histogram(90_000)
    )
    assert report.summary(outcome(tally))["latency_split_ms"]["wait_for_tick"] == {"mean": 0, "p50": 0, "p99": 0}


@pytest.mark.parametrize("missing", ["to_tick", "round_trip", "hz"])
def test_latency_is_not_split_without_grid_ping_or_tick_rate(missing: str) -> None:
    measured = {"to_tick": histogram(10_000), "from_tick": histogram(10_000), "round_trip": histogram(2_000)}
    measured.pop(missing, None)
    made = outcome(dataclasses.replace(outcome().tally, **measured), hz=None if missing == "hz" else 20)
    result = report.summary(made)
    assert result["latency_split_ms"] is None
    assert "wait for tick" not in rendered_text(result)
    assert "waiting for the tick" not in html_page(result).replace("waiting for the tick,", "")


def test_report_contains_hostile_roles_and_control_run() -> None:
    result = report.summary(outcome(hostile={"flood": flood_tally()}, closed_server=SERVER_CLOSES), control=outcome())
    assert result["hostile"]["flood"]["ok"]
    assert result["control"] == {
        "latency_ms": result["latency_ms"],
        "p99_ratio": 1.0,
        "limited_by_swarm": False,
        "passed": True,
    }
    assert json.loads(json.dumps(result)) == result
    assert report.passed(result)
    shown = rendered_text(result)
    assert "everybody got everything, hostile bots the expected codes" in shown
    assert "honest bots' p99: 99" in shown
    assert "2 FLOOD" in shown


def test_unexpected_code_of_a_hostile_bot_fails_the_run() -> None:
    wrong = flood_tally(got=Counter(FLOOD=2, BANNED=2, INTERNAL_ERROR=1))
    result = report.summary(outcome(hostile={"flood": wrong}, closed_server=SERVER_CLOSES))
    assert not report.passed(result)
    shown = rendered_text(result)
    assert "everybody got everything, hostile bots NOT the expected codes" in shown
    assert "NO: 1 x INTERNAL_ERROR" in shown


def test_control_run_with_faults_fails_the_run() -> None:
    result = report.summary(outcome(), control=outcome(digests_mismatched=1))
    assert not report.passed(result)
    assert "NOT everybody got everything in the run without them" in rendered_text(result)


def test_busy_control_run_is_reported_as_limited_by_the_swarm() -> None:
    result = report.summary(outcome(), control=outcome(cpu_percent_busiest=99.0))
    assert (result["limited_by_swarm"], result["control"]["limited_by_swarm"]) == (False, True)
    assert report.passed(result)
    assert "limited by the swarm" in rendered_text(result)


def test_run_interrupted_before_measuring_has_no_ratio() -> None:
    result = report.summary(outcome(Tally(), interrupted=True), control=outcome())
    assert result["control"]["p99_ratio"] is None
    assert "honest bots' p99: not measured with or without the hostile bots" in rendered_text(result)
