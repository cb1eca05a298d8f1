"""What the gateway does about those who flood, talk nonsense, or come without a ticket: on real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
import time
from collections import Counter

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import frame
from zoneserver.protocol.messages import Act, Bye, Goodbye, Hello, Ping, Pong, Refusal, Tick
from zoneserver.protocol.tickets import issue_ticket

LIMITS = Limits()
PING = frame(Ping(1).encode())


async def refusals(client: Client) -> list[str]:
    """The codes of all that a client is refused, to the end; its goodbye's code is the last."""
    codes: list[str] = []
    while True:
        message = await client.read()
        if isinstance(message, Refusal):
            codes.append(message.code)
        elif hasattr(message, "retry"):
            return [*codes, message.code]


# --- Floods ---------------------------------------------------------------------------------------


async def test_flood_of_packets_is_warned_muted_and_ended(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    flooder, healthy = await node.join("flooder"), await node.join("healthy")
    writing = asyncio.create_task(flooder.say_bytes(PING * 5000))
    reading = asyncio.create_task(refusals(flooder))
    ticks = 0
    while not reading.done():
        node.tick()
        ticks += 1
        assert (await healthy.read_a(Tick)).tick == node.zone.world.tick
        await asyncio.sleep(0.001)
    assert reading.result() == ["WARNED", "MUTED", "FLOOD"]
    # Once it was warned, it was read once a tick: 64 frames at the most.
    assert ticks >= LIMITS.frames_burst / LIMITS.frames_per_callback
    assert node.gateway.counters.packets_in_total <= 2 * LIMITS.frames_burst + LIMITS.frames_per_callback + 2
    assert node.gateway.counters.restraints == {"WARNED": 1, "MUTED": 1}
    assert node.gateway.counters.closes == {"FLOOD": 1}
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)


@pytest.mark.parametrize(("packets", "code"), [(255, None), (256, "WARNED")])
async def test_client_is_warned_at_exactly_the_packet_limit(
    open_gateway: OpenGateway, packets: int, code: str | None
) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say_bytes(PING * packets)
    answers = [await client.read() for _ in range(packets)]
    warnings = [message for message in answers if isinstance(message, Refusal)]
    assert [(refusal.seq, refusal.code) for refusal in warnings] == ([(0, code)] if code else [])


async def test_client_at_its_limit_is_read_once_a_tick(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say_bytes(PING * 350)
    counters = node.gateway.counters
    await until(lambda: counters.packets_in_total >= 256)
    seen = counters.packets_in_total
    for _ in range(20):
        await asyncio.sleep(0)
    assert counters.packets_in_total == seen, "nothing more before the tick"
    while counters.packets_in_total < 351:
        before = counters.packets_in_total
        node.tick()
        for _ in range(20):
            await asyncio.sleep(0)
        assert counters.packets_in_total - before <= LIMITS.frames_per_callback
    assert not counters.closes


async def test_flood_of_actions_is_muted_and_reaches_no_other_player(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    flooder, healthy = await node.join("flooder"), await node.join("healthy")
    seq = 1
    for _ in range(19):
        await flooder.say(Act(seq, [("emote", 0)] * 16))
        seq += 16
        await until(lambda: node.gateway._inbox)
        node.tick()
    # 304 actions: beyond 300, which is half as much again as are allowed at once.
    assert node.gateway.counters.restraints == {"WARNED": 1, "MUTED": 1}
    seen = [await healthy.read_a(Tick) for _ in range(19)]
    assert sum(len(tick.events) for tick in seen) == 18 * 16
    await flooder.say(Act(seq, [("emote", 0)]))
    await until(lambda: node.gateway._inbox)
    node.tick()
    assert (await healthy.read_a(Tick)).events == ()
    assert node.gateway.counters.actions_in_total == 305


async def test_muted_client_is_heard_again_after_a_quiet_time(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say_bytes(PING * 390)
    while node.gateway.counters.restraints != {"WARNED": 1, "MUTED": 1}:
        node.tick()
        await asyncio.sleep(0.001)
    node.pass_time(3.0)
    await client.say(Act(1, [("emote", 3)]))
    await until(lambda: node.gateway._inbox)
    node.tick()
    while not (message := await client.read_until(Tick)).events:
        pass
    assert message.events == ((0, 1, "emote", 3),)


# --- Nonsense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [("emote", 99), ("emote", float("nan")), ("fly", 1), ("move", 120, 120), ("strike", 0), ("say", "\x1b[2J")],
    ids=["range", "nan", "unknown", "speed", "self", "control"],
)
async def test_repeated_violations_end_the_session(open_gateway: OpenGateway, action: tuple[object, ...]) -> None:
    node = await open_gateway(Plaza)
    rogue, healthy = await node.join("rogue"), await node.join("healthy")
    said = 0
    while not node.gateway.counters.closes:
        said += 1
        await rogue.say(Act(said, [action]))
        await until(lambda: node.gateway._inbox or node.gateway.counters.closes)
        node.tick()
        tick = await healthy.read_a(Tick)
        assert (tick.movers, tick.events) == ([], ()), "never broadcast"
    # Ten warn, fifteen mute, and then each further packet weighs as much as one of them.
    assert said == 20
    assert node.gateway.counters.closes == {"PROTOCOL_ERROR": 1}
    codes = await refusals(rogue)
    assert [code for code in codes if code in {"WARNED", "MUTED", "PROTOCOL_ERROR"}] == [
        "WARNED",
        "MUTED",
        "PROTOCOL_ERROR",
    ]
    assert len(codes) == 15 + 3


async def test_ordinary_refusals_at_an_honest_rate_are_not_penalized(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    ghost = await node.join("ghost")
    player = node.zone.rules.players[0]
    for seq in range(1, 200):
        player["hp"] = 0
        await ghost.say(Act(seq, [("move", 1, 1)]))
        await until(lambda: node.gateway._inbox)
        node.clock.now += 0.05
        node.tick()
    assert node.gateway.counters.refusals == {"DEAD": 199}
    assert not node.gateway.counters.restraints


async def test_client_that_sends_after_the_end_is_not_read_and_gets_the_reason(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(linger_seconds=600.0))
    client = await node.connect()
    (session,) = node.gateway._connections
    sending = asyncio.create_task(client.say_bytes(b"\xff" * (64 * 1024 * 1024)))
    assert (await client.read_a(Bye)).code == "PROTOCOL_ERROR"
    read = -1
    while read != session._discarded_bytes:
        read = session._discarded_bytes
        for _ in range(50):
            await asyncio.sleep(0)
    assert 128 * 1024 < read < 1024 * 1024
    assert not sending.done(), "it backs up to where it comes from"
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


# --- Addresses ------------------------------------------------------------------------------------


async def test_address_at_its_connection_limit_is_rejected_and_others_are_accepted(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(address_connections_max=2))
    for number in range(2):
        client = await node.connect(host="127.0.0.9")
        await node.greet(client, f"ann {number}")
    refused = await node.connect(host="127.0.0.9")
    assert (await refused.ended()).code == "TOO_MANY_CONNECTIONS"
    await node.join("bob")
    assert node.gateway.players_count == 3
    await client.say(Goodbye())
    await client.ended()
    client.sock.close()
    await until(lambda: node.gateway.connections == 2)
    await node.greet(await node.connect(host="127.0.0.9"), "cyd")


async def test_address_of_a_kicked_player_is_banned_for_a_while(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, ban_seconds=10.0)
    friend = await node.connect(host="127.0.0.9")
    await node.greet(friend, "friend")
    stranger = await node.connect(host="127.0.0.9")
    await stranger.say_bytes(b"GET / HTTP/1.1\r\n\r\n")
    assert (await stranger.ended()).code == "PROTOCOL_ERROR"
    rogue = await node.connect(host="127.0.0.9")
    await node.greet(rogue, "rogue")
    node.tick()
    await rogue.welcomed()
    await rogue.say_bytes(b"GET / HTTP/1.1\r\n\r\n")
    assert (await rogue.ended()).code == "PROTOCOL_ERROR"
    refused = await node.connect(host="127.0.0.9")
    bye = await refused.ended()
    assert (bye.code, bye.retry) == ("BANNED", True)
    assert node.gateway.players_count == 1, "who is in stays in"
    await node.join("somebody else")
    node.pass_time(10.1)
    await node.greet(await node.connect(host="127.0.0.9"), "late")


async def test_reconnecting_does_not_renew_the_action_budget_of_an_address(open_gateway: OpenGateway) -> None:
    limits = Limits(address_actions_burst=20, address_actions_per_second=1)
    node = await open_gateway(Plaza, limits=limits)
    observer, told, codes = await node.join("observer"), 0, Counter[str]()
    for number in range(6):
        talker = await node.connect(host="127.0.0.9")
        await node.greet(talker, f"talker {number}")
        node.tick()
        await talker.welcomed()
        await talker.say(Act(1, [("emote", 0)] * 10))
        await until(lambda: node.gateway._inbox)
        node.tick()
        await talker.say(Goodbye())
        while not isinstance(message := await talker.read(), Bye):
            if isinstance(message, Refusal):
                codes[message.code] += 1
        assert message.code == "CLIENT_LEFT", "nobody is thrown out for what others did"
        talker.sock.close()
        await until(lambda: node.gateway.connections == 1)
        for _ in range(2):
            told += len((await observer.read_a(Tick)).events)
    assert told == 20
    assert codes == {"TOO_MANY_ACTIONS": 40}
    # It drains, and who comes from elsewhere has room.
    node.pass_time(10.0)
    for host in ("127.0.0.9", "127.0.0.8"):
        client = await node.connect(host=host)
        await node.greet(client, f"from {host}")
        node.tick()
        await client.welcomed()
        await client.say(Act(1, [("emote", 0)] * 10))
        await until(lambda: node.gateway._inbox)
        node.tick()
        assert len((await client.read_a(Tick)).events) == 10


async def test_address_with_too_many_refusals_is_banned_for_a_while(
    open_gateway: OpenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = await open_gateway(Plaza, limits=Limits(address_violations_burst=60), ban_seconds=10.0)
    for number in range(3):
        client = await node.connect(host="127.0.0.9")
        await node.greet(client, f"ann {number}")
        node.tick()
        await client.welcomed()
        await client.say(Act(1, [("fly",)]))
        await until(lambda: node.gateway._inbox)
        node.tick()
        assert (await client.read_a(Refusal)).code == "UNKNOWN_ACTION"
    refused = await node.connect(host="127.0.0.9")
    assert (await refused.ended()).code == "BANNED"
    assert node.gateway.players_count == 3, "who is in stays in"
    (record,) = [record for record in caplog.records if record.name == "zoneserver.gateway.handshake"]
    assert record.getMessage().startswith("BANNED: 127.0.0.9 for 10 s, too many actions from there are refused: ")
    node.pass_time(10.1)
    await node.greet(await node.connect(host="127.0.0.9"), "late")


async def test_flood_of_connections_is_dropped_without_a_goodbye(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoneserver.gateway.handshake._REJECTED_MAX", 3)
    node = await open_gateway(Plaza, limits=Limits(address_handshakes_max=1))
    await node.connect(host="127.0.0.9")
    for _ in range(20):
        await node.connect(host="127.0.0.9")
    assert node.gateway.counters.closes == {"TOO_MANY_CONNECTIONS": 20}
    await until(lambda: node.gateway.connections <= 1 + 3)


async def test_silent_connection_is_ended_when_the_server_is_full(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, connections_max=2)
    silent = await node.connect()
    await node.join("ann")
    await node.join("bob")
    with pytest.raises((EOFError, ConnectionError, AssertionError)):
        while True:
            await silent.read()
    assert node.gateway.counters.closes == {"HANDSHAKE_TIMEOUT": 1}
    late = await node.connect()
    assert (await late.ended()).code == "SERVER_FULL", "nobody who plays has to go"
    assert node.gateway.players_count == 2


# --- Tickets --------------------------------------------------------------------------------------

SECRET = b"a secret of the tests"


def ticket(name: str, seconds: float = 60.0, zone: str = "plaza") -> bytes:
    return issue_ticket(SECRET, name, zone, int(time.time() + seconds), secrets.token_bytes(16))


async def join_with(node: GatewayFixture, name: str, ticket: bytes) -> Client:
    client = await node.connect()
    await hello_with(node, client, name, ticket)
    return client


async def hello_with(node: GatewayFixture, client: Client, name: str, ticket: bytes) -> None:
    before = node.gateway.counters.packets_in_total
    await client.say(Hello(1, name, ticket))
    await until(lambda: node.gateway.counters.packets_in_total > before)


async def rejected(node: GatewayFixture, name: str, ticket: bytes) -> Bye:
    """How the zone answers a player whom it does not let in."""
    client = await join_with(node, name, ticket)
    node.tick()
    return await client.ended()


async def test_ticket_admits_its_player_once(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET)
    good = ticket("ann")
    client = await join_with(node, "ann", good)
    node.tick()
    await client.welcomed()
    bye = await rejected(node, "ann", good)
    assert (bye.code, bye.text, bye.retry) == ("BAD_TICKET", "the ticket has been used", False)
    assert node.gateway.players_count == 1, "a replay does not replace whom it was made for"
    again = await join_with(node, "ann", ticket("ann"))
    node.tick()
    assert (await client.ended()).code == "REPLACED"
    await again.welcomed()


async def test_join_without_a_valid_ticket_is_rejected(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET)
    forged = bytearray(ticket("ann"))
    forged[-1] ^= 1
    for bad in (b"", b"x" * 56, bytes(forged), ticket("bob"), ticket("ann", -1), ticket("ann", zone="arena")):
        assert (await rejected(node, "ann", bad)).code == "BAD_TICKET"
    assert node.gateway.players_count == 0


async def test_full_zone_does_not_consume_the_ticket(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET, max_players=1)
    first, good = await join_with(node, "first", ticket("first")), ticket("ann")
    assert (await rejected(node, "ann", good)).code == "SERVER_FULL"
    await first.say(Goodbye())
    await first.ended()
    await join_with(node, "ann", good)
    node.tick()
    assert node.gateway.players_count == 1


# --- Our clock ------------------------------------------------------------------------------------


async def test_deadlines_do_not_run_while_the_process_is_stopped(open_gateway: OpenGateway) -> None:
    """It was stopped for an hour; nobody could say HELLO to it, or take anything from it, meanwhile."""
    node = await open_gateway(Plaza, limits=dataclasses.replace(LIMITS, handshake_seconds=2.0))
    client = await node.connect()
    node.clock.now += 3600.0
    node.tick()
    assert len(node.gateway.pending) == 1
    await node.greet(client, "ann")
    node.tick()
    await client.welcomed()
    assert not node.gateway.counters.closes


async def test_banned_address_does_not_displace_pending_connections(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, connections_max=2, ban_seconds=60.0)
    rogue = await node.connect(host="127.0.0.9")
    await node.greet(rogue, "rogue")
    node.tick()
    await rogue.welcomed()
    await rogue.say_bytes(b"\xff" * 8)
    assert (await rogue.ended()).code == "PROTOCOL_ERROR"
    rogue.sock.close()
    await until(lambda: node.gateway.connections == 0)
    honest = [await node.connect() for _ in range(2)]
    for _ in range(3):
        assert (await (await node.connect(host="127.0.0.9")).ended()).code == "BANNED"
    for number, client in enumerate(honest):
        await node.greet(client, f"ann {number}")
    assert node.gateway.players_count == 2


async def test_name_without_tickets_is_taken_over_only_from_its_own_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    holder = await node.connect(host="127.0.0.9")
    await node.greet(holder, "ann")
    thief = await node.connect(host="127.0.0.8")
    await node.greet(thief, "ann")
    node.tick()
    bye = await thief.ended()
    assert (bye.code, bye.text) == ("BAD_NAME", "a player at another address has this name")
    again = await node.connect(host="127.0.0.9")
    await node.greet(again, "ann")
    node.tick()
    await holder.welcomed()
    assert (await holder.ended()).code == "REPLACED"


async def test_name_with_tickets_is_taken_over_from_any_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET)
    holder = await join_with(node, "ann", ticket("ann"))
    elsewhere = await node.connect(host="127.0.0.8")
    await hello_with(node, elsewhere, "ann", ticket("ann"))
    node.tick()
    assert (await holder.ended()).code == "REPLACED"
    assert node.gateway.players_count == 1


async def test_long_action_counts_as_several(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    talker = await node.join("talker")
    said = 0
    while not node.gateway.counters.restraints:
        said += 1
        await talker.say(Act(said, [("say", "x" * 200)]))
        await until(lambda: node.gateway._inbox)
        node.tick()
    # Some 210 bytes are thirteen actions, of which there are 200 at once.
    assert said == 16


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
