"""The report as an HTML page."""

from __future__ import annotations

import dataclasses

from helpers.swarm_results import ROW, full_report, outcome
from helpers.web_page import assert_whole_page
from zonetools.swarm.report import build as report
from zonetools.swarm.report.html import html_page


def test_page_is_complete_and_loads_nothing() -> None:
    text = html_page(full_report())
    assert_whole_page(text)
    assert text.index("<h1") < text.index("Latency") < text.index("Cost") < text.index("the limit?")
    assert text.index("the limit?") < text.index("Errors") < text.index("All metrics")
    for text_part in (
        "1 of 2 conditions FAILED",
        "failed: p99&gt;1ms",
        "passed: lost&gt;0",
        "Yes, possibly: a process of the swarm used 90 % of a core",
        "SLOW_CONSUMER",
        "the text of SLOW_CONSUMER number 0",
        "Hostile bots",
        "Compared with old.json",
        "the runs differ: bots was 10 and is 11",
        "2 cores, Linux x86_64",
        "2023-11-14 22:13 UTC",
    ):
        assert text_part in text, text_part
    assert text.count("<svg") == 5


def test_page_of_an_empty_run_has_no_values() -> None:
    made = outcome(cpu_percent_server=None, superseded_server=None, hz=None, closed_server=None, interrupted=True)
    text = html_page(report.summary(dataclasses.replace(made, tally=type(made.tally)())))
    assert_whole_page(text)
    assert "not measured" in text
    assert "Interrupted: these are the values up to then." in text
    assert "its admin port did not answer" in text
    assert "<svg" not in text


def test_texts_from_the_server_are_escaped() -> None:
    result = full_report()
    result["errors"][0]["first"]["text"] = "<script>alert(1)</script>"
    result["errors"][0]["code"] = "<img src=x>"
    result["plan"]["game"] = "<b>game</b>"
    result["actions"]["refused"] = {"<i>": 3}
    text = html_page(result)
    assert_whole_page(text)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_page_of_a_long_run_stays_small() -> None:
    result = full_report()
    result["series"] = [dataclasses.replace(ROW, s=s).plain() for s in range(3_600)]
    text = html_page(result)
    assert_whole_page(text)
    assert len(text) < 400_000
