"""The bench of gateways: a run with cheap players, what is computed, and tables."""

from __future__ import annotations

import dataclasses
import io

import pytest
from helpers.loops import one_loop
from rich.console import Console
from zonetools.bench.arrangement import SINGLE
from zonetools.bench.gateway_figures import Figures
from zonetools.bench.gateway_load import Crowd, Load, run_load

CROWD = Crowd(players=40, bots=10, hz=20, rate=5.0)


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zonetools.bench.gateway_load._SETTLE_SECONDS", 0.2)


@one_loop
async def test_load_of_two_gateways_counts_what_each_process_costs_and_sends() -> None:
    load = await run_load("unix", 2, CROWD, seconds=0.5)
    assert (load.link, load.gateways, load.everybody_got_everything) == ("unix", 2, True)
    # Each frame goes to each player, the cheap ones included.
    assert load.sends_per_s == pytest.approx(CROWD.players * CROWD.hz, rel=0.3)
    assert min(load.zone_cpu_percent, load.gateway_cpu_percent) > 0
    assert load.cpu_us_per_send < load.cpu_us_per_send_in_all


def load(link: str, us_per_send: float, p50: float) -> Load:
    values = dict.fromkeys((field.name for field in dataclasses.fields(Load)), 0)
    values |= {"link": link, "gateways": link != SINGLE, "cpu_us_per_send": us_per_send, "latency_p50_ms": p50}
    return Load(**values | {"everybody_got_everything": True})  # type: ignore[arg-type]


def test_figures_are_medians_of_the_ratios_and_differences_of_each_round() -> None:
    pairs = [(5.0, 10.0, 30.0, 32.0), (10.0, 10.0, 50.0, 53.0), (4.0, 6.0, 30.0, 31.0)]
    rounds = [{SINGLE: load(SINGLE, a, p), "unix": load("unix", b, q)} for a, b, p, q in pairs]
    figures = Figures(sockets=[(CROWD, load("unix", 8.0, 30.0))], sends=rounds, latency=rounds)
    document = figures.document()
    assert document["send_ratios"] == [2.0, 1.0, 1.5]
    assert document["added_ms"] == {"unix": {"p50": 2.0, "p99": 0.0}}
    console = Console(file=io.StringIO(), width=200)
    for table in figures.tables():
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    # 20,000 players at 20 Hz and 10 us per send need 4 s of CPU each second, at most 70 % of a core each.
    assert "40 20 5/s" in shown and "+2.0 ms" in shown and "20,000" in shown
    assert [line.split()[-2] for line in shown.splitlines() if "20,000" in line] == ["6"]
