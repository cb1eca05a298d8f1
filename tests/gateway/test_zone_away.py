"""A gateway whose zone does not tick goes on: it ends who is silent or slow, and lets who came in wait."""

from __future__ import annotations

from helpers.gateway_fixture import GatewayFixture, OpenGateway, stalled
from helpers.noisy_games import SMALL, Noisy

from zoneserver.games.plaza import Plaza


def beat(node: GatewayFixture, seconds: float) -> None:
    """Lets time pass without a tick of the zone."""
    for _ in range(int(seconds * 2)):
        node.clock.now += 0.5
        node.gateway.send_requests()


async def test_silent_connection_is_ended_while_the_zone_is_away_and_a_join_waits(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=2, max_players=1)
    silent, ann = await node.connect(), await node.connect()
    await node.greet(ann, "ann")
    beat(node, 60)
    assert (await silent.ended()).code == "HANDSHAKE_TIMEOUT"
    assert node.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 1}
    node.tick()
    await ann.welcomed()


async def test_slow_receiver_is_ended_while_the_zone_is_away(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Noisy, hz=20, limits=SMALL)
    await node.join("ann", receive_bytes=4096)
    await stalled(node)
    beat(node, 4)
    assert node.gateway.counters.closes == {}
    beat(node, 2)
    assert node.gateway.counters.closes == {"SLOW_CONSUMER": 1}
