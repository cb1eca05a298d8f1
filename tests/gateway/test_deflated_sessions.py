"""Who asks for it gets the zone deflated, the others get it as it is, and both see the same."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import zlib
from collections import Counter

import pytest
from helpers.driven_zone import DrivenZone
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.servers import OpenServer
from helpers.session_fixture import SessionFixture
from helpers.waiting import PATIENCE_SECONDS, until
from hypothesis import given, settings
from hypothesis import strategies as st
from zonetools.compare.delivery import SERVERS
from zonetools.swarm.commands import Command, Measure, Stop
from zonetools.swarm.frame_checker import FrameChecker
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.worker import Worker

from zoneserver.config import Config, Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.broadcaster import Broadcaster
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.gateway import Gateway
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import decode_server, inflate_message
from zoneserver.protocol.framing import HEADER_BYTES, LENGTH_PREFIX, Deframer
from zoneserver.protocol.messages import (
    DEFLATE,
    PROTOCOL_VERSION,
    SERVER_PAYLOAD_BYTES,
    Act,
    Bye,
    Deflated,
    Goodbye,
    Hello,
    Op,
    Snapshot,
    Tick,
    op_of,
)
from zoneserver.protocol.world import World
from zoneserver.server import ZoneServer
from zoneserver.zone import frame_history as frames
from zoneserver.zone.frame_history import Form, History
from zoneserver.zone.link import Join, Requests
from zoneserver.zone.rules import Rules

SMALL = Limits(socket_send_bytes=16 * 1024, linger_seconds=0.2)
SIZES = st.integers(0, 400)


def plain(payload: bytes) -> bytes:
    """A payload as it is, or what is deflated in it."""
    return inflate_message(payload) if op_of(payload) == Op.DEFLATED else payload


class Chorus(Rules):
    """Every tick tells everybody a few kilobytes that deflate well, and so does the state of a single player."""

    stats = dict.fromkeys(map(str, range(20)), 0)

    def on_tick(self) -> None:
        self.emit("la", self.tick, "la" * 2000)


# --- What is agreed -------------------------------------------------------------------------------


async def joined(fixture: GatewayFixture, name: str, *encodings: str, receive_bytes: int | None = None) -> Client:
    """A player who is in, and has read nothing yet."""
    client = await fixture.connect(receive_bytes)
    before = fixture.gateway.counters.packets_in_total
    await client.say(Hello(PROTOCOL_VERSION, name, b"", encodings))
    await until(lambda: fixture.gateway.counters.packets_in_total > before)
    fixture.tick()
    return client


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [((), ()), ((DEFLATE,), (DEFLATE,)), (("brotli", DEFLATE, ""), (DEFLATE,)), (("brotli",), ()), (("Deflate",), ())],
)
async def test_welcome_tells_what_was_agreed_of_what_was_asked_for(
    open_gateway: OpenGateway, asked: tuple[str, ...], agreed: tuple[str, ...]
) -> None:
    fixture = await open_gateway(Chorus)
    client = await joined(fixture, "ann", *asked)
    assert decode_server(await client.read_payload()).encodings == agreed  # type: ignore[union-attr]
    assert op_of(await client.read_payload()) == (Op.DEFLATED if agreed else Op.SNAPSHOT)
    fixture.tick()
    assert op_of(await client.read_payload()) == (Op.DEFLATED if agreed else Op.TICK)


# --- Both kinds beside each other -----------------------------------------------------------------


async def payloads_to(client: Client, tick: int) -> list[bytes]:
    """What it is told, up to the frame of this tick or a snapshot of it."""
    payloads: list[bytes] = []
    while True:
        payloads.append(await client.read_payload())
        message = decode_server(plain(payloads[-1]))
        if isinstance(message, Tick | Snapshot) and message.tick == tick:
            return payloads


async def test_both_kinds_get_the_same_and_one_of_them_in_fewer_bytes(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza)
    for number in range(100):
        fixture.link.send(Requests(joins=[Join(-number, f"nobody in particular {number}", b"", "127.0.0.1")]))
    kinds = [(), (DEFLATE,), (), (DEFLATE,), (DEFLATE,)]
    clients = []
    for number, encodings in enumerate(kinds):
        client = await fixture.connect()
        await client.say(Hello(PROTOCOL_VERSION, f"player {number}", b"", encodings))
        clients.append(client)
    await until(lambda: fixture.gateway.players_count == len(kinds))
    fixture.tick()
    counters = fixture.gateway.counters
    assert counters.deflates_total == 1, "one snapshot for all who joined"
    for tick in range(2, 6):
        moves = [(-number, tick, [("move", number % 20, tick)]) for number in range(100)]
        fixture.link.send(Requests(actions=moves))
        fixture.tick()
        assert counters.deflates_total == tick, "one frame for all who want it"
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


async def test_what_is_counted_as_sent_is_what_arrives(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Chorus)
    clients = [await joined(fixture, "ann"), await joined(fixture, "bob", DEFLATE)]
    fixture.tick(5)
    read = [await payloads_to(client, fixture.zone.world.tick) for client in clients]
    arrived = sum(HEADER_BYTES + len(payload) for payloads in read for payload in payloads)
    assert arrived == fixture.gateway.counters.bytes_out_total


async def test_while_nobody_asks_nothing_is_deflated(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "deflate", None)
    fixture = await open_gateway(Chorus)
    client = await joined(fixture, "ann")
    fixture.tick(5)
    await payloads_to(client, 6)
    counters = fixture.gateway.counters
    assert (counters.deflates_total, counters.deflate_seconds_total, counters.bytes_saved_total) == (0, 0.0, 0)


async def test_when_the_last_who_asked_has_left_nothing_is_deflated_any_more(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Chorus)
    await joined(fixture, "ann")
    bob = await joined(fixture, "bob", DEFLATE)
    fixture.tick()
    before = fixture.gateway.counters.deflates_total
    await bob.say(Goodbye())
    await until(lambda: fixture.gateway.players_count == 1)
    fixture.tick(3)
    assert fixture.gateway.counters.deflates_total == before == 2


async def test_a_frame_that_gets_no_shorter_goes_to_everybody_as_it_is(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza)
    clients = [await joined(fixture, "ann"), await joined(fixture, "bob", DEFLATE)]
    fixture.tick()
    last = [(await payloads_to(client, fixture.zone.world.tick))[-1] for client in clients]
    assert op_of(last[0]) == Op.TICK
    assert last[0] == last[1]
    assert fixture.gateway.counters.frames_deflated_total == 0


async def test_the_goodbye_and_refusals_are_never_deflated(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Chorus)
    client = await joined(fixture, "ann", DEFLATE)
    await payloads_to(client, 1)
    await client.say(Act(1, [("no such thing", "x" * 200)]), Goodbye())
    assert (await client.read_a(Bye)).code == "CLIENT_LEFT"


@pytest.mark.parametrize("first", [(), (DEFLATE,)])
async def test_who_comes_back_may_ask_for_something_else(open_gateway: OpenGateway, first: tuple[str, ...]) -> None:
    fixture = await open_gateway(Chorus)
    second = () if first else (DEFLATE,)
    old = await joined(fixture, "ann", *first)
    fixture.tick()
    new = await joined(fixture, "ann", *second)
    fixture.tick()
    assert {op_of(payload) for payload in (await payloads_to(new, fixture.zone.world.tick))[1:]} == (
        {Op.DEFLATED} if second else {Op.SNAPSHOT, Op.TICK}
    )
    fixture.tick()
    assert (await old.ended()).code == "REPLACED"
    assert fixture.gateway.players_count == 1


@pytest.mark.parametrize("gateway_class", [server.gateway_class for server in SERVERS.values()])
async def test_deflating_works_with_every_delivery(open_gateway: OpenGateway, gateway_class: type[Gateway]) -> None:
    fixture = await open_gateway(Chorus, gateway_class=gateway_class)
    clients = [await joined(fixture, "ann"), await joined(fixture, "bob", DEFLATE)]
    fixture.tick(3)
    fixture.clock.run()
    _, bob = [(await payloads_to(client, fixture.zone.world.tick)) for client in clients]
    assert {op_of(payload) for payload in bob[1:]} == {Op.DEFLATED}
    assert fixture.gateway.counters.deflates_total == 4


# --- Who falls behind -----------------------------------------------------------------------------


async def test_one_that_reads_again_is_caught_up_in_its_own_form(open_gateway: OpenGateway) -> None:
    limits = dataclasses.replace(SMALL, history_ticks=1000)
    fixture = await open_gateway(Noise, limits=limits)
    client = await joined(fixture, "ann", DEFLATE, receive_bytes=4096)
    other = await joined(fixture, "bob", DEFLATE)
    await other.read_payload()
    while not fixture.gateway.broadcaster.behind:
        fixture.tick()
        await other.read_payload()
    for _ in range(5):
        fixture.tick()
        await other.read_payload()
    world, ops = World(fixture.zone.rules.width, fixture.zone.rules.height, {}), set()
    while world.tick < fixture.zone.world.tick:
        payload = await client.read_payload()
        message = decode_server(plain(payload))
        if isinstance(message, Snapshot):
            world.restore(message)
        elif isinstance(message, Tick):
            world.apply(message)
            ops.add(op_of(payload))
    assert ops == {Op.DEFLATED}
    assert fixture.gateway.counters.catch_ups_total == 1
    assert world.hash() == fixture.zone.world.hash()


class Noise(Rules):
    """Every tick tells everybody something that is worth deflating, but only just."""

    def on_tick(self) -> None:
        self.emit("noise", self.random.randbytes(2048), bytes(200))


def frame_of(tick: int, size: int) -> bytes:
    """A frame that deflates the better the longer it is."""
    return Tick(tick, 100, None, [], [], [], [], (), (), (), (), ((None, None, "x" * size),)).encode()


def snapshot_of(tick: int, size: int) -> bytes:
    world = World(10, 10, {})
    world.tick = tick
    world.join(0, "y" * size)
    return world.snapshot().encode()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.just(0), SIZES),
        st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 1500)),
        st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("join"), st.integers(0, 3), st.integers(0, 1500)),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([0.0, 4000.0]))
def test_whoever_stalls_in_whatever_form_misses_and_repeats_nothing(
    steps: list[tuple[str, int, int]], send_rate: float
) -> None:
    """Four places, of which two ask for it; who takes how much when, comes and goes, is chance."""
    counters, now = GatewayCounters(), 0.0
    history = History(4, lambda: snapshot_of(history.tick, 50))
    broadcaster = Broadcaster(history, Config(send_rate=send_rate), counters)
    places: list[SessionFixture | None] = [None] * 4
    everybody: list[tuple[SessionFixture, int]] = []
    forms: dict[SessionFixture, bool] = {}

    def join(place: int, room: int) -> SessionFixture:
        fixture = SessionFixture(room=room)
        everybody.append((fixture, history.tick))
        fixture.attach(broadcaster, lambda: now)
        forms[fixture] = place >= 2
        broadcaster.join(fixture.session, Form(LENGTH_PREFIX, place >= 2), now)
        fixture.session.flush()
        return fixture

    def tick(size: int) -> None:
        nonlocal now
        now += 0.05
        history.append(history.tick + 1, frame_of(history.tick + 1, size))
        broadcaster.send(1, now)

    tick(0)
    for what, place, amount in [*steps, *[("take", place, 10**6) for place in range(4)]]:
        fixture = places[place]
        if what == "tick":
            tick(amount)
        elif what == "join" and fixture is None:
            places[place] = join(place, amount)
        elif what == "take" and fixture is not None:
            fixture.transport.take(amount)
        elif what == "leave" and fixture is not None:
            broadcaster.leave(fixture.session)
            places[place] = None
    for _ in range(100):  # Whoever rests goes on.
        tick(0)
        for fixture in places:
            if fixture is not None:
                fixture.transport.take(10**6)
    for fixture, first in everybody:
        has_gone = fixture not in places
        last = followed(bytes(fixture.transport.kernel), first, forms[fixture], is_cut=has_gone)
        assert has_gone or last == history.tick
    if not any(forms.values()):
        assert counters.deflates_total == 0
    assert counters.deflates_total <= history.tick + history.snapshots_total
    assert broadcaster.behind == 0
    assert broadcaster._subscriptions.keys() == {fixture.session for fixture in places if fixture is not None}


def followed(stream: bytes, first: int, wants_deflate: bool, is_cut: bool) -> int:
    """The last tick of a stream that begins with a snapshot of the first, and of which nothing is missing."""
    deframer, tick = Deframer(SERVER_PAYLOAD_BYTES), -1
    for payload in deframer.receive(stream):
        assert wants_deflate or op_of(payload) != Op.DEFLATED
        message = decode_server(plain(payload))
        assert isinstance(message, Tick | Snapshot)
        if tick < 0:
            assert isinstance(message, Snapshot)
            assert message.tick == first
        else:
            assert message.tick > tick if isinstance(message, Snapshot) else message.tick == tick + 1
        tick = message.tick
    assert is_cut or not deframer.buffered_bytes
    return tick


def test_what_it_takes_to_deflate_is_counted_once_however_many_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    counters = GatewayCounters()
    history = History(4, lambda: snapshot_of(history.tick, 50))
    broadcaster = Broadcaster(history, Config(), counters)
    for _ in range(3):
        fixture = SessionFixture()
        broadcaster.join(fixture.session, Form(LENGTH_PREFIX, deflated=True), 0.0)
        fixture.session.flush()
    assert (counters.deflates_total, counters.deflate_seconds_total) == (1, 1.0)
    history.append(1, frame_of(1, 200))
    broadcaster.send(1, 0.0)
    assert (counters.deflates_total, counters.deflate_seconds_total) == (2, 2.0)


# --- The swarm ------------------------------------------------------------------------------------


async def swarmed(server: ZoneServer, bots: int, deflate: bool) -> tuple[Tally, Worker]:
    """So many walkers and talkers in a server, who leave after some dozen ticks."""
    plan = Plan(
        port=server.port, bots=bots, ramp=1000, rate=10, mix={"walker": 2, "chatty": 1}, seed=2, deflate=deflate
    )
    swarm, commands = Worker(plan, 0), asyncio.Queue[Command]()
    running = asyncio.create_task(swarm.run(commands))
    await until(lambda: swarm.progress()["done"])
    commands.put_nowait(Measure())
    enough = server.zone.world.tick + 40
    await until(lambda: server.zone.world.tick > enough)
    commands.put_nowait(Stop())
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await running, swarm


async def test_a_swarm_that_asks_for_it_checks_every_byte_of_what_was_deflated(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    tally, swarm = await swarmed(server, 60, deflate=True)
    counters = server.gateway.counters
    assert (tally.joined, tally.mismatched, tally.gaps, tally.diverged, tally.lost) == (60, 0, 0, 0, 0)
    assert tally.hashes_checked > 0
    assert tally.sent == tally.delivered + tally.superseded + sum(tally.refused.values())
    assert counters.frames_deflated_total > 60 * 5
    inflated = swarm.frame_checker.inflate.cache_info()
    assert inflated.misses <= counters.deflates_total, "each is inflated once, however many got it"
    assert inflated.hits > 20 * inflated.misses


def test_the_sequences_of_a_swarm_are_as_little_alike_as_those_of_players() -> None:
    first = [Plan(seed=3).first_seq(number) for number in range(2000)]
    assert (
        first == [Plan(seed=3).first_seq(number) for number in range(2000)] != list(map(Plan().first_seq, range(2000)))
    )
    counts = Counter(first)
    assert sorted(counts) == list(range(1, 65))
    assert max(counts.values()) < 3 * min(counts.values())


def test_bots_hold_what_was_in_the_bytes_against_each_other() -> None:
    zone = DrivenZone(Plaza(), hz=20, seed=1)
    for ref in range(20):
        zone.join(ref, f"player {ref}")
    payload = zone.step().frame
    tick = decode_server(payload)
    assert isinstance(tick, Tick)
    another = dataclasses.replace(tick, dilation_percent=99).encode()
    checker = FrameChecker()
    checker.check_frame(1, payload)
    for level in (1, 9):
        deflated = Deflated(zlib.compress(payload, level, -15)).encode()
        checker.check_frame(1, checker.inflate(deflated))
    assert (checker.received, checker.mismatched) == (3, 0)
    checker.check_frame(1, checker.inflate(Deflated(deflate(another)).encode()))
    assert (checker.received, checker.mismatched) == (4, 1)
