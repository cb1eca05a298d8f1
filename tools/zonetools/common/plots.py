"""Line plots as SVG text: axes, linear or logarithmic scales, curves, a legend. Pure.

The plots are readable on light and dark pages and for readers who cannot tell the colours apart, since each
curve has its own marker and dashes. They need no script: a browser shows the values of a point as a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 328, 268
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 34, 44
_GAP, _HEAD, _LEGEND, _FOOT = 6, 34, 26, 22
# A curve of many points has markers on about this many of them.
_MARKS = 25
_DASHES = ("", "7 4", "2 3.5", "9 3 2 3")
_STYLE = """
.plot-back { fill: #ffffff } .plot-text { fill: #1f2328 } .plot-dim { fill: #59636e }
.plot-grid { stroke: #e4e7eb; stroke-width: 1 } .plot-axis { stroke: #8c959f; stroke-width: 1 }
.plot-limit { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3 }
.plot-halo { stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke }
.plot-line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
.plot-mark { stroke-width: 1.2 }
.plot-0 { stroke: #0b63c5 } .plot-1 { stroke: #b54708 } .plot-2 { stroke: #a21262 } .plot-3 { stroke: #0f766e }
.plot-mark.plot-0 { fill: #0b63c5 } .plot-mark.plot-1 { fill: #b54708 }
.plot-mark.plot-2 { fill: #a21262 } .plot-mark.plot-3 { fill: #0f766e }
.plot-cross { fill: none; stroke-width: 2.6; stroke-linecap: round }
@media (prefers-color-scheme: dark) {
.plot-back { fill: #0d1117 } .plot-text { fill: #e6edf3 } .plot-dim { fill: #9198a1 }
.plot-halo { stroke: #0d1117 } .plot-grid { stroke: #262c36 } .plot-axis { stroke: #656c76 }
.plot-limit { stroke: #9198a1 }
.plot-0 { stroke: #6cb6ff } .plot-1 { stroke: #f0a35e } .plot-2 { stroke: #f58fc5 } .plot-3 { stroke: #56d4c4 }
.plot-mark.plot-0 { fill: #6cb6ff } .plot-mark.plot-1 { fill: #f0a35e }
.plot-mark.plot-2 { fill: #f58fc5 } .plot-mark.plot-3 { fill: #56d4c4 }
}
"""
_FONT = "font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Series:
    """One curve of points (x, y). A logarithmic scale leaves out points at or below zero."""

    name: str
    points: Sequence[tuple[float, float]]
    stops: bool = False
    """Whether the measurement stopped at the last point, which is then marked by a cross."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Some curves over common axes. `limit` is a level of y with its name.

    >>> plot = Plot("CPU", "players", "%", [Series("zone", [(50, 2.0), (100, 3.5)])])
    >>> plot.svg().startswith("<svg")
    True
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False
    limit: tuple[str, float] | None = None
    x_ticks: Sequence[float] = ()
    """The values of x that are labelled; round values if empty."""

    def svg(self) -> str:
        """This plot alone, as a whole SVG document."""
        return plots_svg([self])

    def _panel(self) -> list[str]:
        """The SVG elements of this plot, with its upper left corner at the origin."""
        shown = [
            [(x, y) for x, y in each.points if (x > 0 or not self.log_x) and (y > 0 or not self.log_y)]
            for each in self.series
        ]
        points = [point for curve in shown for point in curve]
        levels = [y for _, y in points]
        limit = self.limit if self.limit is not None and (self.limit[1] > 0 or not self.log_y) else None
        if limit is not None:
            levels.append(limit[1])
        at_x = _Axis([x for x, _ in points] + list(self.x_ticks), self.log_x, _LEFT, _WIDTH - _RIGHT, tight=True)
        at_y = _Axis(levels, self.log_y, _HEIGHT - _BOTTOM, _TOP, tight=False)
        drawn = [_text(_LEFT, 20, self.title, "font-size: 14px; font-weight: 600")]
        drawn += self._grid(at_x, at_y)
        for index, (series, curve) in enumerate(zip(self.series, shown, strict=True)):
            places = [(at_x(x), at_y(y)) for x, y in curve]
            if len(places) > 1:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
                drawn.append(f'<polyline class="plot-line plot-{index % 4}" {_dash(index)}points="{path}"/>')
            every = -(-len(curve) // _MARKS)
            for number, (place, (x, y)) in enumerate(zip(places, curve, strict=True)):
                if number % every and number != len(curve) - 1:
                    continue
                mark = _cross if series.stops and number == len(curve) - 1 else _mark
                label = f"{series.name}, {x:,.6g}: {y:,.6g} {self.y_label}"
                drawn.append(f"<g><title>{escape(label)}</title>{mark(index, *place)}</g>")
        if limit is not None:
            y, right = at_y(limit[1]), _WIDTH - _RIGHT
            drawn.append(f'<line class="plot-limit" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            # Below the line if there is no room above it.
            below = y - 5 if y > _TOP + 12 else y + 14
            drawn.append(_text(right, below, limit[0], "font-size: 11px; text-anchor: end", "plot-dim plot-halo"))
        return drawn

    def _grid(self, at_x: _Axis, at_y: _Axis) -> list[str]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        drawn = []
        for value in at_y.ticks:
            y = at_y(value)
            drawn.append(f'<line class="plot-grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            drawn.append(_text(_LEFT - 6, y + 4, short(value), "font-size: 11px; text-anchor: end", "plot-dim"))
        drawn.append(f'<line class="plot-axis" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
        for value in self.x_ticks or at_x.ticks:
            x = at_x(value)
            drawn.append(f'<line class="plot-axis" x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}"/>')
            style = "font-size: 11px; text-anchor: middle"
            drawn.append(_text(x, bottom + 17, f"{value:,.6g}", style, "plot-dim"))
        style = "font-size: 12px; text-anchor: middle"
        drawn.append(_text((_LEFT + right) / 2, bottom + 35, self.x_label, style, "plot-dim"))
        drawn.append(_text(right, 20, self.y_label, "font-size: 12px; text-anchor: end", "plot-dim"))
        return drawn


def plots_svg(plots: Sequence[Plot], columns: int = 3, title: str = "", note: str = "") -> str:
    """Plots side by side under one title and one legend, with a note below: a whole SVG document.

    The legend names the curves of the first plot. The other plots must have equal curves in that order.
    """
    columns = max(1, min(columns, len(plots)))
    rows = -(-len(plots) // columns)
    head = _HEAD if title else 8
    width = columns * _WIDTH + (columns + 1) * _GAP
    top = head + _LEGEND
    height = top + rows * (_HEIGHT + _GAP) + (_FOOT if note else 0)
    drawn = [f'<rect class="plot-back" width="{width}" height="{height}" rx="8"/>']
    if title:
        drawn.append(_text(_GAP + 10, 27, title, "font-size: 17px; font-weight: 600"))
    drawn += _legend(plots[0].series if plots else [], _GAP + 10, head + 14)
    for number, plot in enumerate(plots):
        row, column = divmod(number, columns)
        x, y = _GAP + column * (_WIDTH + _GAP), top + row * (_HEIGHT + _GAP)
        drawn += [f'<g transform="translate({x} {y})">', *plot._panel(), "</g>"]
    if note:
        drawn.append(_text(_GAP + 10, height - 10, note, "font-size: 12px", "plot-dim"))
    name = escape(title or (plots[0].title if plots else ""), quote=True)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{name}" style="{_FONT}">'
    )
    return "\n".join([opening, f"<style>{_STYLE}</style>", *drawn, "</svg>"]) + "\n"


# --- Scales ---------------------------------------------------------------------------------------


class _Axis:
    """Maps values to positions on one axis, and chooses the values that are labelled.

    A tight axis ends near the outermost values, any other axis at the ticks around them.
    """

    def __init__(self, values: Sequence[float], log: bool, start: float, end: float, *, tight: bool) -> None:
        low, high = (min(values), max(values)) if values else (1.0, 10.0)
        self._scale: Callable[[float], float] = math.log10 if log else float
        if not tight and not log:
            low = min(low, 0.0)
        self.ticks = log_ticks(low, high) if log else linear_ticks(low, high)
        if tight and low < high:
            self.ticks = [tick for tick in self.ticks if low <= tick <= high]
            margin = (self._scale(high) - self._scale(low)) * 0.04
            self._low, self._high = self._scale(low) - margin, self._scale(high) + margin
        else:
            self._low, self._high = self._scale(self.ticks[0]), self._scale(self.ticks[-1])
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (self._scale(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values, from at or below `low` to at or above `high`.

    >>> linear_ticks(0, 87)
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten around two positive values; if they are few, also 2 and 5 times each power.

    >>> log_ticks(3, 4_000)
    [1.0, 10.0, 100.0, 1000.0, 10000.0]
    >>> log_ticks(50, 900)
    [50.0, 100.0, 200.0, 500.0, 1000.0]
    """
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    if last - first > 2:
        return [10.0**power for power in range(first, last + 1)]
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    below = max((tick for tick in ticks if tick <= low * (1 + 1e-9)), default=ticks[0])
    above = min((tick for tick in ticks if tick >= high * (1 - 1e-9) and tick > below), default=ticks[-1])
    return [tick for tick in ticks if below <= tick <= above]


def short(value: float) -> str:
    """The label of a value on the y axis, in a few characters.

    >>> short(2_500), short(1_000_000), short(0.5), short(0)
    ('2.5k', '1M', '0.5', '0')
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9999:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


# --- Elements -------------------------------------------------------------------------------------


def _text(x: float, y: float, text: str, style: str, kind: str = "plot-text") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(text)}</text>'


def _dash(index: int) -> str:
    dash = _DASHES[index % len(_DASHES)]
    return f'stroke-dasharray="{dash}" ' if dash else ""


def _mark(index: int, x: float, y: float) -> str:
    """A circle, a square, a triangle or a diamond."""
    kind = f'class="plot-mark plot-{index % 4}"'
    if index % 4 == 0:
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    corners = {
        1: ((-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)),
        2: ((0, -4.8), (4.6, 3.6), (-4.6, 3.6)),
        3: ((0, -5), (5, 0), (0, 5), (-5, 0)),
    }[index % 4]
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon {kind} points="{path}"/>'


def _cross(index: int, x: float, y: float) -> str:
    path = f"M{x - 5:.1f} {y - 5:.1f}L{x + 5:.1f} {y + 5:.1f}M{x - 5:.1f} {y + 5:.1f}L{x + 5:.1f} {y - 5:.1f}"
    return f'<path class="plot-cross plot-{index % 4}" d="{path}"/>'


def _legend(series: Sequence[Series], x: float, y: float) -> list[str]:
    drawn = []
    for index, each in enumerate(series):
        line = f'x1="{x:.1f}" y1="{y - 4:.1f}" x2="{x + 34:.1f}" y2="{y - 4:.1f}"'
        drawn.append(f'<line class="plot-line plot-{index % 4}" {_dash(index)}{line}/>')
        drawn.append(_mark(index, x + 17, y - 4))
        drawn.append(_text(x + 41, y, each.name, "font-size: 13px"))
        # Fonts cannot be measured here; seven pixels per character is enough for the common ones.
        x += 41 + 7 * len(each.name) + 22
    return drawn
