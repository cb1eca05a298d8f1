"""The dashboard: its pure parts, its output into a pipe, and its screen in a real pseudo-terminal."""

import asyncio
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers.dashboards import (
    PATIENCE,
    ROOT,
    Server,
    dashboard,
    in_terminal,
    lasting_port,
    later,
    picture,
    stats,
)
from helpers.terminals import ALTERNATE_OFF, ALTERNATE_ON, CURSOR_OFF, CURSOR_ON, Terminal
from rich.cells import cell_len
from zonetools.common.admin_client import AdminClient, ServerUnreachable, ZoneMap
from zonetools.dashboard.__main__ import main
from zonetools.dashboard.data.history import History, Sample, restarted
from zonetools.dashboard.data.monitor import DisplayOptions
from zonetools.dashboard.screen import charts as spark
from zonetools.dashboard.screen import glyphs as figures
from zonetools.dashboard.screen import lines
from zonetools.dashboard.screen.braille import Canvas, cells_for
from zonetools.dashboard.screen.view import Away, render, summary
from zonetools.dashboard.watch import watch

from zoneserver.admin.rates import rates_between
from zoneserver.admin.stats import SessionList, Stats

# --- History ------------------------------------------------------------------------------------------


def test_rates_are_per_second_of_the_servers_clock() -> None:
    rates = rates_between(stats(), later(2.0, actions_in_total=100, deliveries_out_total=30_000, bytes_in_total=500))
    assert rates is not None
    assert (rates.seconds, rates.actions_in_per_s, rates.deliveries_out_per_s) == (2.0, 50.0, 15_000.0)
    assert (rates.amplification, rates.bytes_in_per_s, rates.encodes_per_tick) == (300.0, 250.0, 1.0)


def test_nothing_happened_is_no_division_by_zero() -> None:
    assert rates_between(stats(), stats()) is None
    rates = rates_between(stats(), stats(uptime_s=11.0))
    assert rates is not None
    assert (rates.amplification, rates.encodes_per_tick) == (None, None)


def test_rates_span_an_interval_however_often_it_is_sampled() -> None:
    history = History(interval=1.0, seconds=60)
    samples = [history.add(later(step / 4, actions_in_total=10 * step), at=step / 4) for step in range(12)]
    assert samples[0].rates is None
    spans = [sample.rates.seconds for sample in samples if sample.rates is not None]
    assert spans == [0.25, 0.5, 0.75, *[1.0] * 8]


def test_history_forgets_what_is_older_than_its_length() -> None:
    history = History(interval=1.0, seconds=5)
    for step in range(20):
        history.add(later(step), at=float(step))
    assert [sample.at for sample in history.samples()] == [14.0, 15.0, 16.0, 17.0, 18.0, 19.0]


@pytest.mark.parametrize(
    "after",
    [later(1.0, pid=1), stats(uptime_s=0.5), later(1.0, actions_in_total=-1), later(1.0, ticks_total=-200)],
    ids=["another process", "younger", "fewer actions", "fewer ticks"],
)
def test_a_restart_gives_no_rates_and_then_goes_on(after: Stats) -> None:
    assert restarted(stats(), after)
    history = History(interval=1.0, seconds=60)
    history.add(stats(), at=0.0)
    assert history.add(after, at=1.0).rates is None
    assert history.restarts == 1
    grown = dataclasses.replace(
        after, uptime_s=after.uptime_s + 1, actions_in_total=after.actions_in_total + 7, ticks_total=after.ticks_total
    )
    rates = history.add(grown, at=2.0).rates
    assert rates is not None
    assert rates.actions_in_per_s == 7.0
    assert history.restarts == 1


def test_statistics_of_a_newer_server_are_read_and_others_are_refused() -> None:
    assert Stats.from_json({**stats().to_json(), "something_new": 1}) == stats()
    for document in ([], {}, {"schema": "other/1"}, {"schema": "zone-stats/1"}):
        with pytest.raises(ValueError):
            Stats.from_json(document)


def test_a_sample_as_json_is_the_statistics_and_the_rates() -> None:
    history = History(1.0, 60)
    history.add(stats(), 0.0)
    document = json.loads(lines.json_line(history.add(later(1.0, actions_in_total=10), 1.0)))
    rates = document.pop("rates")
    assert Stats.from_json(document) == later(1.0, actions_in_total=10)
    assert rates["actions_in_per_s"] == 10.0


# --- Small pictures -----------------------------------------------------------------------------------


def test_buckets_hold_the_highest_and_move_by_whole_columns() -> None:
    points = [(0.5, 1.0), (0.9, 7.0), (3.1, 2.0)]
    assert spark.buckets(points, now=3.2, window=4, columns=4) == [7.0, None, None, 2.0]
    assert spark.buckets(points, now=3.9, window=4, columns=4) == [7.0, None, None, 2.0]
    assert spark.buckets(points, now=4.0, window=4, columns=4) == [None, None, 2.0, None]
    assert spark.buckets([(0.5, 4.0), (2.5, 1.0)], now=2.9, window=4, columns=4) == [None, 4.0, 4.0, 1.0]
    assert spark.buckets([], now=1.0, window=60, columns=3) == [None] * 3


def test_a_chart_shows_nothing_happened_and_nobody_looked_differently() -> None:
    assert spark.chart([0.0, None, 1.0], 1, top=1.0, ramp=figures.UNICODE.ramp) == ["▁ █"]
    assert all(row.isascii() for row in spark.chart([0.0, 0.5, 1.0, 9.0], 3, top=1.0, ramp=figures.ASCII.ramp))


def test_a_canvas_puts_corners_into_corners() -> None:
    canvas = Canvas(3, 2)
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        canvas.add(x, y)
    rows = canvas.rows()
    assert ["".join(mark for mark, _ in row) for row in rows] == ["⠁ ⠈", "⡀ ⢀"]
    assert [weight for _, weight in rows[0]] == [1.0, 0.0, 1.0]


def test_without_braille_a_cell_tells_how_many() -> None:
    canvas = Canvas(5, 1)
    for column, many in enumerate((0, 1, 2, 4, 8)):
        for _ in range(many):
            canvas.add((column + 0.5) / 5, 0.5)
    assert "".join(mark for mark, _ in canvas.rows(dots=False)[0]) == " .:+#"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (10_000, 10_000), (400, 100), (1, 1000), (1000, 1)])
def test_the_zone_keeps_its_shape_and_stays_within(width: int, height: int) -> None:
    columns, rows = cells_for(width, height, 50, 20)
    assert 1 <= columns <= 50
    assert 1 <= rows <= 20
    if 0.2 < width / height < 5:
        assert 2 * columns / (4 * rows) == pytest.approx(width / height, rel=0.1)


@pytest.mark.parametrize("value", [0, 0.04, 1, 9.96, 99.97, 999.6, 9_999.7, 10_000, 99_960, 999_999, 123_456_789, 1e15])
def test_figures_never_outgrow_their_columns(value: float) -> None:
    assert len(figures.count(value)) <= 5
    assert len(figures.size(value)) <= 8


# --- The view -----------------------------------------------------------------------------------------


SIZES = [(60, 15), (80, 24), (81, 25), (60, 50), (200, 60), (300, 16)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"glyphs": figures.ASCII},
        {"samples": ()},
        {"samples": (), "zone": None, "away": Away("connection refused", "12:00:00", 5.0)},
        {"away": Away("no answer within 2 s", "12:00:00", 5.0)},
        {"help": True},
        {"paused": True, "window": 600.0},
        {"panel": "sessions"},
        {"panel": "closes", "since": "12:34:56"},
        {"panel": "sessions", "listed": None},
        {"listed": SessionList("zone-sessions/1", 1, 0, "age", [], [])},
        {"panel": "sessions", "glyphs": figures.ASCII},
        {"zone": None},
        {"zone": ZoneMap(100, 1, 0, [])},
        {"zone": ZoneMap(1, 100, 1, [1, 100])},
        {"samples": (Sample(59.0, stats(players=10_000, tick=10**9, actions_in_total=10**15), None),)},
    ],
    ids=[
        *("live", "ascii", "empty", "never", "away", "help", "paused"),
        *("sessions", "closes", "unlisted", "nobody", "ascii sessions", "no map", "wide", "tall", "first"),
    ],
)
def test_a_view_is_as_large_as_the_terminal(changes: dict[str, Any], size: tuple[int, int]) -> None:
    width, height = size
    for footer in (True, False):
        rows = render(picture(**changes), width, height, footer).plain.split("\n")
        assert len(rows) == height
        assert max(cell_len(row) for row in rows) <= width
    if changes.get("glyphs") is figures.ASCII:
        assert "\n".join(rows).isascii()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_size_shows_what_matters(size: tuple[int, int]) -> None:
    text = render(picture(), *size).plain
    for words in (
        "plaza",
        "127.0.0.1:7778",
        "tick p99",
        "10% fine",
        "300 of 10.0k",
        "x300",
        "live",
    ):
        assert words in text


@pytest.mark.parametrize("milliseconds", [0.0, 0.3])
def test_deflating_is_a_phase_where_somebody_asks_for_it(milliseconds: float) -> None:
    sample = Sample(59.0, stats(phases_ms={**stats().phases_ms, "deflate": milliseconds}), None)
    rows = render(picture(samples=(sample,)), 120, 36).plain.split("\n")
    assert any(re.search(r"deflate .* 0\.30 ms", row) for row in rows) is bool(milliseconds)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_size_names_every_key(size: tuple[int, int]) -> None:
    footer = render(picture(), *size).plain.split("\n")[-1]
    for key, meaning in (("q", "quit"), ("?", "help"), ("space", "pause"), ("r", "reset")):
        assert f"{key} {meaning}" in footer
    assert re.search("< ?> sort", footer)
    assert re.search(r"\+ ?- window", footer)
    assert ("tab view" in footer) is (size != (200, 60)), "where everything is shown there is nothing to turn to"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_size_says_what_is_not_as_always(size: tuple[int, int]) -> None:
    assert "since reset 12:34:56  live" in render(picture(since="12:34:56"), *size).plain
    slow = Sample(59.0, stats(dilation=0.42), None)
    assert "live, dilated to 42%" in render(picture(samples=(slow,)), *size).plain


@pytest.mark.parametrize(("size", "shown"), [((60, 15), False), ((80, 24), True), ((60, 50), True), ((200, 60), True)])
def test_the_map_is_there_when_there_is_room(size: tuple[int, int], shown: bool) -> None:
    text = render(picture(), *size).plain
    assert ("the zone" in text) is shown
    assert bool(re.search("[\u2801-\u28ff]", text)) is shown


def test_a_large_screen_has_charts_and_a_small_one_a_sparkline() -> None:
    assert "deliveries out per s" in render(picture(), 200, 60).plain
    assert "deliveries out per s" not in render(picture(), 80, 24).plain
    assert "ms peak" in render(picture(), 80, 24).plain


@pytest.mark.parametrize("size", [(59, 24), (80, 14), (10, 3), (1, 1)])
def test_a_small_terminal_is_told_so(size: tuple[int, int]) -> None:
    rows = render(picture(), *size).plain.split("\n")
    assert rows[0] == "too small"[: size[0]]
    assert len(rows) <= size[1]
    assert all(len(row) <= size[0] for row in rows)


def test_away_is_grey_and_says_since_when() -> None:
    view = render(picture(away=Away("connection refused", "12:34:56", 65.0)), 80, 24)
    assert "away since 12:34:56 (1m 05s): connection refused, retrying" in view.plain
    body = view.plain.index("players and tick")
    assert {str(span.style) for span in view.spans if span.start <= body < span.end} == {"dim"}


def test_the_help_fits_the_least_width() -> None:
    narrow, wide = (render(picture(help=True), width, 30).plain.split("\n")[1:-1] for width in (60, 200))
    assert [line.rstrip() for line in narrow] == [line.rstrip() for line in wide]


def test_figures_change_without_moving_anything() -> None:
    first, last = (Sample(59.0, later(1.0, frame_bytes=size), None) for size in (7, 123_456))
    before, after = (render(picture(samples=(sample,)), 80, 24).plain.split("\n") for sample in (first, last))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert changed[0][0].index("frame") == changed[0][1].index("frame")


def test_a_summary_has_all_figures_and_no_map() -> None:
    text = summary(picture(), 80).plain
    assert "OUT_OF_RANGE" in text
    assert "CLIENT_LEFT" in text
    assert "the zone" not in text


def test_the_columns_of_lines_stand_below_each_other() -> None:
    header = lines.header()
    for sample in (*picture().samples, Sample(0.0, stats(players=65_000, frame_bytes=10**8), None)):
        assert len(lines.line(sample)) == len(header)


# --- A server that is not one -------------------------------------------------------------------------


def free_port() -> int:
    """A port on which nobody listens, at least a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def impostor() -> Iterator[int]:
    """A web server that knows neither statistics nor JSON."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            bodies = {"/map": b"<html>", "/steering": rb'["\u001b[2J", {"a\u0007": "b\u009b"}]'}
            body = bodies.get(self.path, b"[]")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


async def test_an_impostor_is_as_good_as_away(impostor: int) -> None:
    source = AdminClient("127.0.0.1", impostor)
    with pytest.raises(ServerUnreachable, match="zone-stats/1"):
        await source.stats()
    with pytest.raises(ServerUnreachable, match="not JSON"):
        await source.map()
    source.close()


async def test_nothing_that_comes_from_the_network_steers_the_terminal(impostor: int) -> None:
    source = AdminClient("127.0.0.1", impostor)
    assert await source._ask("/steering") == ["[2J", {"a": "b"}]
    assert str(ServerUnreachable("away\x1b[2J\r\n")) == "away[2J"
    source.close()


def test_once_without_a_server_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--once", "--stats-port", str(free_port())]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "connection refused" in captured.err
    assert "zoneserver run" in captured.err


@pytest.mark.parametrize(
    "arguments", [["--interval", "1y"], ["--interval", "0s"], ["--count", "0"], ["--stats-port", "x"]]
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


async def test_watch_ends_when_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert await watch("127.0.0.1", free_port(), seconds=0.05) is None
    assert "connection refused" in capsys.readouterr().err


# --- A real server ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


def run(server: Server, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        dashboard(server, *arguments),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_once_prints_a_summary(server: Server) -> None:
    result = run(server, "--once")
    assert (result.returncode, result.stderr) == (0, "")
    assert "players and tick" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("environment", "has_color"),
    [({}, False), ({"FORCE_COLOR": "1", "TERM": "xterm"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["a pipe", "FORCE_COLOR", "NO_COLOR too"],
)
def test_a_summary_in_a_pipe_has_the_colours_that_are_asked_for(
    server: Server, environment: dict[str, str], has_color: bool
) -> None:
    result = run(server, "--once", **environment)
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-7]", result.stdout)) is has_color


def test_json_prints_one_object_a_line(server: Server) -> None:
    result = run(server, "--json", "--count", "2", FORCE_COLOR="1")
    assert (result.returncode, result.stderr) == (0, "")
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(documents) == 2
    for document in documents:
        assert Stats.from_json(document).pid == server.process.pid
        assert document["rates"]["seconds"] > 0


def test_a_pipe_gets_lines_below_a_header(server: Server) -> None:
    result = run(server, "--count", "2", FORCE_COLOR="1")
    assert (result.returncode, result.stderr) == (0, "")
    rows = result.stdout.splitlines()
    assert len(rows) == 3
    assert rows[0] == lines.header()
    assert "\x1b" not in result.stdout


async def test_the_header_comes_again_every_20_lines(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    await watch("127.0.0.1", server.stats_port, interval=0.01, count=21)
    rows = capsys.readouterr().out.splitlines()
    assert [index for index, row in enumerate(rows) if row == lines.header()] == [0, 21]
    assert len(rows) == 23


def test_a_reader_that_has_seen_enough_is_no_failure(server: Server) -> None:
    process = subprocess.Popen(dashboard(server), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_lines_in_good_order(server: Server, number: signal.Signals) -> None:
    process = subprocess.Popen(dashboard(server), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, b"")


async def test_watch_ends_when_it_is_told_to(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    until = asyncio.Event()
    watching = asyncio.create_task(
        watch("127.0.0.1", server.stats_port, interval=0.01, until=until, look=DisplayOptions(json=True))
    )
    printed = ""
    while "\n" not in printed:
        await asyncio.sleep(0)
        printed += capsys.readouterr().out
    until.set()
    last = await watching
    assert last is not None
    assert last.stats.pid == server.process.pid


async def test_a_connection_outlives_a_restart(tmp_path: Path) -> None:
    first = Server(tmp_path, lasting_port())
    source = AdminClient("127.0.0.1", first.stats_port)
    before = await source.stats()
    first.stop()
    with pytest.raises(ServerUnreachable):
        await source.stats()
    second = Server(tmp_path, first.stats_port)
    after = await source.stats()
    assert restarted(before, after)
    assert (await source.map()).players == 0
    source.close()
    second.stop()


# --- A real terminal ----------------------------------------------------------------------------------


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    opened = in_terminal(dashboard(server))
    yield opened
    opened.close()


@pytest.mark.parametrize("how", ["q", "Ctrl-C", "SIGTERM"])
def test_the_terminal_is_given_back(terminal: Terminal, how: str) -> None:
    terminal.wait_for(ALTERNATE_ON)
    terminal.wait_for(b"the zone")
    assert terminal.attributes() != terminal.before
    if how == "SIGTERM":
        terminal.process.terminate()
    else:
        terminal.press(b"q" if how == "q" else b"\x03")
    terminal.wait_for(ALTERNATE_OFF)
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before
    assert b"the zone" in terminal.output, "the last screen stays"
    assert ALTERNATE_ON not in terminal.output
    assert CURSOR_OFF not in terminal.output or terminal.output.rindex(CURSOR_ON) > terminal.output.rindex(CURSOR_OFF)


def test_keys_and_a_new_size_act_at_once(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"?")
    terminal.wait_for(b"what was told")
    terminal.press(b"? ")
    terminal.wait_for(b"paused")
    terminal.press(b" ++")
    terminal.wait_for(b"5 min")
    terminal.press(b"\x1b[A-")
    terminal.wait_for(b"2 min")
    terminal.resize(40, 10)
    terminal.wait_for(b"too small")
    terminal.resize(200, 60)
    terminal.wait_for(b"deliveries out per s")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"\x1a")
    terminal.wait_for(ALTERNATE_OFF)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(terminal.process.pid, os.WNOHANG | os.WUNTRACED) == (0, 0):
        assert time.monotonic() < deadline
        terminal._read(0.01)
    assert terminal.attributes() == terminal.before
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_for(ALTERNATE_ON)
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert terminal.attributes() == terminal.before


def test_ctrl_backslash_gives_the_terminal_back_before_it_quits(terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    terminal.press(b"\x1c")
    terminal.wait_for(ALTERNATE_OFF)
    assert terminal.wait_for_end() == -signal.SIGQUIT
    assert terminal.attributes() == terminal.before


def test_the_players_port_is_not_taken_for_the_admin_port(tmp_path: Path) -> None:
    running = Server(tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "zonetools.dashboard", "--stats-port", str(running.port), "--once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    running.stop()
    address = f"127.0.0.1:{running.port}"
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith(f"zone-dash: no statistics at {address}: this is not the admin port of a zone")


def test_a_server_that_went_is_waited_for(tmp_path: Path) -> None:
    first = Server(tmp_path, lasting_port())
    terminal = in_terminal(dashboard(first))
    try:
        terminal.wait_for(b"live")
        first.stop()
        terminal.wait_for(b"away since")
        second = Server(tmp_path, first.stats_port)
        terminal.wait_for(b"live")
        terminal.press(b"q")
        assert terminal.wait_for_end() == 0
        second.stop()
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("arguments", "environment", "absent"),
    [
        (["--no-color"], {}, rb"\x1b\[[0-9;]*3[0-7]"),
        ([], {"NO_COLOR": "1"}, rb"\x1b\[[0-9;]*3[0-7]"),
        (["--ascii"], {}, rb"[\x80-\xff]"),
        ([], {"TERM": "dumb"}, rb"\x1b"),
    ],
    ids=["--no-color", "NO_COLOR", "--ascii", "TERM=dumb"],
)
def test_what_a_terminal_cannot_or_must_not_show(
    server: Server, arguments: list[str], environment: dict[str, str], absent: bytes
) -> None:
    terminal = in_terminal(dashboard(server, "--count", "3", *arguments), **environment)
    try:
        assert terminal.wait_for_end() == 0
        assert b"players" in terminal.output
        assert not re.search(absent, terminal.output)
    finally:
        terminal.close()
