"""The floor: it sends, counts, and reports failures."""

from __future__ import annotations

import pytest
from helpers.loops import one_loop
from zonetools.bench.floor import FloorError, FloorPlan, run_floor, send_at_rate


@one_loop
async def test_floor_sends_what_it_counts_and_the_receiver_reads_all() -> None:
    sent = await run_floor(FloorPlan(sockets=20, frame_bytes=500, hz=20, seconds=1.0))
    assert sent.ticks >= 1
    assert sent.ticks + sent.ticks_skipped >= 20
    assert sent.sends + sent.blocked == 20 * sent.ticks
    assert sent.bytes_sent == sent.bytes_drained
    # The bytes include the warm-up, and every send was complete.
    assert sent.blocked == 0
    assert sent.bytes_sent % 500 == 0
    assert sent.bytes_sent > 500 * sent.sends
    assert sent.cpu_percent > 0
    assert sent.cpu_us_per_send > 0


@one_loop
async def test_floor_that_fails_says_why() -> None:
    with pytest.raises(FloorError, match="ZeroDivisionError"):
        await run_floor(FloorPlan(sockets=1, frame_bytes=1, hz=0, seconds=1.0))


def test_send_at_rate_counts_a_full_socket_and_does_not_wait() -> None:
    taken = []

    def full(_data: bytes) -> int:
        raise BlockingIOError

    def half(data: bytes) -> int:
        taken.append(data)
        return 2

    sent = send_at_rate([full, half, half], b"four", hz=1000, seconds=0.01)
    assert sent.ticks >= 1
    assert (sent.blocked, sent.sends, sent.bytes) == (sent.ticks, 2 * sent.ticks, 4 * sent.ticks)
    assert len(taken) == sent.sends
    assert set(taken) == {b"four"}
