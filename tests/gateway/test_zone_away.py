"""A gateway whose zone does not tick goes on: it ends who is silent or slow, and lets who came in wait."""

from __future__ import annotations

from helpers.gateway_fixture import GatewayFixture, OpenGateway, stalled
from helpers.noisy_games import SMALL, Noisy
from helpers.waiting import until

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Act, Refusal


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


async def test_actions_are_refused_while_the_link_has_no_room_and_joins_are_sent(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    ann = await node.join("ann")
    node.link.has_room = False
    await ann.say(Act(1, [("emote", 0), ("emote", 1)]))
    await until(lambda: node.gateway.has_actions)
    await node.greet(await node.connect(), "bob")
    node.gateway.send_requests()
    refused = [await ann.read_until(Refusal) for _ in range(2)]
    assert [(each.seq, str(each.code), each.text) for each in refused] == [
        (seq, "TOO_MANY_ACTIONS", "the zone does not answer") for seq in (1, 2)
    ]
    assert node.gateway.counters.actions_away_total == 2
    node.link.has_room = True
    await ann.say(Act(3, [("emote", 2)]))
    await until(lambda: node.gateway.has_actions)
    node.tick()
    assert node.gateway.players_count == 2
    assert node.gateway.counters.actions_away_total == 2
    assert [player.seq for player in node.gateway.players] == [3, 0]
