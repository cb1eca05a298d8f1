"""The frame checker counts each kind of wrong frame, and nothing else."""

from __future__ import annotations

import pytest
from helpers.tick_frames import FrameStream, changed
from zonetools.swarm.measure.tick_grid import TickGrid


def test_equal_copies_of_a_frame_are_correct() -> None:
    stream = FrameStream()
    stream.zone.submit(0, 1, [("move", 1, 2), ("say", "hello")])
    stream.zone.submit(1, 257, [("emote", 3)])
    payload = stream.payload()
    for _ in range(3):
        tick, record = stream.checker.check_frame(2, payload)
        assert tick == 2
        assert (record.motions, record.events, record.actions) == ({0: 1}, {0: (2,), 1: (1,)}, 3)
    assert stream.counts() == {"received": 3, "mismatched": 0, "gaps": 0, "diverged": 0}
    assert stream.checker.deliveries == 9
    assert list(stream.checker.new_digests) == [2]


def test_each_different_copy_of_a_frame_is_a_mismatch() -> None:
    stream = FrameStream()
    payload = stream.payload()
    stream.checker.check_frame(2, payload)
    stream.checker.check_frame(2, changed(payload, dilation_percent=99))
    assert stream.counts() == {"received": 2, "mismatched": 1, "gaps": 0, "diverged": 0}
    stream.checker.check_frame(2, changed(payload, dilation_percent=98))
    stream.checker.check_frame(2, payload)
    assert stream.counts() == {"received": 4, "mismatched": 2, "gaps": 0, "diverged": 0}


def test_frame_that_is_not_the_next_is_a_gap() -> None:
    stream = FrameStream()
    first, second, third = (stream.payload() for _ in range(3))
    stream.checker.check_frame(2, first)
    stream.checker.check_frame(3, second)
    stream.checker.check_frame(4, third)
    # Another bot does not get the second frame.
    stream.checker.check_frame(2, first)
    assert stream.checker.check_frame(3, third)[0] == 4
    assert stream.counts() == {"received": 5, "mismatched": 0, "gaps": 1, "diverged": 0}
    # And another one gets the second frame twice.
    stream.checker.check_frame(4, second)
    assert stream.counts() == {"received": 6, "mismatched": 0, "gaps": 2, "diverged": 0}


def test_wrong_hash_is_a_divergence() -> None:
    stream = FrameStream(hz=2)
    payloads = [stream.payload() for _ in range(4)]
    for tick, payload in enumerate(payloads, 2):
        stream.checker.check_frame(tick, changed(payload, hash=12345) if tick == 2 else payload)
    assert stream.counts() == {"received": 4, "mismatched": 0, "gaps": 0, "diverged": 1}
    assert stream.checker.hashes_checked == 2


def test_incomplete_frame_is_detected_by_the_next_hash() -> None:
    stream = FrameStream(hz=2)
    stream.zone.submit(0, 1, [("move", 1, 2)])
    stream.payload()
    stream.checker.check_frame(2, changed(stream.payload(), tick=2, hash=None))
    stream.checker.check_frame(3, changed(stream.payload(), tick=3))
    assert stream.checker.diverged == 1


def test_snapshot_is_compared_with_the_replica() -> None:
    stream = FrameStream()
    stream.checker.check_frame(2, stream.payload())
    checked = stream.checker.hashes_checked
    for _ in range(2):
        stream.checker.check_snapshot(stream.snapshot())
    assert (stream.checker.hashes_checked, stream.checker.diverged) == (checked + 1, 0)
    # A snapshot contains the columns of the world, so this one has a wrong state.
    stream.zone.world.x[0] += 1
    stream.checker.check_snapshot(stream.snapshot())
    assert stream.checker.diverged == 1


def test_newer_snapshot_replaces_the_replica_and_older_one_does_not() -> None:
    stream = FrameStream()
    behind = stream.snapshot()
    stream.zone.submit(0, 1, [("move", 1, 2)])
    stream.payload()
    stream.payload()
    assert stream.checker.check_snapshot(stream.snapshot()).tick == 3
    assert stream.checker.replica is not None
    assert stream.checker.replica.world.hash() == stream.zone.world.hash()
    assert stream.checker.check_snapshot(behind).tick == 1
    assert stream.checker.replica.tick == 3
    stream.checker.check_frame(4, stream.payload())
    assert stream.checker.replica.tick == 4
    assert stream.checker.diverged == 0


def test_snapshot_stays_as_it_is_when_the_replica_goes_on() -> None:
    stream = FrameStream()
    stream.payload()
    snapshot = stream.snapshot()
    before = list(stream.checker.check_snapshot(snapshot).seq)
    stream.zone.submit(0, 7, [("move", 1, 2)])
    stream.checker.check_frame(3, stream.payload())
    assert list(stream.checker.check_snapshot(snapshot).seq) == before


def test_first_copy_of_a_frame_fixes_the_start_of_its_tick() -> None:
    stream = FrameStream()
    now = 99.0
    stream.checker._clock = lambda: now
    payloads = [stream.payload() for _ in range(3)]
    assert stream.checker.check_frame(2, payloads[0])[1].tick_began is None, "the grid is not known yet"
    stream.checker.grid = TickGrid(100.0, 20)
    now = 100.061
    assert stream.checker.check_frame(3, payloads[1])[1].tick_began == pytest.approx(100.05)
    now = 100.3
    assert stream.checker.check_frame(3, payloads[1])[1].tick_began == pytest.approx(100.05)
    assert stream.checker.check_frame(4, payloads[2])[1].tick_began == pytest.approx(100.3)
