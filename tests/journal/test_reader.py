"""Reading a journal: all of it, from a tick on, torn at any place, broken at any byte, and while it is written."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from helpers.journals import HEADER, checkpoint_of, journal_of, places, read, tick_of, write
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.journal import writer
from zoneserver.journal.reader import JournalReader
from zoneserver.journal.records import FILE_HEAD_BYTES, Kind, Salt, record_bytes, salt_of
from zoneserver.journal.segments import Segment, SegmentReader
from zoneserver.journal.survey import check
from zoneserver.journal.values import Entry, JournalError, RecordedTick
from zoneserver.journal.writer import Journal
from zoneserver.zone.link import Join

HEAD = b"ZONEJRNL" + bytes((0, 0, 0, 1)) + crc32(b"saltsalt").to_bytes(4) + b"saltsalt"
ENTRIES: list[Entry] = [HEADER, checkpoint_of(0), *map(tick_of, (1, 2)), checkpoint_of(2), *map(tick_of, (3, 4))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of one segment with ENTRIES; no test changes it."""
    directory = tmp_path_factory.mktemp("whole")
    journal_of(directory, *ENTRIES)
    return directory


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a segment, in whose file a test writes what it wants."""
    return tmp_path_factory.mktemp("scratch") / "000000000000.zlog"


def ends(data: bytes) -> dict[int, int]:
    """For the end of each unit: how many units there are up to it."""
    starts = places(data)
    # The records are one for the header, and two for each other entry. A mark follows the first checkpoint.
    return {starts[1]: 1, starts[3]: 2} | {starts[2 * count]: count for count in range(2, len(ENTRIES) + 1)}


def test_reader_gives_what_was_written(whole: Path) -> None:
    reader = JournalReader(whole)
    assert list(reader.entries()) == ENTRIES
    assert (reader.first_tick, reader.last_tick, reader.checkpoints()) == (0, 4, [0, 2])
    assert (reader.torn_bytes, [segment.header for segment in reader.segments]) == (0, [HEADER])


@pytest.mark.parametrize(("tick", "first"), [(0, 0), (1, 0), (2, 2), (3, 2), (99, 2), (-5, 0)])
def test_entries_begin_with_the_newest_checkpoint_at_or_before_a_tick(whole: Path, tick: int, first: int) -> None:
    place = ENTRIES.index(checkpoint_of(first))
    assert read(whole, tick) == [HEADER, *ENTRIES[place:]]


def test_every_cut_of_the_end_leaves_whole_ticks_and_tells_the_rest(whole: Path, scratch: Path) -> None:
    data = (whole / scratch.name).read_bytes()
    whole_units = ends(data)
    unit_end, count = 0, 0
    near = {end + more for end in whole_units for more in (-1, 0, 1)}
    for size in sorted({*range(0, len(data), 5), *near} & {*range(len(data) + 1)}):
        if size in whole_units:
            unit_end, count = size, whole_units[size]
        scratch.write_bytes(data[:size])
        reader = JournalReader(scratch.parent)
        # Without its first checkpoint a segment was not used.
        entries, torn = (ENTRIES[:count], size - unit_end) if count > 1 else ([], size)
        assert (list(reader.entries()), reader.torn_bytes) == (entries, torn), size
        assert len(reader.segments) == (count > 1)


@given(st.data())
def test_every_changed_byte_is_found_or_cut_off(whole: Path, scratch: Path, data: st.DataObject) -> None:
    content = bytearray((whole / scratch.name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    scratch.write_bytes(content)
    starts = places((whole / scratch.name).read_bytes())
    reader = JournalReader(scratch.parent)
    if place >= starts[-2]:
        # The last record: the tick that it belongs to is torn.
        assert list(reader.entries()) == ENTRIES[:-1]
        assert reader.torn_bytes == starts[-1] - starts[-3]
        return
    offset = max([0, *(start for start in starts if start <= place)])
    with pytest.raises(JournalError, match=rf"000000000000\.zlog: .*\(offset {offset}\): "):
        list(reader.entries())
    with pytest.raises(JournalError, match=rf"\(offset {offset}\): "):
        _ = reader.last_tick


@pytest.mark.parametrize("junk", [b"\0" * 5000, b"\1" * 5000, bytes(range(256)) * 20])
def test_junk_at_the_end_is_torn(whole: Path, scratch: Path, junk: bytes) -> None:
    scratch.write_bytes((whole / scratch.name).read_bytes() + junk)
    reader = JournalReader(scratch.parent)
    assert (list(reader.entries()), reader.torn_bytes) == (ENTRIES, 5000 if len(junk) == 5000 else 5120)


# Records as somebody would make them who does not know the salt: any kind, and the ticks around the present one.
HOSTILE = b"".join(b"".join(record_bytes(kind, tick, b"x", Salt(0))) for kind in Kind for tick in (4, 5, 6)) * 2


@pytest.mark.parametrize(
    "recorded",
    [
        tick_of(5, actions=[(7, 5, (("blob", HOSTILE),))]),
        tick_of(5, joins=[Join(8, "eve", HOSTILE, "127.0.0.1")]),
        tick_of(5)._replace(frame=HOSTILE),
    ],
    ids=["action", "ticket", "frame"],
)
def test_torn_end_within_bytes_that_look_like_records_is_cut_off(tmp_path: Path, recorded: RecordedTick) -> None:
    path = journal_of(tmp_path, *ENTRIES, recorded)
    data = path.read_bytes()
    start = places(data)[-3]
    for size in range(start + 1, len(data), 11):
        path.write_bytes(data[:size])
        found = check(tmp_path)
        assert (found.ticks, found.torn_bytes, found.faults) == (4, size - start, [])
        reader = JournalReader(tmp_path)
        assert (list(reader.entries()), reader.torn_bytes, reader.last_tick) == (ENTRIES, size - start, 4)
    Journal.open(tmp_path).close()
    assert path.read_bytes() == data[:start]


def test_broken_place_within_bytes_that_look_like_records_is_the_only_one(tmp_path: Path) -> None:
    hostile = tick_of(5, actions=[(7, 5, (("blob", HOSTILE),))])
    path = journal_of(tmp_path, *ENTRIES, hostile, tick_of(6))
    data = bytearray(path.read_bytes())
    starts = places(data)
    data[data.index(HOSTILE) - 1] ^= 1
    path.write_bytes(data)
    found = check(tmp_path)
    assert (found.ticks, [fault.offset for fault in found.faults], found.torn_bytes) == (5, [starts[-5]], 0)


def test_segments_have_different_salts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1), checkpoint_of(1))
    salts = {salt_of(path.read_bytes()[:FILE_HEAD_BYTES]) for path in tmp_path.glob("*.zlog")}
    assert len(salts) == 2


def test_a_record_in_the_place_of_another_is_found(whole: Path, scratch: Path) -> None:
    data = (whole / scratch.name).read_bytes()
    starts = places(data)
    # Tick 2 stands where tick 1 should.
    scratch.write_bytes(data[: starts[4]] + data[starts[6] : starts[8]] + data[starts[4] :])
    with pytest.raises(JournalError, match=rf"the record is out of place \(offset {starts[6]}\)"):
        read(scratch.parent)
    # An input has no output.
    scratch.write_bytes(data[: starts[5]] + data[starts[6] :])
    with pytest.raises(JournalError, match=rf"the second record of two is missing \(offset {starts[5]}\)"):
        read(scratch.parent)


def test_torn_or_missing_segment_before_the_last_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    path = journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1), checkpoint_of(1), tick_of(2), checkpoint_of(2))
    first, second, third = sorted(tmp_path.glob("*.zlog"))
    assert (path, JournalReader(tmp_path).last_tick) == (third, 2)
    data = second.read_bytes()
    second.write_bytes(data[:-1])
    with pytest.raises(JournalError, match=r"01\.zlog: the record is said to have \d+ bytes, and \d+ are left"):
        read(tmp_path)
    second.write_bytes(data[: places(data)[4]])
    with pytest.raises(JournalError, match=r"000000000002\.zlog: it begins at tick 2, and .* before it ends at tick 1"):
        read(tmp_path)
    second.unlink()
    with pytest.raises(JournalError, match=r"000000000002\.zlog: it begins at tick 2, and .* before it ends at tick 1"):
        read(tmp_path)
    assert [getattr(entry, "tick", None) for entry in read(tmp_path, 2)] == [None, 2]
    assert first.exists()


def test_entries_go_on_with_what_is_written_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, sync="never")
    write(journal, HEADER, checkpoint_of(0), tick_of(1))
    reader = JournalReader(tmp_path)
    entries = reader.entries()
    assert [next(entries) for _ in range(3)] == [HEADER, checkpoint_of(0), tick_of(1)]
    write(journal, tick_of(2))
    assert next(entries) == tick_of(2)
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 0)
    write(journal, tick_of(3), checkpoint_of(3), tick_of(4))
    header = HEADER._replace(unix_seconds=1000.75)
    assert list(entries) == [tick_of(3), header, checkpoint_of(3), tick_of(4)]
    assert (reader.torn_bytes, reader.last_tick, reader.checkpoints()) == (0, 4, [0, 3])
    write(journal, tick_of(5))
    assert (reader.last_tick, list(reader.entries(4))) == (5, [header, checkpoint_of(3), tick_of(4), tick_of(5)])
    journal.close()


def test_entry_that_is_written_at_the_last_look_is_given(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, sync="never")
    write(journal, HEADER, checkpoint_of(0))
    unwritten = list(map(tick_of, (1, 2, 3)))

    class Reader(JournalReader):
        def _following(self, segment: Segment) -> Segment | None:
            following = super()._following(segment)
            if unwritten:
                write(journal, unwritten.pop(0))
            return following

    assert list(Reader(tmp_path).entries())[2:] == list(map(tick_of, (1, 2, 3)))
    journal.close()


def test_checkpoint_that_is_broken_is_not_begun_with(whole: Path, scratch: Path) -> None:
    content = bytearray((whole / scratch.name).read_bytes())
    content[places(content)[9] - 1] ^= 1
    scratch.write_bytes(content)
    entries = JournalReader(scratch.parent).entries(4)
    assert [next(entries) for _ in range(4)] == ENTRIES[:4]
    with pytest.raises(JournalError):
        next(entries)


def test_body_that_cannot_be_decoded_is_named(whole: Path, scratch: Path) -> None:
    data = (whole / scratch.name).read_bytes()
    start = data[:FILE_HEAD_BYTES]
    salt = salt_of(start)
    assert salt is not None
    head, body = record_bytes(Kind.HEADER, 0, b"\x90", salt)
    scratch.write_bytes(start + head + body + data[places(data)[1] :])
    with pytest.raises(JournalError, match=r"zlog: the record cannot be decoded \(TypeError: .*\) \(offset 24\)"):
        read(scratch.parent)


@pytest.mark.parametrize(
    "content",
    [HEAD.replace(b"L\0\0\0\1", b"L\0\0\0\2") + bytes(99), b"a file of somebody else", b"ZONEJRNX", bytes(99) + b"x"],
)
def test_file_of_another_kind_or_version_is_refused_and_not_cut_off(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000000000000.zlog"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="does not begin as a segment of a journal of this version"):
        read(tmp_path)
    with pytest.raises(JournalError, match="does not begin as a segment of a journal of this version"):
        Journal.open(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"ZONEJ", bytes(99), HEAD[:-1], HEAD + bytes(99)])
def test_last_file_that_was_not_used_is_no_segment(tmp_path: Path, content: bytes) -> None:
    journal_of(tmp_path, HEADER, checkpoint_of(0), tick_of(1))
    (tmp_path / "000000000001.zlog").write_bytes(content)
    reader = JournalReader(tmp_path)
    assert (list(reader.entries())[-1], reader.torn_bytes) == (tick_of(1), len(content))
    Journal.open(tmp_path).close()
    assert len(list(tmp_path.glob("*.zlog"))) == 1


def test_directory_without_a_journal_has_no_segments(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert (list(reader.segments), reader.checkpoints(), list(reader.entries())) == ([], [], [])
    for name in ("first_tick", "last_tick"):
        with pytest.raises(JournalError, match=f"there is no journal in {tmp_path}"):
            getattr(reader, name)
    with pytest.raises(JournalError, match=r"none: No such file or directory"):
        JournalReader(tmp_path / "none")


def test_skip_goes_on_behind_each_broken_place(whole: Path, scratch: Path) -> None:
    content = bytearray((whole / scratch.name).read_bytes())
    starts = places(content)
    for place in (starts[4] + 20, starts[9] + 5):  # Within the input of tick 1, and the state after tick 2.
        content[place] ^= 255
    scratch.write_bytes(content)
    (segment,) = JournalReader(scratch.parent).segments
    found: list[object] = []
    with SegmentReader(segment) as reader:
        while True:
            entry = reader.read_entry()
            if entry is not None:
                found.append(entry)
            elif reader.fault:
                found.append(reader.fault_offset)
                if not reader.skip():
                    break
            else:
                break
    assert found == [*ENTRIES[:2], starts[4], tick_of(2), starts[9], tick_of(3), tick_of(4)]
