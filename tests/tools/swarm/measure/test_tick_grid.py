"""The tick grid finds when a tick was due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zonetools.swarm.measure.tick_grid import TickGrid

HZ = st.integers(1, 200)


@given(origin=st.floats(0, 1e7), hz=HZ, tick=st.integers(-1000, 100_000), late=st.floats(0, 1))
def test_frame_within_a_period_belongs_to_the_point_before(origin: float, hz: int, tick: int, late: float) -> None:
    due = origin + tick / hz
    # From just before the tick was due to just before the next tick may begin.
    arrived = due - 0.0009 + late * (1 / hz - 0.0002)
    began = TickGrid(origin, hz).began(arrived)
    assert began == pytest.approx(due, abs=0.00101), "an event loop may be a millisecond early"
    assert began <= arrived


@given(origin=st.floats(0, 1e6), hz=HZ, arrived=st.floats(0, 1e6))
def test_tick_began_at_most_a_period_before_its_frame(origin: float, hz: int, arrived: float) -> None:
    began = TickGrid(origin, hz).began(arrived)
    assert arrived - 1 / hz - 1e-6 <= began <= arrived


def test_server_with_another_clock_has_no_grid() -> None:
    assert TickGrid.from_next_due(1_000_000.0, 20, now=50.0) is None
    assert TickGrid.from_next_due(47.9, 20, now=50.0) is None
    assert TickGrid.from_next_due(50.04, 20, now=50.0) == TickGrid(50.04, 20)
    # A busy server may be behind its own grid, and still share our clock.
    assert TickGrid.from_next_due(49.0, 20, now=50.0) == TickGrid(49.0, 20)
