"""Journals for tests: values to write, and what stands in the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.records import FILE_HEAD_BYTES, HEAD_BYTES
from zoneserver.journal.values import Checkpoint, Entry, Header, RecordedTick
from zoneserver.journal.writer import Journal
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.link import Requests, TickInput, TickOutput

HEADER = Header(1, ZoneInfo("yard", "1", 4), "yard:Yard", "c0de", "zoneserver 1, Python 3", {"seed": 1}, 1000.0)


def checkpoint_of(tick: int, *, game: Any = None, size: int = 20) -> Checkpoint:
    return Checkpoint(tick, b"s" * size, {"game": game, "refs": [1, 2]})


def tick_of(tick: int, **requests: Any) -> RecordedTick:
    """A tick with an action and a frame that both name it."""
    given = {"actions": [(7, tick, (("walk", tick, -1),))]} | requests
    tick_input = TickInput(tick, 1000.0 + tick / 4, 100, Requests(**given))
    return RecordedTick(tick_input, b"frame %d" % tick, [], [], 0, [])


def output_of(recorded: RecordedTick, **more: Any) -> TickOutput:
    values = {"ended": [], "refused": [], "resumed": recorded.resumed, "saves": recorded.saves} | more
    return TickOutput(recorded.tick, recorded.frame, 1, recorded.joined, **values)


def write(journal: Journal, *entries: Entry) -> None:
    """Writes entries in the order in which a reader finds them, into one segment."""
    for before, entry in zip((None, *entries), entries, strict=False):
        match entry:
            case RecordedTick():
                journal.record(entry.tick_input, output_of(entry))
            case Checkpoint() if isinstance(before, Header):
                journal.begin(before, entry)
            case Checkpoint():
                journal.checkpoint(entry)


def journal_of(directory: Path, *entries: Entry) -> Path:
    """Makes a journal of one segment, and returns its file."""
    journal = Journal.open(directory, sync="never")
    write(journal, *entries)
    journal.close()
    return JournalReader(directory).segments[-1].path


def read(directory: Path, from_tick: int | None = None) -> list[Entry]:
    return list(JournalReader(directory).entries(from_tick))


def places(data: bytes) -> list[int]:
    """The place of each record in the bytes of a segment, and the end of the last one."""
    found = [FILE_HEAD_BYTES]
    while found[-1] < len(data):
        found.append(found[-1] + HEAD_BYTES - 5 + int.from_bytes(data[found[-1] : found[-1] + 4]))
    return found


def typed(value: Any) -> Any:
    """The value with the type of each part, for exact comparisons."""
    if isinstance(value, Requests):
        value = vars_of(value)
    if isinstance(value, dict):
        return dict, [(typed(key), typed(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [typed(part) for part in value]
    return type(value), value


def vars_of(requests: Requests) -> dict[str, Any]:
    return {name: getattr(requests, name) for name in requests.__slots__}
