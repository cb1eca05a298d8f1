"""Chains of ticks, with the whole state after each: what a client's copy of the zone has to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from golden.meaning import plain
from golden.messages import COINS, snapshot, stored
from zoneserver.protocol.messages import Deflated, Snapshot, Tick, Welcome
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo, player_kind

__all__ = ["chains", "tick"]

_SMALL = ZoneInfo("box", "", 20, 1_000, 500, 20, (player_kind(hp=100, kills=0),))


def tick(number: int, *, has_hash: bool = False, **changes: Any) -> Tick:
    """A frame that is empty except for these changes. A hash of 0 stands for the one that the state will have."""
    pairs = {"acted": ("movers", "seqs", "vx", "vy"), "steered": ("steered", "steered_vx", "steered_vy")}
    for name, fields in pairs.items():
        rows = sorted(changes.pop(name, ()))
        changes |= {field: [row[index] for row in rows] for index, field in enumerate(fields)}
    return Tick(number, 100, 0 if has_hash else None, **changes)


def chains() -> list[dict[str, Any]]:
    """Every chain."""
    return [
        {
            "name": name,
            "welcome": Welcome(2, None, steps[0].tick, info, 1024, 16).encode().hex(),
            "steps": _run(info, steps),
        }
        for name, (info, steps) in _CHAINS.items()
    ]


def _run(info: ZoneInfo, steps: list[Snapshot | Tick]) -> list[dict[str, Any]]:
    world, written = World(info), []
    for index, step in enumerate(steps):
        payload = _applied(world, step)
        # One message of each chain comes deflated.
        payload = Deflated(stored(payload)).encode() if index == 1 else payload
        written.append({"hex": payload.hex(), "state": _state(world)})
    return written


def _applied(world: World, step: Snapshot | Tick) -> bytes:
    """The payload of a step, after which the world has the state that it makes."""
    if isinstance(step, Snapshot):
        # The world takes over the columns of a snapshot: it gets its own.
        columns = {name: getattr(step, name)[:] for name in ("x", "y", "vx", "vy", "since", "seq")}
        world.restore(replace(step, **columns, stats=[stat[:] for stat in step.stats]))
        return step.encode()
    world.apply(step)
    return (step if step.hash is None else replace(step, hash=world.hash())).encode()


def _state(world: World) -> dict[str, Any]:
    columns = {name: list(getattr(world, name)) for name in ("x", "y", "vx", "vy", "since", "seq")}
    positions = [None if it is None else list(world.position(slot)) for slot, it in enumerate(world.holders)]
    return {
        "tick": world.tick,
        "slots": list(world.holders),
        **columns,
        "stats": [list(stat) for stat in world.stats],
        "board": plain(world.board),
        "positions": positions,
        "hash": world.hash(),
    }


_OLD = 2**31
_CHAINS: dict[str, tuple[ZoneInfo, list[Snapshot | Tick]]] = {
    "borders, and turning at them": (
        _SMALL,
        [
            snapshot(
                *(60, ["ann", "bob", "eve", "dan"]),
                {
                    0: (990, 250, 7, 0, 60, 0, 100, 0),
                    1: (5, 5, -3, -127, 60, 0, 100, 0),
                    2: (500, 499, 0, 127, 58, 0, 100, 0),
                    3: (1000, 0, 127, 127, 0, 0, 100, 0),
                },
                2,
            ),
            tick(61),
            tick(62, has_hash=True),
            tick(63, acted=[(0, 1, -7, 0), (1, 1, 1, 1), (2, 1, 0, -1)], has_hash=True),
            tick(64, acted=[(3, 1, -127, -127)]),
            tick(65, has_hash=True),
        ],
    ),
    "a motion that is older than 2^31 ticks": (
        _SMALL,
        [
            snapshot(
                *(_OLD + 100, ["ann", "bob"]),
                {0: (10, 10, 127, -127, 100, 0, 1, 2), 1: (10, 10, 2, 1, 3, 0, 1, 2)},
                2,
            ),
            tick(_OLD + 101, has_hash=True),
            tick(_OLD + 102, acted=[(0, 1, -1, 1), (1, 9, -1, -1)]),
            tick(_OLD + 103, has_hash=True),
            tick(_OLD + 104, placed=[0, 1, 1, 1, 1], has_hash=True),
        ],
    ),
    "the table grows, shrinks and empties": (
        _SMALL,
        [
            snapshot(*(7, ["ann", "bob"]), {0: (10, 20, 1, 1, 1, 5, 50, 1), 1: (30, 40, 2, 2, 2, 6, 60, 2)}, 2),
            tick(8, joins=[(2, "eve"), (6, "Zoë"), (4, "dan")], placed=[6, 300, 300, 3, -3], has_hash=True),
            tick(9, acted=[(6, 1, -5, 5), (0, 6, 9, 9)], stats=[6, 0, 12, 4, 1, 3]),
            tick(10, leaves=[4, 6], has_hash=True),
            tick(11, leaves=[1, 0], joins=[(0, "ann"), (1, "uma")], events=[(1, 77, "hi")], has_hash=True),
            tick(12, joins=[(3, "ike")], leaves=[2], placed=[0, 1, 2, 3, 4], has_hash=True),
            tick(13, leaves=[0, 1, 3], has_hash=True),
            tick(14, joins=[(2, "ann")], has_hash=True),
        ],
    ),
    "sequences of events and motions": (
        _SMALL,
        [
            snapshot(
                *(7, [f"p{slot}" for slot in range(8)]),
                {slot: (100, 100, 0, 0, 7, seq, 1, 1) for slot, seq in enumerate((0, 10, 250, 3, 128, 0, 9, 255))},
                2,
            ),
            # The event is newer; the motion is newer; each with and without a wrap; both are of one action.
            tick(
                8,
                acted=[(0, 1, 1, 0), (1, 12, 1, 0), (2, 254, 1, 0), (3, 2, 1, 0), (4, 130, 1, 0)],
                events=[(0, 2, "a"), (1, 11, "a"), (2, 1, "a"), (3, 255, "a"), (4, 130, "a"), (5, 7, "a"), (5, 8, "b")],
                has_hash=True,
            ),
            # Without an event the sequence of a motion counts, whatever it was before.
            tick(9, acted=[(0, 200, 0, 1), (1, 5, 0, 0), (7, 0, 1, 1)], events=[(None, None, "hit", 1)]),
            tick(10, events=[(6, 8, "a"), (7, 254, "b")], acted=[(6, 10, 2, 2)]),
            tick(11, acted=[(0, 127, 0, 0), (1, 128, 0, 0)], events=[(0, 255, "a"), (1, 1, "b")], has_hash=True),
        ],
    ),
    "placed, and stats": (
        _SMALL,
        [
            snapshot(*(19, ["ann", "bob", "eve"]), dict.fromkeys(range(3), (100, 100, 5, 5, 9, 0, 1, 1)), 2),
            tick(20, placed=[0, 700, 300, -2, 3], stats=[1, 0, -(2**31), 2, 1, 2**31 - 1], has_hash=True),
            tick(21, acted=[(1, 3, 9, -9), (2, 4, 0, 0)], placed=[1, 0, 500, 4, 0], has_hash=True),
            tick(22, placed=[1, 1000, 0, 0, 0, 0, 5, 5, 127, -127], stats=[1, 0, 0, 1, 0, 7]),
            tick(23, has_hash=True),
        ],
    ),
    "things, what the rules steer, and the board": (
        COINS,
        [
            snapshot(
                *(400, ["ann", 1, None, 2]),
                {
                    0: (10, 20, 3, -3, 390, 7, 12, 0),
                    1: (500, 500, 0, 0, 1, 0, 0, 0),
                    3: (1000, 0, -127, 5, 399, 0, 30, -3),
                },
                *(2, (3, "ann")),
            ),
            tick(401, joins=[(2, 2), (4, 1), (5, "bob")], placed=[2, 50, 60, 1, 1, 5, 9, 9, 0, 0], has_hash=True),
            tick(402, steered=[(0, 5, 5), (2, -3, 7), (3, 0, 0)], board=[0, -4], stats=[2, 1, 9], has_hash=True),
            tick(403, acted=[(0, 8, -1, -1)], steered=[(5, 1, 0)], leaves=[1], events=[(0, 9, "hi")]),
            tick(404, leaves=[2], joins=[(2, 1), (1, "1")], board=[1, "Zoë", 0, 2**53 - 1], has_hash=True),
            tick(405, joins=[(6, 2)], leaves=[4, 5], board=[1, ""], steered=[(6, 127, -127)], has_hash=True),
            tick(406, leaves=[6, 3, 2, 1, 0], board=[0, 0], has_hash=True),
        ],
    ),
    "steps of velocity that are no whole units": (
        ZoneInfo("snail", "", 20, 1_000, 500, 3, (player_kind(),)),
        [
            snapshot(
                *(100, ["ann", "bob"]),
                {0: (500, 250, 7, -7, 99, 0), 1: (500, 250, -127, 127, 100, 0)},
                0,
            ),
            tick(101, has_hash=True),
            tick(102, acted=[(0, 1, -1, 1)], has_hash=True),
            tick(103),
            tick(104, acted=[(0, 2, 1, -1)], steered=[(1, -1, -1)], has_hash=True),
            tick(105, acted=[(0, 3, -13, 13)], has_hash=True),
            tick(106, acted=[(0, 4, 0, 0)], has_hash=True),
        ],
    ),
    "a catch-up by a snapshot": (
        COINS,
        [
            snapshot(400, ["ann", "bob", 2], dict.fromkeys(range(3), (9, 9, 1, 1, 400, 1, 1, 1)), 2, (1, "ann")),
            tick(401, leaves=[1], board=[0, 2]),
            snapshot(450, [None, 1], {1: (3, 4, 5, 6, 449, 0, 0, 0)}, 2, (9, "")),
            tick(451, joins=[(0, "eve")], has_hash=True),
            snapshot(452, [], {}, 2, (9, "x")),
            tick(453, has_hash=True),
        ],
    ),
}
