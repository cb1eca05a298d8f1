"""Writing a journal: starts, rotation, retention, locks, and disks that are full or fail."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.journals import HEADER, checkpoint_of, journal_of, output_of, read, tick_of, write
from helpers.run_command import until

from zoneserver.journal import retention, writer
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import JournalError
from zoneserver.journal.writer import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path, sync="never")
    yield journal
    with contextlib.suppress(JournalError):
        journal.close()


def names(directory: Path) -> list[int]:
    return [segment.first_tick for segment in JournalReader(directory).segments]


# --- Starts ---------------------------------------------------------------------------------------


def test_each_start_begins_a_segment_and_goes_on_behind_the_last_tick(tmp_path: Path) -> None:
    first = [HEADER, checkpoint_of(0), tick_of(1), tick_of(2)]
    second = [HEADER._replace(epoch=2), checkpoint_of(2), tick_of(3)]
    for entries in (first, second):
        journal = Journal.open(tmp_path / "made/here")
        assert journal.last_tick == (None if entries is first else 2)
        write(journal, *entries)
        assert journal.last_tick == entries[-1].tick  # type: ignore[union-attr]
        journal.close()
        journal.close()
    assert names(tmp_path / "made/here") == [0, 2]
    assert read(tmp_path / "made/here") == first + second


def test_start_without_a_tick_since_the_last_one_replaces_its_segment(tmp_path: Path) -> None:
    journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1))
    for epoch in (2, 3):
        journal_of(tmp_path, HEADER._replace(epoch=epoch), checkpoint_of(1))
    assert [segment.header.epoch for segment in JournalReader(tmp_path).segments] == [1, 3]


def test_begin_at_another_tick_than_the_last_raises(tmp_path: Path) -> None:
    journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1))
    with pytest.raises(JournalError, match="the journal ends at tick 1, and the zone goes on from tick 0"):
        journal_of(tmp_path, HEADER, checkpoint_of(0))


def test_open_cuts_off_a_torn_end_and_logs_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1), tick_of(2))
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "000000000001.zlog").write_bytes(b"ZONEJRNL")
    (tmp_path / "000000000001.new").write_bytes(b"ZONEJRNL")
    size = path.stat().st_size
    journal = Journal.open(tmp_path)
    assert journal.last_tick == 1
    unused, torn = caplog.messages
    assert unused.startswith(f"8 bytes at the end of the journal {tmp_path}/000000000001.zlog are no whole tick")
    assert torn.startswith(f"{size - path.stat().st_size} bytes at the end of the journal {path} ")
    assert sorted(os.listdir(tmp_path)) == ["000000000000.zlog", "lock"]
    write(journal, HEADER, checkpoint_of(1), tick_of(2))
    journal.close()
    assert [getattr(entry, "tick", 0) for entry in read(tmp_path)] == [0, 0, 1, 0, 1, 2]


def test_open_of_a_last_segment_that_is_broken_in_the_middle_raises(tmp_path: Path) -> None:
    path = journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1), tick_of(2))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"frame 1", b"frame 3"))
    with pytest.raises(JournalError, match=r"000000000000\.zlog: the checksum of the record is wrong \(offset \d+\)"):
        Journal.open(tmp_path)
    path.write_bytes(content)
    Journal.open(tmp_path).close()


def test_directory_belongs_to_one_process(tmp_path: Path) -> None:
    script = f"""
from zoneserver.journal.writer import Journal
journal = Journal.open({str(tmp_path)!r})
print("locked", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(JournalError, match=rf"another process has this journal \(pid {process.pid}\)"):
            Journal.open(tmp_path)
        process.kill()
    journal = Journal.open(tmp_path)
    with pytest.raises(JournalError, match=rf"another process has this journal \(pid {os.getpid()}\)"):
        Journal.open(tmp_path)
    journal.close()
    Journal.open(tmp_path).close()


def test_directory_that_cannot_be_used_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=f"{tmp_path}/file: File exists"):
        Journal.open(tmp_path / "file")


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "journal", HEADER, checkpoint_of(0))
    assert [each.stat().st_mode & 0o777 for each in (path.parent, path, path.parent / "lock")] == [0o700, 0o600, 0o600]


# --- Segments -------------------------------------------------------------------------------------


def test_checkpoint_begins_a_segment_when_the_present_one_is_large(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    size = journal.counters.journal_bytes_total
    monkeypatch.setattr(writer, "SEGMENT_BYTES", size)
    write(journal, checkpoint_of(1), tick_of(2))
    assert names(tmp_path) == [0]
    write(journal, checkpoint_of(2), tick_of(3), tick_of(4))
    assert names(tmp_path) == [0, 2]
    assert JournalReader(tmp_path).segments[1].header == HEADER._replace(unix_seconds=1000.5)


def fill(journal: Journal, ticks: int, game: int | None) -> None:
    """A segment of about 700 bytes for each tick."""
    write(journal, HEADER, checkpoint_of(0, game=game))
    for tick in range(1, ticks + 1):
        write(journal, tick_of(tick))
        journal.mark_saved(tick)
        write(journal, checkpoint_of(tick, game=game, size=300))


def test_new_segment_is_used_when_the_disk_has_it_and_all_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    journal = Journal.open(tmp_path, sync="1h")
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    steps: list[str] = []

    def note(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def rename(path: Path, target: Path) -> None:
        steps.append(f"{path.name} becomes {target.name}")
        path.replace(target)

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, note)
    monkeypatch.setattr(Path, "rename", rename)
    write(journal, checkpoint_of(1))
    new = "000000000001.new", "000000000001.new becomes 000000000001.zlog"
    assert steps == ["000000000000.zlog", *new, tmp_path.name, tmp_path.parent.name]
    journal.close()


@pytest.mark.parametrize(
    ("keep", "game", "kept"),
    [
        ("", 1, [8, 9]),  # The second newest checkpoint is at tick 8.
        ("1s", 1, [5, 6, 7, 8, 9]),  # 4 ticks.
        ("3kB", 1, [6, 7, 8, 9]),
        ("all", 1, list(range(10))),
        ("", None, list(range(10))),
    ],
)
def test_old_segments_are_deleted_as_far_as_nothing_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, game: int | None, kept: list[int]
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    journal = Journal.open(tmp_path, sync="never", keep=keep)
    fill(journal, 9, game)
    journal.close()
    assert names(tmp_path) == kept
    assert [entry for entry in read(tmp_path) if entry == tick_of(9)]


def test_start_of_a_game_without_save_is_deleted_at_the_limit_with_one_warning(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    monkeypatch.setattr(retention, "NEEDED_BYTES_MAX", 2500)
    fill(journal, 12, None)
    sizes = sum(path.stat().st_size for path in tmp_path.glob("*.zlog"))
    assert 1500 < sizes <= 2500
    (warning,) = caplog.messages
    assert "its start is deleted: a restart will have the world alone" in warning


# --- Syncs ----------------------------------------------------------------------------------------


def test_sync_of_each_tick_is_done_before_record_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    for sync, expected in (("tick", 3), ("never", 0)):
        journal = Journal.open(tmp_path / sync, sync=sync)
        write(journal, HEADER, checkpoint_of(0))
        del syncs[:]
        write(journal, tick_of(1), checkpoint_of(1), tick_of(2))
        assert len(syncs) == expected
        journal.close()
        assert len(syncs) == (4 if expected else 0)
        assert journal.counters.journal_syncs_total == (5 if expected else 0)


def test_sync_thread_syncs_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = threading.Semaphore(0)
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.release())
    journal = Journal.open(tmp_path, sync="1ms")
    write(journal, HEADER, checkpoint_of(0))
    assert synced.acquire(timeout=10)
    for tick in (1, 2):
        write(journal, tick_of(tick))
        assert synced.acquire(timeout=10)
    journal.close()
    assert journal.counters.journal_syncs_total == 4
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]


def fails(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("sync", ["tick", "1ms"])
def test_sync_that_fails_stops_the_journal_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: str) -> None:
    journal = Journal.open(tmp_path, sync=sync)
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)

        def failure() -> str:
            # The thread tells with a later tick.
            try:
                write(journal, tick_of((journal.last_tick or 0) + 1))
            except JournalError as error:
                return str(error)
            return ""

        text = until(failure)
    assert text.startswith(f"{tmp_path}: ")
    assert text.endswith(": Input/output error")
    size = sum(path.stat().st_size for path in tmp_path.glob("*.zlog"))
    # A later sync that succeeds says nothing about the bytes of the one that failed.
    for call in (
        lambda: write(journal, tick_of(99)),
        lambda: journal.checkpoint(checkpoint_of(1)),
        lambda: journal.begin(HEADER, checkpoint_of(1)),
    ):
        with pytest.raises(JournalError, match="Input/output error"):
            call()
    journal.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.zlog")) == size


def test_sync_that_fails_at_the_end_raises_from_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, sync="1h")
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(JournalError, match="could not be synced: Input/output error"):
        journal.close()
    journal.close()
    monkeypatch.undo()
    Journal.open(tmp_path).close()


# --- Disks ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def files_bounded(size: int) -> Iterator[None]:
    """No file of this process can grow beyond a size: a write stops there, as at the end of a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_raises_and_leaves_every_whole_tick(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    write(journal, HEADER, checkpoint_of(0))
    with files_bounded(100_000), pytest.raises(JournalError, match=r"tick 3 could not be written: File too large"):
        for tick in range(1, 9):
            recorded = tick_of(tick)._replace(frame=bytes(40_000))
            journal.record(recorded.tick_input, output_of(recorded))
    with pytest.raises(JournalError, match="tick 3 could not be written"):
        write(journal, tick_of(4))
    journal.close()
    reader = JournalReader(tmp_path)
    assert (list(reader.entries())[-1].tick, reader.last_tick) == (2, 2)  # type: ignore[union-attr]
    assert reader.torn_bytes > 10_000
    again = Journal.open(tmp_path)
    assert again.last_tick == 2
    write(again, HEADER._replace(epoch=2), checkpoint_of(2), tick_of(3))
    again.close()


def test_full_disk_at_a_new_segment_raises_and_leaves_the_old_one(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    with (
        files_bounded(1000),
        pytest.raises(JournalError, match=r"the segment of tick 1 could not be made: File too large"),
    ):
        journal.checkpoint(checkpoint_of(1, size=5000))
    journal.close()
    assert read(tmp_path) == [HEADER, checkpoint_of(0), tick_of(1)]
    assert sorted(os.listdir(tmp_path)) == ["000000000000.zlog", "lock"]


def test_disk_that_is_nearly_full_is_warned_of_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Disk:
        f_bavail, f_frsize = 200, 10**6

    monkeypatch.setattr(os, "statvfs", lambda _: Disk)
    write(journal, HEADER, checkpoint_of(0), tick_of(1), checkpoint_of(1))
    (warning,) = caplog.messages
    assert warning.endswith("has 200 MB left: the server stops when it is full")


def test_slow_write_is_counted(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(writer.time, "perf_counter", lambda: clock[0])
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    assert (journal.counters.journal_slow_writes_total, journal.counters.journal_longest_write_ms) == (0, 0.0)
    longest = []
    writev = os.writev
    for tick in range(2, 8):
        seconds = 0.02 if tick == 2 else 0.0

        def slowly(descriptor: int, parts: Any, seconds: float = seconds) -> int:
            clock[0] += seconds
            return writev(descriptor, parts)

        monkeypatch.setattr(os, "writev", slowly)
        write(journal, tick_of(tick))
        longest.append(journal.counters.journal_longest_write_ms)
        clock[0] += 6
    assert journal.counters.journal_slow_writes_total == 1
    assert longest[0] == 20
    assert longest[-1] == 0
