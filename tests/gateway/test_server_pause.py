"""A pause of the server, as by SIGSTOP or a moved machine, is not held against clients that went on meanwhile."""

from __future__ import annotations

from helpers.gateway_fixture import OpenGateway
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.address_limits import AddressBudgets
from zoneserver.gateway.flood_guard import FloodGuard, PenaltyLevel
from zoneserver.protocol.messages import Act

LIMITS = Limits()


@given(
    packets_per_second=st.integers(1, 19),
    actions_per_packet=st.integers(1, 2),
    pause_seconds=st.floats(0, 120),
)
def test_client_is_not_warned_for_what_arrives_at_once_after_a_pause_of_the_server(
    packets_per_second: int, actions_per_packet: int, pause_seconds: float
) -> None:
    guard = FloodGuard(LIMITS, AddressBudgets(LIMITS))
    for now in (1.0, 2.0, 3.0):
        guard.excuse(pause_seconds, until=now + 1.0)
        for _ in range(int(packets_per_second * (pause_seconds + 1.0))):
            assert not guard.record_packet(60, now)
            assert not guard.record_actions(actions_per_packet, now)


def test_client_that_floods_after_a_pause_of_the_server_is_ended() -> None:
    guard, packets = FloodGuard(LIMITS), 0
    guard.excuse(10.0, until=10.0)
    while guard.level < PenaltyLevel.OUT:
        guard.record_packet(60, now=0.0)
        packets += 1
    assert packets == LIMITS.frames_per_second * 10 + 2 * LIMITS.frames_burst


def test_excuse_ends_at_its_time() -> None:
    guard = FloodGuard(LIMITS)
    guard.excuse(1_000.0, until=10.0)
    assert any(guard.record_packet(60, now=10.1) for _ in range(int(LIMITS.frames_burst)))


async def test_backlog_of_a_pause_of_the_server_is_not_held_against_a_player(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    client = await node.connect(host="127.0.0.9")
    await node.greet(client, "ann")
    node.tick()
    node.clock.now += 16.0
    # Some packets are read before the first tick after the pause, and the rest after it.
    for seq in range(1, 20 * 16 + 1):
        await client.say(Act(seq, [("emote", 0)]))
        if seq == 60:
            await until(lambda: node.gateway.counters.packets_in_total == 61)
            node.tick()
    await until(lambda: node.gateway.counters.packets_in_total == 321)
    node.clock.now += 0.05
    node.tick()
    assert node.gateway.counters.actions_in_total == 320
    assert (node.gateway.counters.restraints, node.gateway.counters.closes) == ({}, {})


async def test_ticks_that_take_long_are_not_held_against_a_player(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    client = await node.join("ann")
    for turn in range(12):
        for number in range(80):
            await client.say(Act(1 + turn * 80 + number, [("emote", 0)]))
        await until(lambda turn=turn: node.gateway.counters.packets_in_total == 1 + (turn + 1) * 80)  # type: ignore[misc]
        node.clock.now += 4.0
        node.tick()
    assert (node.gateway.counters.restraints, node.gateway.counters.closes) == ({}, {})
