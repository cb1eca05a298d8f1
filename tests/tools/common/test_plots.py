"""Plots are well-formed for any input, stay within their borders, and have fitting scales."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from zonetools.common.plots import Plot, Series, linear_ticks, log_ticks, plots_svg

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-6)
# Only characters that XML can hold.
WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Z")), max_size=20)
LINES = st.builds(Series, WORDS, st.lists(st.tuples(VALUES, VALUES), max_size=6), st.booleans())
PLOTS = st.builds(
    Plot,
    WORDS,
    WORDS,
    WORDS,
    st.lists(LINES, max_size=6),
    log_x=st.booleans(),
    log_y=st.booleans(),
    limit=st.none() | st.tuples(WORDS, VALUES),
)


def places(root: ElementTree.Element) -> list[tuple[float, float]]:
    """The positions of all markers and corners of curves, each relative to its panel."""
    pairs = [(circle.get("cx", ""), circle.get("cy", "")) for circle in root.iter(f"{SVG}circle")]
    for kind in ("polyline", "polygon"):
        for each in root.iter(f"{SVG}{kind}"):
            pairs += [(x, y) for x, _, y in (point.partition(",") for point in each.get("points", "").split())]
    return [(float(x), float(y)) for x, y in pairs]


@given(st.lists(PLOTS, max_size=4), st.integers(1, 4), WORDS, WORDS)
def test_plots_svg_is_well_formed_and_within_its_borders(
    plots: Sequence[Plot], columns: int, title: str, note: str
) -> None:
    root = ElementTree.fromstring(plots_svg(plots, columns, title, note))
    assert root.tag == f"{SVG}svg"
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    panels = root.findall(f"{SVG}g")
    assert len(panels) == len(plots)
    for panel in panels:
        x, y = map(float, re.findall(r"[0-9.]+", panel.get("transform", "")))
        for dx, dy in places(panel):
            assert 0 <= x + dx <= width
            assert 0 <= y + dy <= height


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e9))
def test_linear_ticks_are_few_and_enclose_the_values(low: float, span: float) -> None:
    high = low + span
    ticks = linear_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


@given(st.floats(1e-6, 1e9), st.floats(1, 1e9))
def test_log_ticks_enclose_the_values(low: float, factor: float) -> None:
    high = low * factor
    ticks = log_ticks(low, high)
    assert ticks[0] <= low * 1.001
    assert ticks[-1] >= high * 0.999
    assert len(ticks) >= 2
    assert ticks == sorted(set(ticks))


def test_log_scale_leaves_out_values_at_zero() -> None:
    plot = Plot("t", "x", "y", [Series("a", [(1, 0.0), (2, 10.0), (3, 100.0)])], log_y=True)
    assert len(ElementTree.fromstring(plot.svg()).findall(f".//{SVG}g/{SVG}g")) == 2


def test_curves_differ_in_dashes_and_markers() -> None:
    plot = Plot("t", "x", "y", [Series(name, [(1, 1.0), (2, 2.0)]) for name in "abcd"])
    root = ElementTree.fromstring(plot.svg())
    dashes = [line.get("stroke-dasharray", "") for line in root.iter(f"{SVG}polyline")]
    assert len(set(dashes)) == 4
    marks = {
        (mark.tag, len(mark.get("points", "").split()))
        for each in root.findall(f".//{SVG}g/{SVG}g")
        for mark in each
        if "plot-mark" in mark.get("class", "")
    }
    assert len(marks) == 3  # a circle, a triangle, and two shapes with four corners


def test_curve_that_stops_ends_in_a_cross() -> None:
    plot = Plot("t", "x", "y", [Series("a", [(1, 1.0), (2, 2.0)], stops=True), Series("b", [(1, 1.0)])])
    root = ElementTree.fromstring(plot.svg())
    crosses = [each for each in root.iter(f"{SVG}path") if "plot-cross" in each.get("class", "")]
    assert len(crosses) == 1


def test_curve_of_many_points_marks_some_and_the_last() -> None:
    plot = Plot("t", "s", "ms", [Series("a", [(x, float(x)) for x in range(1, 1_001)])])
    root = ElementTree.fromstring(plot.svg())
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert 20 <= len(titles) <= 30
    assert titles[-1] == "a, 1,000: 1,000 ms"
    (drawn,) = root.iter(f"{SVG}polyline")
    assert len(drawn.get("points", "").split()) == 1_000


def test_point_has_a_tooltip_with_its_values() -> None:
    plot = Plot("t", "players", "ms", [Series("a & b", [(1000, 2500.0)])])
    titles = [title.text for title in ElementTree.fromstring(plot.svg()).iter(f"{SVG}title")]
    assert titles == ["a & b, 1,000: 2,500 ms"]
