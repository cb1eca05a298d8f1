"""The client library against a gateway whose ticks are the test's, and against whole servers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import zoneclient as client
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from zoneclient.connection import Event, Update, ZoneConnection
from zoneclient.protocol import ClientProtocol

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import ACTIONS_PER_PACKET, Bye, Deflated, Tick, Welcome, encode_action
from zoneserver.zone.rules import Rules

HOST = "127.0.0.1"
# Room for the head of an ACT, which the client leaves in every packet.
ACTION_BYTES_MAX = 1024 - 16
WELCOME = Welcome(1, 0, 0, 20, "made up", 100, 100, [], 1024, 16).encode()
FIRST = Tick(1, 100, None, [], [], [], [], [], [], [], [], [])


@contextlib.asynccontextmanager
async def joined(fixture: GatewayFixture, name: str, **settings: Any) -> AsyncIterator[ZoneConnection]:
    """A player in a hall, let in with a tick of its own."""
    greeted = fixture.gateway.counters.packets_in_total

    async def let_in() -> None:
        await until(lambda: fixture.gateway.counters.packets_in_total > greeted)
        fixture.tick()

    letting_in = asyncio.create_task(let_in())
    async with client.connect(HOST, fixture.port, name=name, **settings) as zone:
        await letting_in
        yield zone


async def heard(fixture: GatewayFixture, actions: int) -> None:
    """Returns when the gateway has taken in so many actions, ever."""

    def is_heard() -> bool:
        fixture.gateway.read_inbox()  # the halls of these tests tick by hand
        return fixture.gateway.counters.actions_in_total >= actions

    await until(is_heard)


async def updates_to(zone: ZoneConnection, tick: int) -> list[Update]:
    """All updates up to that of a tick."""
    updates = [await anext(zone)]
    while updates[-1].tick < tick:
        updates.append(await anext(zone))
    return updates


def assert_same_world(zone: ZoneConnection, fixture: GatewayFixture) -> None:
    ours, theirs = zone.replica, fixture.zone.world
    assert ours.tick == theirs.tick
    assert ours.world.hash() == theirs.hash()
    assert [ours.position(slot) for slot in ours.players] == [theirs.position(slot) for slot in theirs.slots()]


class Shouting(Plaza):
    """The demo game, with 200 kilobytes to tell everybody every tick."""

    def on_tick(self) -> None:
        self.emit("noise", bytes(200_000))


# --- One packet per client frame ------------------------------------------------------------------


async def test_everything_done_within_one_client_frame_is_one_packet(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        assert [zone.act("emote", which) for which in range(5)] == [1, 2, 3, 4, 5]
        await heard(fixture, 5)
        assert fixture.gateway.counters.packets_in_total - before == 1


async def test_a_client_frame_lasts_as_long_as_a_tick(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=20)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        zone.act("emote", 0)
        await heard(fixture, 1)
        # The first packet left at once; these turns of the loop lie within the frame that it began.
        for which in range(5):
            zone.act("emote", which)
            await asyncio.sleep(0)
        await heard(fixture, 6)
        assert fixture.gateway.counters.packets_in_total - before == 2


async def test_flush_ends_the_client_frame_at_once(open_gateway: OpenGateway) -> None:
    # At one tick a second nothing but the flush could bring the second packet so soon.
    fixture = await open_gateway(Plaza, hz=1)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for which in range(3):
            zone.act("emote", which)
            zone.flush()
        zone.flush()
        await heard(fixture, 3)
        assert fixture.gateway.counters.packets_in_total - before == 3


async def test_more_actions_than_a_packet_holds_become_two_packets(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for _ in range(ACTIONS_PER_PACKET + 1):
            zone.act("emote", 1)
        await heard(fixture, ACTIONS_PER_PACKET + 1)
        assert fixture.gateway.counters.packets_in_total - before == 2
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert update.events == [Event(0, "ann", "emote", (1,))] * 17


async def test_packets_are_split_by_bytes_too(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100, limits=Limits(event_bytes_per_tick=10_000))
    text = "x" * 190
    per_packet = ACTION_BYTES_MAX // len(encode_action("say", text))
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for _ in range(12):
            zone.act("say", text)
        await heard(fixture, 12)
        assert fixture.gateway.counters.packets_in_total - before == math.ceil(12 / per_packet) > 1
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert update.events == [Event(0, "ann", "say", (text,))] * 12


async def test_the_longest_action_that_fits_arrives_and_a_longer_one_is_a_value_error(
    open_gateway: OpenGateway,
) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    longest = "x" * (ACTION_BYTES_MAX - len(encode_action("say", "x" * 500)) + 500)
    async with joined(fixture, "ann") as zone:
        with pytest.raises(ValueError, match="'say' takes 1009 bytes; a packet holds 1008"):
            zone.act("say", longest + "x")
        assert zone.act("say", longest) == 1, "what was not sent has no sequence"
        await heard(fixture, 1)
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert [(refusal.seq, refusal.code) for refusal in update.refused] == [(1, "BAD_PAYLOAD")]


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**64, -(2**63) - 1, "\ud800"], ids=lambda value: type(value).__name__
)
async def test_what_cannot_be_packed_is_a_type_error_or_a_value_error(open_gateway: OpenGateway, value: Any) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        with pytest.raises((TypeError, ValueError)):
            zone.act("say", value)
        assert zone.act("emote", 1) == 1, "what was not sent has no sequence"


# --- What an update carries -----------------------------------------------------------------------


async def test_an_update_tells_who_came_who_went_and_what_everybody_did(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as ann:
        first = await anext(ann)
        assert (first.joined, first.left, first.events, first.resynced) == ({0: "ann"}, {}, [], True)
        async with joined(fixture, "bob") as bob:
            came = await anext(ann)
            assert (came.joined, came.left, came.resynced, came.dilation) == ({1: "bob"}, {}, False, 1.0)
            assert (await anext(bob)).joined == {0: "ann", 1: "bob"}
            bob.act("say", "hello")
            # The text is empty: nobody hears it.
            refused = bob.act("say", "")
            await heard(fixture, 2)
            fixture.tick()
            assert (await anext(ann)).events == [Event(1, "bob", "say", ("hello",))]
            update = await anext(bob)
            assert update.events == [Event(1, "bob", "say", ("hello",))]
            assert [(refusal.seq, refusal.code) for refusal in update.refused] == [(refused, "BAD_PAYLOAD")]
            assert update.refused[0].tick == update.tick == fixture.zone.world.tick
        await until(lambda: fixture.gateway.players == 1)
        fixture.tick()
        went = await anext(ann)
        assert (went.joined, went.left, went.refused) == ({}, {1: "bob"}, [])
        assert ann.replica.players == {0: "ann"}


async def test_the_zones_own_events_have_no_player(open_gateway: OpenGateway) -> None:
    class Clock(Rules):
        def on_tick(self) -> None:
            self.emit("bell", self.tick)

    fixture = await open_gateway(Clock, hz=100)
    async with joined(fixture, "ann") as ann:
        await anext(ann)
        fixture.tick()
        update = await anext(ann)
        assert update.events == [Event(None, None, "bell", (update.tick,))]


async def test_a_slot_that_changes_hands_is_left_and_joined(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as ann:
        async with joined(fixture, "bob"):
            pass
        await until(lambda: fixture.gateway.players == 1)
        async with joined(fixture, "cid") as cid:
            assert cid.slot == 1
            came, changed = (await updates_to(ann, fixture.zone.world.tick))[1:]
            assert (came.joined, came.left) == ({1: "bob"}, {})
            assert (changed.joined, changed.left) == ({1: "cid"}, {1: "bob"})


async def test_the_replica_is_the_servers_world_tick_by_tick(open_gateway: OpenGateway) -> None:
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
            await heard(fixture, sent)
            fixture.tick()
            for zone in (ann, bob):
                await updates_to(zone, fixture.zone.world.tick)
                assert_same_world(zone, fixture)
        assert ann.replica.hashes_checked >= 1
        assert (ann.replica.name(1), ann.replica.slot("bob"), ann.replica.slot("cid")) == ("bob", 1, None)
        assert ann.replica.stat(1, "hp") == 100


async def test_positions_are_those_of_a_real_server_at_the_same_tick(open_server: OpenServer) -> None:
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


async def test_a_replica_that_went_wrong_is_found_with_the_next_hash(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=4)
    async with joined(fixture, "ann") as zone:
        await anext(zone)
        zone.replica.world.x[0] ^= 1
        fixture.tick(8)
        with pytest.raises(client.DivergedError, match="the server's state hash is") as caught:
            await updates_to(zone, fixture.zone.world.tick)
        assert caught.value.tick == 4
        assert isinstance(caught.value, client.ZoneError)


# --- Not getting in -------------------------------------------------------------------------------


async def test_a_bad_name_and_a_full_zone_are_refused_with_their_code(open_server: OpenServer) -> None:
    server = await open_server(Plaza, max_players=1, hz=100)
    with pytest.raises(client.JoinRefusedError, match="BAD_NAME: a name has") as caught:
        async with client.connect(HOST, server.port, name=""):
            pytest.fail("let in")
    assert (caught.value.code, caught.value.retry) == ("BAD_NAME", False)
    async with client.connect(HOST, server.port, name="ann"):
        with pytest.raises(client.JoinRefusedError, match="no room") as caught:
            async with client.connect(HOST, server.port, name="bob"):
                pytest.fail("let in")
        assert (caught.value.code, caught.value.retry) == ("SERVER_FULL", True)
    assert isinstance(caught.value, client.ZoneClosedError)


async def test_a_server_that_does_not_answer_is_a_timeout(cleanup: contextlib.AsyncExitStack) -> None:
    gone = asyncio.Event()

    class Silent(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            gone.set()

    server = await asyncio.get_running_loop().create_server(Silent, HOST, 0)
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimeoutError, match=rf"^no answer from 127\.0\.0\.1:{port} within 0\.05 s$"):
        async with client.connect(HOST, port, name="ann", timeout=0.05):
            pytest.fail("let in")
    async with asyncio.timeout(10):
        await gone.wait()


async def test_no_server_at_all_is_an_os_error(cleanup: contextlib.AsyncExitStack) -> None:
    # Bound and not listening: nobody else can take the port meanwhile.
    sock = cleanup.enter_context(socket.socket())
    sock.bind((HOST, 0))
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        async with client.connect(HOST, sock.getsockname()[1], name="ann"):
            pytest.fail("let in")


# --- The end --------------------------------------------------------------------------------------


async def test_a_server_that_stops_ends_the_iteration_and_everything_else(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        await anext(zone)
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(client.ZoneClosedError) as caught:
            async for _ in zone:
                pass
        await stopping
        assert (caught.value.code, caught.value.retry) == ("SERVER_STOPPING", True)
        assert not isinstance(caught.value, client.JoinRefusedError)
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            zone.act("emote", 1)
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await zone.ping()
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await anext(zone)
        zone.flush()


async def test_what_came_before_the_end_is_given_before_it(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        zone.act("say", "last words")
        await heard(fixture, 1)
        fixture.tick()
        await fixture.gateway.close(10)
        assert [update.events for update in await updates_to(zone, 2)][1] == [Event(0, "ann", "say", ("last words",))]
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await anext(zone)


@pytest.mark.parametrize("how", ["at its end", "by an exception", "when it is cancelled", "by a return"])
async def test_leaving_the_block_leaves_the_zone(open_gateway: OpenGateway, how: str) -> None:
    fixture = await open_gateway(Plaza, hz=100)

    async def play() -> None:
        async with joined(fixture, "ann") as zone:
            await anext(zone)
            if how == "by an exception":
                raise ZeroDivisionError
            if how == "when it is cancelled":
                inside.set()
                await anext(zone)
            if how == "by a return":
                return

    inside = asyncio.Event()
    playing = asyncio.create_task(play())
    if how == "when it is cancelled":
        await inside.wait()
        playing.cancel()
    await asyncio.wait({playing})
    assert playing.cancelled() == (how == "when it is cancelled")
    if how == "by an exception":
        assert isinstance(playing.exception(), ZeroDivisionError)
    await until(lambda: fixture.gateway.connections == 0)
    assert fixture.gateway.players == 0
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}


async def test_what_was_done_last_is_sent_before_the_goodbye(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=1)
    async with joined(fixture, "ann") as zone:
        for which in range(3):
            zone.act("emote", which)
    assert fixture.gateway.counters.packets_in_total == 3, "HELLO, ACT and GOODBYE"


async def test_a_server_that_talks_nonsense_is_left(cleanup: contextlib.AsyncExitStack) -> None:
    port = await serve_bytes(cleanup, frame(WELCOME) + frame(b"\xc1nonsense"))
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server") as caught:
            await anext(zone)
        assert not caught.value.retry


async def test_a_frame_that_does_not_follow_is_a_value_error(cleanup: contextlib.AsyncExitStack) -> None:
    tick = Tick(7, 100, None, [], [], [], [], [], [], [], [], [])
    port = await serve_bytes(cleanup, frame(WELCOME) + frame(tick.encode()) + frame(Bye("X", "", False).encode()))
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(ValueError, match="tick 7 does not follow"):
            await anext(zone)
        with pytest.raises(client.ZoneClosedError, match="X"):
            await anext(zone)


async def serve_bytes(cleanup: contextlib.AsyncExitStack, data: bytes) -> int:
    """A server that says this to everybody and closes the connection; returns its port."""

    class Saying(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            said: Any = transport
            said.write(data)
            said.close()

    server = await asyncio.get_running_loop().create_server(Saying, HOST, 0)
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port


# --- Deflated -------------------------------------------------------------------------------------


async def test_a_zone_is_the_same_deflated_or_not(open_gateway: OpenGateway) -> None:
    class Murmuring(Plaza):
        def on_tick(self) -> None:
            self.emit("noise", bytes(2000))

    fixture = await open_gateway(Murmuring, hz=10)
    async with joined(fixture, "ann") as ann, joined(fixture, "bob", deflate=True) as bob:
        assert (ann.is_deflated, bob.is_deflated) == (False, True)
        plain, deflated = (-zone._receiver.received_bytes for zone in (ann, bob))
        bob.act("move", 3, 4)
        bob.act("nonsense")
        await heard(fixture, 2)
        fixture.tick(10)
        for zone in (ann, bob):
            await updates_to(zone, fixture.zone.world.tick)
            assert_same_world(zone, fixture)
            assert zone.replica.hashes_checked >= 1
        plain, deflated = plain + ann._receiver.received_bytes, deflated + bob._receiver.received_bytes
        assert plain > 20_000
        assert deflated < 2_000
        assert await bob.ping() >= 0


async def test_a_server_that_does_not_deflate_is_followed_as_ever(cleanup: contextlib.AsyncExitStack) -> None:
    port = await serve_bytes(cleanup, frame(WELCOME) + frame(FIRST.encode()) + frame(Bye("X", "", False).encode()))
    async with client.connect(HOST, port, name="ann", deflate=True) as zone:
        assert not zone.is_deflated
        assert (await anext(zone)).tick == 1


async def test_what_nobody_asked_for_is_not_even_inflated(
    cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClientProtocol, "inflate", None)
    port = await serve_bytes(cleanup, frame(WELCOME) + frame(Deflated(deflate(FIRST.encode())).encode()))
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server: it sent a deflated message"):
            await anext(zone)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (deflate(FIRST.encode() + bytes(2**24)), "more than 16777216 bytes"),
        (deflate(FIRST.encode())[:-1], "cut short"),
        (deflate(FIRST.encode()) + b"x", "1 bytes behind"),
        (deflate(Bye("X", "", True).encode()), "only a snapshot or a tick"),
        (deflate(Deflated(deflate(FIRST.encode())).encode()), "only a snapshot or a tick"),
        (b"\xff", "not deflated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_server_that_deflates_nonsense_is_left(
    cleanup: contextlib.AsyncExitStack, data: bytes, complaint: str
) -> None:
    port = await serve_bytes(cleanup, frame(WELCOME) + frame(Deflated(data).encode()))
    async with client.connect(HOST, port, name="ann", deflate=True) as zone:
        with pytest.raises(client.ZoneClosedError, match=f"PROTOCOL_ERROR: from the server: .*{complaint}"):
            await anext(zone)


# --- Ping -----------------------------------------------------------------------------------------


async def test_pings_may_overlap(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        times = await asyncio.gather(*(zone.ping() for _ in range(5)))
        assert all(seconds >= 0 for seconds in times)
        assert len(times) == 5


async def test_a_ping_that_waits_hears_of_the_end(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        # The goodbye is on its way before the ping is heard.
        closing = asyncio.create_task(fixture.gateway.close(10))
        pinging = asyncio.create_task(zone.ping())
        await closing
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await pinging


async def test_a_ping_that_was_given_up_does_no_harm(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        pinging = asyncio.create_task(zone.ping())
        await asyncio.sleep(0)
        pinging.cancel()
        assert await zone.ping() >= 0


# --- A program that does not iterate --------------------------------------------------------------


# Kernel buffers in which no frame of the shouting game fits, and few frames to catch up by.
SMALL = Limits(socket_send_bytes=16 * 1024, history_ticks=16)


def take_little(zone: ZoneConnection) -> None:
    """Shrinks what the kernel holds for a client, before it has grown with what arrives."""
    sock = zone._receiver.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)


async def fall_behind(fixture: GatewayFixture, zone: ZoneConnection) -> None:
    """Ticks until the client reads no more, and then for longer than the gateway keeps frames.

    That somebody is behind proves nothing: a send may be in flight for a moment only. So each frame has
    arrived before the next is sent, and the one that follows on the last that is read fits nowhere: it
    is in flight until the client reads on.
    """
    session = next(session for session in fixture.gateway._connections if session.name == zone.name)
    receiver = zone._receiver

    def has_arrived() -> bool:
        return not session.in_flight and receiver.received_bytes == session.sent_bytes

    while not receiver._is_paused:
        fixture.tick()
        await until(has_arrived)
    fixture.tick(2 * SMALL.history_ticks)
    assert session.in_flight


async def test_who_does_not_iterate_is_spared_frames_and_caught_up(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Shouting, hz=100, limits=SMALL)
    async with joined(fixture, "ann") as ann:
        take_little(ann)
        await anext(ann)
        await fall_behind(fixture, ann)
        received = ann._receiver.received_bytes
        waiting = sum(len(item) for item in ann._receiver.waiting)
        # 64 frames wait at the most, and what was read together with the last of them.
        assert waiting < 64 * 201_000 + 1_000_000
        for _ in range(50):
            fixture.tick()
            await asyncio.sleep(0)
        assert ann._receiver.received_bytes == received, "nothing is read any more"
        assert fixture.gateway.counters.frames_skipped_total >= 2 * SMALL.history_ticks + 50
        assert fixture.gateway.counters.closes == {}

        resynced = []
        while ann.replica.tick < fixture.zone.world.tick:
            update = await anext(ann)
            if update.resynced:
                resynced.append(update)
        assert resynced
        assert all((update.joined, update.left, update.events) == ({}, {}, []) for update in resynced)
        assert_same_world(ann, fixture)
        fixture.tick()
        assert (await anext(ann)).tick == fixture.zone.world.tick
        assert_same_world(ann, fixture)


async def test_a_resync_tells_who_came_and_went_meanwhile(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Shouting, hz=100, limits=SMALL)
    async with joined(fixture, "ann") as ann, contextlib.AsyncExitStack() as stack:
        take_little(ann)
        await stack.enter_async_context(joined(fixture, "bob"))
        await updates_to(ann, fixture.zone.world.tick)
        await fall_behind(fixture, ann)
        await stack.aclose()
        async with joined(fixture, "cid"):
            changed = [update for update in await updates_to(ann, fixture.zone.world.tick) if update.joined]
            assert [(update.joined, update.left) for update in changed] == [({1: "cid"}, {1: "bob"})]
            assert changed[0].resynced


async def test_leaving_after_a_long_silence_is_a_goodbye_too(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    aborted: list[str] = []
    abort: Callable[[ClientProtocol], None] = ClientProtocol.abort

    def noting(self: ClientProtocol) -> None:
        aborted.append(self.name)
        abort(self)

    monkeypatch.setattr(ClientProtocol, "abort", noting)
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as ann:
        # More than twice what the client lets wait: it has stopped reading, and the rest is on its way.
        for _ in range(200):
            fixture.tick()
            await asyncio.sleep(0)
        await until(lambda: len(ann._receiver.waiting) >= 64)
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}
    assert aborted == [], "the client gave up on the server's goodbye"


async def test_a_refusal_outlives_a_wait_that_was_given_up(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        await anext(zone)
        waiting = asyncio.ensure_future(anext(zone))
        # Too many for one tick: what exceeds it is refused at once, before the tick.
        for _ in range(10 * ACTIONS_PER_PACKET):
            zone.act("emote", 1)
        await heard(fixture, 10 * ACTIONS_PER_PACKET)
        refused = fixture.gateway.counters.refusals.total()
        assert refused > 0
        # The answer to a ping comes after the refusals: they have arrived.
        await zone.ping()
        waiting.cancel()
        await asyncio.wait({waiting})
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert len(update.refused) == refused


async def test_what_is_not_text_is_a_type_error_at_once(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    not_text: Any = b"ann"
    with pytest.raises(TypeError, match="a name must be a str, not b'ann'"):
        async with client.connect(HOST, server.port, name=not_text):
            pytest.fail("let in")
    async with client.connect(HOST, server.port, name="ann") as zone:
        with pytest.raises(TypeError, match="the kind of an action is text, not 1"):
            zone.act(1)  # type: ignore[arg-type]


async def test_a_name_that_cannot_be_sent_is_told_at_once(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    with pytest.raises(ValueError, match=r"."):
        async with client.connect(HOST, server.port, name="\ud800", timeout=0.5):
            pytest.fail("let in")
