"""Slow clients of the broadcaster, on real sockets."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway, stalled
from helpers.loops import one_loop
from helpers.noisy_games import SMALL, Loud, Noisy
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.worlds import world_of_size

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Ping, Pong, Snapshot, Tick
from zoneserver.zone.link import Join, Requests
from zoneserver.zone.rules import Rules


async def test_client_that_never_reads_is_ended_and_delays_no_other_player(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Noisy, limits=SMALL)
    counters, limits = node.gateway.counters, node.config.limits
    healthy = await node.join("healthy")
    await node.join("stuck", receive_bytes=4096)
    told = [await healthy.read_a(Tick)]

    async def tick(seconds: float = 0.0) -> None:
        node.clock.now += seconds
        node.tick()
        told.append(await healthy.read_a(Tick))

    while counters.frames_skipped_total < 50:
        await tick()
    assert node.gateway.broadcaster.behind == 1
    assert 0 < node.gateway.broadcaster.queued_bytes < limits.send_hard_bytes
    for _ in range(10):
        await tick(limits.stall_seconds / 10)
    assert not counters.closes, "the stalled player has all of its time"
    while not counters.closes:
        await tick(0.1)
    assert counters.closes == {"SLOW_CONSUMER": 1}
    assert (node.gateway.broadcaster.behind, node.gateway.players_count) == (0, 1)
    await until(lambda: node.gateway.connections == 1)
    await tick()
    assert [frame.tick for frame in told] == list(range(2, node.zone.world.tick + 1))
    assert [frame.leaves for frame in told if frame.leaves] == [(1,)]


async def test_slow_client_that_makes_progress_is_not_ended(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Loud, limits=dataclasses.replace(SMALL, send_soft_bytes=2**20))
    client = await node.connect(4096)
    await node.greet(client, "slow")
    node.tick(2)
    for _ in range(5):
        before = node.gateway.broadcaster.queued_bytes
        while node.gateway.broadcaster.queued_bytes == before:
            await asyncio.get_running_loop().sock_recv(client.sock, 4096)
            await asyncio.sleep(0)
        node.pass_time(4.0)
        assert node.gateway.broadcaster.behind == 1
    assert not node.gateway.counters.closes


class Follower:
    """A client that keeps a copy of the zone."""

    def __init__(self, client: Client, rules: Rules) -> None:
        self.client = client
        self.world = world_of_size(rules.width, rules.height, rules.stats)
        self.snapshots = 0

    async def follow(self, node: GatewayFixture) -> None:
        """Reads until the copy has the tick of the zone, and compares the hashes."""
        while self.world.tick < node.zone.world.tick:
            message = await self.client.read()
            if isinstance(message, Snapshot):
                self.world.restore(message)
                self.snapshots += 1
            elif isinstance(message, Tick):
                self.world.apply(message)
        assert self.world.hash() == node.zone.world.hash()


@pytest.mark.parametrize(("missed_ticks", "crowd", "snapshots"), [(10, 0, 1), (3, 1000, 0)])
async def test_client_that_reads_again_gets_the_shorter_of_frames_and_snapshot(
    open_gateway: OpenGateway, missed_ticks: int, crowd: int, snapshots: int
) -> None:
    node = await open_gateway(Noisy, limits=SMALL)
    # Players without a socket: with them a snapshot is longer than a few frames.
    for number in range(crowd):
        node.link.send(Requests(joins=[Join(-number, f"nobody in particular {number}", b"", "127.0.0.1")]))
    node.tick(-(-crowd // node.config.limits.joins_per_second))
    client = await node.connect(4096)
    await node.greet(client, "ann")
    node.tick()
    follower = Follower(client, node.zone.rules)
    await follower.follow(node)
    await stalled(node)
    node.tick(missed_ticks)
    assert node.gateway.counters.frames_skipped_total >= missed_ticks
    await follower.follow(node)
    assert follower.snapshots == 1 + snapshots
    assert node.gateway.counters.catch_ups_total >= 1
    # The client is in the broadcast group again.
    await until(lambda: not node.gateway.broadcaster.behind)
    node.tick()
    await follower.follow(node)
    assert follower.snapshots == 1 + snapshots


@one_loop
async def test_default_limits_notice_a_stall_before_tcp_drops_the_connection(
    open_server: OpenServer, connect: Connect
) -> None:
    server = await open_server(Noisy)
    client = await connect(server.port, 4096)
    await client.hello("stuck")
    async with asyncio.timeout(30):
        while not server.gateway.counters.closes:
            await asyncio.sleep(0.05)
    assert server.gateway.counters.closes == {"SLOW_CONSUMER": 1}


async def test_frame_larger_than_the_hard_limit_ends_no_session(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(send_hard_bytes=1000, socket_send_bytes=4096))
    slow, healthy = await node.join("slow", receive_bytes=4096), await node.join("healthy")
    for _ in range(10):
        node.zone.rules.emit("noise", bytes(50_000))
        node.tick()
        assert (await healthy.read_a(Tick)).tick == node.zone.world.tick
    assert not node.gateway.counters.closes
    await slow.say(Ping(1))
    await slow.read_until(Pong)
    assert node.gateway.players_count == 2
