"""The lists of sessions and of closed sessions."""

from __future__ import annotations

import dataclasses
import re

import pytest
from helpers.dashboards import (
    session,
    session_list,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from zonetools.common.admin_client import _printable
from zonetools.dashboard.screen import tables
from zonetools.dashboard.screen.glyphs import ASCII, UNICODE

from zoneserver.admin.stats import SESSION_SORTS, SessionList


@given(
    width=st.integers(48, 250),
    height=st.integers(3, 40),
    sort=st.sampled_from(SESSION_SORTS),
    name=st.text(st.characters(min_codepoint=32, exclude_categories=("C", "M", "Z")), max_size=24),
    ascii_only=st.booleans(),
)
def test_list_stays_within_its_space(width: int, height: int, sort: str, name: str, ascii_only: bool) -> None:
    glyphs = ASCII if ascii_only else UNICODE
    listed = session_list(sort)
    listed = dataclasses.replace(listed, sessions=[session(1, name=_printable(name, ascii_only)), *listed.sessions])
    for draw in (tables.sessions, tables.closes):
        lines = draw(listed, width, height, glyphs)
        assert len(lines) == min(height, 43 if draw is tables.sessions else 42)
        assert all(line.cell_len <= width + 1 for line in lines), "a space may follow the last column"
        if ascii_only:
            assert all(line.plain.isascii() for line in lines)


@pytest.mark.parametrize("sort", SESSION_SORTS)
@pytest.mark.parametrize("width", [60, 70, 80, 120])
def test_sorted_column_is_shown_and_marked(sort: str, width: int) -> None:
    heading, names, *_rows = tables.sessions(session_list(sort), width, 10, UNICODE)
    assert heading.plain.endswith(f"of 300, sorted by {sort}")
    marked = re.findall(r"\S+(?: ms)?▾", names.plain)
    assert [word.removesuffix("▾").removesuffix(" ms") for word in marked] == [sort]


def test_row_is_aligned_with_the_column_names() -> None:
    wide = session(1, name="가나다라마바사아자차카타파하", state="resting")
    listed = dataclasses.replace(session_list(), sessions=[session(0), wide, session(2, standing="MUTED")])
    _, names, first, second, third = tables.sessions(listed, 80, 10, UNICODE)
    column = cell_len(names.plain[: names.plain.index("state")])
    for line, state in ((first, "playing"), (second, "resting"), (third, "muted")):
        assert cell_len(line.plain[: line.plain.index(state)]) == column
    assert "…" in second.plain


def test_closed_session_without_a_name_shows_its_address() -> None:
    _, _, line, named = tables.closes(session_list(), 80, 4, UNICODE)
    assert line.plain.split()[:2] == ["0s", "127.0.0.1"]
    assert "HANDSHAKE_TIMEOUT" in line.plain
    assert "no complete HELLO" in line.plain
    assert "gone-0" in named.plain
    assert "1h 02m" in named.plain


def test_empty_list_says_none() -> None:
    empty = SessionList("zone-sessions/1", 1, 0, "queued", 0, [], [])
    for draw in (tables.sessions, tables.closes):
        assert draw(empty, 80, 10, UNICODE)[-1].plain == "none"
        assert len(draw(None, 80, 10, UNICODE)) == 1, "before the first answer there is only the heading"
