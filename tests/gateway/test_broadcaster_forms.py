"""Deflated and plain receivers on real sockets: both get equal payloads, each form made once."""

from __future__ import annotations

import dataclasses
import time

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.sample_messages import frame_of, plain, snapshot_of
from helpers.session_fixture import SessionFixture
from helpers.waiting import until
from zonetools.compare.delivery import SERVERS

from zoneserver.config import Config, Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.gateway import Gateway
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import HEADER_BYTES, LENGTH_PREFIX
from zoneserver.protocol.messages import (
    DEFLATE,
    PROTOCOL_VERSION,
    Act,
    Bye,
    Goodbye,
    Hello,
    Op,
    Snapshot,
    Tick,
    op_of,
)
from zoneserver.protocol.world import World
from zoneserver.zone import frame_history as frames
from zoneserver.zone.frame_history import Form, History
from zoneserver.zone.link import Join, Requests
from zoneserver.zone.rules import Rules

SMALL = Limits(socket_send_bytes=16 * 1024, linger_seconds=0.2)


class Chorus(Rules):
    """A game whose frames, and whose snapshot of a single player, have some kilobytes that deflate well."""

    stats = dict.fromkeys(map(str, range(20)), 0)

    def on_tick(self) -> None:
        self.emit("la", self.tick, "la" * 2000)


# --- Joining -------------------------------------------------------------------------------------


async def joined(node: GatewayFixture, name: str, *encodings: str, receive_bytes: int | None = None) -> Client:
    """Connects a player and lets it in. The client has read nothing yet."""
    client = await node.connect(receive_bytes)
    before = node.gateway.counters.packets_in_total
    await client.say(Hello(PROTOCOL_VERSION, name, b"", encodings))
    await until(lambda: node.gateway.counters.packets_in_total > before)
    node.tick()
    return client


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [((), ()), ((DEFLATE,), (DEFLATE,)), (("brotli", DEFLATE, ""), (DEFLATE,)), (("brotli",), ()), (("Deflate",), ())],
)
async def test_welcome_names_the_encodings_that_the_server_agrees_to(
    open_gateway: OpenGateway, asked: tuple[str, ...], agreed: tuple[str, ...]
) -> None:
    node = await open_gateway(Chorus)
    client = await joined(node, "ann", *asked)
    assert decode_server(await client.read_payload()).options == agreed  # type: ignore[union-attr]
    assert op_of(await client.read_payload()) == (Op.DEFLATED if agreed else Op.SNAPSHOT)
    node.tick()
    assert op_of(await client.read_payload()) == (Op.DEFLATED if agreed else Op.TICK)


# --- Both forms ----------------------------------------------------------------------------------


async def payloads_to(client: Client, tick: int) -> list[bytes]:
    """The payloads up to the frame of this tick, or up to a snapshot of it."""
    payloads: list[bytes] = []
    while True:
        payloads.append(await client.read_payload())
        message = decode_server(plain(payloads[-1]))
        if isinstance(message, Tick | Snapshot) and message.tick == tick:
            return payloads


async def test_plain_and_deflated_receivers_get_equal_payloads(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    for number in range(100):
        node.link.send(Requests(joins=[Join(-number, f"nobody in particular {number}", b"", "127.0.0.1")]))
    kinds = [(), (DEFLATE,), (), (DEFLATE,), (DEFLATE,)]
    clients = []
    for number, encodings in enumerate(kinds):
        client = await node.connect()
        await client.say(Hello(PROTOCOL_VERSION, f"player {number}", b"", encodings))
        clients.append(client)
    await until(lambda: len([*node.gateway.players]) == len(kinds))
    node.tick()
    counters = node.gateway.counters
    assert counters.deflates_total == 1, "one snapshot for all joining players"
    for tick in range(2, 6):
        moves = [(-number, tick, [("move", number % 20, tick)]) for number in range(100)]
        node.link.send(Requests(actions=moves))
        node.tick()
        assert counters.deflates_total == tick, "one frame for all deflated receivers"
    streams = [(await payloads_to(client, 5))[1:] for client in clients]
    assert [op_of(payload) for payload in streams[0]] == [Op.SNAPSHOT, *[Op.TICK] * 4]
    assert [op_of(payload) for payload in streams[1]] == [Op.DEFLATED] * 5
    assert streams[0] == streams[2]
    assert streams[1] == streams[3] == streams[4]
    assert list(map(plain, streams[1])) == streams[0]
    saved = sum(map(len, streams[0])) - sum(map(len, streams[1]))
    assert saved > 0
    assert counters.bytes_saved_total == 3 * saved
    assert (counters.frames_deflated_total, counters.frames_out_total) == (3 * 4, 5 * 4)
    assert counters.deflate_seconds_total > 0


async def test_bytes_counted_as_sent_are_the_bytes_that_arrive(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Chorus)
    clients = [await joined(node, "ann"), await joined(node, "bob", DEFLATE)]
    node.tick(5)
    read = [await payloads_to(client, node.zone.world.tick) for client in clients]
    arrived = sum(HEADER_BYTES + len(payload) for payloads in read for payload in payloads)
    assert arrived == node.gateway.counters.bytes_out_total


async def test_no_frame_is_deflated_without_a_receiver_for_it(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "deflate", None)
    node = await open_gateway(Chorus)
    client = await joined(node, "ann")
    node.tick(5)
    await payloads_to(client, 6)
    counters = node.gateway.counters
    assert (counters.deflates_total, counters.deflate_seconds_total, counters.bytes_saved_total) == (0, 0.0, 0)


async def test_deflating_stops_when_its_last_receiver_leaves(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Chorus)
    await joined(node, "ann")
    bob = await joined(node, "bob", DEFLATE)
    node.tick()
    before = node.gateway.counters.deflates_total
    await bob.say(Goodbye())
    await until(lambda: node.gateway.players_count == 1)
    node.tick(3)
    assert node.gateway.counters.deflates_total == before == 2


async def test_frame_that_gets_no_shorter_is_sent_plain_to_all(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    clients = [await joined(node, "ann"), await joined(node, "bob", DEFLATE)]
    node.tick()
    last = [(await payloads_to(client, node.zone.world.tick))[-1] for client in clients]
    assert op_of(last[0]) == Op.TICK
    assert last[0] == last[1]
    assert node.gateway.counters.frames_deflated_total == 0


async def test_goodbye_and_refusals_are_never_deflated(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Chorus)
    client = await joined(node, "ann", DEFLATE)
    await payloads_to(client, 1)
    await client.say(Act(1, [("no such thing", "x" * 200)]), Goodbye())
    assert (await client.read_a(Bye)).code == "CLIENT_LEFT"


@pytest.mark.parametrize("first", [(), (DEFLATE,)])
async def test_replacing_session_may_choose_another_encoding(open_gateway: OpenGateway, first: tuple[str, ...]) -> None:
    node = await open_gateway(Chorus)
    second = () if first else (DEFLATE,)
    old = await joined(node, "ann", *first)
    node.tick()
    new = await joined(node, "ann", *second)
    node.tick()
    assert {op_of(payload) for payload in (await payloads_to(new, node.zone.world.tick))[1:]} == (
        {Op.DEFLATED} if second else {Op.SNAPSHOT, Op.TICK}
    )
    node.tick()
    assert (await old.ended()).code == "REPLACED"
    assert node.gateway.players_count == 1


@pytest.mark.parametrize("gateway_class", [server.gateway_class for server in SERVERS.values()])
async def test_deflated_frames_arrive_with_every_delivery_strategy(
    open_gateway: OpenGateway, gateway_class: type[Gateway]
) -> None:
    node = await open_gateway(Chorus, gateway_class=gateway_class)
    clients = [await joined(node, "ann"), await joined(node, "bob", DEFLATE)]
    node.tick(3)
    node.clock.run()
    _, bob = [(await payloads_to(client, node.zone.world.tick)) for client in clients]
    assert {op_of(payload) for payload in bob[1:]} == {Op.DEFLATED}
    assert node.gateway.counters.deflates_total == 4


# --- Catching up ---------------------------------------------------------------------------------


async def test_deflated_receiver_that_reads_again_catches_up_in_its_form(open_gateway: OpenGateway) -> None:
    limits = dataclasses.replace(SMALL, history_ticks=1000)
    node = await open_gateway(Noise, limits=limits)
    client = await joined(node, "ann", DEFLATE, receive_bytes=4096)
    other = await joined(node, "bob", DEFLATE)
    await other.read_payload()
    while not node.gateway.broadcaster.behind:
        node.tick()
        await other.read_payload()
    for _ in range(5):
        node.tick()
        await other.read_payload()
    world, ops = World(node.zone.info), set()
    while world.tick < node.zone.world.tick:
        payload = await client.read_payload()
        message = decode_server(plain(payload))
        if isinstance(message, Snapshot):
            world.restore(message)
        elif isinstance(message, Tick):
            world.apply(message)
            ops.add(op_of(payload))
    assert ops == {Op.DEFLATED}
    assert node.gateway.counters.catch_ups_total == 1
    assert world.hash() == node.zone.world.hash()


class Noise(Rules):
    """A game whose frames become slightly shorter by deflating."""

    def on_tick(self) -> None:
        self.emit("noise", self.random.randbytes(2048), bytes(200))


def test_deflating_time_is_counted_once_for_all_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    counters = GatewayCounters()
    history = History(4, lambda: snapshot_of(history.tick, 50))
    broadcaster = Broadcaster(history, Config(), counters)
    for _ in range(3):
        connection = SessionFixture()
        broadcaster.join(connection.session, Form(LENGTH_PREFIX, deflated=True), 0.0)
        connection.session.flush()
    assert (counters.deflates_total, counters.deflate_seconds_total) == (1, 1.0)
    history.append(1, frame_of(1, 200))
    broadcaster.send(1, 0.0)
    assert (counters.deflates_total, counters.deflate_seconds_total) == (2, 2.0)
