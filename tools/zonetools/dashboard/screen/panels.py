"""The panels of the dashboard, section by section, as lines of a given width. Everything here is pure.

Each line has a rank. A small screen shows the lines of the lowest ranks, and no heading for a section
without lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from zoneserver.support.format import format_count, format_decimal, format_milliseconds, format_size, level
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.screen.charts import buckets, chart, round_top
from zonetools.dashboard.screen.glyphs import Glyphs, bar, clip, fit, heading

_LABEL = 9
# The text beside a bar: "  3.21 ms   6% fine".
_BESIDE = 19
_CELL = 19
_GAP = 2
_CHART_COLUMNS = 38
CHART_ROWS = 4
"""The smallest height of a chart, without its title and the empty line above it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one heading, each with its rank. Lines of rank 0 are left out last."""

    heading: Text
    lines: list[tuple[int, Text]]


def sections(
    samples: Sequence[Sample],
    now: float,
    window: float,
    width: int,
    glyphs: Glyphs,
    sparkline: bool = True,
    processes: Section | None = None,
) -> list[Section]:
    """All sections about the newest of `samples`, from top to bottom. There must be at least one sample.

    Leave out `sparkline` if charts show the history of the tick. `processes` is the section of the gateways.
    """
    past = [(3, _spark(samples, now, window, width, glyphs))] if sparkline else []
    return [
        _load(samples[-1], past, width, glyphs),
        *([processes] if processes else []),
        _flow(samples[-1], width, glyphs),
        _trouble(samples[-1], width, glyphs),
        _ends(samples[-1], width, glyphs),
    ]


def choose(parts: Sequence[Section], height: int) -> list[Text]:
    """The lines of the lowest ranks that fit, under their headings, with empty lines between if there is room."""
    ranked = sorted(
        (rank, place, index) for place, part in enumerate(parts) for index, (rank, _) in enumerate(part.lines)
    )
    kept: dict[int, list[int]] = {}
    used = 0
    for _, place, index in ranked:
        cost = 1 if place in kept else 2
        if used + cost > height:
            break
        used += cost
        kept.setdefault(place, []).append(index)
    is_spaced = used + len(kept) - 1 <= height
    lines: list[Text] = []
    for place in sorted(kept):
        if lines and is_spaced:
            lines.append(Text())
        lines.append(parts[place].heading)
        lines += [parts[place].lines[index][1] for index in sorted(kept[place])]
    return lines


# --- The sections -------------------------------------------------------------------------------------


def _load(sample: Sample, past: list[tuple[int, Text]], width: int, glyphs: Glyphs) -> Section:
    stats, replay = sample.stats, sample.stats.replay
    # A replay has as many more ticks as it is faster.
    budget = 1000 / stats.hz / replay.get("speed", 1.0)
    full = stats.players / max(1, stats.players_max)
    crowd = f"{format_count(stats.players)} of {format_count(stats.players_max)}"
    if replay:
        full, crowd = 0.0, f"{format_count(stats.players)} recorded"
    lines = [
        (1, _barred("players", full, f"{crowd:>14}", width, glyphs)),
        (0, _timed("tick p99", stats.tick_ms["p99"], budget, width, glyphs)),
        *past,
    ]
    phases = [("rules", "rules"), ("encode", "encode"), ("fan-out", "fan_out"), ("ingest*", "ingest")]
    if stats.phases_ms["deflate"]:  # zero if no session asked for deflate
        phases.insert(2, ("deflate", "deflate"))
    lines += [(2, _timed(label, stats.phases_ms[key], budget, width, glyphs)) for label, key in phases]
    cores = stats.cpu_percent / 100
    beside = f"{format_size(stats.rss_bytes):>8}{stats.cpu_percent:4.0f}% {level(cores)[0]}"
    lines.append((2, _barred("mem, cpu", cores, beside, width, glyphs)))
    note = f"budget {format_milliseconds(budget)} ms, {stats.hz} Hz"
    return Section(heading("players and tick", note, width, glyphs), lines)


def _timed(label: str, value: float, budget: float, width: int, glyphs: Glyphs) -> Text:
    share = value / budget
    percent = min(999, round(100 * share))
    beside = f"{format_milliseconds(value):>5} ms{percent:4}% {level(share)[0]}"
    return _barred(label, share, beside, width, glyphs)


def _barred(label: str, share: float, beside: str, width: int, glyphs: Glyphs) -> Text:
    style = level(share)[1]
    text = Text(f"{label:<{_LABEL}}")
    text.append_text(bar(share, max(4, width - _LABEL - _BESIDE), style, glyphs))
    # The last word is the level, so that the colour is never needed to read it.
    return text.append(f" {beside}", "bold" if share < 0.5 else f"bold {style}")


def _spark(samples: Sequence[Sample], now: float, window: float, width: int, glyphs: Glyphs) -> Text:
    columns = max(4, width - _LABEL - _BESIDE)
    points = [(sample.at, sample.stats.tick_ms["p99"]) for sample in samples]
    values = buckets(points, now, window, columns)
    peak = max((value for value in values if value is not None), default=0.0)
    text = Text().append(f"{window_name(window):<{_LABEL}}", "bright_black")
    text.append(chart(values, 1, round_top(peak), glyphs.ramp)[0], "cyan")
    return text.append(f"{format_milliseconds(peak):>6} ms peak", "bright_black")


def window_name(window: float) -> str:
    """The length of time that charts cover, in words."""
    return f"{window:g} s" if window < 60 else f"{window / 60:g} min"


def _flow(sample: Sample, width: int, glyphs: Glyphs) -> Section:
    stats, rate, ratio = sample.stats, sample.rate, sample.rate("amplification")
    cells = [
        ("actions in", format_count(rate("actions_in_per_s"))),
        ("deliveries", format_count(rate("deliveries_out_per_s"))),
        ("bytes in", format_size(rate("bytes_in_per_s"))),
        ("bytes out", format_size(rate("bytes_out_per_s"))),
        ("amplified", format_count(ratio) if ratio is None else "x" + format_count(ratio)),
        ("frame", format_size(stats.frame_bytes)),
        ("sends", format_count(rate("sends_per_s"))),
        ("encodes/tick", format_decimal(rate("encodes_per_tick"), 2)),
    ]
    return Section(heading("in and out, per second", "", width, glyphs), _grid(cells, width, rank=1))


def _trouble(sample: Sample, width: int, glyphs: Glyphs) -> Section:
    stats, rate = sample.stats, sample.rate
    cells = [
        ("behind", format_count(stats.behind)),
        ("queued", format_size(stats.queued_bytes)),
        ("skipped", format_count(rate("frames_skipped_per_s")) + "/s"),
        ("catch-ups", format_count(rate("catch_ups_per_s")) + "/s"),
        ("overruns", format_count(stats.overruns_total)),
        ("dilation", f"{100 * stats.dilation:.0f}%"),
        ("ticks skipped", format_count(stats.ticks_skipped_total)),
        ("handshaking", format_count(stats.handshaking)),
        ("rule failures", format_count(stats.rule_failures_total)),
        # A store that fails is worth the place of a figure that is nice to know.
        ("unsaved", format_count(stats.store_unsaved))
        if stats.store_failures_total
        else ("watchers", format_count(stats.watchers))
        if stats.replay
        else ("peak players", format_count(stats.players_peak)),
        ("warned", format_count(stats.restraints.get("WARNED", 0))),
        ("muted", format_count(stats.restraints.get("MUTED", 0))),
    ]
    if stats.drops_total or stats.parked:
        cells += [("parked", format_count(stats.parked)), ("resumes", format_count(stats.resumes_total))]
    if stats.gateways_attached_total:
        cells += [
            ("gateways lost", format_count(stats.gateways_lost_total)),
            ("sent again", format_count(stats.link_resent_total)),
        ]
    if stats.journal_bytes_total:
        cells += [
            ("journal", format_size(rate("journal_bytes_per_s")) + "/s"),
            ("slow writes", format_count(stats.journal_slow_writes_total)),
            ("longest write", format_milliseconds(stats.journal_longest_write_ms) + " ms"),
            ("epoch", format_count(stats.epoch)),
        ]
    alarms = {
        "behind": stats.behind > 0,
        "skipped": (rate("frames_skipped_per_s") or 0) > 0,
        "overruns": (rate("overruns_per_s") or 0) > 0,
        "dilation": stats.dilation < 1,
        "rule failures": stats.rule_failures_total > 0,
        "unsaved": stats.store_unsaved > 0,
        "parked": stats.parked > 0,
        "gateways lost": stats.gateways_lost_total > 0,
        "slow writes": (rate("journal_slow_writes_per_s") or 0) > 0,
    }
    return Section(heading("slow and late", "", width, glyphs), _grid(cells, width, rank=3, alarms=alarms))


def _ends(sample: Sample, width: int, glyphs: Glyphs) -> Section:
    """Closes and refusals side by side, the most frequent first."""
    closes, refusals = sample.stats.closes, sample.stats.refusals
    half = (width - _GAP) // 2
    right_width = width - _GAP - half
    left, right = _table(closes, half, glyphs), _table(refusals, right_width, glyphs)
    lines = []
    for index in range(max(len(left), len(right))):
        text = left[index] if index < len(left) else Text(" " * half)
        text = fit(text, half + _GAP)
        lines.append((4 + index, text.append_text(right[index]) if index < len(right) else text))
    top = heading("closes", format_count(sum(closes.values())), half, glyphs).append(" " * _GAP)
    return Section(
        top.append_text(heading("refusals", format_count(sum(refusals.values())), right_width, glyphs)), lines
    )


def _table(counts: Mapping[str, int], width: int, glyphs: Glyphs) -> list[Text]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [_cell(name, format_count(number), width, glyphs.more) for name, number in ordered] or [
        Text().append("none", "bright_black")
    ]


def _grid(
    cells: Sequence[tuple[str, str]], width: int, rank: int, alarms: Mapping[str, bool] | None = None
) -> list[tuple[int, Text]]:
    """Cells in two or four columns. The rank grows by one from row to row."""
    columns = max(2, (width + _GAP) // (_CELL + _GAP))
    columns = 4 if columns >= 4 else 2
    cell_width = (width - _GAP * (columns - 1)) // columns
    # The last column is wider, so that it ends where the bars end.
    spare = width - (cell_width + _GAP) * columns + _GAP
    lines = []
    for start in range(0, len(cells), columns):
        text = Text()
        for index, (label, value) in enumerate(cells[start : start + columns]):
            text.append(" " * _GAP if index else "")
            style = "bold yellow" if alarms and alarms.get(label) else "bold"
            wide = cell_width + (spare if index == columns - 1 else 0)
            text.append_text(_cell(label, value, wide, "", style))
        lines.append((rank + start // columns, text))
    return lines


def _cell(label: str, value: str, width: int, more: str, style: str = "bold") -> Text:
    room = max(1, width - len(value) - 1)
    return Text(clip(label, room, more) + " ").append(value, style)


# --- Charts -------------------------------------------------------------------------------------------


def charts(samples: Sequence[Sample], now: float, window: float, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """As many charts over the window as fit well; an empty list if there is room for none."""
    across = max(1, (width + _GAP) // (_CHART_COLUMNS + _GAP))

    def rates(name: str) -> list[tuple[float, float]]:
        return [(sample.at, rate) for sample in samples if (rate := sample.rate(name)) is not None]

    kinds: list[tuple[str, Callable[[float], str], list[tuple[float, float]]]] = [
        ("tick p99, ms", format_milliseconds, [(s.at, s.stats.tick_ms["p99"]) for s in samples]),
        ("deliveries out per s", format_count, rates("deliveries_out_per_s")),
        ("actions in per s", format_count, rates("actions_in_per_s")),
        ("bytes out per s", format_size, rates("bytes_out_per_s")),
        ("cpu, % of a core", format_count, [(s.at, s.stats.cpu_percent) for s in samples]),
        ("players", format_count, [(s.at, float(s.stats.players)) for s in samples]),
    ]
    down = min(height // (CHART_ROWS + 2), -(-len(kinds) // across))
    if down < 1:
        return []
    rows = height // down - 2
    chart_width = (width - _GAP * (across - 1)) // across
    lines: list[Text] = []
    for start in range(0, min(len(kinds), down * across), across):
        blocks = []
        for title, form, points in kinds[start : start + across]:
            values = buckets(points, now, window, chart_width)
            peak = max((value for value in values if value is not None), default=0.0)
            note = f"{window_name(window)}, peak {form(peak)}"
            drawn = [Text(row, "cyan") for row in chart(values, rows, round_top(peak), glyphs.ramp)]
            blocks.append([heading(title, note, chart_width, glyphs), *drawn])
        lines.append(Text())
        for parts in zip(*blocks, strict=True):
            line = Text(" " * _GAP).join([fit(part, chart_width) for part in parts])
            lines.append(line)
    return lines
