"""What a journal holds, and what is broken in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.records import Kind
from zoneserver.journal.segments import Segment, SegmentReader
from zoneserver.journal.values import JournalError, RecordedTick

__all__ = ["FACTS_SCHEMA", "Check", "Cut", "Fault", "check", "cut_at", "facts_of"]

FACTS_SCHEMA = "zone-journal/1"
# A segment begins with a header and a checkpoint.
_UNITS_MIN = 2


def facts_of(directory: str | Path) -> dict[str, Any]:
    """What a journal holds, as the document `zone-journal/1`. Raises JournalError, also for a directory without one."""
    reader = JournalReader(directory)
    first_tick = reader.first_tick
    checkpoints = reader.checkpoints()
    last_tick, last_unix = first_tick, reader.segments[-1].header.unix_seconds
    for entry in reader.entries(checkpoints[-1]):
        if isinstance(entry, RecordedTick):
            last_tick, last_unix = entry.tick, entry.tick_input.unix_seconds
    segments: list[dict[str, Any]] = [
        {
            "file": segment.path.name,
            "bytes": segment.size(),
            "first_tick": segment.first_tick,
            "epoch": segment.header.epoch,
            "unix_s": segment.header.unix_seconds,
        }
        for segment in reader.segments
    ]
    header = reader.segments[-1].header
    size = sum(segment["bytes"] for segment in segments)
    seconds = (last_tick - first_tick) / header.game.hz
    return {
        "schema": FACTS_SCHEMA,
        "game": header.game.name,
        "target": header.target,
        "code": header.code,
        "versions": header.versions,
        "hz": header.game.hz,
        "first_tick": first_tick,
        "last_tick": last_tick,
        "first_unix_s": segments[0]["unix_s"],
        "last_unix_s": last_unix,
        "bytes": size,
        "bytes_per_hour": round(3600 * size / seconds) if seconds else 0,
        "checkpoints": len(checkpoints),
        "last_checkpoint_tick": checkpoints[-1],
        "torn_bytes": reader.torn_bytes,
        "segments": segments,
    }


class Fault(NamedTuple):
    """A place that is broken."""

    path: Path
    offset: int
    text: str


@dataclass(slots=True)
class Check:
    """What was found in all files of a journal."""

    segments: int = 0
    ticks: int = 0
    bytes: int = 0
    torn_bytes: int = 0
    """The bytes at the end that are no whole tick. They are no fault: the next start cuts them off."""
    faults: list[Fault] = field(default_factory=list)


def check(directory: str | Path) -> Check:
    """Reads and decodes everything. Raises JournalError for a directory that has no journal or cannot be read."""
    journal = JournalReader(directory)
    found = Check(torn_bytes=journal.unused_bytes)
    end = journal.first_tick
    for segment in journal.segments:
        if segment.first_tick != end:
            found.faults.append(Fault(segment.path, 0, f"the segment before it ends at tick {end}"))
        with SegmentReader(segment) as reader:
            _check_segment(reader, found, is_last=segment is journal.segments[-1])
            end = reader.tick
        found.segments += 1
        found.bytes += segment.size()
    return found


def _check_segment(reader: SegmentReader, found: Check, *, is_last: bool) -> None:
    for unit in reader.walk():
        if unit is None and is_last and reader.is_torn():
            found.torn_bytes += reader.rest_bytes()
        elif unit is None:
            found.faults.append(Fault(reader.segment.path, reader.fault_offset, reader.fault))
        else:
            found.ticks += unit.kind == Kind.INPUT
            try:
                reader.decode(unit)
            except JournalError:
                found.faults.append(Fault(reader.segment.path, reader.fault_offset, reader.fault))


class Cut(NamedTuple):
    """Where a journal can be cut, and what is lost then."""

    segment: Segment
    offset: int
    """The end of what stays of the segment: 0 if nothing does."""
    last_tick: int
    """The last tick that stays."""
    lost_ticks: int


def cut_at(journal: JournalReader, segment: Segment, offset: int) -> Cut:
    """Where to cut a journal so that everything from a place of a segment on is dropped.

    Raises JournalError if the segment is broken ahead of this place, if no record begins there, and if nothing would be
    left.
    """
    kept = end = lost_ticks = 0
    last_tick = segment.first_tick
    places = {0}
    with SegmentReader(segment) as reader:
        for unit in reader.walk():
            if unit is None and reader.fault_offset < offset:
                raise reader.error()
            places |= {reader.fault_offset} if unit is None else set(unit.places())
            if unit is not None and reader.offset <= offset:
                kept, end, last_tick = kept + 1, reader.offset, reader.tick
            elif unit is not None:
                lost_ticks += unit.kind == Kind.INPUT
    if offset not in places:
        advice = f"`zoneserver journal check {segment.path.parent}` names each place that is broken"
        raise JournalError(f"{segment.path}: no record begins at offset {offset}; {advice}")
    for later in journal.segments[journal.segments.index(segment) + 1 :]:
        with SegmentReader(later) as reader:
            lost_ticks += sum(unit is not None and unit.kind == Kind.INPUT for unit in reader.walk())
    if kept < _UNITS_MIN:
        if segment is journal.segments[0]:
            raise JournalError(f"{segment.path}: nothing would be left of the journal: delete its directory")
        end, last_tick = 0, segment.first_tick
    return Cut(segment, end, last_tick, lost_ticks)
