"""Frames: one encode per tick, one record per player, and the shortest way to catch up."""

import random

import msgpack
import pytest

from zoneserver.protocol.decoding import decode_server, inflate_message
from zoneserver.protocol.framing import HEADER_BYTES, Deframer, frame
from zoneserver.protocol.messages import Op, Tick
from zoneserver.protocol.world import World
from zoneserver.zone import history as frames
from zoneserver.zone.history import Buffer, History
from zoneserver.zone.tick_buffer import FrameBuilder


def world_of(players: int) -> World:
    world = World(1000, 1000, {"hp": 100, "kills": 0})
    world.tick = 7
    for slot in range(players):
        world.join(slot, f"player{slot}")
    return world


def encoded(builder: FrameBuilder, world: World, dilation_percent: int = 100, state_hash: int | None = None) -> Tick:
    """The builder's frame as a client has it."""
    data = builder.encode(world, dilation_percent, state_hash)
    assert int.from_bytes(data[:HEADER_BYTES]) == len(data) - HEADER_BYTES
    tick = decode_server(data[HEADER_BYTES:])
    assert isinstance(tick, Tick)
    return tick


# --- FrameBuilder ---------------------------------------------------------------------------------


def test_each_call_of_encode_encodes_once() -> None:
    builder, world = FrameBuilder(), world_of(1)
    for count in range(1, 4):
        builder.encode(world, 100, None)
        assert builder.encodes_total == count


def test_a_frame_says_the_tick_the_dilation_and_the_hash() -> None:
    tick = encoded(FrameBuilder(), world_of(0), 50, 2**32 - 1)
    assert (tick.tick, tick.dilation_percent, tick.hash) == (7, 50, 2**32 - 1)


def test_movers_rise_with_their_sequences_and_velocities_beside_them() -> None:
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
    builder.stats[0, 1] = None
    world.place(0, 5, 6, 1, 2)
    world.stats[1][0] = 9
    tick = encoded(builder, world)
    assert (list(tick.vx), list(tick.vy)) == ([1], [2])
    assert list(tick.placed) == [0, 5, 6, 1, 2]
    assert list(tick.stats) == [0, 1, 9]


def test_however_often_a_player_changes_there_is_one_record() -> None:
    builder, world = FrameBuilder(), world_of(1)
    for seq in range(5):
        builder.moved[0] = seq
        builder.placed.add(0)
        builder.stats[0, 0] = None
    assert builder.records == 3
    tick = encoded(builder, world)
    assert (list(tick.seqs), len(tick.placed), len(tick.stats)) == ([4], 5, 3)


def test_what_is_placed_is_in_rising_order_of_slots() -> None:
    builder, world = FrameBuilder(), world_of(40)
    builder.placed |= {33, 1, 8}
    assert list(encoded(builder, world).placed[::5]) == [1, 8, 33]


def test_joins_leaves_and_events_keep_the_order_in_which_they_came() -> None:
    builder, world = FrameBuilder(), world_of(3)
    for slot in (2, 0):
        builder.joined(slot, f"player{slot}")
    builder.left(5)
    builder.left(4)
    builder.event(1, 2, "wave")
    builder.event(None, None, "boom", 1.5, None)
    tick = encoded(builder, world)
    assert list(tick.joins) == [(2, "player2"), (0, "player0")]
    assert list(tick.leaves) == [5, 4]
    assert list(tick.events) == [(1, 2, "wave"), (None, None, "boom", 1.5, None)]


def test_the_builder_is_empty_after_it_encoded() -> None:
    builder, world = FrameBuilder(), world_of(2)
    empty = builder.encode(world, 100, None)
    builder.moved[0] = 1
    builder.placed.add(1)
    builder.stats[1, 0] = None
    builder.joined(0, "player0")
    builder.left(4)
    builder.event(0, 1, "wave")
    assert builder.records == 6
    assert builder.encode(world, 100, None) != empty
    assert builder.records == 0
    assert builder.encode(world, 100, None) == empty


@pytest.mark.parametrize("value", [{1}, object(), b"".join])
def test_an_event_that_cannot_be_packed_raises_and_is_not_there(value: object) -> None:
    builder = FrameBuilder()
    with pytest.raises((TypeError, ValueError)):
        builder.event(0, 1, "wave", value)
    assert builder.records == 0
    assert list(encoded(builder, world_of(1)).events) == []


# --- Buffer ---------------------------------------------------------------------------------------


def test_a_deflated_buffer_is_a_message_that_holds_the_same_payload() -> None:
    tick = Tick(7, 100, None, range(300), bytes(300), bytes(300), bytes(300), (), (), (), (), ())
    buffer = Buffer(frame(tick.encode()))
    deflated = buffer.deflate()
    assert len(deflated) < len(buffer.plain)
    (payload,) = Deframer(1000).receive(deflated)
    assert inflate_message(payload) == tick.encode()


def test_a_buffer_is_deflated_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    monkeypatch.setattr(frames, "deflate", lambda data, _seams: calls.append(data) or b"short")
    payload = world_of(100).snapshot().encode()
    buffer = Buffer(frame(payload))
    assert (buffer.deflated, calls) == (None, [])
    assert buffer.deflate() is buffer.deflate() is buffer.deflated
    assert calls == [payload]


def test_what_does_not_get_shorter_stays_as_it_is() -> None:
    noise = frame(msgpack.packb([Op.TICK, random.Random(1).randbytes(500)]))
    assert Buffer(noise).deflate() is noise


def test_what_is_short_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "deflate", None)
    short = frame(msgpack.packb([Op.TICK, bytes(58)]))
    assert Buffer(short).deflate() is short


# --- History --------------------------------------------------------------------------------------


class Snapshots:
    """A snapshot of a given length that counts how often it was made."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return b"s" * self.length


def history_of(ticks: int, snapshots: Snapshots, keep: int = 10) -> History:
    """A history of one-byte frames: frame t is the byte t."""
    history = History(keep, snapshots)
    for tick in range(1, ticks + 1):
        history.append(tick, bytes([tick]))
    return history


def since(history: History, tick: int | None) -> list[bytes]:
    """What somebody with this tick missed, as it is."""
    return [buffer.plain for buffer in history.since(tick)]


def test_who_has_the_last_tick_needs_nothing_and_no_snapshot_is_made() -> None:
    snapshots = Snapshots(100)
    assert history_of(5, snapshots).since(5) == []
    assert snapshots.made == 0


@pytest.mark.parametrize("tick", [0, 2, 4])
def test_who_missed_some_ticks_gets_their_frames_in_order(tick: int) -> None:
    assert since(history_of(5, Snapshots(100)), tick) == [bytes([missed]) for missed in range(tick + 1, 6)]


def test_who_has_nothing_gets_a_snapshot() -> None:
    assert since(history_of(5, Snapshots(100)), None) == [b"s" * 100]


def test_before_the_first_tick_there_is_nothing_but_the_snapshot() -> None:
    history = history_of(0, Snapshots(3))
    assert history.since(0) == []
    assert since(history, None) == [b"sss"]


def test_frames_are_kept_for_so_many_ticks_and_not_one_more() -> None:
    history = history_of(9, Snapshots(100), keep=4)
    assert since(history, 5) == [bytes([tick]) for tick in (6, 7, 8, 9)]
    assert since(history, 4) == [b"s" * 100]


@pytest.mark.parametrize(("length", "frames"), [(3, True), (4, True), (2, False)])
def test_the_shorter_of_frames_and_snapshot_is_taken(length: int, frames: bool) -> None:
    answer = since(history_of(5, Snapshots(length)), 2)
    assert answer == ([b"\x03", b"\x04", b"\x05"] if frames else [b"s" * length])


def test_the_newest_frame_is_the_last_that_is_missed() -> None:
    history = history_of(5, Snapshots(100))
    assert history.newest.plain == b"\x05"
    assert history.since(2)[-1] is history.newest


def test_a_snapshot_is_made_at_most_once_per_tick() -> None:
    snapshots = Snapshots(2)
    history = history_of(5, snapshots)
    for _ in range(3):
        history.since(None)
        history.since(1)
        history.snapshot()
    assert snapshots.made == history.snapshots_total == 1
    history.append(6, b"\x06")
    history.snapshot()
    assert snapshots.made == history.snapshots_total == 2


def test_no_snapshot_is_made_unless_somebody_asks() -> None:
    snapshots = Snapshots(2)
    history_of(50, snapshots)
    assert snapshots.made == 0
