"""The reader of a journal."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from zoneserver.journal.segments import Segment, SegmentReader, is_unused, segments_in
from zoneserver.journal.values import Entry, JournalError

__all__ = ["JournalReader"]


class JournalReader:
    """Reads the journal in a directory, also while a server writes it.

    It reads and checks nothing but what is asked for. Raises JournalError if the directory cannot be read; a directory
    without a journal has no segments.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.torn_bytes = 0
        """After the end of `entries`: the bytes at the end of the journal that are no whole tick."""
        self._segments: list[Segment] = []
        self.unused_bytes = 0
        """The bytes of a last file that is no segment yet: the server was killed before it used the file."""
        self._list()

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments, the oldest first."""
        return self._segments

    @property
    def first_tick(self) -> int:
        """The tick of the first checkpoint. Raises JournalError for a directory without a journal."""
        return self._existing()[0].first_tick

    @property
    def last_tick(self) -> int:
        """The last tick that is whole: the last segment is read for it. Raises JournalError for a directory without a
        journal, and for a last segment that is broken elsewhere than at its end."""
        self._list()
        with SegmentReader(self._existing()[-1]) as reader:
            reader.read_to_the_end()
            return reader.tick

    @property
    def newest_tick(self) -> int:
        """The last tick, as far as the heads of the records tell: this takes little time, as `Segment.checkpoints`.
        Raises JournalError for a directory without a journal."""
        self._list()
        segment = self._existing()[-1]
        segment.checkpoints()
        return segment.newest_tick

    @property
    def saved_tick(self) -> int:
        """The tick of the newest mark, as far as the heads of the records tell: the store has what was saved up to it.
        Each segment has a mark. Raises JournalError for a directory without a journal."""
        self._list()
        segment = self._existing()[-1]
        segment.checkpoints()
        return segment.saved_tick

    def checkpoints(self) -> list[int]:
        """The tick of each checkpoint, in rising order, each tick once."""
        self._list()
        return sorted({tick for segment in self._segments for tick, _ in segment.checkpoints()})

    def entries(self, from_tick: int | None = None) -> Iterator[Entry]:
        """Everything from the newest checkpoint at or before `from_tick`, or from the very first one.

        The first entry is the header of the segment, the second one the checkpoint. Each later segment begins with a
        header and a checkpoint too. The iteration ends behind the last whole tick. Raises JournalError, with file and
        offset, for a record that is broken anywhere else.
        """
        yield from filter(None, self._entries(from_tick, is_endless=False))

    def follow(self, from_tick: int | None = None) -> Generator[Entry | None, None, None]:
        """Everything that `entries` gives, without an end: behind the last whole tick it yields None, and goes on when
        the journal has grown."""
        yield from self._entries(from_tick, is_endless=True)

    def _entries(self, from_tick: int | None, is_endless: bool) -> Generator[Entry | None, None, None]:
        self._list()
        self.torn_bytes = self.unused_bytes
        tick = -1 if from_tick is None else from_tick
        segment = next((one for one in reversed(self._segments) if one.first_tick <= tick), None)
        offset = _offset_of(segment, tick) if segment else 0
        if segment and offset:
            yield segment.header
        segment = segment or next(iter(self._segments), None)
        while segment:
            with SegmentReader(segment, offset) as reader:
                segment = yield from self._read(reader, is_endless)
            offset = 0

    def _read(self, reader: SegmentReader, is_endless: bool) -> Generator[Entry | None, None, Segment | None]:
        """Everything that the segment of a reader has. Returns the segment that follows it."""
        following, is_torn, is_last_try = None, False, False
        while True:
            entry = reader.read_entry()
            if entry is not None:
                is_last_try = False
                yield entry
            elif not is_last_try:
                # The server may write meanwhile. A segment is complete before the next one begins.
                following = self._following(reader.segment)
                is_torn = following is None and bool(reader.fault) and reader.is_torn()
                is_last_try = True
            elif is_endless and following is None and (is_torn or not reader.fault):
                yield None
                is_last_try = False
            else:
                break
        if reader.fault and not is_torn:
            raise reader.error()
        if following is None:
            self.torn_bytes += reader.rest_bytes()
        elif following.first_tick != reader.tick:
            text = f"it begins at tick {following.first_tick}, and the segment before it ends at tick {reader.tick}"
            raise JournalError(f"{following.path}: {text}")
        return following

    def _list(self) -> None:
        """Looks which segments there are."""
        known = {segment.path: segment for segment in self._segments}
        found = [known.get(segment.path, segment) for segment in segments_in(self.directory)]
        self.unused_bytes = 0
        if found and found[-1].path not in known and is_unused(found[-1]):
            self.unused_bytes = found.pop().size()
        self._segments = found

    def _following(self, segment: Segment) -> Segment | None:
        self._list()
        return next((one for one in self._segments if one.path > segment.path), None)

    def _existing(self) -> list[Segment]:
        if not self._segments:
            raise JournalError(f"there is no journal in {self.directory}")
        return self._segments


def _offset_of(segment: Segment, tick: int) -> int:
    """The place of the newest whole checkpoint at or before a tick; 0 for the one that the segment begins with."""
    for checkpoint_tick, offset in reversed(segment.checkpoints()[1:]):
        if checkpoint_tick <= tick:
            with SegmentReader(segment, offset) as reader:
                if reader.read() is not None:
                    return offset
    return 0
