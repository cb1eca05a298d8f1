"""A screen as an SVG file: its content, and that it needs nothing else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from helpers.dashboards import (
    SVG,
    screen_state,
    svg_texts,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from zonetools.dashboard.data.monitor import Outage
from zonetools.dashboard.screen.glyphs import ASCII
from zonetools.dashboard.screen.svg import _DRAWN, svg
from zonetools.dashboard.screen.view import render


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("outage", [None, Outage("connection refused", "12:00:00", 5.0)], ids=["live", "outage"])
def test_svg_has_the_size_of_the_screen_and_loads_nothing(size: tuple[int, int], outage: Outage | None) -> None:
    text = svg(render(screen_state(outage=outage), *size), *size, title="zone-dash")
    root = ElementTree.fromstring(text)
    assert root.attrib["viewBox"] == f"0 0 {9 * size[0] + 32} {18 * size[1] + 32}"
    assert text.count("http") == 1, "the namespace"
    assert not re.search(r"url\(|href|@import|@font-face|<script|<image|<style", text)
    for element in root.iter(f"{SVG}text"):
        left, length = int(element.attrib["x"]), int(element.attrib["textLength"])
        assert 0 <= left < left + length <= 9 * size[0]
        assert 0 < float(element.attrib["y"]) <= 18 * size[1]
        assert not re.search(f"[{_DRAWN}]", element.text or "")


def test_svg_writes_words_as_text_and_draws_the_rest() -> None:
    view = render(screen_state(), 120, 36)
    text = svg(view, 120, 36, title="zone-dash")
    for word in re.findall(rf"[^\s{_DRAWN}]+", view.plain):
        assert any(word in each for each in svg_texts(text)), word
    bits = sum((ord(mark) - 0x2800).bit_count() for mark in re.findall("[\u2801-\u28ff]", view.plain))
    assert text.count("h0") == bits == 300, "one dot for each player"


def test_svg_writes_ascii_drawing_characters_as_text() -> None:
    text = svg(render(screen_state(glyphs=ASCII), 80, 24), 80, 24, title="zone-dash")
    assert any("----" in each for each in svg_texts(text))


@given(st.text(st.characters(min_codepoint=32, exclude_categories=("C", "M", "Z")), min_size=1, max_size=20))
def test_svg_escapes_any_name(name: str) -> None:
    text = svg(Text(f"{name} & co", "bold red"), 60, 1, title=f"<{name}>")
    drawn = re.sub(f"[{_DRAWN}]", "", name)
    assert "".join(svg_texts(text)).replace(" ", "") == f"{drawn}&co"
    title = ElementTree.fromstring(text).find(f"{SVG}title")
    assert title is not None
    assert title.text == f"<{name}>"


def test_svg_puts_reversed_words_on_their_colour() -> None:
    text = svg(Text.assemble(("live", "reverse green"), ("quiet", "dim")), 20, 1, title="")
    assert '<path fill="#7fc47a" d="M0 0h36v18h-36z"/>' in text
    assert 'fill="#11151c" textLength="36" lengthAdjust="spacingAndGlyphs">live<' in text
    assert 'fill="#6d7889" textLength="45" lengthAdjust="spacingAndGlyphs">quiet<' in text


@pytest.mark.parametrize(
    ("mark", "path"),
    [
        ("█", "M0 0h9v18h-9z"),
        ("▁", "M0 15.75h9v2.25h-9z"),
        ("━━", "M0 7h18v4h-18z"),
        ("╸", "M0 7h4.5v4h-4.5z"),
        ("───", "M0 9h27"),
        ("│", "M4.5 0v18"),
        ("┄", "M0.5 9h2M3.5 9h2M6.5 9h2"),
        ("╭", "M4.5 18v-4.5q0 -4.5 4.5 -4.5"),
        ("╮", "M0 9q4.5 0 4.5 4.5v4.5"),
        ("╰", "M4.5 0v4.5q0 4.5 4.5 4.5"),
        ("╯", "M0 9q4.5 0 4.5 -4.5v-4.5"),
        ("⢁", "M2.25 2.25h0M6.75 15.75h0"),
    ],
)
def test_svg_draws_each_mark_as_its_shape(mark: str, path: str) -> None:
    assert f'd="{path}"' in svg(Text(mark), 5, 1, title="")
