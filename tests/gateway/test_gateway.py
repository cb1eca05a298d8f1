"""The gateway on real sockets: messages, frames, refusals, and the end of sessions."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from helpers.gateway_fixture import OpenGateway, heard, stalled
from helpers.noisy_games import SMALL, Noisy
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway import action_intake as intake_module
from zoneserver.gateway.broadcast_group import BroadcastGroup
from zoneserver.gateway.session import Session
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Act, Bye, Goodbye, Hello, Ping, Pong, Refusal, Snapshot, Tick
from zoneserver.zone.rules import Player

# --- Illegal messages------------------------------------------------------------------------------


ACT = Act(1, [("emote", 0)])


@pytest.mark.parametrize("message", [ACT, Ping(1)])
async def test_message_before_hello_ends_the_session(open_gateway: OpenGateway, message: Act | Ping) -> None:
    client = await (await open_gateway(Plaza)).connect()
    await client.say(message)
    assert (await client.ended()).code == "PROTOCOL_ERROR"


@pytest.mark.parametrize("message", [ACT, Ping(1), Hello(2, "ann", b"")])
async def test_message_between_hello_and_welcome_ends_the_session(
    open_gateway: OpenGateway, message: Act | Ping | Hello
) -> None:
    node = await open_gateway(Plaza)
    client = await node.connect()
    await node.greet(client, "ann")
    await client.say(message)
    assert (await client.ended()).code == "PROTOCOL_ERROR"
    node.tick()
    assert not node.zone.world.holders


@pytest.mark.parametrize("payload", [b"\xc1", b"\x90", b"\x91\x10", b"GET / HTTP/1.1", Hello(2, "ann", b"").encode()])
async def test_malformed_or_illegal_message_ends_the_session(open_gateway: OpenGateway, payload: bytes) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say_bytes(length_prefixed(payload))
    assert (await client.ended()).code == "PROTOCOL_ERROR"


# --- The tick -------------------------------------------------------------------------------------


async def test_all_players_get_identical_bytes_encoded_once_per_tick(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    clients = [await node.connect() for _ in range(3)]
    for number, client in enumerate(clients):
        await node.greet(client, f"player {number}")
    node.tick(10)
    streams = [[await client.read_payload() for _ in range(11)] for client in clients]
    welcomes, states = [stream[0] for stream in streams], [stream[1:] for stream in streams]
    assert [type(decode_server(payload)) for payload in states[0]] == [Snapshot, *[Tick] * 9]
    assert states[0] == states[1] == states[2]
    assert len(set(welcomes)) == 3
    assert node.zone.counters.encodes_total == node.zone.world.tick == 10
    assert node.gateway.history.snapshots_total == 1, "players who join in one tick share one snapshot"
    await node.join("late")
    assert node.gateway.history.snapshots_total == 2


async def test_actions_reach_other_players_with_their_sequences(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    ann, bob = await node.join("ann"), await node.join("bob")
    await ann.say(Act(250, [("move", 3, -4), ("say", "hi")]), Act(300, [("emote", 1)]))
    await heard(ann)
    node.tick()
    told = await bob.read_a(Tick)
    assert (told.movers, list(told.seqs), list(told.vx), list(told.vy)) == ([0], [250], [3], [-4])
    assert told.events == ((0, 251, "say", "hi"), (0, 300 & 0xFF, "emote", 1))


async def test_acting_players_are_sent_the_frame_first(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_gateway(Plaza, hz=20)
    players = [await node.join(name) for name in ("ann", "bob", "cyd")]
    rounds: list[list[str]] = []
    send = BroadcastGroup.send

    def watched(members: BroadcastGroup[Session], data: bytes, first: Iterable[Session] = ()) -> Any:
        rounds.append([session.label for session in first])
        return send(members, data, first)

    monkeypatch.setattr(BroadcastGroup, "send", watched)
    for player, seq in ((players[2], 1), (players[1], 1), (players[2], 2)):
        await player.say(Act(seq, [("emote", 1)]))
        await heard(player)
    node.tick(2)
    assert rounds == [["cyd", "bob"], []]
    for player in players:
        while not (told := await player.read_a(Tick)).events:
            pass
        assert len(told.events) == 3


async def test_refusal_reaches_only_the_acting_player(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    ann, bob = await node.join("ann"), await node.join("bob")
    await ann.read_a(Tick)
    await ann.say(Act(1, [("fly",), ("move", 1, "fast"), ("strike", 60_000)]))
    await heard(ann)
    node.tick()
    refusals = [await ann.read_a(Refusal) for _ in range(3)]
    assert [(refusal.seq, refusal.code) for refusal in refusals] == [
        (1, "UNKNOWN_ACTION"),
        (2, "BAD_PAYLOAD"),
        (3, "NO_TARGET"),
    ]
    assert (await ann.read_a(Tick)).tick == refusals[0].tick
    told = await bob.read_a(Tick)
    assert (told.events, told.movers) == ((), [])
    assert node.gateway.counters.refusals == {"UNKNOWN_ACTION": 1, "BAD_PAYLOAD": 1, "NO_TARGET": 1}


async def test_exception_in_decoding_ends_only_that_session(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_gateway(Plaza)
    ann, bob = await node.join("ann"), await node.join("bob")
    decode = intake_module.decode_act

    def broken(payload: bytes) -> Any:
        seq, actions = decode(payload)
        if seq == 7:
            raise ZeroDivisionError("seven")
        return seq, actions

    monkeypatch.setattr(intake_module, "decode_act", broken)
    await ann.read_a(Tick)  # the tick in which bob joined
    for client, seq in ((ann, 7), (bob, 8)):
        await client.say(Act(seq, [("emote", 0)]), Ping(1))
        await client.read_a(Pong)  # the ACT before it has arrived
    node.tick()
    assert (await ann.ended()).code == "INTERNAL_ERROR"
    assert [event[1] for event in (await bob.read_a(Tick)).events] == [8]


async def test_ended_session_is_logged_with_player_and_reason_as_text_and_fields(
    open_gateway: OpenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = await open_gateway(Plaza)
    ann = await node.join("ann")
    await ann.say_bytes(length_prefixed(b"nonsense"))
    assert (await ann.ended()).code == "PROTOCOL_ERROR"
    (record,) = [record for record in caplog.records if record.name == "zoneserver.gateway.connections"]
    host, port = ann.sock.getsockname()
    who = {"player": "ann", "address": f"{host}:{port}", "code": "PROTOCOL_ERROR"}
    told = record.__dict__["fields"]
    assert who.items() <= told.items()
    assert told["reason"]
    assert f"'ann', {host}:{port}" in record.getMessage()
    assert record.getMessage().endswith(told["reason"])


async def test_full_inbox_is_decoded_before_the_tick(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    players = [await node.join(f"ann {number}") for number in range(8)]
    for seq in range(1, 129):
        for player in players:
            await player.say(Act(seq, [("emote", 0)]))
    await until(lambda: node.gateway.counters.actions_in_total == 1024)
    node.tick()
    for player in players:
        refusal = await player.read_until(Refusal)
        assert (refusal.seq, refusal.code) == (128, "TOO_MANY_ACTIONS"), "the action is one more than a tick takes"


@pytest.mark.parametrize("seq", [1, 4, 6])
async def test_sequence_that_does_not_rise_ends_the_session(open_gateway: OpenGateway, seq: int) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say(Act(5, [("emote", 0), ("emote", 1)]), Act(seq, [("emote", 0)]), Ping(1))
    await client.read_a(Pong)  # all packets have arrived
    node.tick()
    assert (await client.ended()).code == "PROTOCOL_ERROR"


async def test_actions_beyond_the_limit_of_a_tick_are_refused_one_by_one(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(actions_per_tick=2))
    client = await node.join("ann")
    await client.say(Act(1, [("emote", 0)] * 2), Act(3, [("emote", 0)] * 2), Ping(1))
    await client.read_a(Pong)  # all packets have arrived
    node.tick()
    refusals = [await client.read_a(Refusal) for _ in range(2)]
    assert [(refusal.seq, refusal.code) for refusal in refusals] == [(3, "TOO_MANY_ACTIONS"), (4, "TOO_MANY_ACTIONS")]
    assert len((await client.read_a(Tick)).events) == 2
    await client.say(Act(5, [("emote", 0)] * 2))
    await heard(client)
    node.tick()
    assert len((await client.read_a(Tick)).events) == 2


async def test_ping_is_answered_with_its_token_and_the_tick(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    node.tick(2)
    await client.say(Ping(2**63 - 1))
    assert await client.read_until(Pong) == Pong(2**63 - 1, 3)


@pytest.mark.parametrize("politely", [True, False])
async def test_player_who_ends_leaves_the_zone_exactly_once(open_gateway: OpenGateway, politely: bool) -> None:
    node = await open_gateway(Plaza)
    ann, bob = await node.join("ann"), await node.join("bob")
    if politely:
        await ann.say(Goodbye())
        assert (await ann.ended()).code == "CLIENT_LEFT"
    else:
        ann.sock.close()
    await until(lambda: node.gateway.players_count == 1)
    node.tick(3)
    assert [(await bob.read_a(Tick)).leaves for _ in range(3)] == [(0,), (), ()]
    assert node.gateway.counters.closes == {"CLIENT_LEFT" if politely else "CONNECTION_LOST": 1}


async def test_gateway_keeps_nothing_of_players_who_left(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    for _ in range(3):
        clients = [await node.connect() for _ in range(20)]
        for number, client in enumerate(clients):
            await node.greet(client, str(number))
        node.tick()
        assert node.gateway.players_count == node.gateway.connections == 20
        for client in clients:
            client.sock.close()
        await until(lambda: node.gateway.connections == 0)
        node.tick()
        assert (node.gateway.players_count, len(node.gateway.pending), node.gateway.broadcaster.behind) == (
            0,
            0,
            0,
        )
        assert not node.zone.world.holders


# --- Memory ----------------------------------------------------------------------------------------


async def test_gone_session_is_freed_without_the_garbage_collector(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    gc.collect()
    gc.disable()

    def alive() -> int:
        return sum(type(each) in (Session, Player) for each in gc.get_objects())

    before = alive()
    try:
        for politely in (True, False):
            client = await node.join("ann")
            if politely:
                await client.say(Goodbye())
                await client.ended()
            client.sock.close()
            await until(lambda: not node.gateway.connections)
            node.tick()
        await until(lambda: alive() == before)
    finally:
        gc.enable()


# --- The shutdown --------------------------------------------------------------------------------


async def test_shutdown_tells_every_client_and_does_not_wait_for_a_stuck_one(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Noisy, limits=dataclasses.replace(SMALL, linger_seconds=60.0))
    await node.join("stuck", receive_bytes=4096)
    healthy, waiting, joining = await node.join("healthy"), await node.connect(), await node.connect()
    await stalled(node, healthy)
    await node.greet(joining, "joining")
    closing = asyncio.create_task(node.gateway.close(0.2))
    for client in (healthy, waiting, joining):
        bye = await client.ended()
        assert (bye.code, bye.retry) == ("SERVER_STOPPING", True)
        client.sock.close()
    async with asyncio.timeout(10):
        await closing
    assert node.gateway.connections == 0
    assert node.gateway.counters.closes == {"SERVER_STOPPING": 4}


async def test_shutdown_ends_when_every_client_has_gone(open_server: OpenServer, connect: Connect) -> None:
    server = await open_server(Plaza, hz=100, drain_seconds=600.0, limits=Limits(linger_seconds=600.0))
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    stopping = asyncio.create_task(server.stop())
    while not isinstance(await client.read(), Bye):
        pass
    client.sock.close()
    async with asyncio.timeout(10):
        await stopping
    assert server.stats().closes == {"SERVER_STOPPING": 1}


@pytest.mark.parametrize("turns", range(6))
async def test_client_that_connects_during_the_shutdown_is_closed(
    open_server: OpenServer, connect: Connect, turns: int
) -> None:
    server = await open_server(Plaza, limits=Limits(linger_seconds=0.1), drain_seconds=0.5)
    client = await connect(server.port)
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.stop()
    # The client was told, or its connection was reset. The server holds it no longer.
    with suppress(ConnectionResetError):
        assert (await client.ended()).code == "SERVER_STOPPING"
    await until(lambda: server.gateway.connections == 0)


async def test_players_who_are_not_let_in_are_not_counted(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, max_players=1)
    await node.join("ann")
    for number in range(3):
        await node.greet(await node.connect(), f"guest {number}")
    assert (node.gateway.players_count, node.gateway.players_peak) == (1, 1)
    node.tick()
    assert (node.gateway.players_count, node.gateway.players_peak) == (1, 1)
    assert node.gateway.counters.closes == {"SERVER_FULL": 3}


async def test_session_that_ends_while_it_is_welcomed_enters_no_group(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_gateway(Plaza)
    client = await node.connect()
    await node.greet(client, "ann")
    monkeypatch.setattr(Session, "flush", lambda session: session.end(CloseReason.SLOW_CONSUMER))
    node.tick()
    assert node.gateway.players_count == 0
    assert not node.gateway.broadcaster._subscriptions
    monkeypatch.undo()
    node.tick()
