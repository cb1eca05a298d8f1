"""The display during a run, with and without a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from helpers.swarm_results import ROW
from rich.console import Console
from zonetools.swarm.conductor import Progress
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.plan import Address, Plan
from zonetools.swarm.report.live import Display, progress_line, progress_panel

PLAN = Plan(bots=1_000, seconds=60.0)


def shown(progress: Progress, plan: Plan = PLAN, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(progress_panel(progress, plan))
    return [text.rstrip() for text in capture.get().splitlines()]


def test_ramp_shows_bar_failures_and_remaining_time() -> None:
    progress = Progress(joined=240, failed=10, ramping_for=2.0)
    bar, so_far = shown(progress)
    assert bar.startswith("joining ")
    assert "━" in bar
    assert bar.endswith("240 of 1,000 joined, 10 failed, 6 s left")
    assert so_far.startswith("so far     0 sent")


@pytest.mark.parametrize("progress", [Progress(), Progress(joined=1, ramping_for=0.1), Progress(joined=1_000)])
def test_remaining_time_is_hidden_without_a_basis(progress: Progress) -> None:
    assert "left" not in shown(progress)[0]


def test_measuring_shows_the_last_second_as_a_table() -> None:
    progress = Progress(joined=1_000, sent=5_000, refused=3, measuring_for=12.3, last=ROW)
    bar, head, units, values, so_far = shown(progress)
    assert bar.startswith("measuring")
    assert bar.endswith("12 of 60 s")
    assert head.split() == ["actions", "deliveries", "p50", "p99", "tick", "server", "swarm"]
    assert units.split() == ["players", "/s", "/s", "ms", "ms", "p99", "ms", "CPU", "%", "CPU", "%"]
    assert values.split() == ["10", "50", "490", "30.0", "55.0", "4.0", "9", "12"]
    assert "3 refused, 0 lost, 0 duplicated" in so_far


def test_unknown_value_is_a_dash() -> None:
    row = replace(ROW, latency_p50_ms=None, latency_p99_ms=None, cpu_percent_server=None, tick_p99_ms=None)
    assert shown(Progress(measuring_for=1.0, last=row))[3].split() == ["10", "50", "490", "-", "-", "-", "-", "12"]


def test_endless_run_names_ctrl_c() -> None:
    assert "until Ctrl-C" in shown(Progress(measuring_for=7.0), Plan(seconds=0))[0]


def test_large_numbers_fit_a_terminal_of_80_columns() -> None:
    row = replace(ROW, players=10_000, sent_per_s=50_000.0, deliveries_per_s=499_000_000.0, latency_p99_ms=2_345.6)
    plan = Plan(bots=10_000, seconds=3_600.0)
    texts = shown(Progress(joined=9_999, sent=4_000_000, measuring_for=80.0, last=row), plan)
    assert max(map(len, texts)) <= 80
    assert "499,000,000" in texts[3]
    joining = shown(Progress(joined=8_999, failed=1_000, ramping_for=100.0), Plan(bots=20_000))
    assert len(joining) == 2
    assert joining[0].endswith("8,999 of 20,000 joined, 1,000 failed, 100 s left")


def test_progress_line_contains_all_values() -> None:
    joining = Progress(joined=240, failed=10, ramping_for=2.0)
    assert progress_line(joining, PLAN) == "joining: 240 of 1,000 joined, 10 failed, 6 s left"
    progress = Progress(joined=1_000, sent=5_000, delivered=4_990, refused=3, measuring_for=12.3, last=ROW)
    assert progress_line(progress, PLAN) == (
        "   12 s  actions: 5,000 sent, 4,990 delivered, 3 refused, 0 lost, 0 duplicated; the last second: 10 players, "
        "50 actions, 490 deliveries, p50 30.0 ms, p99 55.0 ms, CPU of the server 9 %, of the swarm 12 %"
    )


def test_progress_counts_drops_and_returns_if_there_are_any() -> None:
    progress = Progress(joined=1_000, drops=3, resumed=2, measuring_for=12.3)
    assert progress_line(progress, PLAN).endswith("0 duplicated, 3 drops, 2 came back")
    assert shown(progress, width=100)[-1].endswith("0 duplicated, 3 drops, 2 came back")


def test_display_without_terminal_prints_a_line_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(PLAN, enabled=True) as display:
        for tenth in range(120):
            display.show(Progress(joined=tenth, ramping_for=tenth / 10))
        for tenth in range(120):
            display.show(Progress(joined=1_000, sent=tenth, measuring_for=tenth / 10))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [text.split(" of ")[0] for text in lines[:2]] == ["joining: 50", "joining: 100"]
    assert [text.split()[0] for text in lines[2:]] == ["0", "5", "10"]
    assert "\x1b" not in err


def test_disabled_display_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(PLAN, enabled=False) as display:
        display.show(Progress(measuring_for=10.0))
    assert capsys.readouterr() == ("", "")


def test_several_addresses_have_a_line_each() -> None:
    plan = Plan(bots=9, others=(Address("::1", 7779),))
    places = Places([Place(connected=1, drops=4, moved=3), Place(connected=8, failed=1)])
    text = shown(Progress(measuring_for=1.0, places=places), plan)
    assert [line.split() for line in text[1:4]] == [
        ["address", "players", "failed", "drops", "moved"],
        ["127.0.0.1:7777", "1", "0", "4", "3"],
        ["[::1]:7779", "8", "1", "0", "0"],
    ]
