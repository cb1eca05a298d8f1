"""Numbers about a running zone: histograms, counters, and the one snapshot that everybody reads.

The admin port serves a `Stats`, the dashboard draws it, the swarm and the tests compare it: one
schema, units in the names, `*_total` for what only grows.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "SESSION_SORTS",
    "ClosedSession",
    "Counters",
    "Histogram",
    "SessionList",
    "SessionStats",
    "Stats",
    "TickTimes",
    "quantile",
]


class Histogram:
    """Counts of whole numbers (microseconds, say) in buckets less than 1 % wide; histograms add up.

    The layout is HdrHistogram's: exact to 255, then 128 buckets for every doubling.

    >>> histogram = Histogram()
    >>> for value in range(1, 101): histogram.record(value)
    >>> histogram.percentile(50), histogram.percentile(100), (histogram + histogram).total
    (50, 100, 200)
    """

    __slots__ = ("_counts", "max", "total")

    _SUB_BITS = 7

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.total = 0
        self.max = 0

    def record(self, value: int) -> None:
        """Adds one value; a negative one counts as zero."""
        shift = value.bit_length() - self._SUB_BITS - 1
        if value < 0:
            value = shift = 0
        elif shift < 0:
            shift = 0
        index = (shift << self._SUB_BITS) + (value >> shift)
        self._counts[index] = self._counts.get(index, 0) + 1
        self.total += 1
        if value > self.max:
            self.max = value

    def percentile(self, percent: float) -> int:
        """The value that so many percent of all values do not exceed; 0 when there is none."""
        wanted = max(1, -(-self.total * percent // 100))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted:
                shift = max(0, (index >> self._SUB_BITS) - 1)
                highest = ((index - (shift << self._SUB_BITS) + 1) << shift) - 1
                return min(highest, self.max)
        return self.max

    def mean(self) -> float:
        """The mean of all values, to within half a bucket; 0.0 when there is none."""
        whole = 0
        for index, count in self._counts.items():
            shift = max(0, (index >> self._SUB_BITS) - 1)
            lowest = (index - (shift << self._SUB_BITS)) << shift
            whole += count * (2 * lowest + (1 << shift) - 1)
        return whole / (2 * self.total) if self.total else 0.0

    def __add__(self, other: Histogram) -> Histogram:
        both = Histogram()
        both._counts = dict(Counter(self._counts) + Counter(other._counts))
        both.total = self.total + other.total
        both.max = max(self.max, other.max)
        return both

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` takes back, in another process."""
        return {"counts": sorted(self._counts.items()), "max": self.max}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Histogram:
        """The histogram that `to_json` wrote."""
        histogram = cls()
        histogram._counts = dict(form["counts"])
        histogram.total = sum(histogram._counts.values())
        histogram.max = form["max"]
        return histogram


def quantile(ordered: Sequence[float], q: float) -> float:
    """The nearest-rank quantile of values in rising order; 0.0 of none.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not ordered:
        return 0.0
    # A product such as 0.07 * 100 lies a little above the whole number that it stands for.
    rank = math.ceil(q * len(ordered) - 1e-9)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


STATS_SCHEMA = "zone-stats/1"

PHASES = ("ingest", "rules", "encode", "deflate", "fan_out")
"""Where the time of a tick goes. Ingest is what was received and decoded since the tick before, in
CPU time; the others make up the tick itself."""


class TickTimes:
    """How long recent ticks took, in seconds, by phase."""

    def __init__(self, ticks: int) -> None:
        self._recent: deque[tuple[float, ...]] = deque(maxlen=ticks)

    def record(self, ingest: float, rules: float, encode: float, deflate: float, fan_out: float) -> None:
        """Adds one tick."""
        self._recent.append((ingest, rules, encode, deflate, fan_out))

    def newest_ms(self) -> dict[str, float]:
        """Each phase of the newest tick."""
        newest = self._recent[-1] if self._recent else [0.0] * len(PHASES)
        return {phase: round(seconds * 1000, 3) for phase, seconds in zip(PHASES, newest, strict=True)}

    def tick_ms(self) -> dict[str, float]:
        """Median, 99th percentile and maximum of a tick, without its ingest."""
        ordered = sorted(sum(times[1:]) * 1000 for times in self._recent)
        return {
            "p50": round(quantile(ordered, 0.5), 3),
            "p99": round(quantile(ordered, 0.99), 3),
            "max": round(ordered[-1] if ordered else 0.0, 3),
        }

    def phases_ms(self) -> dict[str, float]:
        """The mean of each phase."""
        ticks = len(self._recent) or 1
        columns = zip(*self._recent, strict=True) if self._recent else [()] * len(PHASES)
        return {phase: round(sum(column) * 1000 / ticks, 3) for phase, column in zip(PHASES, columns, strict=True)}


@dataclass(slots=True)
class Counters:
    """What a gateway counts. They only grow."""

    packets_in_total: int = 0
    actions_in_total: int = 0
    bytes_in_total: int = 0
    frames_out_total: int = 0
    sends_total: int = 0
    frames_skipped_total: int = 0
    deliveries_out_total: int = 0
    bytes_out_total: int = 0
    deflates_total: int = 0
    deflate_seconds_total: float = 0.0
    frames_deflated_total: int = 0
    bytes_saved_total: int = 0
    catch_ups_total: int = 0
    joins_total: int = 0
    connections_total: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    restraints: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything an operator sees of a server, at one moment: what `GET /stats` answers."""

    schema: str
    time_unix_s: float
    pid: int
    game: str
    loop: str
    uptime_s: float
    players: int
    players_peak: int
    players_max: int
    connections: int
    """Open connections, those that are still shaking hands or saying goodbye among them."""
    handshaking: int
    behind: int
    """Players who skip frames: the kernel has not taken their last send yet, or their budget is spent."""
    queued_bytes: int
    tick: int
    tick_due_monotonic_s: float
    """When the next tick is due, by CLOCK_MONOTONIC, which all processes of a machine share. Ticks lie on
    a grid of whole periods."""
    hz: int
    dilation: float
    ticks_total: int
    ticks_skipped_total: int
    encodes_total: int
    snapshots_total: int
    overruns_total: int
    """Ticks that took longer than their period or came late by more than one."""
    rule_failures_total: int
    superseded_total: int
    """Motions that another motion of the same player within the same tick made void."""
    connections_total: int
    joins_total: int
    packets_in_total: int
    actions_in_total: int
    bytes_in_total: int
    frames_out_total: int
    """Frames handed to sessions."""
    sends_total: int
    """Sends that took them there: as many, unless the sessions gather (`--delivery session`)."""
    frames_skipped_total: int
    catch_ups_total: int
    deliveries_out_total: int
    """Things told, times those who were told."""
    bytes_out_total: int
    deflates_total: int
    """Frames and snapshots deflated, each once, since somebody in the round had asked for it."""
    deflate_seconds_total: float
    """What that took."""
    frames_deflated_total: int
    """Frames handed to sessions deflated, of all that were."""
    bytes_saved_total: int
    """Bytes that sessions were not sent because what they got was deflated."""
    frame_bytes: int
    """The size of the newest frame, as it is."""
    refusals: dict[str, int]
    restraints: dict[str, int]
    """How often a session was WARNED or MUTED for what it sent."""
    addresses: int
    """Addresses that are remembered: they hold connections, or did a short while ago."""
    closes: dict[str, int]
    tick_ms: dict[str, float]
    """p50, p99 and max over the last ten seconds."""
    phases_ms: dict[str, float]
    """The mean of each phase over the last ten seconds."""
    cpu_percent: float
    """Of one core, over the last second."""
    cpu_seconds_total: float
    rss_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Stats:
        """The Stats in an answer to `GET /stats`; fields of a newer server are passed over.

        Raises ValueError when it is something else.
        """
        return cls(**_known(cls, document, STATS_SCHEMA))


# --- Single sessions ----------------------------------------------------------------------------------

SESSIONS_SCHEMA = "zone-sessions/1"

SESSION_SORTS = ("queued", "behind", "rtt", "out", "actions", "refused", "age")
"""What sessions may be sorted by, the highest figure first."""


@dataclass(frozen=True, slots=True)
class SessionStats:
    """One player's session, now."""

    name: str
    slot: int | None
    """None until the zone has taken it in."""
    address: str
    state: str
    """`joining`; `playing`; `behind` while a send is in flight; `resting` while its byte budget recovers."""
    standing: str
    """`FINE`, `WARNED` or `MUTED` for what it sent."""
    connected_s: float
    behind_ticks: int
    """Frames that it has not been handed yet."""
    queued_bytes: int
    """Bytes that wait for the kernel to take them."""
    rtt_ms: float | None
    """The round trip as the kernel sees it; None where the system does not tell."""
    bytes_out_total: int
    """Bytes that the kernel has taken."""
    actions_in_total: int
    """By the player's own count: the sequence of its newest action."""
    refusals_total: int


@dataclass(frozen=True, slots=True)
class ClosedSession:
    """A session that has ended, and why."""

    name: str
    """Empty for one that never said HELLO."""
    address: str
    code: str
    text: str
    ago_s: float
    lived_s: float


@dataclass(frozen=True, slots=True)
class SessionList:
    """The first few of all sessions by one figure, and those that closed last: what `GET /sessions` answers."""

    schema: str
    tick: int
    players: int
    sort: str
    """One of SESSION_SORTS."""
    sessions: list[SessionStats]
    closed: list[ClosedSession]
    """The newest first."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> SessionList:
        """The list in an answer to `GET /sessions`; fields of a newer server are passed over.

        Raises ValueError when it is something else.
        """
        values = _known(cls, document, SESSIONS_SCHEMA)
        values["sessions"] = [SessionStats(**_known(SessionStats, each)) for each in values["sessions"]]
        values["closed"] = [ClosedSession(**_known(ClosedSession, each)) for each in values["closed"]]
        return cls(**values)


def _known(record: type[Any], document: Any, schema: str | None = None) -> dict[str, Any]:
    """The fields of a record that a document has, all of which it must have."""
    if not isinstance(document, Mapping) or (schema is not None and document.get("schema") != schema):
        raise ValueError(f"the answer is not {schema or 'what it says it is'}")
    names = [field.name for field in dataclasses.fields(record)]
    missing = [name for name in names if name not in document]
    if missing:
        raise ValueError(f"the answer has no {missing[0]}")
    return {name: document[name] for name in names}
