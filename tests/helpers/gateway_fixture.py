"""A gateway on a real port. The test runs its ticks and sets its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from helpers.fake_loop import FakeLoop
from helpers.raw_client import Client, Connect
from helpers.waiting import until
from zonetools.compare.delivery import ImmediateGateway

from zoneserver.config import Config, resume_ticks
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners import tcp
from zoneserver.gateway.session import Session
from zoneserver.protocol.messages import Ping, Pong, Tick
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone


class GatewayFixture:
    """A gateway on a real port. The test runs its ticks and sets its clock."""

    def __init__(self, rules: Rules, config: Config, connections_max: int, gateway_class: type[Gateway]) -> None:
        self.clock = FakeLoop()
        # The time of day is the real one, and goes on as the clock does.
        self._unix_offset = time.time() - self.clock.now
        self.zone = Zone(
            rules,
            hz=config.hz,
            seed=config.seed,
            limits=config.limits,
            players_max=config.max_players,
            secret=config.secret,
            ticket_zone=config.zone_name,
            resume_ticks=resume_ticks(config),
        )
        self.link = LocalZoneLink(self.zone)
        self.gateway = gateway_class(self.link, config, self.clock, connections_max)
        if isinstance(self.gateway, ImmediateGateway):
            self.gateway.run_tick = self.tick
        self.config = config
        self.port = 0

    def listen(self, connect: Connect) -> tcp.Listener:
        self._connect = connect
        loop, limits = asyncio.get_running_loop(), self.config.limits
        sock = tcp.bind("127.0.0.1", 0, limits)
        self.port = sock.getsockname()[1]
        return tcp.Listener(sock, lambda sock, address: Session(self.gateway, limits, loop, sock.send, address=address))

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.gateway.send_requests()
            self.link.publish(self.zone.tick(self.link.take_input(self._unix_offset + self.clock.now)))

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, with a tick at least every half second."""
        while seconds > 0:
            self.clock.now += min(seconds, 0.5)
            seconds -= 0.5
            self.tick()

    async def connect(self, receive_bytes: int | None = None, host: str = "") -> Client:
        """Connects a client, from the address `host` if it is given, and waits until the gateway has counted it."""
        before = self.gateway.counters.connections_total
        client = await self._connect(self.port, receive_bytes, host)
        await until(lambda: self.gateway.counters.connections_total > before)
        return client

    async def greet(self, client: Client, name: str) -> None:
        """Sends HELLO, and waits until the gateway has read it."""
        before = self.gateway.counters.packets_in_total
        await client.hello(name)
        await until(lambda: self.gateway.counters.packets_in_total > before)

    async def join(self, name: str, receive_bytes: int | None = None) -> Client:
        """Connects a player and runs a tick, which lets the player in. The client has read its snapshot."""
        client = await self.connect(receive_bytes)
        await self.greet(client, name)
        self.tick()
        await client.welcomed()
        return client


OpenGateway = Callable[..., Awaitable[GatewayFixture]]


async def heard(client: Client) -> Pong:
    """Waits until the server has read everything that the client has sent."""
    await client.say(Ping(7))
    return await client.read_until(Pong)


async def stalled(node: GatewayFixture, *others: Client) -> None:
    """Runs ticks until a player is behind, while the other clients read."""
    while not node.gateway.broadcaster.behind:
        node.tick()
        for client in others:
            await client.read_a(Tick)
