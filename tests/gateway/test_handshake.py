"""Pending connections: deadlines, and room for new connections."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.gateway_fixture import OpenGateway, heard
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Hello
from zoneserver.zone.link import Requests


async def test_incomplete_hello_times_out(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.connect()
    node.pass_time(2.9)  # with one tick a second, the clock of the gateway may be a second behind
    await client.say_bytes(length_prefixed(Hello(2, "ann", b"").encode())[:-1])
    node.tick()
    assert len(node.gateway.pending) == 1
    node.pass_time(0.2)
    assert (await client.ended()).code == "HANDSHAKE_TIMEOUT"
    assert len(node.gateway.pending) == 0


async def test_complete_hello_ends_the_deadline(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.connect()
    node.pass_time(1.9)
    await node.greet(client, "ann")
    node.pass_time(10)
    await client.welcomed()
    await heard(client)


async def test_connection_beyond_the_limit_is_told_server_full(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, connections_max=1)
    await node.join("first")
    assert (await (await node.connect()).ended()).code == "SERVER_FULL"


LIMITS = Limits()


async def test_flood_of_connections_is_dropped_without_a_goodbye(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoneserver.gateway.handshake._REJECTED_MAX", 3)
    node = await open_gateway(Plaza, limits=Limits(address_connections_max=1))
    await node.connect(host="127.0.0.9")
    for _ in range(20):
        await node.connect(host="127.0.0.9")
    assert node.gateway.counters.closes == {"TOO_MANY_CONNECTIONS": 20}
    await until(lambda: node.gateway.connections <= 1 + 3)


async def test_silent_connection_is_ended_when_the_server_is_full(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, connections_max=2)
    silent = await node.connect()
    await node.join("ann")
    await node.join("bob")
    with pytest.raises((EOFError, ConnectionError, AssertionError)):
        while True:
            await silent.read()
    assert node.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 1}
    late = await node.connect()
    assert (await late.ended()).code == "SERVER_FULL", "a player is not ended for a new connection"
    assert node.gateway.players_count == 2


async def test_deadlines_do_not_run_while_the_process_is_stopped(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=dataclasses.replace(LIMITS, handshake_seconds=2.0))
    client = await node.connect()
    node.clock.now += 3600.0
    node.tick()
    assert len(node.gateway.pending) == 1
    await node.greet(client, "ann")
    node.tick()
    await client.welcomed()
    assert not node.gateway.counters.closes


async def test_banned_address_does_not_displace_pending_connections(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, connections_max=2, ban_seconds=60.0)
    rogue = await node.connect(host="127.0.0.9")
    await node.greet(rogue, "rogue")
    node.tick()
    await rogue.welcomed()
    await rogue.say_bytes(b"\xff" * 8)
    assert (await rogue.ended()).code == "PROTOCOL_ERROR"
    rogue.sock.close()
    await until(lambda: node.gateway.connections == 0)
    honest = [await node.connect() for _ in range(2)]
    for _ in range(3):
        assert (await (await node.connect(host="127.0.0.9")).ended()).code == "BANNED"
    for number, client in enumerate(honest):
        await node.greet(client, f"ann {number}")
    node.tick()
    assert node.gateway.players_count == 2


async def test_silent_connections_do_not_keep_neighbours_at_their_address_out(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(address_handshakes_max=3))
    silent = [await node.connect(host="127.0.0.9") for _ in range(3)]
    for number in range(5):
        client = await node.connect(host="127.0.0.9")
        await node.greet(client, f"ann {number}")
        silent.append(await node.connect(host="127.0.0.9"))
    node.tick()
    assert node.gateway.players_count == 5
    assert node.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 5}
    assert {closed.text for closed in node.gateway.closed} == {
        "a newer connection from this address needed the place (limit: address_handshakes_max)"
    }


async def test_player_whom_the_zone_never_lets_in_is_ended(open_gateway: OpenGateway) -> None:
    limits = Limits(handshake_seconds=2.0, joins_per_second=20)
    node = await open_gateway(Plaza, hz=20, max_players=10, limits=limits)
    ann = await node.join("ann")
    lost = await node.connect()
    await node.greet(lost, "lost")
    node.gateway._requests.joins.clear()
    # Two seconds of ticks, and one tick for each of the players who may be let in before.
    node.tick(50)
    assert node.gateway.counters.closes == {}
    node.tick()
    bye = await lost.ended()
    assert (bye.code, bye.text, bye.retry) == ("INTERNAL_ERROR", "the zone did not answer the request to join", True)
    assert node.gateway.players_count == 1
    await heard(ann)


async def test_crowd_that_is_let_in_bit_by_bit_is_not_ended(open_gateway: OpenGateway) -> None:
    limits = Limits(handshake_seconds=0.1, joins_per_second=20)
    node = await open_gateway(Plaza, hz=20, max_players=30, limits=limits)
    for number in range(30):
        await node.greet(await node.connect(), f"ann {number}")
    node.tick(60)
    assert node.gateway.players_count == 30
    assert node.gateway.counters.closes == {}


async def test_join_is_not_late_because_the_ticks_of_the_zone_begin_high(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, max_players=10, limits=Limits(joins_per_second=1))
    node.zone.world.tick = 5_000  # as after a restart
    clients = [await node.connect() for _ in range(2)]
    for name, client in zip(("ann", "bob"), clients, strict=True):
        await node.greet(client, name)
    for client in clients:
        node.tick()
        await client.welcomed()


async def test_ban_of_one_gateway_holds_at_the_others_and_is_told_once(open_gateway: OpenGateway) -> None:
    first, second = await open_gateway(Plaza, ban_seconds=60.0), await open_gateway(Plaza)
    rogue = await first.connect(host="127.0.0.9")
    await first.greet(rogue, "rogue")
    first.tick()
    await rogue.say_bytes(b"\xff" * 8)
    await until(lambda: first.gateway.counters.closes)
    first.gateway.send_requests()
    bans = first.link.take_input(0.0).requests.bans
    assert bans == [("127.0.0.9", 60.0)]
    second.link.send(Requests(bans=[*bans, ("127.0.0.1", 60.0)]))
    second.tick()
    assert (await (await second.connect(host="127.0.0.9")).ended()).code == "BANNED"
    await second.join("ann")
    for node in (first, second):
        node.gateway.send_requests()
        assert node.link.take_input(0.0).requests.bans == []
