"""A journal as a recording: its world at any tick, and how it goes on over gaps, restarts and breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.recordings import RecordedYard
from helpers.yard import HZ
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.recording import Place, Recording, parse_place
from zoneserver.journal.values import JournalError
from zoneserver.protocol.decoding import decode_server
from zoneserver.support.errors import UsageError


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[RecordedYard]:
    with RecordedYard(tmp_path / "journal") as yard:
        yield yard


@pytest.fixture(scope="module")
def long_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedYard]:
    """Sixty ticks, with a checkpoint every ten and a restart after forty."""
    with RecordedYard(tmp_path_factory.mktemp("journal")) as yard:
        for tens in range(6):
            yard.run(10)
            yard.checkpoint()
            if tens == 3:
                yard.begin(version="2")
        yield yard


def state(recording: Recording) -> bytes:
    return recording.world.snapshot().encode()


def stepped(recording: Recording) -> list[int]:
    """The ticks from here to the end."""
    ticks = []
    while recording.step():
        ticks.append(recording.world.tick)
    return ticks


# --- Places ---------------------------------------------------------------------------------------


@given(tick=st.integers(0, 10**9), seconds=st.integers(0, 10**6), sign=st.sampled_from(["", "+", "-"]))
def test_place_is_read_as_it_is_written(tick: int, seconds: int, sign: str) -> None:
    for place in (Place(tick), Place(None, float(seconds), sign)):
        assert parse_place(str(place)) == place


@pytest.mark.parametrize("text", ["", "-30", "+5", "1x", "--3s", "-", "²", "1" * 30])
def test_place_that_says_nothing_clear_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match="no place: write a tick as 36000"):
        parse_place(text)


@pytest.mark.parametrize(
    ("place", "tick"), [("7", 7), ("5s", 20), ("-5s", 40), ("-1h", 0), ("0", 0), ("15s", 60), ("+1s", 4)]
)
def test_recording_starts_at_a_place(place: str, tick: int, long_yard: RecordedYard) -> None:
    recording = Recording(long_yard.directory, parse_place(place))
    assert (recording.world.tick, state(recording)) == (tick, long_yard.states[tick])


@pytest.mark.parametrize("place", ["61", "16s"])
def test_start_behind_the_end_names_what_there_is(place: str, long_yard: RecordedYard) -> None:
    with pytest.raises(UsageError, match=r"has the ticks 0 to 60 \(0:15\), and no tick 6"):
        Recording(long_yard.directory, parse_place(place))


def test_directory_without_a_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal in"):
        Recording(tmp_path)


# --- Steps and seeks ------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.one_of(st.none(), st.integers(-5, 70)), max_size=8))
def test_world_has_the_state_of_its_tick_after_any_steps_and_seeks(
    long_yard: RecordedYard, moves: list[int | None]
) -> None:
    recording = Recording(long_yard.directory)
    for tick in moves:
        expected = recording.world.tick + 1 if tick is None else tick
        recording.step() if tick is None else recording.seek(tick)
        assert recording.world.tick == min(60, max(0, expected))
        assert state(recording) == long_yard.states[recording.world.tick]
        frame = decode_server(recording.frame)
        assert frame.tick == recording.world.tick  # type: ignore[union-attr]
    recording.close()


def test_recording_follows_a_journal_that_is_written(yard: RecordedYard) -> None:
    yard.run(5)
    recording = Recording(yard.directory)
    assert (recording.last_tick, stepped(recording), recording.step()) == (5, [1, 2, 3, 4, 5], False)
    yard.run(3)
    assert (recording.last_tick, stepped(recording)) == (8, [6, 7, 8])
    yard.begin()
    assert not recording.step()
    yard.run(2)
    assert (recording.last_tick, stepped(recording), recording.end) == (10, [9, 10], "")
    assert state(recording) == yard.states[10]


def test_reader_follows_a_journal_in_the_middle_of_a_record(yard: RecordedYard) -> None:
    yard.run(3)
    recording = Recording(yard.directory, Place(3))
    path = JournalReader(yard.directory).segments[0].path
    before = path.read_bytes()
    yard.run()
    whole = path.read_bytes()
    for end in range(len(before) + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert not recording.step(), end
    path.write_bytes(whole)
    assert (stepped(recording), recording.end) == ([4], "")


# --- Gaps and other games -------------------------------------------------------------------------


def test_tick_that_failed_is_a_gap_up_to_the_checkpoint_behind_it(
    yard: RecordedYard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.run(5)
    yard.zone.join(99, "ghost")
    yard.fail()
    yard.run(1)
    yard.checkpoint()
    yard.run(3)
    recording = Recording(yard.directory)
    assert stepped(recording) == [1, 2, 3, 4, 5, 8, 9, 10]
    assert state(recording) == yard.states[10]
    recording.seek(6)
    assert (recording.world.tick, state(recording)) == (8, yard.states[8])
    assert caplog.records == []


def test_ticks_that_are_missing_are_a_gap(yard: RecordedYard) -> None:
    yard.run(5)
    yard.zone.requests.joins.clear()
    yard.zone.world.tick += 2  # Nothing happened in these.
    yard.run(3)
    recording = Recording(yard.directory)
    assert stepped(recording) == [1, 2, 3, 4, 5, 8, 9, 10]
    assert state(recording) == yard.states[10]


def test_frames_that_do_not_fit_are_left_out_up_to_the_next_checkpoint(yard: RecordedYard) -> None:
    yard.run(5)
    # A player comes in, and nobody is told.
    yard.zone.join(99, "ghost")
    yard.run(1, is_recorded=False)
    yard.run(HZ + 2)
    yard.checkpoint()
    checkpoint = yard.tick
    yard.run(3)
    recording = Recording(yard.directory)
    ticks = stepped(recording)
    hash_tick = next(tick for tick in range(7, 20) if tick % HZ == 0)
    assert ticks == [1, 2, 3, 4, 5, *range(7, hash_tick), *range(checkpoint + 1, checkpoint + 4)]
    assert state(recording) == yard.states[checkpoint + 3]
    assert recording.end == ""


def test_frames_that_do_not_fit_end_the_recording_where_no_checkpoint_follows(yard: RecordedYard) -> None:
    yard.run(8)
    yard.zone.join(99, "ghost")
    yard.run(4, is_recorded=False)
    yard.run(1)
    recording = Recording(yard.directory, Place(7))
    yard.zone.world.leave(0)
    yard.run(HZ)
    ticks = stepped(recording)
    assert "no checkpoint follows" in recording.end
    assert recording.world.tick == ticks[-1]
    recording.seek(8)
    assert (state(recording), recording.end) == (yard.states[8], "")


def test_restart_with_another_state_is_a_gap_of_one_frame(yard: RecordedYard) -> None:
    yard.run(5)
    # The game began anew, and has thrown somebody out.
    yard.zone.world.leave(0)
    yard.begin()
    yard.run(3)
    recording = Recording(yard.directory)
    assert stepped(recording) == [1, 2, 3, 4, 5, 7, 8]
    assert state(recording) == yard.states[8]


def test_recording_ends_where_another_game_begins_and_names_the_tick(yard: RecordedYard) -> None:
    yard.run(5)
    yard.begin(width=500)
    yard.run(3)
    recording = Recording(yard.directory)
    assert (recording.last_tick, stepped(recording)) == (5, [1, 2, 3, 4, 5])
    assert recording.end == "the journal goes on with another game, yard: replay it with --from 5"
    recording.seek(8)
    assert recording.world.tick == 5
    other = Recording(yard.directory, Place(5))
    assert (other.first_tick, other.info.width, stepped(other)) == (5, 500, [6, 7, 8])
    other.seek(0)
    assert other.world.tick == 5


def test_other_game_that_begins_later_ends_the_recording(yard: RecordedYard) -> None:
    yard.run(5)
    recording = Recording(yard.directory)
    assert stepped(recording)[-1] == 5
    yard.begin(width=500)
    yard.run()
    assert not recording.step()
    assert (recording.last_tick, recording.end[-8:]) == (5, "--from 5")


def test_broken_record_ends_the_recording_and_is_named(yard: RecordedYard) -> None:
    yard.run(5)
    yard.begin()
    yard.run(5)
    path = JournalReader(yard.directory).segments[0].path
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    recording = Recording(yard.directory)
    assert stepped(recording) == [1, 2, 3, 4]
    assert f"{path}: the checksum of the record is wrong (offset " in recording.end
    assert not recording.step()
    recording.seek(7)
    assert (state(recording), recording.end) == (yard.states[7], "")
    recording.seek(3)
    assert (state(recording), recording.end) == (yard.states[3], "")


def test_seek_to_what_was_deleted_goes_to_the_first_tick_that_is_left(yard: RecordedYard) -> None:
    yard.run(5)
    yard.begin()
    yard.run(5)
    recording = Recording(yard.directory, Place(8))
    JournalReader(yard.directory).segments[0].path.unlink()
    recording.seek(2)
    assert (recording.world.tick, recording.first_tick) == (5, 5)
