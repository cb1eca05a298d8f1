"""A replay as a zone: what it tells its watchers, at which rate, and its commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.recordings import RecordedYard

from zoneserver.journal.recording import Place, Recording
from zoneserver.journal.replay_zone import ReplayZone, parse_speed
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.link import Command, Join, Requests, TickInput, TickOutput
from zoneserver.zone.ticked_zone import TickedZone

Open = Callable[..., "Turns"]
HZ = 10


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedYard]:
    """Sixty ticks: six seconds."""
    with RecordedYard(tmp_path_factory.mktemp("journal"), HZ) as yard:
        yard.run(30)
        yard.checkpoint()
        yard.run(30)
        yield yard


class Turns:
    """A replay that a test ticks."""

    def __init__(self, zone: ReplayZone) -> None:
        self.zone = zone

    def turn(self, **requests: Any) -> TickOutput:
        zone: TickedZone = self.zone
        zone.advance(TickInput(zone.world.tick + 1, 0.0, 100, Requests(**requests)))
        return zone.encode()

    def order(self, words: str) -> tuple[bool, str]:
        """Gives a command, and returns its result."""
        ((ref, is_done, text),) = self.turn(commands=[Command(7, tuple(words.split()))]).results
        assert ref == 7
        return is_done, text

    def ticks(self, turns: int) -> list[int]:
        return [self.turn().tick for _ in range(turns)]


@pytest.fixture
def opened(yard: RecordedYard) -> Iterator[Open]:
    zones: list[ReplayZone] = []

    def opened(start: int = 0, **settings: Any) -> Turns:
        zones.append(ReplayZone(Recording(yard.directory, Place(start)), **settings))
        return Turns(zones[-1])

    yield opened
    for zone in zones:
        zone.stop()


def test_frames_are_those_of_the_journal_with_as_many_changes(yard: RecordedYard, opened: Open) -> None:
    replay = opened()
    outputs = [replay.turn() for _ in range(60)]
    assert [output.tick for output in outputs] == list(range(1, 61))
    assert replay.zone.snapshot() == yard.states[60]
    assert outputs[0].records == 2  # The first player came in, and was placed.


def test_pause_repeats_the_frame_and_play_goes_on(opened: Open) -> None:
    replay = opened(10)
    replay.turn()
    assert replay.order("pause") == (True, "paused at 0:01 of 0:06, tick 11")
    first, second = replay.turn(), replay.turn()
    assert (first.tick, first.frame, first.records) == (second.tick, second.frame, second.records)
    assert (first.tick, first.records) == (11, 0)
    assert replay.order("play") == (True, "playing x1 at 0:01 of 0:06, tick 11")
    assert replay.ticks(3) == [13, 14, 15]


def test_pause_and_seek_show_the_place_and_stand_still(yard: RecordedYard, opened: Open) -> None:
    replay = opened(50)
    replay.order("pause")
    for words, tick in (("seek 5s", 50), ("seek -2s", 30), ("seek +0.5s", 35), ("seek 33", 33), ("seek -1h", 0)):
        assert replay.order(words)[0]
        output = replay.turn()
        assert (output.tick, replay.zone.snapshot()) == (tick, yard.states[tick])
    assert replay.order("seek 2h") == (True, "paused at 0:06 of 0:06, tick 60")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("seek", "usage: seek 1h05m|+30s|-30s|TICK: a word is missing"),
        ("seek -5", "usage: seek 1h05m|+30s|-30s|TICK: -5 is no place: write a tick as 36000"),
        ("speed 0.05", "usage: speed FACTOR: 0.05 is not from 0.1 to 100"),
        ("speed fast", "usage: speed FACTOR: 'fast' is not a number"),
        ("play now", "usage: play: 'now' is one word too many"),
        ("kick ann", "this is a replay: it takes pause, play, seek, speed, players"),
    ],
)
def test_command_that_makes_no_sense_is_not_done(words: str, complaint: str, opened: Open) -> None:
    replay = opened(10)
    is_done, text = replay.order(words)
    assert (is_done, text[: len(complaint)]) == (False, complaint)
    assert replay.ticks(1) == [12]


def test_speed_is_a_rate_of_ticks_and_never_fewer_than_ten_a_second(opened: Open) -> None:
    replay = opened(speed=8.0)
    replay.turn()
    assert replay.zone.ticks_per_second == 8 * HZ
    replay.order("speed x100")
    replay.turn()
    assert replay.zone.ticks_per_second == 100 * HZ
    replay.order("pause")
    replay.turn()
    # Who stands still needs no such rate.
    assert replay.zone.ticks_per_second == HZ
    replay.order("speed 0.5")
    replay.order("play")
    assert replay.zone.ticks_per_second == 10
    ticks = replay.ticks(9)
    assert [ticks.count(tick) for tick in sorted(set(ticks))][1:-1] == [2, 2, 2]


@pytest.mark.parametrize("text", ["0.1", "x8", "100"])
def test_speed_within_its_bounds_is_read(text: str) -> None:
    assert parse_speed(text) == float(text.strip("x"))


def test_end_stands_still_and_is_told_once(opened: Open) -> None:
    ends: list[int] = []
    replay = opened(57)
    replay.zone.at_end = lambda: ends.append(replay.zone.world.tick)
    assert replay.ticks(5) == [58, 59, 60, 60, 60]
    assert ends == [60]
    replay.order("seek 59")
    assert replay.ticks(3) == [60, 60, 60]
    assert ends == [60, 60]


def test_repeat_begins_again_where_it_began_and_last_is_the_end(opened: Open) -> None:
    replay = opened(20, last=23, loops=True)
    assert replay.ticks(8) == [21, 22, 23, 20, 21, 22, 23, 20]
    assert replay.order("seek 60") == (True, "playing x1 at 0:02 of 0:02, tick 23")


def test_broken_journal_stands_still_and_says_why(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    replay = opened(10)
    monkeypatch.setattr(replay.zone._recording, "end", "the disk is broken")
    assert replay.ticks(2) == [10, 10]
    assert [record.getMessage() for record in caplog.records] == [
        "the replay stands still at tick 10: the disk is broken"
    ]
    assert replay.order("play") == (False, "the disk is broken")


def test_only_watchers_are_let_in_and_no_more_than_there_is_room_for(opened: Open) -> None:
    replay = opened(watchers_max=2)
    joins = [Join(ref, "", b"", "127.0.0.1", watch=True) for ref in (1, 2, 3)]
    output = replay.turn(joins=[Join(9, "ann", b"", "127.0.0.1"), *joins])
    assert output.joined == [(1, None), (2, None)]
    assert [(ref, str(reason)) for ref, reason, _ in output.ended] == [(9, "REPLAY"), (3, CloseReason.SERVER_FULL)]
    assert output.ended[0].text == "this is a replay: watch it"
    output = replay.turn(leaves=[1], joins=joins[2:])
    assert (output.joined, output.ended) == ([(3, None)], [])


def test_figures_tell_where_the_replay_is(opened: Open) -> None:
    replay = opened(21, speed=2.0)
    replay.order("pause")
    assert replay.zone.replay == {
        "position_s": 2.1,
        "length_s": 6.0,
        "speed": 2.0,
        "paused": True,
        "first_tick": 0,
        "last_tick": 60,
        "players": 5,
    }
