"""The frame builder: one record per player, however often it changed within the tick."""

import pytest
from helpers.worlds import world_of_size

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.protocol.world import World
from zoneserver.zone.frame_builder import FrameBuilder


def world_of(players: int) -> World:
    world = world_of_size(1000, 1000, {"hp": 100, "kills": 0})
    world.tick = 7
    for slot in range(players):
        world.join(slot, f"player{slot}")
    return world


def encoded(builder: FrameBuilder, world: World, dilation_percent: int = 100, state_hash: int | None = None) -> Tick:
    """The builder's frame, decoded."""
    data = builder.encode(world, dilation_percent, state_hash)
    tick = decode_server(data)
    assert isinstance(tick, Tick)
    return tick


def test_frame_has_tick_dilation_and_hash() -> None:
    tick = encoded(FrameBuilder(), world_of(0), 50, 2**32 - 1)
    assert (tick.tick, tick.dilation_percent, tick.hash) == (7, 50, 2**32 - 1)


def test_movers_are_in_rising_order_with_sequences_and_velocities() -> None:
    builder, world = FrameBuilder(), world_of(4)
    for slot in (3, 0, 2):
        world.move(slot, slot, -slot)
        builder.moved[slot] = 10 + slot
    tick = encoded(builder, world)
    assert list(zip(tick.movers, tick.seqs, tick.vx, tick.vy, strict=True)) == [
        (0, 10, 0, 0),
        (2, 12, 2, -2),
        (3, 13, 3, -3),
    ]


def test_motion_and_stats_are_those_at_the_end_of_the_tick() -> None:
    builder, world = FrameBuilder(), world_of(1)
    builder.moved[0] = 1
    builder.placed.add(0)
    builder.stats[0] = 0b10
    world.place(0, 5, 6, 1, 2)
    world.stats[1][0] = 9
    tick = encoded(builder, world)
    assert (list(tick.vx), list(tick.vy)) == ([1], [2])
    assert list(tick.placed) == [0, 5, 6, 1, 2]
    assert list(tick.stats) == [0, 1, 9]


def test_player_has_one_record_however_often_it_changed() -> None:
    builder, world = FrameBuilder(), world_of(1)
    for seq in range(5):
        builder.moved[0] = seq
        builder.placed.add(0)
        builder.stats[0] = 0b1
    assert builder.records == 3
    tick = encoded(builder, world)
    assert (list(tick.seqs), len(tick.placed), len(tick.stats)) == ([4], 5, 3)


def test_placed_players_are_in_rising_order_of_slots() -> None:
    builder, world = FrameBuilder(), world_of(40)
    builder.placed |= {33, 1, 8}
    assert list(encoded(builder, world).placed[::5]) == [1, 8, 33]


def test_leaves_and_events_keep_their_order_and_joins_are_in_that_of_slots() -> None:
    builder, world = FrameBuilder(), world_of(3)
    for slot in (2, 0):
        builder.joined(slot, f"player{slot}")
    builder.left(5)
    builder.left(4)
    builder.event(1, 2, "wave")
    builder.event(None, None, "boom", 1.5, None)
    tick = encoded(builder, world)
    assert list(tick.joins) == [(0, "player0"), (2, "player2")]
    assert list(tick.leaves) == [5, 4]
    assert list(tick.events) == [(1, 2, "wave"), (None, None, "boom", 1.5, None)]


def test_builder_is_empty_after_encode() -> None:
    builder, world = FrameBuilder(), world_of(2)
    empty = builder.encode(world, 100, None)
    builder.moved[0] = 1
    builder.placed.add(1)
    builder.stats[1] = 0b1
    builder.joined(0, "player0")
    builder.left(4)
    builder.event(0, 1, "wave")
    assert builder.records == 6
    assert builder.encode(world, 100, None) != empty
    assert builder.records == 0
    assert builder.encode(world, 100, None) == empty


@pytest.mark.parametrize("value", [{1}, object(), b"".join])
def test_event_that_cannot_be_packed_raises_and_is_not_added(value: object) -> None:
    builder = FrameBuilder()
    with pytest.raises((TypeError, ValueError)):
        builder.event(0, 1, "wave", value)
    assert builder.records == 0
    assert list(encoded(builder, world_of(1)).events) == []
