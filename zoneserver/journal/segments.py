"""The segments of a journal: its files, each of which begins with a header and a checkpoint."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import msgpack

from zoneserver.journal.bodies import decode_checkpoint, decode_header, decode_tick
from zoneserver.journal.records import (
    FILE_HEAD_BYTES,
    HEAD_BYTES,
    Kind,
    Record,
    Salt,
    find_record,
    is_cut_head,
    read_head,
    read_record,
    salt_of,
)
from zoneserver.journal.values import Entry, Header, JournalError

__all__ = ["Segment", "SegmentReader", "Unit", "is_unused", "segment_name", "segments_in"]

_NAME = re.compile(r"([0-9]{12})\.zlog")
_WRONG_BODY = (ValueError, TypeError, KeyError, msgpack.UnpackException)
# The record that belongs to the one before it.
_SECOND: dict[int, Kind] = {Kind.INPUT: Kind.OUTPUT, Kind.SNAPSHOT: Kind.STATE}
_FIRST, _CHECKPOINT, _INSIDE = (Kind.HEADER,), (Kind.SNAPSHOT,), (Kind.INPUT, Kind.SNAPSHOT)


class Segment:
    """One file of a journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first_tick = int(path.stem)
        """The tick of the checkpoint that the segment begins with."""
        self.newest_tick = self.first_tick
        """The last tick that `checkpoints` has come across."""
        self.saved_tick = 0
        """The tick of the newest mark that `checkpoints` has come across: the store has what was saved up to it."""
        # (tick, offset) of each checkpoint that was found, and the offset where the search goes on.
        self._checkpoints: list[tuple[int, int]] = []
        self._searched = FILE_HEAD_BYTES

    @functools.cached_property
    def header(self) -> Header:
        """The header. Raises JournalError."""
        with SegmentReader(self) as reader:
            entry = reader.read_entry()
            if not isinstance(entry, Header):
                raise reader.error()
            return entry

    def checkpoints(self) -> list[tuple[int, int]]:
        """(tick, offset) of each checkpoint. The search reads only the heads of records, and tries no checksum: it ends
        where no head can be. Raises JournalError if the file cannot be read."""
        with self.open() as file:
            size = os.fstat(file.fileno()).st_size
            offset, before = file.seek(self._searched), 0
            while (head := read_head(file, size - offset)) is not None:
                kind, tick, record_bytes = head
                if before == Kind.SNAPSHOT and kind == Kind.STATE:
                    self._checkpoints.append((tick, self._searched))
                if kind == Kind.OUTPUT:
                    self.newest_tick = tick
                if kind == Kind.SAVED:
                    self.saved_tick = tick
                if kind != Kind.SNAPSHOT:
                    self._searched = offset + record_bytes
                before = kind
                offset = file.seek(offset + record_bytes)
        return self._checkpoints

    def size(self) -> int:
        """The size of the file. Raises JournalError."""
        with self.open() as file:
            return os.fstat(file.fileno()).st_size

    def open(self) -> BinaryIO:
        """Opens the file. Raises JournalError."""
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None


def segment_name(first_tick: int) -> str:
    """The name of the file that begins with the checkpoint of this tick."""
    return f"{first_tick:012}.zlog"


def segments_in(directory: Path) -> list[Segment]:
    """The segments in a directory, the oldest first. Raises JournalError if the directory cannot be read."""
    try:
        names = os.listdir(directory)
    except OSError as error:
        raise JournalError(f"{directory}: {error.strerror}") from None
    return [Segment(directory / name) for name in sorted(names) if _NAME.fullmatch(name)]


def is_unused(segment: Segment) -> bool:
    """Whether a last segment has no whole beginning: the server was killed, or the power failed, before it was used.
    Raises JournalError if the file cannot be read."""
    with SegmentReader(segment) as reader:
        return (reader.read() is None or reader.read() is None) and (not reader.fault or reader.is_torn())


class Unit(NamedTuple):
    """A header, a checkpoint or a tick: the one record or the two of it, whole and not decoded."""

    offset: int
    """The place in the file."""
    kind: int
    """The kind of the first record: HEADER, SNAPSHOT or INPUT."""
    tick: int
    bodies: tuple[bytes, ...]

    def places(self) -> list[int]:
        """The place of each record."""
        return [self.offset, self.offset + HEAD_BYTES + len(self.bodies[0])][: len(self.bodies)]


class SegmentReader:
    """Reads the units of one segment, in order, from its start or from a checkpoint at `offset`."""

    def __init__(self, segment: Segment, offset: int = 0) -> None:
        self.segment = segment
        self.offset = offset
        """The end of the last unit that was read."""
        self.tick = segment.first_tick
        """The tick of that unit."""
        self.fault = ""
        """Why the last `read` found no unit; empty at the end of the file."""
        self.fault_offset = 0
        """The place of the record that is not whole, or that is out of place."""
        # The kinds that the next unit may begin with.
        self._next = _INSIDE if offset else _FIRST
        # True behind a place that could not be read: the next unit may have any later tick.
        self._has_skipped = bool(offset)
        self._file = segment.open()
        # None while the file has no whole beginning.
        self._salt: Salt | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def rest_bytes(self) -> int:
        """The number of bytes behind the last unit."""
        return self._size() - self.offset

    def read(self) -> Unit | None:
        """The next unit. Without a whole one it returns None, and may be called again when the file has grown."""
        self.fault = ""
        if self._salt is None:
            self._file.seek(0)
            self._salt = salt_of(self._file.read(FILE_HEAD_BYTES))
        if self._salt is None:
            self._fail(0, "the file does not begin as a segment of a journal of this version")
            return None
        start = self.offset or FILE_HEAD_BYTES
        first = self._record(start)
        while first is not None and first.kind == Kind.SAVED and self._next is _INSIDE:
            # A mark belongs to no unit: it is looked for by `Segment.checkpoints` alone.
            start = self.offset = start + HEAD_BYTES + len(first.body)
            first = self._record(start)
        if first is None:
            return None
        kind, tick, body = first
        if not self._may_follow(kind, tick):
            self._fail(start, "the record is out of place")
            return None
        bodies: tuple[bytes, ...] = (body,)
        end = start + HEAD_BYTES + len(body)
        if kind in _SECOND:
            second = self._record(end)
            if second is None or second[:2] != (_SECOND[kind], tick):
                self._fail(end, self.fault or "the second record of two is missing")
                return None
            bodies, end = (body, second.body), end + HEAD_BYTES + len(second.body)
        self.offset, self.tick, self._has_skipped = end, tick, False
        self._next = _CHECKPOINT if kind == Kind.HEADER else _INSIDE
        return Unit(start, kind, tick, bodies)

    def read_to_the_end(self) -> None:
        """Reads all units that are left in a last segment. Raises JournalError if it is broken elsewhere than at its
        end."""
        while self.read() is not None:
            pass
        if self.fault and not self.is_torn():
            raise self.error()

    def walk(self) -> Iterator[Unit | None]:
        """All units that are left, and None in place of whatever is broken between them or behind them."""
        while True:
            unit = self.read()
            if unit is None and not self.fault:
                return
            yield unit
            if unit is None and not self.skip():
                return

    def read_entry(self) -> Entry | None:
        """The next unit, decoded. Raises JournalError for a body that cannot be decoded."""
        unit = self.read()
        return None if unit is None else self.decode(unit)

    def decode(self, unit: Unit) -> Entry:
        """The value of a unit. Raises JournalError."""
        try:
            match unit.kind:
                case Kind.HEADER:
                    return decode_header(*unit.bodies)
                case Kind.SNAPSHOT:
                    return decode_checkpoint(unit.tick, *unit.bodies)
                case _:
                    return decode_tick(*unit.bodies)
        except _WRONG_BODY as error:
            self._fail(unit.offset, f"the record cannot be decoded ({type(error).__name__}: {error})")
            raise self.error() from None

    def is_torn(self) -> bool:
        """Whether nothing whole follows the fault, as when the writer was killed, or the power failed."""
        if self._salt is None:
            # A file of another kind or version is nothing that may be cut off.
            self._file.seek(0)
            return is_cut_head(self._file.read())
        return self._find(Kind) is None

    def skip(self) -> bool:
        """Goes on behind the fault, at the next whole record that can begin a unit; returns whether there is one."""
        found = self._find(_INSIDE)
        if found is not None:
            self.offset, self._next, self._has_skipped = found, _INSIDE, True
        return found is not None

    def error(self) -> JournalError:
        """The fault as an error that names the file and the offset."""
        path, fault = self.segment.path, self.fault or "the file ends"
        advice = f"the journal is broken there; `zoneserver journal check {path.parent}` says what can be done"
        return JournalError(f"{path}: {fault} (offset {self.fault_offset}): {advice}")

    def _may_follow(self, kind: int, tick: int) -> bool:
        if kind not in self._next:
            return False
        if kind == Kind.INPUT:
            return tick > self.tick
        return tick == self.tick or (self._has_skipped and tick > self.tick)

    def _record(self, offset: int) -> Record | None:
        room = self._size() - offset
        if room == 0:
            return None
        self._file.seek(offset)
        assert self._salt is not None
        found = read_record(self._file, room, self._salt)
        if isinstance(found, str):
            self._fail(offset, found)
            return None
        return found

    def _find(self, kinds: Iterable[Kind]) -> int | None:
        if self._salt is None:
            return None
        place = self._file.seek(self.fault_offset + 1)
        found = find_record(self._file.read(), kinds, self.tick, self._salt)
        return None if found is None else place + found

    def _fail(self, offset: int, fault: str) -> None:
        self.fault_offset, self.fault = offset, fault

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size
