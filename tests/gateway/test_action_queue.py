"""The queue of actions: what a tick takes, in which order, and that nothing is lost."""

from __future__ import annotations

import dataclasses
import itertools

from helpers.gateway_fixture import OpenGateway
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.action_queue import ActionQueue
from zoneserver.protocol.messages import Act, Refusal, Tick
from zoneserver.zone.link import Actions


def packet(ref: int, seq: int, count: int = 1) -> Actions:
    return (ref, seq, [("wave",)] * count)


def refs(packets: list[Actions]) -> list[int]:
    return [ref for ref, _, _ in packets]


def test_take_returns_all_packets_in_order_when_there_is_room() -> None:
    queue = ActionQueue(cost_max=4, actions_max=127)
    packets = [packet(ref, seq) for ref, seq in ((3, 1), (1, 1), (3, 2), (2, 1))]
    for each in packets:
        queue.add(each, 1)
    assert queue.take() == (packets, [])
    assert queue.take() == ([], [])


def test_player_with_few_actions_passes_players_with_many() -> None:
    queue = ActionQueue(cost_max=32, actions_max=127)
    for seq, ref in itertools.product(range(1, 97, 16), range(100)):
        queue.add(packet(ref, seq, 16), 16)
    queue.add(packet(1_000, 1), 1)
    assert refs(queue.take()[0]) == [0, 1_000]
    for seq in range(2, 10):
        queue.add(packet(1_000, seq), 1)
        assert 1_000 in refs(queue.take()[0])


def test_packet_is_served_however_many_others_arrive() -> None:
    queue = ActionQueue(cost_max=10, actions_max=127)
    queue.add(packet(0, 1, 16), 16)
    for ref in itertools.count(1):
        queue.add(packet(2 * ref, 1), 5)
        queue.add(packet(2 * ref + 1, 1), 6)
        if 0 in refs(queue.take()[0]):
            break
        assert ref < 40


def test_packet_that_costs_more_than_a_tick_has_is_served_by_itself() -> None:
    queue = ActionQueue(cost_max=4, actions_max=127)
    queue.add(packet(1, 1, 16), 64)
    queue.add(packet(2, 1), 1)
    assert [refs(queue.take()[0]) for _ in range(3)] == [[2], [1], []]


@given(
    arrivals=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(1, 16), st.integers(0, 64)), max_size=20), max_size=8
    ),
    cost_max=st.integers(1, 100),
)
def test_no_packet_is_lost_or_served_twice_and_each_player_keeps_the_order(
    arrivals: list[list[tuple[int, int, int]]], cost_max: int
) -> None:
    queue, sent, ended = ActionQueue(cost_max, actions_max=64), list[Actions](), list[Actions]()
    sequences = dict.fromkeys(range(6), 1)

    def take() -> bool:
        served, refused = queue.take()
        ended.extend(served + refused)
        for ref in range(6):
            mine = [seq for each, seq, _ in served if each == ref]
            assert mine == sorted(mine)
            assert not last.get(ref, 0) >= min(mine, default=2**32)
            last[ref] = max([last.get(ref, 0), *mine])
        return bool(served)

    last: dict[int, int] = {}
    for tick in arrivals:
        for ref, count, more in tick:
            sent.append(packet(ref, sequences[ref], count))
            queue.add(sent[-1], count + more)
            sequences[ref] += count
        take()
    while take():
        pass
    assert sorted(ended, key=repr) == sorted(sent, key=repr)
    assert not queue._waiting and not queue._queued and not queue._finish


async def test_actions_beyond_the_share_of_a_tick_happen_in_the_next_ticks(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20, limits=Limits(zone_actions_per_second=640))
    crowd, ann = [await node.join(f"bot {number}") for number in range(5)], await node.join("ann")
    for client in crowd:
        for seq in range(1, 9 * 16, 16):
            await client.say(Act(seq, [("emote", 0)] * 16))
    await ann.say(Act(1, [("emote", 1)]))
    await until(lambda: len(node.gateway._intake._packets) == 46)
    told = []
    while not told or told[-1].events:
        node.tick()
        told.append(await ann.read_a(Tick))
    assert (5, 1, "emote", 1) in told[0].events
    assert all(len(tick.events) <= 32 for tick in told)
    # Of the nine packets of each player seven may wait: 112 of at most 127 actions.
    assert sum(len(tick.events) for tick in told) == 1 + 5 * 7 * 16
    refusals = [await crowd[0].read_until(Refusal) for _ in range(32)]
    assert [(each.seq, each.code) for each in refusals] == [(seq, "TOO_MANY_ACTIONS") for seq in range(113, 145)]


async def test_a_tick_takes_the_share_that_the_zone_has_told_last(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20, limits=Limits(zone_actions_per_second=640))
    ann = await node.join("ann")
    for share, taken in (3, 3), (0, 32):
        node.link.publish(dataclasses.replace(node.zone.tick(node.link.take_input(0.0)), share=share))
        await ann.read_a(Tick)
        (player,) = node.gateway.players
        await ann.say(*(Act(seq, [("emote", 0)]) for seq in range(player.seq + 1, player.seq + 41)))
        await until(lambda: len(node.gateway._intake._packets) == 40)
        node.tick()
        assert len((await ann.read_a(Tick)).events) == taken
