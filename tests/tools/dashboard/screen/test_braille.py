"""The canvas of dots, and the size of the map."""

from __future__ import annotations

import pytest
from zonetools.dashboard.screen.braille import Canvas, cells_for


def test_canvas_puts_corners_into_corners() -> None:
    canvas = Canvas(3, 2)
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        canvas.add(x, y)
    rows = canvas.rows()
    assert ["".join(mark for mark, _ in row) for row in rows] == ["⠁ ⠈", "⡀ ⢀"]
    assert [weight for _, weight in rows[0]] == [1.0, 0.0, 1.0]


def test_canvas_without_braille_shows_the_weight_of_a_cell() -> None:
    canvas = Canvas(5, 1)
    for column, many in enumerate((0, 1, 2, 4, 8)):
        for _ in range(many):
            canvas.add((column + 0.5) / 5, 0.5)
    assert "".join(mark for mark, _ in canvas.rows(dots=False)[0]) == " .:+#"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (10_000, 10_000), (400, 100), (1, 1000), (1000, 1)])
def test_cells_for_keeps_the_proportion_and_stays_within(width: int, height: int) -> None:
    columns, rows = cells_for(width, height, 50, 20)
    assert 1 <= columns <= 50
    assert 1 <= rows <= 20
    if 0.2 < width / height < 5:
        assert 2 * columns / (4 * rows) == pytest.approx(width / height, rel=0.1)
