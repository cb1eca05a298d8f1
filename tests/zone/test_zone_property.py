"""Determinism: equal inputs give equal frames, and replicas agree with the zone."""

from __future__ import annotations

from typing import Any

from helpers.driven_zone import DrivenZone
from helpers.worlds import world_of_size
from helpers.yard import HZ, replica_of, told, zone_of
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.zone.link import TickOutput

Step = tuple[str, int, tuple[Any, ...]]


speeds = st.integers(-30, 30)


slots = st.integers(0, 4)


plaza_actions = st.one_of(
    st.tuples(st.just("move"), speeds, speeds),
    st.tuples(st.sampled_from(["strike", "bolt", "heal"]), slots),
    st.tuples(st.just("say"), st.text(max_size=5)),
    st.tuples(st.just("emote"), st.integers(-1, 6)),
)


steps = st.tuples(st.sampled_from(["join", "leave", "act", "act", "act"]), slots, plaza_actions)


scripts = st.lists(st.lists(steps, max_size=5), min_size=1, max_size=12)


def played(script: list[list[Step]], seed: int) -> list[TickOutput]:
    """The outputs of a small plaza for a script."""

    class Corner(Plaza):
        width, height = 300, 300

    zone = DrivenZone(Corner(), hz=HZ, seed=seed)
    refs: list[int] = []
    results = []
    number = 0
    for tick in script:
        for what, who, sent in tick:
            number += 1
            if what == "join":
                refs.append(number)
                zone.join(number, f"player{number}")
            elif what == "leave" and refs:
                zone.leave(refs.pop(who % len(refs)))
            elif refs:
                zone.submit(refs[who % len(refs)], number, [sent])
        results.append(zone.step())
    return results


@settings(max_examples=30)
@given(scripts, st.integers(0, 2**32))
def test_equal_inputs_give_equal_frames(script: list[list[Step]], seed: int) -> None:
    assert played(script, seed) == played(script, seed)


def test_other_seeds_give_other_frames() -> None:
    script: list[list[Step]] = [[("join", 0, ())]]
    assert played(script, 1)[0].frame != played(script, 2)[0].frame


@settings(max_examples=30)
@given(scripts)
def test_replica_agrees_with_each_hash(script: list[list[Step]]) -> None:
    replica = world_of_size(300, 300, Plaza.stats, hz=HZ)
    for result in played([*script, *([[]] * HZ)], 1):
        tick = told(result)
        replica.apply(tick)
        if result.tick % HZ == 0:
            assert tick.hash == replica.hash()


def test_replica_reaches_equal_state_by_frames_or_by_snapshot() -> None:
    zone = zone_of("ann", "bob")
    early = replica_of(zone)
    for seq in range(1, 6):
        zone.submit(1, seq, [("walk", seq, -seq)])
        zone.step()
    for buffer in zone.history.since(1):
        tick = decode_server(buffer.payload)
        if isinstance(tick, Tick):
            early.apply(tick)
        else:
            assert isinstance(tick, Snapshot)
            early.restore(tick)
    assert early.snapshot() == replica_of(zone).snapshot() == zone.world.snapshot()
