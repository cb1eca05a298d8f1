"""The client library against a gateway whose ticks are run by hand, and against whole servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.zone_connections import HOST, actions_received, joined, updates_to
from zoneclient.update import Event

from zoneserver import Player, Rules, action
from zoneserver.games.plaza import Plaza


async def test_update_contains_joins_leaves_events_and_refusals(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as ann:
        first = await anext(ann)
        assert (first.joined, first.left, first.events, first.resynced) == ({0: "ann"}, {}, [], True)
        async with joined(fixture, "bob") as bob:
            came = await anext(ann)
            assert (came.joined, came.left, came.resynced, came.dilation) == ({1: "bob"}, {}, False, 1.0)
            assert (await anext(bob)).joined == {0: "ann", 1: "bob"}
            bob.act("say", "hello")
            # The rules refuse an empty text.
            refused = bob.act("say", "")
            await actions_received(fixture, 2)
            fixture.tick()
            assert (await anext(ann)).events == [Event(1, "bob", "say", ("hello",))]
            update = await anext(bob)
            assert update.events == [Event(1, "bob", "say", ("hello",))]
            assert [(refusal.seq, refusal.code) for refusal in update.refused] == [(refused, "BAD_PAYLOAD")]
            assert update.refused[0].tick == update.tick == fixture.zone.world.tick
        await until(lambda: fixture.gateway.players_count == 1)
        fixture.tick()
        went = await anext(ann)
        assert (went.joined, went.left, went.refused) == ({}, {1: "bob"}, [])
        assert ann.replica.players == {0: "ann"}


async def test_event_of_the_zone_itself_has_no_player(open_gateway: OpenGateway) -> None:
    class Clock(Rules):
        def on_tick(self) -> None:
            self.emit("bell", self.tick)

    fixture = await open_gateway(Clock, hz=100)
    async with joined(fixture, "ann") as ann:
        await anext(ann)
        fixture.tick()
        update = await anext(ann)
        assert update.events == [Event(None, None, "bell", (update.tick,))]


async def test_slot_with_a_new_player_is_left_and_joined(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as ann:
        async with joined(fixture, "bob"):
            pass
        await until(lambda: fixture.gateway.players_count == 1)
        async with joined(fixture, "cid") as cid:
            assert cid.slot == 1
            came, changed = (await updates_to(ann, fixture.zone.world.tick))[1:]
            assert (came.joined, came.left) == ({1: "bob"}, {})
            assert (changed.joined, changed.left) == ({1: "cid"}, {1: "bob"})


async def test_bad_name_and_full_zone_raise_join_refused_with_code(open_server: OpenServer) -> None:
    server = await open_server(Plaza, max_players=1, hz=100)
    with pytest.raises(client.JoinRefusedError, match="BAD_NAME: a name must have") as caught:
        async with client.connect(HOST, server.port, name=""):
            pytest.fail("the player was admitted")
    assert (caught.value.code, caught.value.retry) == ("BAD_NAME", False)
    async with client.connect(HOST, server.port, name="ann"):
        with pytest.raises(client.JoinRefusedError, match="no room") as caught:
            async with client.connect(HOST, server.port, name="bob"):
                pytest.fail("the player was admitted")
        assert (caught.value.code, caught.value.retry) == ("SERVER_FULL", True)
    assert isinstance(caught.value, client.ZoneClosedError)


async def test_connect_times_out_without_an_answer(cleanup: contextlib.AsyncExitStack) -> None:
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
            pytest.fail("the player was admitted")
    async with asyncio.timeout(10):
        await gone.wait()


async def test_connect_raises_os_error_without_a_server(cleanup: contextlib.AsyncExitStack) -> None:
    # Bound but not listening, so that no other process takes the port.
    sock = cleanup.enter_context(socket.socket())
    sock.bind((HOST, 0))
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        async with client.connect(HOST, sock.getsockname()[1], name="ann"):
            pytest.fail("the player was admitted")


async def test_stopping_server_ends_iteration_act_and_ping(open_server: OpenServer) -> None:
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


async def test_updates_before_the_end_are_delivered_before_the_error(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        zone.act("say", "last words")
        await actions_received(fixture, 1)
        fixture.tick()
        await fixture.gateway.close(10)
        assert [update.events for update in await updates_to(zone, 2)][1] == [Event(0, "ann", "say", ("last words",))]
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await anext(zone)


@pytest.mark.parametrize("how", ["at its end", "by an exception", "when it is cancelled", "by a return"])
async def test_end_of_the_block_leaves_the_zone(open_gateway: OpenGateway, how: str) -> None:
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
    assert fixture.gateway.players_count == 0
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}


async def test_pings_may_overlap(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        times = await asyncio.gather(*(zone.ping() for _ in range(5)))
        assert all(seconds >= 0 for seconds in times)
        assert len(times) == 5


async def test_waiting_ping_raises_at_the_end_of_the_connection(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        # The server sends its BYE before it reads the PING.
        closing = asyncio.create_task(fixture.gateway.close(10))
        pinging = asyncio.create_task(zone.ping())
        await closing
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await pinging


async def test_cancelled_ping_does_not_affect_the_next_one(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        pinging = asyncio.create_task(zone.ping())
        await asyncio.sleep(0)
        pinging.cancel()
        assert await zone.ping() >= 0


# --- Watchers, and versions of a game -------------------------------------------------------------


class Field(Rules):
    """A game of a version, with things and a board."""

    version = "3"
    kinds = {"coin": {"worth": 1}, "wolf": {"hp": 30}}  # noqa: RUF012
    board = {"match": 0, "leader": ""}  # noqa: RUF012
    stats = {"gold": 0}  # noqa: RUF012

    def on_start(self) -> None:
        self.spawn("coin", 100, 200, worth=7)
        self.spawn("wolf", 300, 400, 5, 0)

    @action
    def lead(self, player: Player) -> None:
        self.board["leader"] = player.name
        self.board["match"] += 1


async def test_watcher_sees_the_zone_and_cannot_act(open_server: OpenServer) -> None:
    server = await open_server(Field, hz=100)
    async with (
        client.connect(HOST, server.port, watch=True) as watcher,
        client.connect(HOST, server.port, name="ann") as ann,
    ):
        assert (watcher.slot, watcher.name, watcher.unsettled) == (None, "", 0)
        with pytest.raises(RuntimeError, match="a watcher has no player and cannot act"):
            watcher.act("lead")
        ann.act("lead")
        async for update in watcher:
            if update.events:
                break
        assert update.events == [Event(ann.slot, "ann", "lead", ())]
        assert list(watcher.replica.players.values()) == ["ann"]
        assert await watcher.ping() > 0


async def test_connect_needs_a_name_or_watch() -> None:
    with pytest.raises(TypeError, match="needs the name of your player, or watch=True"):
        async with client.connect(HOST, 1):
            pytest.fail("there is no player")


async def test_other_version_of_the_game_is_refused(open_server: OpenServer) -> None:
    server = await open_server(Field, hz=100)
    async with client.connect(HOST, server.port, name="ann", game_version="3") as zone:
        assert (zone.game, zone.game_version) == ("field", "3")
    with pytest.raises(client.JoinRefusedError) as caught:
        async with client.connect(HOST, server.port, name="ann", game_version="2"):
            pytest.fail("the player was admitted")
    assert (caught.value.code, caught.value.retry) == ("GAME_VERSION", False)


async def test_replica_has_things_and_board(open_server: OpenServer) -> None:
    server = await open_server(Field, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        assert zone.replica.board == {"match": 0, "leader": ""}
        first = await anext(zone)
        assert first.joined == {zone.slot: "ann"}, "a thing is nobody who came"
        replica = zone.replica
        (coin,), (wolf,) = replica.things("coin"), replica.things("wolf")
        assert replica.things() == {coin: "coin", wolf: "wolf"}
        assert (replica.kind(coin), replica.kind(wolf), replica.kind(zone.slot or 0)) == ("coin", "wolf", "player")
        assert (replica.kind(99), replica.name(coin), replica.name(99)) == (None, None, None)
        assert (replica.stat(coin, "worth"), replica.stat(wolf, "hp"), replica.stat(zone.slot or 0, "gold")) == (
            7,
            30,
            0,
        )
        assert replica.position(coin) == (100, 200)
        with pytest.raises(KeyError, match="no things of the kind 'player'"):
            replica.things("player")
        for slot, stat in ((coin, "hp"), (wolf, "gold"), (99, "gold")):
            with pytest.raises(LookupError):
                replica.stat(slot, stat)
        await zone.done(zone.act("lead"))
        board = replica.board
        assert board == {"match": 1, "leader": "ann"}
        with pytest.raises(TypeError):
            board["match"] = 2  # type: ignore[index]
