"""The figures of a zone and its gateways as one."""

from __future__ import annotations

import json
from typing import Any

from helpers.server_stats import gateway_stats, stats
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.admin.gateway_stats import GatewayStats
from zoneserver.admin.gateways import GatewayTotals, added, gateway_figures, gateway_row
from zoneserver.admin.stats import METRICS, Stats
from zoneserver.gateway.counters import GatewayCounters


def take(totals: GatewayTotals, name: str, sent: dict[str, Any], uptime_s: float, players: int = 0) -> None:
    totals.take(name, sent, uptime_s, players)


def whole_of(totals: GatewayTotals, *gateways: GatewayStats, players: int = 0) -> Stats:
    return totals.add_to(stats(), gateways, players)


def figures(uptime_s: float = 5.0, pid: int = 1, **changes: Any) -> dict[str, Any]:
    return gateway_figures(stats(uptime_s=uptime_s, pid=pid, **changes))


def test_every_counter_of_a_gateway_adds_up_and_no_figure_of_the_process_does() -> None:
    assert all(METRICS[name].adds == "sum" for name in vars(GatewayCounters()))
    own = [name for name, metric in METRICS.items() if not metric.adds]
    assert {"cpu_percent", "tick_ms", "ticks_total", "encodes_total", "parked", "players_max"} <= set(own)


def test_figures_of_a_gateway_take_about_a_kilobyte() -> None:
    codes = dict.fromkeys(("CLIENT_LEFT", "CONNECTION_LOST", "SLOW_CONSUMER", "FLOOD", "TOO_MANY_ACTIONS"), 100_000)
    sent = figures(closes=codes, refusals=codes, restraints={"MUTED": 5}, bytes_out_total=10**12)
    assert len(json.dumps(sent)) < 2048


def test_figures_add_up_as_each_statistic_says() -> None:
    own = stats(players=1, frame_bytes=10, refusals={"A": 1}, bytes_out_total=5, cpu_percent=20.0, tick=7)
    first = figures(players=300, frame_bytes=900, refusals={"A": 2, "B": 3}, bytes_out_total=100, cpu_percent=70.0)
    second = figures(players=200, frame_bytes=800, refusals={"B": 4}, bytes_out_total=200)
    whole = added(own, [first, second], [first, second])
    assert (whole.players, whole.frame_bytes, whole.bytes_out_total) == (501, 900, 305)
    assert whole.refusals == {"A": 3, "B": 7}
    assert (whole.cpu_percent, whole.tick) == (20.0, 7), "these are the process's own"
    assert added(own, [], []) == own


def test_totals_keep_what_a_gateway_counted_that_is_not_here_and_not_its_players() -> None:
    totals = GatewayTotals()
    take(totals, "gw1", figures(players=300, joins_total=400, closes={"FLOOD": 2}), 60.0)
    take(totals, "gw2", figures(players=200, joins_total=250), 60.0)
    both = [gateway_stats("gw1"), gateway_stats("gw2")]
    whole = whole_of(totals, *both, players=500)
    assert (whole.players, whole.joins_total, whole.players_peak) == (500, 650, 500)
    assert whole.gateways == both
    whole = whole_of(totals, gateway_stats("gw1", is_lost=True), gateway_stats("gw2"), players=200)
    assert (whole.players, whole.joins_total, whole.players_peak) == (200, 650, 500)
    whole = totals.add_to(stats(), both, 500, silent=["gw1"])
    assert whole.players == 200
    # The players of gw1 come back at gw2, and the lease of gw1 has not ended: the zone counts them once.
    take(totals, "gw2", figures(6.0, players=480, joins_total=250), 70.0, players=480)
    whole = whole_of(totals, gateway_stats("gw2"), players=480)
    assert (whole.players, whole.joins_total, whole.players_peak) == (480, 650, 500)
    assert whole.closes == {"FLOOD": 2}


def test_totals_count_from_the_start_of_the_zone_and_go_on_over_that_of_a_gateway() -> None:
    totals = GatewayTotals()
    # The gateway is older than the zone, which has been started again.
    take(totals, "gw1", figures(1000.0, bytes_out_total=10**9, closes={"FLOOD": 9}), 1.0)
    assert whole_of(totals).bytes_out_total == 0
    take(totals, "gw1", figures(1001.0, bytes_out_total=10**9 + 7, closes={"FLOOD": 10}), 2.0)
    assert whole_of(totals).bytes_out_total == 7
    # Another process has its name.
    take(totals, "gw1", figures(0.5, pid=2, bytes_out_total=5), 3.0)
    # A container has been started again: host and number of the process are as before.
    take(totals, "gw1", figures(0.1, pid=2, bytes_out_total=6) | {"begun_unix_ms": 99}, 4.0)
    whole = whole_of(totals)
    assert (whole.bytes_out_total, whole.closes) == (18, {"FLOOD": 1})


def test_totals_ignore_batches_that_are_older_than_what_the_gateway_said_when_it_attached() -> None:
    totals = GatewayTotals()
    for uptime_s, joins in ((1000.0, 250), (998.0, 200), (999.0, 220), (1000.5, 251)):
        take(totals, "gw1", figures(uptime_s, joins_total=joins, closes={"FLOOD": joins}), 1.0)
    whole = whole_of(totals)
    assert (whole.joins_total, whole.closes) == (1, {"FLOOD": 1})


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(0, 9), st.booleans()), max_size=30))
def test_totals_never_fall(script: list[tuple[str, int, int, bool]]) -> None:
    totals, before = GatewayTotals(), 0
    counted: dict[tuple[str, int], tuple[float, int]] = {}
    for moment, (name, pid, more, is_lost) in enumerate(script):
        uptime_s, count = counted.get((name, pid), (0.0, 0))
        counted[name, pid] = uptime_s + 1, count + more
        take(totals, name, figures(uptime_s + 1, pid, joins_total=count + more), 100.0 + moment)
        after = whole_of(totals, gateway_stats(name, is_lost=is_lost)).joins_total
        assert before + more <= after
        before = after


def test_row_takes_what_the_gateway_sent_and_zero_for_what_it_did_not() -> None:
    known: dict[str, Any] = {"name": "gw1", "address": "a:1", "stats": "", "pid": 7, "host": "one", "attached_s": 1.0}
    known |= {
        "is_lost": False,
        "is_stopped": False,
        "tick": 5,
        "behind_ticks": 1,
        "waited_ms": 3.0,
        "batches_total": 9,
        "resent_total": 2,
    }
    known["age_s"] = 0.1
    row = gateway_row({"players": 12, "lead_ms": 4.5, "behind": "many", "pid": 8, "news": 1}, **known)
    assert (row.players, row.lead_ms, row.behind, row.pid, row.resent_total) == (12, 4.5, 0, 7, 2)
    assert gateway_row({}, **known).players == 0


def test_figures_of_another_version_do_no_harm() -> None:
    totals = GatewayTotals()
    for odd in ({}, {"players": "x", "closes": [1], "refusals": {"A": None}, "bytes_out_total": -1}, {"pid": True}):
        take(totals, "gw1", odd, 1.0)
    assert whole_of(totals, gateway_stats()).bytes_out_total == 0
