"""One workload: repetitions, ratios and medians."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.bench_results import SERVER, TINY, workload_result
from helpers.loops import one_loop
from zonetools.bench.measure import measure, median_of, server_result
from zonetools.swarm.conductor import Outcome, SwarmError
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zonetools.bench.measure._SETTLE_SECONDS", 0.2)


@one_loop
async def test_measure_alternates_server_and_floor() -> None:
    logged: list[str] = []
    measured = await measure(
        TINY, mix={"walker": 1}, loop="asyncio", repetitions=2, seconds=0.3, log=logged.append, deflate=False
    )
    assert [text.rpartition(": ")[2] for text in logged] == ["the server under the swarm", "the floor"] * 2
    assert len(measured.repetitions) == 2
    for one in measured.repetitions:
        assert one.server.everybody_got_everything
        assert one.server.loop == "asyncio"
        assert one.server.sends == 20 * one.server.ticks
        assert one.floor.bytes_sent == one.floor.bytes_drained
        # The floor's buffers have the mean size of the server's.
        assert one.floor.bytes_sent % round(one.server.frame_bytes) == 0
        assert one.ratio == one.server.cpu_us_per_send / one.floor.cpu_us_per_send
    low, high = sorted(one.ratio for one in measured.repetitions)
    assert low <= measured.ratio <= high


@one_loop
async def test_measure_on_request_includes_the_server_over_web_socket_and_with_deflate() -> None:
    logged: list[str] = []
    measured = await measure(
        dataclasses.replace(TINY, players=60, rate=20), mix={"walker": 1}, loop="asyncio", repetitions=1, seconds=0.3,
        log=logged.append, deflate=True, web=True,
    )  # fmt: skip
    assert [text.rpartition(": ")[2] for text in logged] == [
        *("the server under the swarm", "the server over WebSocket", "the server with deflate", "the floor")
    ]
    (one,), deflated = measured.repetitions, measured.deflated
    assert deflated is not None
    assert one.deflated is not None
    assert one.server.deflate_ms_per_tick == 0 < one.deflated.deflate_ms_per_tick
    assert one.deflated.everybody_got_everything
    ratio = one.deflated.cpu_us_per_send / one.server.cpu_us_per_send
    assert deflated["cpu_us_per_send_ratio"] == ratio
    assert one.web is not None and measured.web is not None
    assert one.web.everybody_got_everything
    assert measured.web["cpu_us_per_send_ratio"] == one.web.cpu_us_per_send / one.server.cpu_us_per_send


def test_server_result_needs_statistics() -> None:
    outcome = Outcome(Plan(), Tally(), False, 0.0, None, None, None, 0, None)
    with pytest.raises(SwarmError):
        server_result(outcome)


def test_ratio_is_the_median_of_the_repetitions() -> None:
    assert workload_result(6.0, 60.0, 9.0).ratio == 1.5


@pytest.mark.parametrize("way", ["deflated", "web"])
def test_missing_data_in_another_way_makes_the_result_void(way: str) -> None:
    measured = workload_result(9.0)
    (one,) = measured.repetitions
    bad = dataclasses.replace(one, **{way: dataclasses.replace(SERVER, everybody_got_everything=False)})
    assert measured.everybody_got_everything
    assert not dataclasses.replace(measured, repetitions=[bad]).everybody_got_everything


def test_median_of_takes_only_numbers() -> None:
    medians = median_of([SERVER, dataclasses.replace(SERVER, sends=3_000)])
    assert medians["sends"] == 2_000
    assert not {"loop", "limited_by_swarm", "everybody_got_everything"} & set(medians)
