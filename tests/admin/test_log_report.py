"""The line of statistics in the log, and the warnings about overruns."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from helpers import server_stats
from helpers.fake_loop import FakeLoop
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.admin.log_report import Reporter, stats_line
from zoneserver.admin.rates import rates_between
from zoneserver.admin.stats import Stats
from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.support.logs import _JsonFormatter, _TextFormatter
from zoneserver.zone.rules import Rules

INTERVAL_SECONDS = 10.0


def stats(**figures: Any) -> Stats:
    """Statistics of a zone at 20 Hz with the given values, and zero in all other fields."""
    usual = {"hz": 20, "tick_ms": {"p50": 5.0, "p99": 8.1, "max": 9.0}, "players_max": 10_000}
    return server_stats.stats(**usual | figures)


class StatsSource:
    """A source of statistics that a test changes."""

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.now = stats()
        self.loop = FakeLoop()
        config = Config(stats_interval_seconds=interval_seconds)
        self.reporter = Reporter(config, lambda: self.now, self.loop)
        self.reporter.start()

    def pass_interval(self, **figures: Any) -> None:
        self.now = dataclasses.replace(self.now, uptime_s=self.now.uptime_s + INTERVAL_SECONDS, **figures)
        self.loop.pass_time(INTERVAL_SECONDS)


Lines = Callable[[], list[logging.LogRecord]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The lines that were logged so far."""
    caplog.set_level(logging.INFO, "zoneserver.admin.log_report")
    return lambda: [record for record in caplog.records if record.name == "zoneserver.admin.log_report"]


CROWD: dict[str, Any] = {
    "players": 1_000,
    "connections": 1_002,
    "joins_total": 1_010,
    "actions_in_total": 50_000,
    "bytes_in_total": 900_000,
    "deliveries_out_total": 50_000_000,
    "bytes_out_total": 120_000_000,
    "cpu_percent": 18.3,
    "rss_bytes": 97_000_000,
}
CROWD_LINE = (
    "1,000 players, tick p99 8.10 of 50 ms, in 5,000 actions/s 87.9 KiB/s, out 5.00M/s 11.4 MiB/s, cpu 18 %, 92.5 MiB"
)


def test_stats_line_has_the_figures_and_the_events() -> None:
    before = stats()
    calm = stats(uptime_s=10.0, **CROWD)
    rates = rates_between(before, calm)
    assert rates is not None
    assert stats_line(before, calm, rates) == f"{CROWD_LINE}, 1,010 joined, 10 gone"
    wrong = dataclasses.replace(
        calm,
        behind=3,
        overruns_total=5,
        rule_failures_total=1,
        closes={"CLIENT_LEFT": 4, "FLOOD": 2, "SLOW_CONSUMER": 3},
        refusals={"TOO_FAST": 12},
    )
    assert stats_line(before, wrong, rates) == (
        f"{CROWD_LINE}, 1 rules failed, 5 overruns, 5 kicked (3 SLOW_CONSUMER, 2 FLOOD), 3 behind, 12 refused, "
        "1,010 joined, 10 gone"
    )


def test_stats_line_says_over_how_many_gateways_and_which_were_lost() -> None:
    before, gateway_stats = stats(), server_stats.gateway_stats
    after = stats(
        **CROWD, uptime_s=10.0, gateways=[gateway_stats(), gateway_stats("gw2", is_lost=True)], gateways_lost_total=1
    )
    rates = rates_between(before, after)
    assert rates is not None
    line = stats_line(before, after, rates)
    assert line.startswith("1,000 players over 1 gateway, tick p99 ")
    assert ", 1 gateways lost, " in line


def test_stats_line_of_a_crowd_is_not_cut_off() -> None:
    after = stats(uptime_s=10.0, **CROWD)
    rates = rates_between(stats(), after)
    assert rates is not None
    record = logging.LogRecord("zone", logging.INFO, "", 0, "%s", (stats_line(stats(), after, rates),), None)
    assert _TextFormatter().format(record).endswith(f"INFO    {CROWD_LINE}, 1,010 joined, 10 gone")


def test_reporter_logs_a_line_of_each_interval(lines: Lines) -> None:
    zone = StatsSource()
    zone.pass_interval(**CROWD)
    zone.pass_interval(actions_in_total=51_000, closes={"FLOOD": 1})
    assert len(lines()) == 2
    assert "in 100 actions/s" in lines()[1].getMessage()
    assert "1 kicked (1 FLOOD)" in lines()[1].getMessage()
    document = json.loads(_JsonFormatter().format(lines()[1]))
    assert (document["players"], document["actions_in_per_s"], document["closes"]) == (1_000, 100.0, {"FLOOD": 1})


def test_reporter_logs_no_line_while_statistics_are_requested(lines: Lines) -> None:
    zone = StatsSource()
    zone.reporter.is_watched = True
    zone.pass_interval(**CROWD)
    assert not lines()
    zone.pass_interval(actions_in_total=51_000)
    assert len(lines()) == 1, "the statistics were not requested again"
    assert "in 100 actions/s" in lines()[0].getMessage(), "the line is still about one interval"


def test_reporter_logs_no_line_of_an_empty_idle_zone(lines: Lines) -> None:
    zone = StatsSource()
    zone.pass_interval()
    assert not lines()
    zone.pass_interval(connections=1, players=1, connections_total=1, joins_total=1)
    zone.pass_interval()
    assert len(lines()) == 2
    zone.pass_interval(connections=0, players=0, closes={"CLIENT_LEFT": 1})
    assert lines()[2].getMessage().endswith(", 1 gone")
    zone.pass_interval()
    zone.pass_interval()
    assert len(lines()) == 3
    zone.pass_interval(overruns_total=1)
    assert len(lines()) == 4
    zone.pass_interval(rule_failures_total=7)
    assert ", 7 rules failed" in lines()[4].getMessage()
    document = json.loads(_JsonFormatter().format(lines()[4]))
    assert (document["rule_failures_total"], document["overruns_total"]) == (7, 0)


def test_reporter_without_an_interval_has_no_timer(lines: Lines) -> None:
    zone = StatsSource(interval_seconds=0.0)
    assert zone.loop.timers == 0
    zone.pass_interval(**CROWD)
    assert not lines()
    zone.reporter.stop()


def test_stopped_reporter_leaves_no_timer() -> None:
    zone = StatsSource()
    zone.pass_interval(**CROWD)
    zone.reporter.stop()
    assert zone.loop.timers == 0


async def test_server_without_requests_for_statistics_logs_lines(
    open_server: OpenServer, connect: Connect, lines: Lines
) -> None:
    server = await open_server(Plaza, hz=100, stats_interval_seconds=0.01)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    await until(lambda: any("1 player, " in line.getMessage() for line in lines()))


BOLT = "the action 'bolt' of ann"
PHASES = {"ingest": 4.0, "rules": 10.0, "encode": 2.0, "fan_out": 3.0}


@pytest.mark.parametrize(
    ("tick_ms", "phases", "phase", "words"),
    [
        (
            80.0,
            {"rules": 70.0},
            "rules",
            f"took 80.0 ms of 50.0: most of it rules (70.0 ms), of which {BOLT} took 42.0",
        ),
        (80.0, {"encode": 60.0}, "encode", "took 80.0 ms of 50.0: most of it encode (60.0 ms)"),
        (80.0, {"fan_out": 60.0, "ingest": 90.0}, "fan_out", "took 80.0 ms of 50.0: most of it fan-out (60.0 ms)"),
        (80.0, {}, "ingest", "took 80.0 ms of 50.0: most of it ingest (65.0 ms)"),
        (20.0, {"ingest": 60.0}, "ingest", "came late, 2 skipped: ingest took 60.0 ms of CPU before it"),
        (20.0, {}, None, "came late, 2 skipped: no phase took long: the machine is busy"),
    ],
)
def test_overrun_is_logged_with_the_phase_that_caused_it(
    tick_ms: float, phases: dict[str, float], phase: str | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    StatsSource().reporter.overran(512, tick_ms, 2, PHASES | phases, (BOLT, 42.04), 17)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"tick 512 {words}")
    assert record.getMessage().endswith("; 17 overruns so far")
    document = json.loads(_JsonFormatter().format(record))
    assert (document["tick"], document["phase"], document["overruns_total"]) == (512, phase, 17)
    named = (BOLT, 42.04) if phase == "rules" else (None, None)
    assert (document["rule"], document["rule_ms"]) == named


def test_overruns_are_logged_at_most_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    zone = StatsSource()
    for number in range(1, 9):
        zone.reporter.overran(number, 80.0, 0, PHASES, ("on_tick", 1.0), number)
        zone.loop.now += 0.25
    assert [record.args[-1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 5]


class Slow(Rules):
    """A game whose ticks take longer than their period."""

    def on_tick(self) -> None:
        time.sleep(0.03)


async def test_overrun_of_a_slow_game_blames_the_rules(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(Slow, hz=50)
    await until(lambda: server.stats().overruns_total > 3)
    assert "most of it rules (" in caplog.records[0].getMessage()
    assert ", of which on_tick took " in caplog.records[0].getMessage()
    assert len(caplog.records) <= 1 + server.stats().uptime_s
