"""The frame checker counts each kind of wrong frame, and nothing else."""

from __future__ import annotations

import pytest
from helpers.tick_frames import FrameStream, changed
from zonetools.swarm.measure.tick_grid import TickGrid


def test_the_same_bytes_are_right_however_often_they_come() -> None:
    stage = FrameStream()
    stage.zone.submit(0, 1, [("move", 1, 2), ("say", "hello")])
    stage.zone.submit(1, 257, [("emote", 3)])
    payload = stage.payload()
    for _ in range(3):
        tick, record = stage.frame_checker.check_frame(2, payload)
        assert tick == 2
        assert (record.motions, record.events, record.actions) == ({0: 1}, {0: (2,), 1: (1,)}, 3)
    assert stage.counts() == {"received": 3, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stage.frame_checker.deliveries == 9
    assert list(stage.frame_checker.new_digests) == [2]


def test_other_bytes_of_the_same_tick_are_a_mismatch_each_time() -> None:
    stage = FrameStream()
    payload = stage.payload()
    stage.frame_checker.check_frame(2, payload)
    stage.frame_checker.check_frame(2, changed(payload, dilation_percent=99))
    assert stage.counts() == {"received": 2, "mismatched": 1, "gaps": 0, "diverged": 0}
    stage.frame_checker.check_frame(2, changed(payload, dilation_percent=98))
    stage.frame_checker.check_frame(2, payload)
    assert stage.counts() == {"received": 4, "mismatched": 2, "gaps": 0, "diverged": 0}


def test_a_tick_that_is_not_the_next_is_a_gap() -> None:
    stage = FrameStream()
    first, second, third = (stage.payload() for _ in range(3))
    stage.frame_checker.check_frame(2, first)
    stage.frame_checker.check_frame(3, second)
    stage.frame_checker.check_frame(4, third)
    # Another bot, which does not get the second.
    stage.frame_checker.check_frame(2, first)
    assert stage.frame_checker.check_frame(3, third)[0] == 4
    assert stage.counts() == {"received": 5, "mismatched": 0, "gaps": 1, "diverged": 0}
    # And one that gets the second twice.
    stage.frame_checker.check_frame(4, second)
    assert stage.counts() == {"received": 6, "mismatched": 0, "gaps": 2, "diverged": 0}


def test_a_wrong_hash_is_a_divergence() -> None:
    stage = FrameStream(hz=2)
    payloads = [stage.payload() for _ in range(4)]
    for tick, payload in enumerate(payloads, 2):
        stage.frame_checker.check_frame(tick, changed(payload, hash=12345) if tick == 2 else payload)
    assert stage.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 1}
    assert stage.frame_checker.hashes_checked == 2


def test_a_frame_that_keeps_something_back_is_found_with_the_next_hash() -> None:
    stage = FrameStream(hz=2)
    stage.zone.submit(0, 1, [("move", 1, 2)])
    stage.payload()
    stage.frame_checker.check_frame(2, changed(stage.payload(), tick=2, hash=None))
    stage.frame_checker.check_frame(3, changed(stage.payload(), tick=3))
    assert stage.frame_checker.diverged == 1


def test_a_snapshot_is_held_against_the_replica() -> None:
    stage = FrameStream()
    stage.frame_checker.check_frame(2, stage.payload())
    checked = stage.frame_checker.hashes_checked
    for _ in range(2):
        stage.frame_checker.check_snapshot(stage.snapshot())
    assert (stage.frame_checker.hashes_checked, stage.frame_checker.diverged) == (checked + 1, 0)
    # The bytes are the world's own columns: this is the state of no zone.
    stage.zone.world.x[0] += 1
    stage.frame_checker.check_snapshot(stage.snapshot())
    assert stage.frame_checker.diverged == 1


def test_a_snapshot_from_ahead_is_taken_over_and_one_from_behind_is_not() -> None:
    stage = FrameStream()
    behind = stage.snapshot()
    stage.zone.submit(0, 1, [("move", 1, 2)])
    stage.payload()
    stage.payload()
    assert stage.frame_checker.check_snapshot(stage.snapshot()).tick == 3
    assert stage.frame_checker.replica is not None
    assert stage.frame_checker.replica.world.hash() == stage.zone.world.hash()
    assert stage.frame_checker.check_snapshot(behind).tick == 1
    assert stage.frame_checker.replica.tick == 3
    stage.frame_checker.check_frame(4, stage.payload())
    assert stage.frame_checker.replica.tick == 4
    assert stage.frame_checker.diverged == 0


def test_the_first_copy_of_a_frame_says_when_its_tick_began_and_no_later_one() -> None:
    stage = FrameStream()
    now = 99.0
    stage.frame_checker._clock = lambda: now
    payloads = [stage.payload() for _ in range(3)]
    assert stage.frame_checker.check_frame(2, payloads[0])[1].tick_began is None, "nobody knows the grid yet"
    stage.frame_checker.grid = TickGrid(100.0, 20)
    now = 100.061
    assert stage.frame_checker.check_frame(3, payloads[1])[1].tick_began == pytest.approx(100.05)
    now = 100.3
    assert stage.frame_checker.check_frame(3, payloads[1])[1].tick_began == pytest.approx(100.05)
    assert stage.frame_checker.check_frame(4, payloads[2])[1].tick_began == pytest.approx(100.3)
