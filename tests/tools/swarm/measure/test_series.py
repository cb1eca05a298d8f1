"""The seconds of all workers, as rows."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.server_stats import stats
from helpers.swarm_results import histogram
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.measure import series
from zonetools.swarm.measure.meter import Reading, Second
from zonetools.swarm.measure.series import Row, Series, merge_rows


def second(at: int, sent: int = 10, latency: int = 50_000, seconds: float = 1.0) -> Second:
    counted = Reading(moment=seconds, cpu_seconds=0.25, sent=sent, delivered=sent, frames=4)
    return Second(at, 5, counted, histogram(*[latency] * sent))


def test_second_of_two_processes_is_one_row() -> None:
    run = Series(origin=100, processes=2)
    run.add(second(100, sent=10, latency=40_000))
    assert run.last is None, "the other worker has not reported yet"
    run.add(second(100, sent=20, latency=60_000, seconds=1.25))
    (row,) = run.rows()
    assert run.last == row
    assert (row.s, row.seconds, row.players, row.sent_per_s) == (0, 1.25, 10, 24)
    assert row.latency_p50_ms == pytest.approx(60, rel=0.01)
    assert row.cpu_percent_swarm == pytest.approx(40.0)
    assert (row.measuring, row.cpu_percent_server) == (False, None)


def test_row_contains_the_server_between_two_statistics() -> None:
    run = Series(origin=100, processes=1)
    run.measuring_from = 101.5
    before = stats(pid=7, uptime_s=3.0, cpu_seconds_total=1.0, overruns_total=2)
    after = stats(pid=7, uptime_s=4.0, cpu_seconds_total=1.2, overruns_total=5, dilation=0.5)
    run.add_server(101, before, after)
    run.add(second(100))
    run.add(second(101))
    first, row = run.rows()
    assert (first.overruns, first.measuring) == (None, False)
    assert (row.overruns, row.dilation, row.measuring) == (3, 0.5, True)
    assert row.cpu_percent_server == pytest.approx(20)
    assert run.last == row


def test_restarted_server_adds_nothing_to_the_row() -> None:
    run = Series(origin=100, processes=1)
    run.add(second(100))
    run.add_server(100, stats(pid=7, uptime_s=3.0, cpu_seconds_total=9.0), stats(pid=8, uptime_s=4.0))
    assert run.rows()[0].cpu_percent_server is None


@given(st.permutations([(at, sent) for at in range(100, 104) for sent in (3, 5)]))
def test_rows_do_not_depend_on_the_order_of_reports(told: list[tuple[int, int]]) -> None:
    run = Series(origin=100, processes=2)
    for at, sent in told:
        run.add(second(at, sent=sent))
    assert [(row.s, row.sent_per_s, row.players) for row in run.rows()] == [(s, 8, 10) for s in range(4)]


def test_process_that_ends_early_does_not_hide_the_others() -> None:
    run = Series(origin=100, processes=2)
    for at in range(100, 120):
        run.add(second(at, sent=3))
    assert sum(row.sent_per_s * row.seconds for row in run.rows()) == 60
    assert run.last is None


def test_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "ROWS_MAX", 50)
    run = Series(origin=0, processes=1)
    for at in range(1_000):
        run.add(second(at, sent=at % 7, latency=90_000 if at == 123 else 10_000))
        assert len(run._rows) + len(run._open) <= 60
    rows = run.rows()
    assert 25 <= len(rows) <= 50
    assert sum(row.seconds for row in rows) == 1_000
    assert sum(row.sent_per_s * row.seconds for row in rows) == pytest.approx(sum(at % 7 for at in range(1_000)))
    assert max(row.latency_p99_ms or 0 for row in rows) == pytest.approx(90, rel=0.01), "a bad second stays visible"
    assert [row.s for row in rows] == sorted(row.s for row in rows)


ROWS = st.builds(
    Row,
    s=st.integers(0, 100),
    seconds=st.floats(0.1, 2),
    measuring=st.booleans(),
    players=st.integers(0, 9),
    **{
        name: st.floats(0, 1e6)
        for name in (field.name for field in dataclasses.fields(Row))
        if name.endswith("_per_s") or name == "cpu_percent_swarm"
    },
    latency_p50_ms=st.none() | st.floats(0, 100),
    latency_p99_ms=st.none() | st.floats(0, 100),
    latency_max_ms=st.none() | st.floats(0, 100),
    cpu_percent_server=st.none() | st.floats(0, 100),
    tick_p99_ms=st.none() | st.floats(0, 100),
    overruns=st.none() | st.integers(0, 9),
    dilation=st.none() | st.floats(0.1, 1),
)


@given(st.lists(ROWS, min_size=1, max_size=40), st.integers(1, 20))
def test_merged_rows_keep_sums_and_extremes(rows: list[Row], count: int) -> None:
    fewer = merge_rows(rows, count)
    assert 1 <= len(fewer) <= max(count, 1)
    assert fewer[0].s == rows[0].s
    assert fewer[-1].players == rows[-1].players
    assert any(row.measuring for row in fewer) == any(row.measuring for row in rows)
    assert sum(row.seconds for row in fewer) == pytest.approx(sum(row.seconds for row in rows))
    for name in ("sent_per_s", "bytes_per_s"):
        total = sum(getattr(row, name) * row.seconds for row in rows)
        assert sum(getattr(row, name) * row.seconds for row in fewer) == pytest.approx(total, abs=1e-6)
    for name, of_all in (("latency_p99_ms", max), ("dilation", min), ("overruns", sum)):
        values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        left = [getattr(row, name) for row in fewer if getattr(row, name) is not None]
        assert bool(values) == bool(left)
        assert not values or of_all(left) == of_all(values), name


def test_row_survives_json() -> None:
    run = Series(origin=100, processes=1)
    run.add(second(100, seconds=0.3333333))
    (row,) = run.rows()
    plain = row.plain()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["seconds"] == 0.333
    assert Row(**plain).plain() == plain
