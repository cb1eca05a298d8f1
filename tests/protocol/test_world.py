"""The world: motion as a function of time, and replicas that agree with the server."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
from helpers.driven_zone import DrivenZone
from helpers.worlds import world_of_size
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.world import VELOCITY_MAX, World
from zoneserver.zone.rules import Player, Refused, Rules, Speed, action

WIDTH, HEIGHT = 300, 200
STATS = {"hp": 100, "kills": 0}

velocities = st.integers(-VELOCITY_MAX, VELOCITY_MAX)
xs, ys = st.integers(0, WIDTH), st.integers(0, HEIGHT)


def world_of(*names: str) -> World:
    """A world with players of these names in the slots from 0 on, far from its borders."""
    world = world_of_size(WIDTH, HEIGHT, STATS)
    for slot, name in enumerate(names):
        world.join(slot, name)
        world.place(slot, 100, 100)
    return world


def tick_of(tick: int, **changes: Any) -> Tick:
    """A TICK that is empty except for these fields."""
    return replace(Tick(tick, 100, None), **changes)


def sent(world: World) -> Snapshot:
    """The world's snapshot as a client decodes it."""
    snapshot = decode_server(world.snapshot().encode())
    assert isinstance(snapshot, Snapshot)
    return snapshot


# --- Motion ---------------------------------------------------------------------------------------


@given(xs, ys, velocities, velocities, st.integers(0, 60))
def test_position_equals_single_steps_each_clamped_to_the_bounds(x: int, y: int, vx: int, vy: int, ticks: int) -> None:
    world = world_of("ann")
    world.place(0, x, y, vx, vy)
    for _ in range(ticks):
        x, y = min(max(x + vx, 0), WIDTH), min(max(y + vy, 0), HEIGHT)
    assert world.position(0, ticks) == (x, y)


@given(xs, ys, velocities, velocities, st.lists(st.integers(0, 60), max_size=5), st.integers(60, 80))
def test_move_with_an_unchanged_velocity_changes_no_later_position(
    x: int, y: int, vx: int, vy: int, moves: list[int], later: int
) -> None:
    world = world_of("ann", "bob")
    world.place(0, x, y, vx, vy)
    world.place(1, x, y, vx, vy)
    for world.tick in sorted(moves):
        world.move(1, vx, vy)
    assert world.position(1, later) == world.position(0, later)


@given(xs, ys, velocities, velocities, velocities, velocities, st.integers(0, 60))
def test_move_does_not_change_the_present_position(
    x: int, y: int, vx: int, vy: int, new_vx: int, new_vy: int, tick: int
) -> None:
    world = world_of("ann")
    world.place(0, x, y, vx, vy)
    world.tick = tick
    before = world.position(0)
    world.move(0, new_vx, new_vy)
    assert world.position(0) == before


def test_the_last_of_two_moves_in_one_tick_counts() -> None:
    twice, once = world_of("ann"), world_of("ann")
    for world in (twice, once):
        world.place(0, 100, 100, 5, 5)
        world.tick = 4
    twice.move(0, -100, 100)
    twice.move(0, 1, -1)
    once.move(0, 1, -1)
    assert twice.hash() == once.hash()


def test_a_player_at_the_border_stands_and_can_walk_back_at_once() -> None:
    world = world_of("ann")
    world.place(0, WIDTH - 10, 100, 100, 0)
    world.tick = 50
    assert world.position(0) == (WIDTH, 100)
    world.move(0, -1, 0)
    assert world.position(0, 51) == (WIDTH - 1, 100)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("move", (1, 128)),
        ("move", (-129, 1)),
        ("place", (1, 1, 0, 128)),
        ("place", (1, 1, 128, 0)),
        ("place", (1, 2**31)),
    ],
)
def test_a_value_beyond_its_column_raises_and_changes_nothing(method: str, arguments: tuple[int, ...]) -> None:
    world = world_of("ann")
    world.place(0, 100, 100, 5, 5)
    world.tick = 1
    before = world.hash()
    with pytest.raises((OverflowError, ValueError)):
        getattr(world, method)(0, *arguments)
    assert world.hash() == before


# --- Slots ----------------------------------------------------------------------------------------


def test_join_puts_the_player_at_the_origin_with_initial_stats() -> None:
    world = world_of_size(WIDTH, HEIGHT, STATS)
    world.tick = 9
    world.join(0, "ann")
    assert world.position(0, 99) == (0, 0)
    assert world.since[0] == 9
    assert [column[0] for column in world.stats] == [100, 0]


def test_slots_lists_used_slots_in_rising_order() -> None:
    world = world_of("ann", "bob", "eve")
    world.leave(1)
    assert list(world.slots()) == [0, 2]
    assert [slot for slot in range(-3, 5) if world.has(slot)] == [0, 2]


def test_join_rejects_a_slot_in_use() -> None:
    with pytest.raises(ValueError, match="slot 0 is taken"):
        world_of("ann").join(0, "bob")


@pytest.mark.parametrize("slot", [-1, 1, 3])
def test_leave_rejects_a_free_slot(slot: int) -> None:
    world = world_of("ann", "bob", "eve")
    world.leave(1)
    with pytest.raises(ValueError, match=f"slot {slot} is free"):
        world.leave(slot)


def test_leave_drops_free_slots_at_the_end() -> None:
    world = world_of("ann", "bob", "eve")
    world.leave(1)
    assert world.holders == ["ann", None, "eve"]
    world.leave(2)
    assert world.holders == ["ann"]
    assert world.hash() == world_of("ann").hash()


def test_a_reused_slot_keeps_nothing_of_the_former_player() -> None:
    world = world_of("ann", "bob")
    world.place(0, 50, 60, 7, 8)
    world.applied(0, 77)
    world.stats[1][0] = 5
    world.leave(0)
    world.join(0, "eve")
    assert world.position(0, 10) == (0, 0)
    assert world.seq[0] == 0
    assert [column[0] for column in world.stats] == [100, 0]


def test_join_beyond_the_end_adds_free_slots_between() -> None:
    world = world_of("ann")
    world.join(3, "bob")
    assert world.holders == ["ann", None, None, "bob"]
    assert {len(column) for column in (world.x, world.y, world.vx, world.vy, world.since, world.seq, *world.stats)} == {
        4
    }


# --- The sequence that was applied ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("motion", "event", "then"),
    [(1, 2, 2), (2, 1, 2), (3, 250, 3), (250, 3, 3), (127, 0, 127), (0, 127, 127), (5, None, 5), (None, 9, 9)],
)
def test_apply_keeps_the_newer_sequence_of_a_players_motion_and_event(
    motion: int | None, event: int | None, then: int
) -> None:
    world = world_of("ann")
    world.seq[0] = 100
    motions = {"movers": (0,), "seqs": (motion,), "vx": (1,), "vy": (1,)} if motion is not None else {}
    events = ((0, event, "wave"),) if event is not None else ()
    world.apply(tick_of(1, **motions, events=events))
    assert world.seq[0] == then


# --- Frames ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tick", [0, 5, 7, 2**32])
def test_apply_rejects_a_frame_that_does_not_follow_and_changes_nothing(tick: int) -> None:
    world = world_of("ann")
    world.tick = 5
    with pytest.raises(ValueError, match=f"tick {tick} does not follow tick 5"):
        world.apply(tick_of(tick, leaves=(0,)))
    assert world.tick == 5
    assert world.has(0)


def test_apply_handles_a_leave_before_a_join_of_one_slot() -> None:
    world = world_of("ann")
    world.apply(tick_of(1, leaves=(0,), joins=((0, "bob"),)))
    assert world.holders == ["bob"]


def test_apply_handles_motion_of_the_rules_after_motion_of_the_player() -> None:
    world = world_of("ann")
    world.apply(tick_of(1, movers=(0,), seqs=(1,), vx=(9,), vy=(9,), placed=(0, 5, 6, 1, 2)))
    assert world.position(0, 2) == (6, 8)


def test_apply_notes_the_sequence_of_player_events_only() -> None:
    world = world_of("ann", "bob")
    world.apply(tick_of(1, events=((1, 7, "wave"), (None, None, "boom"))))
    assert list(world.seq) == [0, 7]


# --- The whole state ------------------------------------------------------------------------------


def set_name(world: World) -> None:
    world.holders[0] = "ana"


def set_stat(world: World) -> None:
    world.stats[1][0] = 1


CHANGES: dict[str, Callable[[World], object]] = {
    "name": set_name,
    "x": lambda world: world.place(0, 101, 100),
    "y": lambda world: world.place(0, 100, 101),
    "vx": lambda world: world.place(0, 100, 100, 1, 0),
    "vy": lambda world: world.place(0, 100, 100, 0, 1),
    "since": lambda world: world.since.__setitem__(0, 3),
    "stat": set_stat,
    "join": lambda world: world.join(2, "eve"),
    "leave": lambda world: world.leave(1),
    "leave below": lambda world: world.leave(0),
}


@pytest.mark.parametrize("what", CHANGES)
def test_hash_differs_when_any_part_differs(what: str) -> None:
    world = world_of("ann", "bob")
    CHANGES[what](world)
    assert world.hash() != world_of("ann", "bob").hash()


def test_hash_differs_when_two_players_swap_slots() -> None:
    assert world_of("ann", "bob").hash() != world_of("bob", "ann").hash()


def test_hash_does_not_cover_the_sequences() -> None:
    world = world_of("ann")
    world.applied(0, 1)
    assert world.hash() == world_of("ann").hash()


def test_restore_rejects_a_snapshot_with_another_number_of_stats() -> None:
    with pytest.raises(ValueError, match="a snapshot with 2 stats and 0 entries"):
        world_of_size(WIDTH, HEIGHT, {"hp": 1}).restore(sent(world_of("ann")))


def test_changes_of_a_restored_world_do_not_reach_the_original() -> None:
    world, other = world_of("ann", "bob"), world_of_size(WIDTH, HEIGHT, STATS)
    other.restore(sent(world))
    other.leave(1)
    other.place(0, 1, 1)
    assert world.hash() == world_of("ann", "bob").hash()


# --- A server's world and its replicas ------------------------------------------------------------


class Sandbox(Rules):
    """Changes the world in every way that rules can."""

    width, height = WIDTH, HEIGHT
    stats: ClassVar = STATS

    def on_join(self, player: Player) -> None:
        if len(player.name) % 2:
            player.place(self.random.randrange(WIDTH), self.random.randrange(HEIGHT), 3, -3)

    @action
    def walk(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)

    @action
    def jump(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.place(abs(vx), abs(vy), vx, vy)

    @action
    def push(self, player: Player, other: Player, vx: Speed) -> None:
        other.move(vx, -vx)

    @action
    def hit(self, player: Player, other: Player, damage: Speed) -> None:
        other["hp"] -= damage
        player["kills"] += 1

    @action
    def waver(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)
        raise Refused("NO")

    @action
    def stumble(self, player: Player, vx: Speed, vy: Speed) -> None:
        player.move(vx, vy)
        raise RuntimeError("a rule fails")


Step = tuple[Literal["join", "leave", "act"], int, str, int, int]
steps = st.tuples(
    st.sampled_from(["join", "leave", "act", "act", "act"]),
    st.integers(0, 5),
    st.sampled_from(["walk", "jump", "push", "hit", "waver", "stumble"]),
    velocities,
    velocities,
)
scripts = st.lists(st.lists(steps, max_size=6), min_size=1, max_size=10)


class ScriptedZone:
    """A zone that a script drives; `tick` returns each tick as a client decodes it."""

    def __init__(self) -> None:
        self.zone = DrivenZone(Sandbox(), hz=20, seed=1)
        self.refs: list[int] = []
        self.seq = 0

    def tick(self, script: list[Step]) -> Tick:
        for what, who, kind, first, second in script:
            self.seq += 1
            if what == "join":
                self.refs.append(self.seq)
                self.zone.join(self.seq, "x" * (1 + who))
            elif what == "leave" and self.refs:
                self.zone.leave(self.refs.pop(who % len(self.refs)))
            elif self.refs:
                target_or_vx = abs(first) % 6 if kind in {"push", "hit"} else first
                self.zone.submit(self.refs[who % len(self.refs)], self.seq, [(kind, target_or_vx, second)])
        tick = decode_server(self.zone.step().frame)
        assert isinstance(tick, Tick)
        return tick


@given(scripts)
def test_a_replica_equals_the_world_of_the_server_after_every_tick(script: list[list[Step]]) -> None:
    scripted, replica = ScriptedZone(), world_of_size(WIDTH, HEIGHT, STATS)
    for step in script:
        replica.apply(scripted.tick(step))
        assert replica.hash() == scripted.zone.world.hash()
        assert replica.snapshot() == scripted.zone.world.snapshot()


@given(scripts, scripts)
def test_a_replica_restored_at_any_tick_stays_equal(before: list[list[Step]], after: list[list[Step]]) -> None:
    scripted, replica = ScriptedZone(), world_of_size(WIDTH, HEIGHT, STATS)
    for step in before:
        scripted.tick(step)
    replica.restore(sent(scripted.zone.world))
    assert replica.hash() == scripted.zone.world.hash()
    for step in after:
        replica.apply(scripted.tick(step))
    assert replica.snapshot() == scripted.zone.world.snapshot()
