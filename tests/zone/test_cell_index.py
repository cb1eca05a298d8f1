"""The index of places finds exactly what asking everybody finds, at every tick."""

from __future__ import annotations

import pytest
from helpers.worlds import world_of_size
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.world import World
from zoneserver.zone.cell_index import CellIndex

WIDTH, HEIGHT = 300, 200

places = st.tuples(st.integers(0, WIDTH), st.integers(0, HEIGHT))
velocities = st.tuples(*[st.integers(-127, 127) | st.integers(-2, 2)] * 2)
slots = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("join"), slots, places, velocities),
        st.tuples(st.just("leave"), slots),
        st.tuples(st.just("move"), slots, velocities),
        st.tuples(st.just("place"), slots, places, velocities),
        st.tuples(st.just("pass"), st.integers(1, 40)),
        st.tuples(st.just("ask"), places, st.integers(0, 400) | st.floats(0, 50)),
    ),
    max_size=40,
)


def asked(world: World, x: int, y: int, radius: float) -> list[int]:
    """The slots near a point, by asking all."""
    found = []
    for slot in world.slots():
        at_x, at_y = world.position(slot)
        if (at_x - x) ** 2 + (at_y - y) ** 2 <= radius * radius:
            found.append(slot)
    return found


@given(steps, st.sampled_from([(20, 20), (20, 4), (7, 100), (100, 3), (3, 10_000)]))
def test_near_finds_what_asking_everybody_finds(script: list[tuple], clock: tuple[int, int]) -> None:  # type: ignore[type-arg]
    hz, speed_step = clock
    world = world_of_size(WIDTH, HEIGHT, hz=hz, speed_step=speed_step)
    world.join(0, "ann")
    index = CellIndex(world)
    for what, *how in [*script, ("pass", 3), ("ask", (150, 100), 90), ("ask", (0, 0), 1000)]:
        match what, how:
            case "join", (slot, (x, y), (vx, vy)) if not world.has(slot):
                world.join(slot, f"player {slot}")
                world.place(slot, x, y, vx, vy)
            case "leave", (slot,) if world.has(slot):
                world.leave(slot)
            case "move", (slot, (vx, vy)) if world.has(slot):
                world.move(slot, vx, vy)
            case "place", (slot, (x, y), (vx, vy)) if world.has(slot):
                world.place(slot, x, y, vx, vy)
            case "pass", (ticks,):
                world.tick += ticks
            case "ask", ((x, y), radius):
                assert index.near(x, y, radius) == asked(world, x, y, radius)


def test_restored_motion_is_filed_again() -> None:
    world = world_of_size(WIDTH, HEIGHT)
    world.join(0, "ann")
    index, before = CellIndex(world), world.motion(0)
    world.place(0, WIDTH, HEIGHT)
    assert index.near(WIDTH, HEIGHT, 1) == [0]
    world.restore_motion(0, before)
    assert (index.near(WIDTH, HEIGHT, 1), index.near(0, 0, 0)) == ([], [0])


def test_a_mover_at_rest_is_filed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of_size(WIDTH, HEIGHT)
    for slot in range(5):
        world.join(slot, f"player {slot}")
    index = CellIndex(world)
    index.near(0, 0, 1)
    filed: list[int] = []
    monkeypatch.setattr(index, "_file", filed.append)
    world.tick += 1000
    index.near(0, 0, 1)
    assert filed == []
