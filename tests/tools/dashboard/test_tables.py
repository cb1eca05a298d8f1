"""The lists of the dashboard, how one gets to them, and where counting begins anew."""

from __future__ import annotations

import dataclasses
import json
import re
import select
import socket
from collections.abc import Iterator

import pytest
from helpers.dashboards import Server, dashboard, in_terminal, later, listing, picture, session, stats
from helpers.terminals import Terminal
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from zonetools.common.admin_client import _printable
from zonetools.dashboard.controls import Controls
from zonetools.dashboard.data.history import History
from zonetools.dashboard.screen import glyphs as figures
from zonetools.dashboard.screen import tables
from zonetools.dashboard.screen.view import lists_shown, render, turned

from zoneserver.admin.rates import counted_since
from zoneserver.admin.stats import SESSION_SORTS, SessionList
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import PROTOCOL_VERSION, Goodbye, Hello

# --- Counting anew ------------------------------------------------------------------------------------

counts = st.dictionaries(st.sampled_from(["DEAD", "TOO_FAST", "MUTED"]), st.integers(0, 10**6))


@given(before=counts, more=counts, actions=st.integers(0, 10**12), new=st.integers(0, 10**9))
def test_what_is_counted_since_is_the_difference(
    before: dict[str, int], more: dict[str, int], actions: int, new: int
) -> None:
    after = {code: before.get(code, 0) + more.get(code, 0) for code in before | more}
    counted = counted_since(
        stats(refusals=before, actions_in_total=actions),
        stats(refusals=after, actions_in_total=actions + new, tick=77, uptime_s=99.0),
    )
    assert counted.refusals == {code: number for code, number in more.items() if number}
    assert counted.actions_in_total == new
    assert (counted.closes, counted.restraints, counted.ticks_total) == ({}, {}, 0)
    assert (counted.tick, counted.uptime_s, counted.players) == (77, 99.0, 300), "what is no count stays as it is"


def test_a_reset_forgets_the_past_and_counts_from_there() -> None:
    history = History(1.0, 60)
    history.reset(0.0, "12:00:00")
    assert history.reset_at is None, "there is nothing to forget yet"
    for step in range(5):
        history.add(dataclasses.replace(later(step, actions_in_total=10 * step), overruns_total=3), at=float(step))
    history.reset(4.5, "12:34:56")
    (newest,) = history.samples()
    assert (newest.at, newest.stats.actions_in_total, newest.stats.overruns_total) == (4.0, 0, 0)
    sample = history.add(dataclasses.replace(later(5, actions_in_total=57), players=200, overruns_total=4), at=5.0)
    assert sample.rates is not None, "the rates go on"
    assert sample.rates.actions_in_per_s == 17.0
    assert sample.stats.actions_in_total == 1057, "what is handed on is what the server said"
    shown = history.samples()[-1].stats
    assert (shown.actions_in_total, shown.overruns_total, shown.closes) == (17, 1, {})
    assert history.reset_at is not None
    assert history.reset_at.clock == "12:34:56"


def test_the_most_players_are_those_since_the_reset() -> None:
    history = History(1.0, 60)
    for step, players in enumerate((100, 900, 300, 400, 200)):
        history.add(dataclasses.replace(later(step), players=players, players_peak=900), at=float(step))
        if players == 300:
            history.reset(float(step), "12:00:00")
    assert history.samples()[-1].stats.players_peak == 400


def test_a_restart_ends_what_was_counted_since_a_reset() -> None:
    history = History(1.0, 60)
    history.add(stats(), at=0.0)
    history.reset(0.0, "12:00:00")
    history.add(stats(pid=7, uptime_s=1.0, actions_in_total=5), at=1.0)
    assert history.reset_at is None
    assert history.samples()[-1].stats.actions_in_total == 5


# --- The lists ----------------------------------------------------------------------------------------


@given(
    width=st.integers(48, 250),
    height=st.integers(3, 40),
    sort=st.sampled_from(SESSION_SORTS),
    name=st.text(st.characters(min_codepoint=32, exclude_categories=("C", "M", "Z")), max_size=24),
    ascii_only=st.booleans(),
)
def test_a_list_keeps_to_its_space(width: int, height: int, sort: str, name: str, ascii_only: bool) -> None:
    glyphs = figures.ASCII if ascii_only else figures.UNICODE
    listed = listing(sort)
    listed = dataclasses.replace(listed, sessions=[session(1, name=_printable(name, ascii_only)), *listed.sessions])
    for draw in (tables.sessions, tables.closes):
        lines = draw(listed, width, height, glyphs)
        assert len(lines) == min(height, 43 if draw is tables.sessions else 42)
        assert all(line.cell_len <= width + 1 for line in lines), "one space may stand at the end"
        if ascii_only:
            assert all(line.plain.isascii() for line in lines)


@pytest.mark.parametrize("sort", SESSION_SORTS)
@pytest.mark.parametrize("width", [60, 70, 80, 120])
def test_the_column_that_is_sorted_by_is_there_and_marked(sort: str, width: int) -> None:
    heading, names, *_rows = tables.sessions(listing(sort), width, 10, figures.UNICODE)
    assert heading.plain.endswith(f"of 300, first by {sort}")
    marked = re.findall(r"\S+(?: ms)?▾", names.plain)
    assert [word.removesuffix("▾").removesuffix(" ms") for word in marked] == [sort]


def test_rows_stand_below_the_names_of_their_columns() -> None:
    wide = session(1, name="가나다라마바사아자차카타파하", state="resting")
    listed = dataclasses.replace(listing(), sessions=[session(0), wide, session(2, standing="MUTED")])
    _, names, first, second, third = tables.sessions(listed, 80, 10, figures.UNICODE)
    column = cell_len(names.plain[: names.plain.index("state")])
    for line, state in ((first, "playing"), (second, "resting"), (third, "muted")):
        assert cell_len(line.plain[: line.plain.index(state)]) == column
    assert "…" in second.plain


def test_who_never_said_a_name_is_known_by_its_address() -> None:
    _, _, line, named = tables.closes(listing(), 80, 4, figures.UNICODE)
    assert line.plain.split()[:2] == ["0s", "127.0.0.1"]
    assert "HANDSHAKE_TIMEOUT" in line.plain
    assert "no complete HELLO" in line.plain
    assert "gone-0" in named.plain
    assert "1h 02m" in named.plain


def test_where_nobody_is_the_list_says_so() -> None:
    empty = SessionList("zone-sessions/1", 1, 0, "queued", [], [])
    for draw in (tables.sessions, tables.closes):
        assert draw(empty, 80, 10, figures.UNICODE)[-1].plain == "none"
        assert len(draw(None, 80, 10, figures.UNICODE)) == 1, "before the first answer nothing is said"


def test_only_plain_characters_of_what_comes_from_the_network_when_asked_for() -> None:
    assert _printable({"n\u00e4me": ["\u202e가\x1b[2J", 1, None]}, ascii=True) == {"n?me": ["?[2J", 1, None]}


# --- What there is room for ---------------------------------------------------------------------------


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
def test_tab_turns_through_what_does_not_fit_at_once(size: tuple[int, int], views: list[tuple[str, ...]]) -> None:
    panel, seen = "", []
    for _ in views:
        seen.append(lists_shown(panel, *size))
        text = render(picture(panel=panel), *size).plain
        assert ("first by queued" in text) is ("sessions" in seen[-1])
        assert ("recent closes" in text) is ("closes" in seen[-1])
        assert "tick p99" in text
        assert "the zone" in text or size[0] < 63, "the map stays where it fits beside the figures"
        panel = turned(panel, *size)
    assert seen == views
    assert lists_shown(panel, *size) == views[0]


class Keys:
    """Controls on a screen of some size, which count their resets."""

    def __init__(self, *size: int) -> None:
        self.resets = 0
        self.controls = Controls(lambda: (size[0], size[1]), self._reset)

    def _reset(self) -> None:
        self.resets += 1

    def press(self, keys: str) -> Controls:
        for key in keys:
            self.controls.press(key)
        return self.controls


def test_sorting_turns_to_the_sessions_first_and_then_through_the_columns() -> None:
    small = Keys(80, 24)
    assert small.controls.lists == ()
    assert small.press(">").lists == ("sessions",)
    assert small.controls.sort == "queued"
    assert [small.press(">").sort for _ in SESSION_SORTS] == [*SESSION_SORTS[1:], "queued"]
    assert small.press("<").sort == SESSION_SORTS[-1]
    assert small.press("\t<").lists == ("sessions",)
    assert Keys(120, 36).press(">").sort == SESSION_SORTS[1]


def test_a_pause_holds_the_figures_and_not_the_keys() -> None:
    keys = Keys(80, 24)
    seen = keys.press(" \t?+").applied(picture())
    assert (seen.paused, seen.panel, seen.help, seen.window) == (True, "sessions", True, 120.0)
    keys.controls.settle()
    seen = keys.controls.applied(picture())
    assert (seen.paused, seen.panel, seen.help, seen.window) == (False, "sessions", False, 120.0)


def test_a_reset_goes_on_live() -> None:
    keys = Keys(80, 24)
    assert not keys.press(" r").paused
    assert keys.resets == 1
    assert not keys.controls.over
    assert keys.press("q").over


# --- A real server and a real terminal ----------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def terminal(server: Server) -> Iterator[Terminal]:
    opened = in_terminal(dashboard(server))
    yield opened
    opened.close()


def joined(server: Server, name: str) -> socket.socket:
    """Somebody who says HELLO."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(frame(Hello(PROTOCOL_VERSION, name, b"").encode()))
    return sock


def test_a_player_is_listed_and_so_is_why_it_went(server: Server, terminal: Terminal) -> None:
    terminal.wait_for(b"the zone")
    with joined(server, "ann") as sock:
        terminal.press(b"\t")
        terminal.wait_for(b"first by queued")
        terminal.wait_for(b"ann")
        terminal.press(b"<")
        terminal.wait_for(b"first by age")
        sock.sendall(frame(Goodbye().encode()))
        terminal.press(b"\t")
        terminal.wait_for(b"CLIENT_LEFT")
        terminal.resize(120, 36)
        terminal.wait_for(b"first by age")
        terminal.wait_for(b"CLIENT_LEFT")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0
    assert b"recent closes" in terminal.output, "the last screen is what was looked at"
    assert terminal.attributes() == terminal.before


def test_r_forgets_and_says_since_when(server: Server, terminal: Terminal) -> None:
    with joined(server, "bob") as sock:
        sock.sendall(frame(Goodbye().encode()))
        terminal.press(b"\t\t")
        terminal.wait_for(b"bob")
        terminal.press(b"r")
        terminal.wait_for(b"since reset")
    terminal.wait_for(b"recent closes")
    terminal.wait_for(b"none")
    terminal.press(b"q")
    assert terminal.wait_for_end() == 0


def test_the_lists_are_plain_where_all_is(server: Server) -> None:
    with joined(server, "안녕"):
        terminal = in_terminal(dashboard(server, "--ascii"), columns=120, rows=36)
        try:
            terminal.wait_for(b"queuedv")
            terminal.wait_for(b"??")
            terminal.press(b"q")
            assert terminal.wait_for_end() == 0
            assert b"queuedv" in terminal.output
            assert terminal.output.isascii()
        finally:
            terminal.close()


def test_a_terminal_of_many_colours_is_sent_sixteen(server: Server) -> None:
    terminal = in_terminal(dashboard(server, "--count", "3"), columns=200, rows=60, COLORTERM="truecolor")
    try:
        assert terminal.wait_for_end() == 0
        codes = set(re.findall(rb"\x1b\[([0-9;]*)m", terminal.output))
        numbers = {int(number) for code in codes for number in code.split(b";") if number}
        assert numbers & set(range(30, 38)), "there are colours"
        assert not numbers & {38, 48}
    finally:
        terminal.close()


def test_a_list_is_json(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.stats_port)) as sock:
        sock.sendall(b"GET /sessions?sort=age&limit=5 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b""
        while select.select([sock], [], [], 30)[0] and (data := sock.recv(65536)):
            answer += data
    assert SessionList.from_json(json.loads(answer.partition(b"\r\n\r\n")[2])).sort == "age"
