"""The whole screen as a function of the state and of the size of the terminal."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from helpers.dashboards import (
    screen_state,
    stats,
)
from helpers.server_stats import gateway_stats
from rich.cells import cell_len
from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.data.monitor import Outage
from zonetools.dashboard.data.rows import ProcessRow
from zonetools.dashboard.screen.glyphs import ASCII
from zonetools.dashboard.screen.view import lists_shown, next_panel, render, summary

from zoneserver.admin.stats import SessionList

REPLAY = {"position_s": 725.0, "length_s": 3600.0, "speed": 8.0, "paused": False}
GATEWAYS = [gateway_stats("gw1"), gateway_stats("gw2", is_lost=True, behind_ticks=41)]
WITH_GATEWAYS = Sample(59.0, stats(gateways=GATEWAYS, gateways_lost_total=1), None)
MANY = Sample(59.0, stats(gateways=[gateway_stats(f"gw{number}") for number in range(40)]), None)
PORTS = {
    "samples": (WITH_GATEWAYS,),
    "is_group": True,
    "ports": (
        ProcessRow("plaza", "127.0.0.1:7778", players=5, cpu_percent=9.0, key="1"),
        ProcessRow("127.0.0.1:7779", "127.0.0.1:7779", "away", key="2"),
    ),
}
REPLAYED = Sample(59.0, stats(replay=REPLAY, players=250, watchers=3), None)
SIZES = [(60, 15), (80, 24), (81, 25), (60, 50), (200, 60), (300, 16)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"glyphs": ASCII},
        {"samples": ()},
        {"samples": (), "zone": None, "outage": Outage("connection refused", "12:00:00", 5.0)},
        {"outage": Outage("no answer within 2 s", "12:00:00", 5.0)},
        {"help": True},
        {"paused": True, "window": 600.0},
        {"panel": "sessions"},
        {"panel": "closes", "reset_clock": "12:34:56"},
        {"panel": "sessions", "sessions": None},
        {"sessions": SessionList("zone-sessions/1", 1, 0, "age", 0, [], [])},
        {"panel": "sessions", "glyphs": ASCII},
        {"zone": None},
        {"zone": ZoneMap(100, 1, 0, [])},
        {"zone": ZoneMap(1, 100, 1, [1, 100])},
        {"zone": ZoneMap(9, 9, 1, [1, 1], [5, 5, 9, 9]), "glyphs": ASCII},
        {"samples": (REPLAYED,)},
        {"samples": (REPLAYED,), "help": True, "glyphs": ASCII},
        {"samples": (WITH_GATEWAYS,), "help": True},
        {"samples": (WITH_GATEWAYS,), "panel": "gateways", "glyphs": ASCII},
        {"samples": (MANY,), "panel": "gateways"},
        {**PORTS, "glyphs": ASCII},
        {"samples": (Sample(59.0, stats(players=10_000, tick=10**9, actions_in_total=10**15), None),)},
    ],
    ids=[
        *("live", "ascii", "empty", "never answered", "outage", "help", "paused"),
        *("sessions", "closes", "no list yet", "empty list", "ascii sessions"),
        *("no map", "wide", "tall", "things", "replay", "help of a replay"),
        *("help of gateways", "gateways", "many gateways", "ports", "first"),
    ],
)
def test_view_is_exactly_as_large_as_the_terminal(changes: dict[str, Any], size: tuple[int, int]) -> None:
    width, height = size
    for footer in (True, False):
        rows = render(screen_state(**changes), width, height, footer).plain.split("\n")
        assert len(rows) == height
        assert max(cell_len(row) for row in rows) <= width
    if changes.get("glyphs") is ASCII:
        assert "\n".join(rows).isascii()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_view_shows_the_essentials_at_every_size(size: tuple[int, int]) -> None:
    text = render(screen_state(), *size).plain
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


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_footer_names_every_key_at_every_size(size: tuple[int, int]) -> None:
    footer = render(screen_state(), *size).plain.split("\n")[-1]
    for key, meaning in (("q", "quit"), ("?", "help"), ("space", "pause"), ("r", "reset")):
        assert f"{key} {meaning}" in footer
    assert re.search("< ?> sort", footer)
    assert re.search(r"\+ ?- window", footer)
    assert ("tab view" in footer) is (size != (200, 60)), "a screen that shows everything needs no tab key"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_header_tells_reset_and_dilation_at_every_size(size: tuple[int, int]) -> None:
    assert "since reset 12:34:56  live" in render(screen_state(reset_clock="12:34:56"), *size).plain
    slow = Sample(59.0, stats(dilation=0.42), None)
    assert "live, dilated to 42%" in render(screen_state(samples=(slow,)), *size).plain
    waiting = Sample(59.0, stats(gateway="gw1", zone_silent_s=5.234), None)
    header = render(screen_state(samples=(waiting,)), *size).plain.split("\n")[0]
    assert "zone silent 5.2 s" in header
    assert "live" not in header


@pytest.mark.parametrize(("size", "shown"), [((60, 15), False), ((80, 24), True), ((60, 50), True), ((200, 60), True)])
def test_map_is_shown_when_it_fits(size: tuple[int, int], shown: bool) -> None:
    text = render(screen_state(), *size).plain
    assert ("the zone" in text) is shown
    assert bool(re.search("[\u2801-\u28ff]", text)) is shown


@pytest.mark.parametrize("size", [(59, 24), (80, 14), (10, 3), (1, 1)])
def test_view_says_that_the_terminal_is_too_small(size: tuple[int, int]) -> None:
    rows = render(screen_state(), *size).plain.split("\n")
    assert rows[0] == "too small"[: size[0]]
    assert len(rows) <= size[1]
    assert all(len(row) <= size[0] for row in rows)


def test_outage_is_grey_and_says_since_when() -> None:
    view = render(screen_state(outage=Outage("connection refused", "12:34:56", 65.0)), 80, 24)
    assert "no answer since 12:34:56 (1m 05s): connection refused, retrying" in view.plain
    body = view.plain.index("players and tick")
    assert {str(span.style) for span in view.spans if span.start <= body < span.end} == {"dim"}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_replay_has_a_bar_and_keys_at_every_size(size: tuple[int, int]) -> None:
    header, bar, *body, footer = render(screen_state(samples=(REPLAYED,)), *size).plain.split("\n")
    assert header.endswith("  replay ")
    assert re.match(r" REPLAY   12:05 of 1:00:00 x8    playing    ━+╸?┄+ *$", bar)
    assert len(re.findall("[━╸]", bar)) / len(re.findall("[━╸┄]", bar)) == pytest.approx(0.2, abs=0.05)
    text = "\n".join(body)
    assert "250 recorded" in text
    assert "budget 6.25 ms" in text
    for words in ("q quit", "? help", "p pause", "10 s", "speed", "window"):
        assert words in footer


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        ({"paused": True}, "x8    paused     "),
        ({"position_s": 3600.0}, "x8    at the end "),
        ({"speed": 0.1, "length_s": 0.0, "position_s": 0.0}, "0:00 of 0:00 x0.1  at the end "),
        ({"paused": True, "position_s": 3600.0, "speed": 100.0}, "x100  paused     "),
    ],
)
def test_bar_of_a_replay_says_whether_it_stands_still(figures: dict[str, float], state: str) -> None:
    sample = Sample(59.0, stats(replay=REPLAY | figures), None)
    assert state in render(screen_state(samples=(sample,)), 80, 24).plain.split("\n")[1]
    assert state in summary(screen_state(samples=(sample,)), 80).plain


def test_help_of_a_replay_begins_with_its_keys() -> None:
    lines = render(screen_state(samples=(REPLAYED,), help=True), 80, 24).plain.split("\n")
    assert lines[2].startswith("p            pauses the replay")
    assert lines[-2].startswith("reset ") or lines[-3].startswith("reset ")


def test_help_fits_the_smallest_width() -> None:
    narrow, wide = (render(screen_state(help=True), width, 30).plain.split("\n")[1:-1] for width in (60, 200))
    assert [line.rstrip() for line in narrow] == [line.rstrip() for line in wide]


def test_summary_has_all_panels_and_no_map() -> None:
    text = summary(screen_state(), 80).plain
    assert "OUT_OF_RANGE" in text
    assert "CLIENT_LEFT" in text
    assert "the zone" not in text


@pytest.mark.parametrize(
    ("size", "views"),
    [
        ((60, 15), [(), ("sessions",), ("closes",)]),
        ((80, 24), [(), ("sessions",), ("closes",)]),
        ((80, 40), [("sessions",), ("closes",)]),
        ((60, 40), [(), ("sessions",), ("closes",)]),
        ((120, 30), [(), ("sessions", "closes")]),
        ((120, 36), [("sessions", "closes")]),
        ((200, 60), [("sessions", "closes")]),
    ],
    ids=lambda value: f"{value[0]}x{value[1]}" if isinstance(value, tuple) else "",
)
def test_tab_cycles_through_the_lists_that_do_not_fit_together(
    size: tuple[int, int], views: list[tuple[str, ...]]
) -> None:
    panel, seen = "", []
    for _ in views:
        seen.append(lists_shown(panel, *size))
        text = render(screen_state(panel=panel), *size).plain
        assert ("sorted by queued" in text) is ("sessions" in seen[-1])
        assert ("recent closes" in text) is ("closes" in seen[-1])
        assert "tick p99" in text
        assert "the zone" in text or size[0] < 63, "the map stays if it fits beside the panels"
        panel = next_panel(panel, *size)
    assert seen == views
    assert lists_shown(panel, *size) == views[0]


def test_header_names_the_page_where_there_is_room_and_one() -> None:
    page = "http://127.0.0.1:7777/"
    with_page = [dataclasses.replace(sample, stats=stats(page=page)) for sample in screen_state().server.samples]
    state = screen_state(samples=with_page)
    assert page in render(state, 120, 36).plain
    assert page not in render(screen_state(), 120, 36).plain


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_gateways_have_a_panel_only_where_there_are_any(size: tuple[int, int]) -> None:
    assert "gateway" not in render(screen_state(), *size).plain
    view = render(screen_state(samples=(WITH_GATEWAYS,)), *size)
    lines = view.plain.split("\n")
    (head,) = [index for index, line in enumerate(lines) if line.startswith("gateways ")]
    assert "2, 1 lost" in lines[head]
    assert lines[head + 1].startswith("name ")
    # What is wrong is left out last.
    (row,) = [line for line in lines if re.match("gw2 +lost ", line)]
    place = view.plain.index(row)
    assert "bold red" in {str(span.style) for span in view.spans if span.start <= place < span.end}
    for label in ("tick p99", "actions in"):
        assert label in view.plain


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_tab_comes_to_a_list_of_the_gateways_with_all_columns(size: tuple[int, int]) -> None:
    panels, panel = [], ""
    for _ in range(4):
        panel = next_panel(panel, *size, has_gateways=True)
        panels.append(panel)
    assert "gateways" in panels
    assert "gateways" not in {next_panel(panel, *size) for panel in panels}
    text = render(screen_state(samples=(WITH_GATEWAYS,), panel="gateways"), *size).plain
    listed = text[text.rindex("gateways ") :]
    for column in ("players", "cpu %", "behind", "out/s", "lead ms", "wait ms", "lacks", "memory"):
        assert column in listed
    assert listed.index("gw2") < listed.index("gw1"), "what is wrong comes first"
    assert len(re.findall(r"^gateways ", text, re.MULTILINE)) == 1, "the panel above would have the same rows"
    assert "tab view" in text


def test_many_gateways_leave_room_for_the_figures_below_them() -> None:
    text = render(screen_state(samples=(MANY,)), 80, 24).plain
    assert "gw1 " in text
    assert "gw39" not in text
    for label in ("rules", "actions in", "behind"):
        assert label in text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_several_ports_have_a_row_and_a_key_each(size: tuple[int, int]) -> None:
    view = render(screen_state(**PORTS), *size)
    assert re.search(r"\n2 +127.0.0\S+ +away ", view.plain)
    assert "admin ports" in view.plain
    footer = view.plain.split("\n")[-1]
    for words in ("q quit", "? help", "0-9 one", "r reset"):
        assert words in footer
    assert "pid" not in view.plain.split("\n")[0]


def test_header_of_a_gateway_has_its_name() -> None:
    sample = Sample(59.0, stats(gateway="gw1", link="unix:/run/zone.sock"), None)
    assert " gw1 of plaza  " in render(screen_state(samples=(sample,)), 80, 24).plain.split("\n")[0]


def test_zone_without_players_of_its_own_says_where_the_sessions_are() -> None:
    nobody = SessionList("zone-sessions/1", 1, 0, "queued", 0, [], [])
    text = render(screen_state(samples=(WITH_GATEWAYS,), sessions=nobody, panel="sessions"), 120, 40).plain
    assert "at the gateways: zone-dash 127.0.0.1:7778 127.0.0.1:7779" in text


def test_summary_has_the_gateways() -> None:
    assert re.search(r"\ngw2 +lost ", summary(screen_state(samples=(WITH_GATEWAYS,)), 80).plain)
