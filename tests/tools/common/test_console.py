"""A console bounds what it draws, whatever size its terminal claims."""

from __future__ import annotations

import io

import pytest
from zonetools.common.console import BoundedConsole


@pytest.mark.parametrize(
    ("claimed", "drawn"), [((65_535, 65_535), (1_000, 400)), ((80, 24), (80, 24)), ((2_000, 10), (1_000, 10))]
)
def test_size_of_a_console_is_bounded(claimed: tuple[int, int], drawn: tuple[int, int]) -> None:
    columns, rows = claimed
    console = BoundedConsole(file=io.StringIO(), width=columns, height=rows)
    assert tuple(console.size) == drawn
    assert (console.width, console.options.max_width, console.options.max_height) == (drawn[0], *drawn)
