"""The map shows players and things apart."""

from __future__ import annotations

from rich.text import Text
from zonetools.common.admin_client import ZoneMap
from zonetools.dashboard.screen.glyphs import ASCII, UNICODE
from zonetools.dashboard.screen.zone_map import zone_map


def marks(lines: list[Text], style: str) -> list[str]:
    """Return all that the lines show in this style."""
    return [line.plain[span.start : span.end] for line in lines for span in line.spans if span.style == style]


def test_cell_with_things_and_no_player_has_another_colour() -> None:
    zone = ZoneMap(100, 100, 1, [10, 10], [90, 90, 90, 90, 10, 10])
    lines = zone_map(zone, 40, 12, UNICODE)
    assert marks(lines, "cyan") == ["⠁", "1"]
    assert marks(lines, "magenta") == ["⠁", "things"]


def test_cell_with_things_and_no_player_has_another_glyph_without_braille() -> None:
    lines = zone_map(ZoneMap(100, 100, 1, [10, 10], [90, 90]), 40, 12, ASCII)
    assert (marks(lines, "cyan"), marks(lines, "magenta")) == ([".", "1"], [",", "things"])


def test_map_without_things_has_no_legend_for_them() -> None:
    lines = zone_map(ZoneMap(100, 100, 1, [10, 10]), 40, 12, UNICODE)
    assert marks(lines, "magenta") == []
    assert all("things" not in line.plain for line in lines)
