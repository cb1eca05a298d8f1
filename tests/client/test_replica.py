"""The replica of a client equals the world of the server."""

from __future__ import annotations

import contextlib

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.zone_connections import HOST, WELCOME, actions_received, assert_same_world, joined, serve_bytes, updates_to

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye, Tick


async def test_replica_equals_the_servers_world_at_every_tick(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=50)
    async with joined(fixture, "ann") as ann, joined(fixture, "bob") as bob:
        assert (ann.game, ann.hz, ann.name) == ("plaza", 50, "ann")
        sent = 0
        for step in range(60):
            for number, zone in enumerate((ann, bob)):
                zone.act("move", (step * 7 + number) % 13 - 6, (step * 5) % 13 - 6)
                zone.act("heal", number)
                zone.flush()
                sent += 2
            await actions_received(fixture, sent)
            fixture.tick()
            for zone in (ann, bob):
                await updates_to(zone, fixture.zone.world.tick)
                assert_same_world(zone, fixture)
        assert ann.replica.hashes_checked >= 1
        assert (ann.replica.name(1), ann.replica.slot("bob"), ann.replica.slot("cid")) == ("bob", 1, None)
        assert ann.replica.stat(1, "hp") == 100


async def test_positions_equal_those_of_a_real_server_at_each_tick(open_server: OpenServer) -> None:
    seen: dict[int, dict[int, tuple[int, int]]] = {}

    class Recorded(Plaza):
        def on_tick(self) -> None:
            seen[self.tick] = {slot: player.position for slot, player in self.players.items()}

    server = await open_server(Recorded, hz=100)
    async with (
        client.connect(HOST, server.port, name="ann") as ann,
        client.connect(HOST, server.port, name="bob") as bob,
    ):
        compared = 0
        while compared < 110:
            ann.act("move", compared % 5 - 2, 2)
            bob.act("move", 1, compared % 7 - 3)
            update = await anext(ann)
            replica = ann.replica
            assert {slot: replica.position(slot) for slot in replica.players} == seen[update.tick]
            await updates_to(bob, update.tick)
            compared += 1
        assert ann.replica.hashes_checked >= 1


async def test_wrong_replica_is_detected_by_the_next_hash(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=4)
    async with joined(fixture, "ann") as zone:
        await anext(zone)
        zone.replica.world.x[0] ^= 1
        fixture.tick(8)
        with pytest.raises(client.DivergedError, match="the server's state hash is") as caught:
            await updates_to(zone, fixture.zone.world.tick)
        assert caught.value.tick == 4
        assert isinstance(caught.value, client.ZoneError)


async def test_frame_of_another_tick_ends_the_connection(cleanup: contextlib.AsyncExitStack) -> None:
    tick = Tick(7, 100, None, [], [], [], [], [], [], [], [], [])
    port = await serve_bytes(
        cleanup,
        length_prefixed(WELCOME) + length_prefixed(tick.encode()) + length_prefixed(Bye("X", "", False).encode()),
    )
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(
            client.ZoneClosedError, match="PROTOCOL_ERROR: from the server: the frame of tick 7 does not follow"
        ):
            await anext(zone)
        with pytest.raises(client.ZoneClosedError, match="X"):
            await anext(zone)
