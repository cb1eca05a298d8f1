"""Who says something and leaves is heard: the end of the block waits for the fate of the last actions."""

from __future__ import annotations

import asyncio

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.zone_connections import HOST, actions_received, joined, updates_to
from zoneclient.update import Event

from zoneserver.games.chat import Chat
from zoneserver.games.plaza import Plaza


@pytest.mark.parametrize("deflate", [False, True])
async def test_last_action_before_the_end_of_the_block_is_heard(open_server: OpenServer, deflate: bool) -> None:
    server = await open_server(Plaza)
    async with client.connect(HOST, server.port, name="bob") as bob:
        async with client.connect(HOST, server.port, name="ann", deflate=deflate) as ann:
            ann.act("move", 1, 0)
            ann.act("say", "hello")
        heard = []
        async for update in bob:
            heard += [event for event in update.events if event.kind == "say"]
            if "ann" in update.left.values():
                break
        assert [(event.name, event.values) for event in heard] == [("ann", ("hello",))]


async def test_refused_last_action_lets_the_block_end(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)

    async def play() -> None:
        async with joined(fixture, "ann", leave_timeout=60) as zone:
            await anext(zone)
            zone.act("say", "hello")
            zone.act("say", "")
            assert zone.unsettled == 2

    playing = asyncio.create_task(play())
    await actions_received(fixture, 2)
    assert not playing.done()
    fixture.tick()
    await playing
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}


async def test_block_ends_while_another_task_takes_the_updates(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    heard: list[Event] = []

    async def listen(zone: client.ZoneConnection) -> None:
        async for update in zone:
            heard.extend(update.events)

    async def play() -> None:
        async with joined(fixture, "ann", leave_timeout=60) as zone:
            listening.append(asyncio.create_task(listen(zone)))
            await until(lambda: zone.replica.players)
            zone.act("say", "hello")

    listening: list[asyncio.Task[None]] = []
    playing = asyncio.create_task(play())
    await actions_received(fixture, 1)
    fixture.tick()
    await playing
    assert [event.values for event in heard] == [("hello",)]
    with pytest.raises(client.ZoneClosedError, match="CLIENT_LEFT"):
        await listening[0]


async def test_block_without_a_leave_timeout_leaves_at_once(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    # No tick runs after the action, so nothing tells its fate.
    async with joined(fixture, "ann", leave_timeout=0) as zone:
        zone.act("say", "hello")
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}


async def test_block_that_ends_with_an_exception_leaves_at_once(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    with pytest.raises(ZeroDivisionError):
        async with joined(fixture, "ann", leave_timeout=1_000) as zone:
            zone.act("say", "hello")
            raise ZeroDivisionError
    assert fixture.gateway.counters.closes == {"CLIENT_LEFT": 1}


async def test_server_that_tells_no_fate_is_left_after_the_deadline_with_a_warning(
    open_gateway: OpenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann", leave_timeout=0.05) as zone:
        zone.act("say", "hello")
    assert "ann leaves without knowing the fate of the last 1 actions" in caplog.text


async def test_unsettled_counts_across_the_low_byte_of_the_sequence(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Chat, hz=100)
    async with joined(fixture, "ann") as zone:
        await anext(zone)
        assert zone.unsettled == 0
        zone._receiver.next_seq = 255
        for number in range(3):
            zone.act("change_topic", f"number {number}")
        zone.flush()
        assert zone.unsettled == 3
        await actions_received(fixture, 3)
        fixture.tick()
        await updates_to(zone, fixture.zone.world.tick)
        assert zone.unsettled == 0
