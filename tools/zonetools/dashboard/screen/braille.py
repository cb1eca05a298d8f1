"""A canvas of dots, eight to a character cell. Everything here is pure.

In most terminal fonts braille dots are equally far apart in both directions, so that a square
on the canvas is a square on the screen.
"""

from __future__ import annotations

# The bit of each dot in a braille character, by column (0, 1) and row (0 to 3).
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800
# Without braille, a character tells the weight in its cell. A point without weight is a thing, and not a player.
_ASCII = ((8, "#"), (4, "+"), (2, ":"), (1, "."), (0, ","))


def cells_for(width: float, height: float, columns: int, rows: int) -> tuple[int, int]:
    """The largest (columns, rows) that fit and keep the proportion of width to height.

    >>> cells_for(100, 100, columns=60, rows=20), cells_for(200, 100, columns=60, rows=20)
    ((40, 20), (60, 15))
    """
    scale = min(2 * columns / width, 4 * rows / height)
    return max(1, min(columns, round(width * scale / 2))), max(1, min(rows, round(height * scale / 4)))


class Canvas:
    """A grid of cells; each point that is drawn adds a dot and a weight.

    >>> canvas = Canvas(2, 1)
    >>> canvas.add(0.0, 0.0); canvas.add(1.0, 1.0)
    >>> "".join(mark for mark, weight in canvas.rows()[0])
    '⠁⢀'
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self._rows = rows
        self._dots = bytearray(columns * rows)
        self._weights = [0.0] * (columns * rows)

    def add(self, x: float, y: float, weight: float = 1.0) -> None:
        """Draw one point; x and y run from 0 to 1, from the top left corner."""
        dot_x = max(0, min(2 * self.columns - 1, int(x * 2 * self.columns)))
        dot_y = max(0, min(4 * self._rows - 1, int(y * 4 * self._rows)))
        cell = dot_y // 4 * self.columns + dot_x // 2
        self._dots[cell] |= _BITS[dot_x % 2][dot_y % 4]
        self._weights[cell] += weight

    def rows(self, dots: bool = True) -> list[list[tuple[str, float]]]:
        """Each row as (character, weight) per cell; in plain ASCII without `dots`."""
        cells = []
        for bits, weight in zip(self._dots, self._weights, strict=True):
            mark = chr(_BRAILLE | bits) if dots else next(mark for least, mark in _ASCII if weight >= least)
            cells.append((mark if bits else " ", weight))
        return [cells[start : start + self.columns] for start in range(0, len(cells), self.columns)]
