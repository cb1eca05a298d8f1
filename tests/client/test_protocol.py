"""The callback layer of the client: packets, messages, compression."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.worlds import zone_info
from helpers.zone_connections import (
    FIRST,
    HOST,
    WELCOME,
    actions_received,
    assert_same_world,
    joined,
    serve_bytes,
    updates_to,
)
from zoneclient.protocol import ClientProtocol, Returning
from zoneclient.update import Event

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye, Deflated, Tick, Welcome
from zoneserver.protocol.values import ACTIONS_PER_PACKET, encode_action


def tick_of(payload: bytes) -> int:
    message = decode_server(payload)
    assert isinstance(message, Tick)
    return message.tick


# The client reserves 16 bytes of each packet for the head of an ACT.
ACTION_BYTES_MAX = 1024 - 16


async def test_actions_of_one_client_frame_are_one_packet(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        assert [zone.act("emote", which) for which in range(5)] == [1, 2, 3, 4, 5]
        await actions_received(fixture, 5)
        assert fixture.gateway.counters.packets_in_total - before == 1


async def test_client_frame_lasts_as_long_as_a_tick(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=20)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        zone.act("emote", 0)
        await actions_received(fixture, 1)
        # The first packet was sent at once, and began a client frame. These actions are within that frame.
        for which in range(5):
            zone.act("emote", which)
            await asyncio.sleep(0)
        await actions_received(fixture, 6)
        assert fixture.gateway.counters.packets_in_total - before == 2


async def test_flush_ends_the_client_frame_at_once(open_gateway: OpenGateway) -> None:
    # At one tick per second only the flush can send the second packet in time.
    fixture = await open_gateway(Plaza, hz=1)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for which in range(3):
            zone.act("emote", which)
            zone.flush()
        zone.flush()
        await actions_received(fixture, 3)
        assert fixture.gateway.counters.packets_in_total - before == 3


async def test_too_many_actions_for_a_packet_become_two_packets(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for _ in range(ACTIONS_PER_PACKET + 1):
            zone.act("emote", 1)
        await actions_received(fixture, ACTIONS_PER_PACKET + 1)
        assert fixture.gateway.counters.packets_in_total - before == 2
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert update.events == [Event(0, "ann", "emote", (1,))] * 17


async def test_packets_are_split_by_bytes(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=100, limits=Limits(event_bytes_per_tick=10_000))
    text = "x" * 190
    per_packet = ACTION_BYTES_MAX // len(encode_action("say", text))
    async with joined(fixture, "ann") as zone:
        before = fixture.gateway.counters.packets_in_total
        for _ in range(12):
            zone.act("say", text)
        await actions_received(fixture, 12)
        assert fixture.gateway.counters.packets_in_total - before == math.ceil(12 / per_packet) > 1
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert update.events == [Event(0, "ann", "say", (text,))] * 12


async def test_longest_action_that_fits_arrives_and_longer_one_raises(
    open_gateway: OpenGateway,
) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    longest = "x" * (ACTION_BYTES_MAX - len(encode_action("say", "x" * 500)) + 500)
    async with joined(fixture, "ann") as zone:
        with pytest.raises(ValueError, match="'say' takes 1009 bytes; a packet holds 1008"):
            zone.act("say", longest + "x")
        assert zone.act("say", longest) == 1, "an action that was not sent has no sequence"
        await actions_received(fixture, 1)
        fixture.tick()
        update = (await updates_to(zone, fixture.zone.world.tick))[-1]
        assert [(refusal.seq, refusal.code) for refusal in update.refused] == [(1, "BAD_PAYLOAD")]


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, 2**64, -(2**63) - 1, "\ud800"], ids=lambda value: type(value).__name__
)
async def test_act_raises_for_a_value_that_cannot_be_encoded(open_gateway: OpenGateway, value: Any) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        with pytest.raises((TypeError, ValueError)):
            zone.act("say", value)
        assert zone.act("emote", 1) == 1, "an action that was not sent has no sequence"


async def test_last_actions_are_sent_before_the_goodbye(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, hz=1)
    async with joined(fixture, "ann", leave_timeout=0) as zone:
        before = fixture.gateway.counters.packets_in_total
        for which in range(3):
            zone.act("emote", which)
    assert fixture.gateway.counters.packets_in_total - before == 2, "ACT and GOODBYE"


async def test_invalid_message_from_the_server_ends_the_connection(cleanup: contextlib.AsyncExitStack) -> None:
    port = await serve_bytes(cleanup, length_prefixed(WELCOME) + length_prefixed(b"\xc1nonsense"))
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server") as caught:
            await anext(zone)
        assert not caught.value.retry


async def test_deflated_client_sees_an_equal_zone_with_fewer_bytes(open_gateway: OpenGateway) -> None:
    class Murmuring(Plaza):
        def on_tick(self) -> None:
            self.emit("noise", bytes(2000))

    fixture = await open_gateway(Murmuring, hz=10)
    async with joined(fixture, "ann") as ann, joined(fixture, "bob", deflate=True) as bob:
        assert (ann.is_deflated, bob.is_deflated) == (False, True)
        plain, deflated = (-zone._receiver.received_bytes for zone in (ann, bob))
        bob.act("move", 3, 4)
        bob.act("nonsense")
        await actions_received(fixture, 2)
        fixture.tick(10)
        for zone in (ann, bob):
            await updates_to(zone, fixture.zone.world.tick)
            assert_same_world(zone, fixture)
            assert zone.replica.hashes_checked >= 1
        plain, deflated = plain + ann._receiver.received_bytes, deflated + bob._receiver.received_bytes
        assert plain > 20_000
        assert deflated < 2_000
        assert await bob.ping() >= 0


async def test_client_that_asked_for_deflate_accepts_plain_messages(cleanup: contextlib.AsyncExitStack) -> None:
    port = await serve_bytes(
        cleanup,
        length_prefixed(WELCOME) + length_prefixed(FIRST.encode()) + length_prefixed(Bye("X", "", False).encode()),
    )
    async with client.connect(HOST, port, name="ann", deflate=True) as zone:
        assert not zone.is_deflated
        assert (await anext(zone)).tick == 1


async def test_unrequested_deflated_message_is_not_inflated(
    cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClientProtocol, "inflate", None)
    port = await serve_bytes(
        cleanup, length_prefixed(WELCOME) + length_prefixed(Deflated(deflate(FIRST.encode())).encode())
    )
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server: it sent a deflated message"):
            await anext(zone)


async def test_message_with_an_unknown_op_is_ignored(cleanup: contextlib.AsyncExitStack) -> None:
    unknown = b"\x93\x19\x81\x01\x02\xc1", b"\x91\x7f"
    messages = (WELCOME, *unknown, FIRST.encode(), Bye("X", "", False).encode())
    port = await serve_bytes(cleanup, b"".join(map(length_prefixed, messages)))
    async with client.connect(HOST, port, name="ann") as zone:
        assert (await anext(zone)).tick == 1


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([WELCOME, WELCOME], "a second WELCOME"),
        ([WELCOME, b"\x91\x04"], "not a message of a server"),
    ],
    ids=["a second WELCOME", "a message of a client"],
)
async def test_message_out_of_place_ends_the_connection(
    cleanup: contextlib.AsyncExitStack, messages: list[bytes], complaint: str
) -> None:
    port = await serve_bytes(cleanup, b"".join(map(length_prefixed, messages)))
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match=f"PROTOCOL_ERROR: from the server: .*{complaint}"):
            await anext(zone)


@pytest.mark.parametrize("watch", [False, True])
async def test_welcome_for_another_kind_of_client_is_refused(cleanup: contextlib.AsyncExitStack, watch: bool) -> None:
    welcome = Welcome(2, 0 if watch else None, 0, zone_info(100, 100), 1024, 16)
    port = await serve_bytes(cleanup, length_prefixed(welcome.encode()))
    with pytest.raises(client.JoinRefusedError, match="it gave a watcher a slot, or a player none"):
        async with client.connect(HOST, port, name="ann", watch=watch):
            pytest.fail("the player was admitted")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (deflate(FIRST.encode() + bytes(2**24)), "more than 16777216 bytes"),
        (deflate(FIRST.encode())[:-1], "cut short"),
        (deflate(FIRST.encode()) + b"x", "1 bytes follow the end"),
        (deflate(Bye("X", "", True).encode()), "must contain a SNAPSHOT or a TICK"),
        (deflate(Deflated(deflate(FIRST.encode())).encode()), "must contain a SNAPSHOT or a TICK"),
        (b"\xff", "not deflated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_invalid_deflated_message_ends_the_connection(
    cleanup: contextlib.AsyncExitStack, data: bytes, complaint: str
) -> None:
    port = await serve_bytes(cleanup, length_prefixed(WELCOME) + length_prefixed(Deflated(data).encode()))
    async with client.connect(HOST, port, name="ann", deflate=True) as zone:
        with pytest.raises(client.ZoneClosedError, match=f"PROTOCOL_ERROR: from the server: .*{complaint}"):
            await anext(zone)


async def test_name_or_kind_that_is_no_str_raises_type_error(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    not_text: Any = b"ann"
    with pytest.raises(TypeError, match="a name must be a str, not b'ann'"):
        async with client.connect(HOST, server.port, name=not_text):
            pytest.fail("the player was admitted")
    async with client.connect(HOST, server.port, name="ann") as zone:
        with pytest.raises(TypeError, match="the kind of an action must be a str, not 1"):
            zone.act(1)  # type: ignore[arg-type]


async def test_name_that_cannot_be_encoded_raises_before_connecting(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    with pytest.raises(ValueError, match=r"."):
        async with client.connect(HOST, server.port, name="\ud800", timeout=0.5):
            pytest.fail("the player was admitted")


async def test_new_connection_comes_back_to_the_player_and_sends_an_action_again(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    loop = asyncio.get_running_loop()
    ticks: list[int] = []

    class Player(ClientProtocol):
        def on_tick(self, payload: bytes) -> None:
            ticks.append(tick_of(payload))

    def taken() -> int:
        return next(player._seq for player in server.zone._by_ref.values())

    def player(**settings: Any) -> Player:
        return Player("ann", resume=True, **settings)

    _, ann = await loop.create_connection(player, HOST, server.port)
    await until(lambda: ticks)
    assert ann.welcome is not None
    assert ann.welcome.resume is not None
    ann.act("say", "one")
    ann.flush()
    await until(lambda: taken() == 1)
    lost = ann.encoded("say", "two")
    ann.abort()
    await until(lambda: ann.bye)
    token, _, epoch, _ = ann.welcome.resume
    tick = ticks[-1]
    _, again = await loop.create_connection(
        lambda: player(returning=Returning(token, epoch, tick), whole=True), HOST, server.port
    )
    await until(lambda: again.welcome)
    assert again.welcome is not None
    assert again.welcome.resume is not None
    assert (again.welcome.slot, again.welcome.resume.seq, again.next_seq) == (ann.welcome.slot, 1, 2)
    assert again.send_action(lost, 2) == 2
    assert again.send_action(lost, 9) == 9, "a sequence may be left out"
    await until(lambda: taken() == 9)
    assert ticks == list(range(ticks[0], ticks[-1] + 1))
    again.leave()
    await until(lambda: again.bye)
