"""The statistics as lines of text, for a pipe or a file. Everything here is pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from zoneserver.support.format import format_count, format_duration, format_milliseconds, format_size, level
from zonetools.dashboard.data.history import Sample
from zonetools.dashboard.data.rows import SILENT, ProcessRow

HEADER_EVERY = 20
"""The number of lines between two headers."""

_COLUMNS = (
    ("uptime", 8),
    ("players", 7),
    ("p99 ms", 7),
    ("actions/s", 9),
    ("deliv/s", 8),
    ("amplified", 9),
    ("in/s", 9),
    ("out/s", 9),
    ("frame", 9),
    ("sends/s", 8),
    ("skipped/s", 9),
    ("behind", 7),
    ("cpu %", 6),
    ("memory", 9),
    ("state", 6),
)


def header() -> str:
    return " ".join(f"{name:>{width}}" for name, width in _COLUMNS)


def line(sample: Sample) -> str:
    """The line of one sample. Rates are a dash in the first sample of a run, which has none."""
    stats, rate = sample.stats, sample.rate
    values = (
        format_duration(stats.uptime_s),
        format_count(stats.players),
        format_milliseconds(stats.tick_ms["p99"]),
        format_count(rate("actions_in_per_s")),
        format_count(rate("deliveries_out_per_s")),
        format_count(rate("amplification")),
        format_size(rate("bytes_in_per_s")),
        format_size(rate("bytes_out_per_s")),
        format_size(stats.frame_bytes),
        format_count(rate("sends_per_s")),
        format_count(rate("frames_skipped_per_s")),
        format_count(stats.behind),
        f"{stats.cpu_percent:.1f}",
        format_size(stats.rss_bytes),
        SILENT if stats.zone_silent_s else level(stats.tick_ms["p99"] * stats.hz / 1000)[0],
    )
    return " ".join(f"{value:>{width}}" for value, (_, width) in zip(values, _COLUMNS, strict=True))


def json_line(sample: Sample, ports: Sequence[ProcessRow] = ()) -> str:
    """The server's statistics with the rates, as one JSON object. Several servers have a record each in `ports`."""
    more = {"ports": list(map(dataclasses.asdict, ports))} if ports else {}
    return json.dumps(sample.to_json() | more, separators=(",", ":"))
