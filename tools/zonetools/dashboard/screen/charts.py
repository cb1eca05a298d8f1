"""Sparklines and small charts: values over time as block characters. Everything here is pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def buckets(points: Iterable[tuple[float, float]], now: float, window: float, columns: int) -> list[float | None]:
    """The highest value in each of `columns` equal parts of the last `window` seconds; None for an empty part.

    The parts lie on a fixed grid of time, so that a chart moves by whole columns and does not flicker.
    """
    width = window / columns
    last = math.floor(now / width)
    values: list[float | None] = [None] * columns
    for at, value in points:
        index = math.floor(at / width) - last + columns - 1
        if 0 <= index < columns:
            present = values[index]
            values[index] = value if present is None or value > present else present
    # If a column is about as narrow as the time between two samples, one is empty now and then.
    for index in range(1, columns - 1):
        if values[index] is None and values[index + 1] is not None:
            values[index] = values[index - 1]
    return values


def round_top(value: float) -> float:
    """The top of the scale for values up to `value`: the next of 1, 2, 5, 10, 20, ..., which rarely changes.

    >>> round_top(0.3), round_top(7), round_top(1300), round_top(0)
    (0.5, 10.0, 2000.0, 1.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((power * step for step in (1, 2, 5) if value <= power * step), power * 10)


def chart(values: Sequence[float | None], rows: int, top: float, ramp: str) -> list[str]:
    """The values as columns, `rows` characters high, from the top row down.

    `ramp` holds the characters from empty to full. Every value, zero too, shows at least the lowest mark; a
    missing value is blank.

    >>> chart([0, 4, 8, None, 1], 1, top=8, ramp=" ▁▂▃▄▅▆▇█")
    ['▁▄█ ▁']
    >>> chart([2, 3, 4], 2, top=4, ramp=" ▁▂▃▄▅▆▇█")
    [' ▄█', '███']
    """
    steps = len(ramp) - 1
    lines = []
    for row in range(rows - 1, -1, -1):
        cells = []
        for value in values:
            if value is None:
                cells.append(" ")
                continue
            # Zero has the lowest mark too: a blank means that there was no sample.
            height = max(1, round(min(1.0, value / top) * rows * steps))
            cells.append(ramp[max(0, min(steps, height - row * steps))])
        lines.append("".join(cells))
    return lines
