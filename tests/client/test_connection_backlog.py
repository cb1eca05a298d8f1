"""A program that does not iterate over its connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.waiting import until
from helpers.zone_connections import assert_same_world, joined, updates_to
from zoneclient.connection import ZoneConnection
from zoneclient.protocol import ClientProtocol

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Refusal


class Shouting(Plaza):
    """The demo game with events of 200 kilobytes in every tick."""

    def on_tick(self) -> None:
        for _ in range(4):
            self.emit("noise", bytes(50_000))


# No frame of the game Shouting fits into these kernel buffers, and the history is short.
SMALL = Limits(socket_send_bytes=16 * 1024, history_ticks=16)


def shrink_receive_buffer(zone: ZoneConnection) -> None:
    """Shrink the receive buffer of a client, before the kernel enlarges it."""
    sock = zone._receiver.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)


async def fall_behind(fixture: GatewayFixture, zone: ZoneConnection) -> None:
    """Tick until the client stops reading, and then for more ticks than the gateway keeps frames.

    A client that is behind for a moment proves nothing, because a send may be in flight. So each frame has arrived
    before the next is sent. The frame after the last one that is read fits into no buffer: it stays in flight until
    the client reads again.
    """
    session = next(session for session in fixture.gateway._connections if session.label == zone.name)
    receiver = zone._receiver

    def has_arrived() -> bool:
        return not session.in_flight and receiver.received_bytes == fixture.gateway.broadcaster.sent_bytes(session)

    while not receiver._is_paused:
        fixture.tick()
        await until(has_arrived)
    fixture.tick(2 * SMALL.history_ticks)
    assert session.in_flight


async def test_idle_program_stops_reading_and_is_caught_up_by_snapshot(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Shouting, hz=100, limits=SMALL)
    async with joined(fixture, "ann") as ann:
        shrink_receive_buffer(ann)
        await anext(ann)
        await fall_behind(fixture, ann)
        received = ann._receiver.received_bytes
        waiting = sum(len(item) for item in ann._receiver.waiting)
        # At most 64 frames wait, and the data that was read together with the last one.
        assert waiting < 64 * 201_000 + 1_000_000
        for _ in range(50):
            fixture.tick()
            await asyncio.sleep(0)
        assert ann._receiver.received_bytes == received, "the client has stopped reading"
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


async def test_resync_contains_joins_and_leaves_of_the_skipped_ticks(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Shouting, hz=100, limits=SMALL)
    async with joined(fixture, "ann") as ann, contextlib.AsyncExitStack() as stack:
        shrink_receive_buffer(ann)
        await stack.enter_async_context(joined(fixture, "bob"))
        await updates_to(ann, fixture.zone.world.tick)
        await fall_behind(fixture, ann)
        await stack.aclose()
        async with joined(fixture, "cid"):
            changed = [update for update in await updates_to(ann, fixture.zone.world.tick) if update.joined]
            assert [(update.joined, update.left) for update in changed] == [({1: "cid"}, {1: "bob"})]
            assert changed[0].resynced


async def test_leaving_while_reading_is_paused_says_goodbye(
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
        # Three times the limit of waiting messages: the client has stopped reading, and more data waits in the kernel.
        for _ in range(200):
            fixture.tick()
            await asyncio.sleep(0)
        await until(lambda: len(ann._receiver.waiting) >= 64)
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}
    assert aborted == [], "the client gave up on the server's goodbye"


async def test_refusals_survive_a_cancelled_wait(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        await anext(zone)
        waiting = asyncio.ensure_future(anext(zone))
        # The gateway refuses an action between two ticks.
        (player,) = fixture.gateway.players
        fixture.gateway._penalties.refuse(
            player, Refusal(fixture.zone.world.tick, 1, "TOO_MANY_ACTIONS", "wait for the tick")
        )
        player.session.flush()
        # The PONG comes after the refusals, so they have arrived.
        await zone.ping()
        waiting.cancel()
        await asyncio.wait({waiting})
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert [refusal.code for refusal in update.refused] == ["TOO_MANY_ACTIONS"]
