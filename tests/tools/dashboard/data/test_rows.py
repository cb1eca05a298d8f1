"""The rows of gateways and of admin ports."""

from __future__ import annotations

from typing import Any

from helpers.dashboards import stats
from helpers.server_stats import gateway_stats
from zonetools.dashboard.data.history import History, Sample
from zonetools.dashboard.data.rows import rows_of_ports, rows_of_zone


def zone_samples(*moments: tuple[float, dict[str, Any]]) -> tuple[Sample, ...]:
    """Samples of a zone with one gateway, each with the gateway's figures."""
    history = History(1.0, 60)
    for at, figures in moments:
        history.add(stats(uptime_s=10.0 + at, gateways=[gateway_stats(**figures)]), at)
    return history.samples()


def test_ordinary_server_has_no_rows() -> None:
    assert rows_of_zone([]) == []
    assert rows_of_zone([Sample(0.0, stats(), None)]) == []


def test_rate_of_a_gateway_is_taken_between_the_moments_of_its_figures() -> None:
    # The figures come once a second, and the dashboard asks at other moments.
    samples = zone_samples(
        (0.0, {"bytes_out_total": 1_000, "age_s": 0.9}), (1.0, {"bytes_out_total": 5_000, "age_s": 0.1})
    )
    (row,) = rows_of_zone(samples)
    assert row.out_per_s is not None
    assert round(row.out_per_s) == round(4_000 / 1.8)


def test_rate_is_unknown_without_an_earlier_figure_of_the_same_process() -> None:
    now = {"age_s": 0.5}
    for earlier in ({"age_s": 0.5, "pid": 7}, {"age_s": 0.5, "name": "gw2"}, {"age_s": 0.25}):
        (row,) = rows_of_zone(zone_samples((0.0, earlier), (0.25, now)))
        assert row.out_per_s is None


def test_state_says_what_is_wrong_and_a_lost_gateway_has_no_load() -> None:
    states = {"fine": {"behind_ticks": 2}, "late": {"behind_ticks": 21}, "lost": {"is_lost": True, "behind_ticks": 50}}
    states["stopped"] = {"is_stopped": True}
    for state, figures in states.items():
        (row,) = rows_of_zone(zone_samples((0.0, figures)))
        assert row.state == state
        assert (row.cpu_percent is None) is (state in ("lost", "stopped"))
        assert row.players == 300


def test_rows_of_ports_take_from_the_zone_what_only_the_zone_knows() -> None:
    told = [gateway_stats("gw1", players=200), gateway_stats("gw2", is_lost=True), gateway_stats("gw3", players=50)]
    zone = Sample(0.0, stats(players=260, behind=1, gateways=told), None)
    first = Sample(0.0, stats(gateway="gw1", players=201, lead_ms=5.5), None)
    second = Sample(0.0, stats(gateway="gw2", zone_silent_s=9.0), None)
    ports = [("a:1", zone, False), ("b:2", first, False), ("c:3", second, False), ("d:4", None, True)]
    rows = rows_of_ports(ports)
    assert [(row.key, row.name, row.state) for row in rows] == [
        ("1", "plaza", "fine"),
        ("2", "gw1", "fine"),
        ("3", "gw2", "lost"),
        ("4", "d:4", "away"),
        ("", "gw3", "fine"),
    ]
    # The zone has ten players of its own.
    assert [row.players for row in rows] == [10, 201, 300, None, 50]
    assert (rows[1].lead_ms, rows[1].wait_ms, rows[1].address) == (5.5, 3.1, "b:2")


def test_port_that_does_not_answer_keeps_its_last_players() -> None:
    sample = Sample(0.0, stats(gateway="gw1", players=201, zone_silent_s=2.0), None)
    (row,) = rows_of_ports([("b:2", sample, True)])
    assert (row.name, row.state, row.players, row.cpu_percent) == ("gw1", "away", 201, None)
    assert [row.state for row in rows_of_ports([("b:2", sample, False)])] == ["silent"]
