"""The results as JSON documents and as tables."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.bench_results import text_of, workload_result
from zonetools.bench import report
from zonetools.bench.workload import WORKLOADS


def test_deflate_ratio_is_the_median_over_the_repetitions() -> None:
    measured = workload_result(10.0, 20.0, 30.0)
    assert measured.deflated is None
    assert "deflated" not in text_of(report.workload_table([report.workload_document(measured, None)]))
    repetitions = [
        dataclasses.replace(
            one,
            deflated=dataclasses.replace(
                one.server, cpu_us_per_send=us, bytes_per_delivered_action=3.0, deflate_ms_per_tick=0.05
            ),
        )
        for one, us in zip(measured.repetitions, (11.0, 10.0, 60.0), strict=True)
    ]
    measured = dataclasses.replace(measured, repetitions=repetitions)
    deflated = measured.deflated
    assert deflated is not None
    assert (deflated["cpu_us_per_send"], deflated["cpu_us_per_send_ratio"]) == (11.0, 1.1)
    assert deflated["bytes_per_delivered_action_ratio"] == 0.75
    text = text_of(report.workload_table([report.workload_document(measured, None)]))
    assert "3.00, 0.75 x" in text
    assert "11.00 us, 1.10 x" in text
    assert "50 us" in text


def test_values_over_web_socket_stand_beside_those_over_tcp() -> None:
    measured = workload_result(10.0)
    (one,) = measured.repetitions
    assert "WebSocket" not in text_of(report.workload_table([report.workload_document(measured, None)]))
    web = dataclasses.replace(one.server, cpu_us_per_send=10.2, join_seconds=0.75)
    measured = dataclasses.replace(measured, repetitions=[dataclasses.replace(one, web=web)])
    document = report.workload_document(measured, None)
    assert document["web"]["cpu_us_per_send_ratio"] == pytest.approx(1.02)
    text = text_of(report.workload_table([document]))
    assert "10.20 us, 1.02 x" in text
    assert "0.75 s" in text


def test_workload_document_has_values_and_targets() -> None:
    document = json.loads(json.dumps(report.workload_document(workload_result(8.7, 9.0, 9.6), None)))
    assert (document["schema"], document["measurement"]) == ("zone-bench/1", "W1")
    assert (document["ratio"], document["ratios"]) == (1.5, [1.45, 1.5, 1.6])
    assert (document["players"], document["hz"], document["rate"], document["loop"]) == (1_000, 20, 5, "asyncio")
    assert len(document["rounds"]) == 3
    ratio = document["targets"][0]
    assert ratio == {
        "figure": "ratio",
        "value": 1.5,
        "at_most": 1.5,
        "reached": True,
        "stretch": 1.3,
        "stretch_reached": False,
    }


@pytest.mark.parametrize(
    ("mix", "applies"),
    [("walker=5", True), ("walker=5,chatty=0", True), ("walker=5,chatty=1", False), ("chatty=1", False)],
)
def test_target_for_bytes_applies_to_walkers_only(mix: str, applies: bool) -> None:
    found = {target["figure"] for target in report.targets(workload_result(9.0, mix=mix))}
    assert ("bytes_per_delivered_action" in found) == applies
    assert "latency_p99_ms" in found


def test_target_names_an_existing_metric() -> None:
    for name, workload in WORKLOADS.items():
        found = report.targets(workload_result(9.0, workload=name, mix="walker=1"))
        assert [target["figure"] for target in found] == [target.metric for target in workload.targets]


@pytest.mark.parametrize(("value", "shown"), [(1.0, "1.00 s  <= 2"), (2.0, "2.00 s  <= 2"), (3.0, "3.00 s  above 2")])
def test_workload_table_marks_reached_targets(value: float, shown: str) -> None:
    text = text_of(report.workload_table([report.workload_document(workload_result(9.0, join_seconds=value), None)]))
    assert shown in text
    assert "1,000 players, 20 Hz, 5/s" in text


def test_workload_table_marks_void_results() -> None:
    good = text_of(report.workload_table([report.workload_document(workload_result(9.0), None)]))
    bad = workload_result(9.0, limited_by_swarm=True, everybody_got_everything=False)
    assert "yes" in good
    assert "NO" not in good
    document = report.workload_document(bad, None)
    assert "NO" in text_of(report.workload_table([document]))
    # The cost of another crowd than the planned one neither reaches nor misses a target.
    assert {target["reached"] for target in document["targets"]} == {None}
    assert "void" in text_of(report.workload_table([document]))
