"""The directory of a journal, which one process at a time may change."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from zoneserver.journal.retention import Kept
from zoneserver.journal.segments import Segment, SegmentReader, is_unused, segment_name, segments_in
from zoneserver.journal.sync_thread import sync_data
from zoneserver.journal.values import JournalError

__all__ = ["JournalDirectory", "Torn", "write_all"]

_LOCK = "lock"
_NEW = ".new"
"""The end of the name of a segment that is not complete yet."""


class Torn(NamedTuple):
    """What was cut off the end of a journal."""

    path: Path
    bytes: int


class JournalDirectory:
    """A directory that is locked from its opening to its end.

    Raises JournalError if it cannot be made or used, and if another process has it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            # It holds names, addresses and what players said.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None
        try:
            self._take()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _take(self) -> None:
        try:
            import fcntl
        except ImportError:
            raise JournalError("this system has no file locks, so a server keeps no journal") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise JournalError(f"{self.path}: another process has this journal (pid {pid})") from None
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from None
        os.ftruncate(self._lock, 0)
        # A full disk is no reason not to look at the journal.
        with contextlib.suppress(OSError):
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Unlocks the directory."""
        os.close(self._lock)

    # --- Segments ---------------------------------------------------------------------------------

    def repair(self) -> tuple[int | None, list[Torn]]:
        """Cuts off what is torn at the end. Returns the last tick, or None without a journal, and what was cut off.

        Raises JournalError if the last segment is broken elsewhere than at its end, or cannot be cut.
        """
        torn = []
        try:
            for leftover in self.path.glob(f"*{_NEW}"):
                leftover.unlink()
            segments = segments_in(self.path)
            while segments and is_unused(segments[-1]):
                unused = segments.pop()
                torn.append(Torn(unused.path, unused.size()))
                unused.path.unlink()
            if not segments:
                return None, torn
            with SegmentReader(segments[-1]) as reader:
                reader.read_to_the_end()
                if rest_bytes := reader.rest_bytes():
                    torn.append(Torn(segments[-1].path, rest_bytes))
                    self.cut(segments[-1], reader.offset)
            return reader.tick, torn
        except OSError as error:
            raise JournalError(f"{error.filename or self.path}: {error.strerror}") from None

    def cut(self, segment: Segment, offset: int) -> None:
        """Cuts off everything from a place of a segment on, and deletes the later segments; at 0 this one as well.

        Raises OSError."""
        # The newest first: whenever this is interrupted, what is left has no gap.
        for later in reversed(segments_in(self.path)):
            if later.path > segment.path or (later.path == segment.path and not offset):
                later.path.unlink()
        if offset:
            with open(segment.path, "r+b") as file:
                file.truncate(offset)
                os.fsync(file.fileno())
        self._sync()

    def create(self, first_tick: int, parts: Sequence[bytes], *, is_synced: bool) -> int:
        """Makes a segment with these bytes, and returns its descriptor, to append to. The segment is there in whole, or
        not at all. Raises OSError."""
        path = self.path / segment_name(first_tick)
        new = path.with_suffix(_NEW)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            write_all(descriptor, parts)
            if is_synced:
                sync_data(descriptor)
            new.rename(path)
            if is_synced:
                self._sync()
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        return descriptor

    def kept(self) -> list[Kept]:
        """The segments, the oldest first. Raises JournalError."""
        return [Kept(segment.first_tick, segment.size()) for segment in segments_in(self.path)]

    def delete_oldest(self, count: int) -> None:
        """Deletes the oldest segments. Raises JournalError and OSError."""
        for segment in segments_in(self.path)[:count]:
            segment.path.unlink()

    def free_bytes(self) -> int:
        """The bytes that are free on the disk. Raises OSError."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def _sync(self) -> None:
        # The directory may be new as well.
        for path in (self.path, self.path.absolute().parent):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_all(descriptor: int, parts: Sequence[bytes]) -> int:
    """Writes some buffers, in one call if the system takes them all. Returns their bytes; raises OSError."""
    size = sum(map(len, parts))
    written = os.writev(descriptor, parts)
    if written < size:
        # As on a disk that is nearly full.
        rest = memoryview(b"".join(parts))
        while written < size:
            written += os.write(descriptor, rest[written:])
    return size
