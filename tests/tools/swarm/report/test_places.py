"""The report of a run with several addresses, and of a zone with gateways."""

from __future__ import annotations

import dataclasses

from helpers.server_stats import gateway_stats, stats
from helpers.swarm_results import full_report, outcome, rendered_text
from helpers.web_page import assert_whole_page
from zonetools.swarm.report import build as report
from zonetools.swarm.report.html import html_page
from zonetools.swarm.report.places import gateways


def test_report_has_the_counts_of_each_address() -> None:
    made = full_report()
    assert made["target"] == "127.0.0.1:7777, 127.0.0.1:7779"
    one, two = made["targets"]
    assert [each["address"] for each in (one, two)] == ["127.0.0.1:7777", "127.0.0.1:7779"]
    assert (one["connected"], one["moved"], one["latency_ms"]["p50"], one["failures"]) == (2, 2, None, 0)
    assert (two["connected"], two["moved"], two["latency_ms"]["p50"], two["failures"]) == (7, 0, 30.0, 1)
    assert one["away_ms"]["max"] == 150.0


def test_text_and_page_have_a_table_by_address_and_one_by_gateway() -> None:
    made = full_report()
    text, page = rendered_text(made), html_page(made)
    assert_whole_page(page)
    assert "4 drops, 3 came back (2 at another address)" in text
    for word in ("127.0.0.1:7779", "connected", "gw1 at 127.0.0.1:7777", "gw2 at 127.0.0.1:7777, lost", "frames out"):
        assert word in text, word
        assert word in page, word
    rows = [line.split() for line in text.splitlines()]
    assert ["zone", "40"] in rows, "the CPU of the zone alone"
    assert ["gw1", "at", "127.0.0.1:7777", "300", "50", "9,000", "0", "B", "3"] in rows


def test_report_of_one_address_and_no_gateways_has_no_such_tables() -> None:
    made = report.summary(outcome(stats=(stats(), stats(), stats())))
    assert (made["server"]["gateways"], len(made["targets"])) == ([], 0)
    shown = rendered_text(made) + html_page(made)
    assert "frames out" not in shown and "connected" not in shown


def test_cpu_of_a_gateway_is_between_its_own_two_figures() -> None:
    one = gateway_stats(cpu_seconds_total=5.0, age_s=0.25, bytes_out_total=1_000, frames_out_total=10)
    later = dataclasses.replace(one, cpu_seconds_total=8.0, age_s=0.75, bytes_out_total=5_000, frames_out_total=30)
    attached = gateway_stats("gw2", cpu_percent=33.3, frames_out_total=7)
    # A gateway that shares the name of an earlier one is another one.
    gone = gateway_stats("gw2", pid=7)
    began = stats(uptime_s=100.0, gateways=[one, gone])
    first, second, third = gateways(began, stats(uptime_s=106.5, gateways=[later, attached]))
    assert (first["cpu_percent"], first["frames_out"], first["bytes_out"]) == (50.0, 20, 4_000)
    # A gateway that attached while measuring has no figures from before.
    assert (second["cpu_percent"], second["frames_out"]) == (33.3, 7)
    assert (third["name"], third["is_lost"], third["players"], third["cpu_percent"]) == ("gw2", True, 0, None)
