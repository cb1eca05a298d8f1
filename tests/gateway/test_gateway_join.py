"""How players join through a gateway: versions, names, tickets."""

from __future__ import annotations

import secrets
import time

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway, heard
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import PROTOCOL_VERSION, Bye, Goodbye, Hello, Tick
from zoneserver.protocol.tickets import issue_ticket


async def test_joining_player_gets_welcome_snapshot_and_every_later_tick(
    open_server: OpenServer, connect: Connect
) -> None:
    server = await open_server(Plaza, hz=100)
    client = await connect(server.port)
    await client.hello("ann")
    welcome, snapshot = await client.welcomed()
    assert (welcome.version, welcome.zone.name, welcome.zone.hz) == (PROTOCOL_VERSION, "plaza", 100)
    assert snapshot.tick == welcome.tick
    assert snapshot.holders[welcome.slot] == "ann"
    ticks = [(await client.read_a(Tick)).tick for _ in range(20)]
    assert ticks == list(range(welcome.tick + 1, welcome.tick + 21))


@pytest.mark.parametrize("version", [0, -1, PROTOCOL_VERSION + 1, 2**40])
async def test_hello_of_another_version_is_rejected(open_gateway: OpenGateway, version: int) -> None:
    client = await (await open_gateway(Plaza)).connect()
    await client.hello("ann", version)
    bye = await client.ended()
    assert (bye.code, bye.retry) == ("VERSION_MISMATCH", False)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 25,
        " ann",
        "ann ",
        "   ",
        "\x1b[2J",
        "a\nb",
        "a\0b",
        "\u202eevil",
        "\u2066a",
        "\u200b",
        "\ue000",
        "\u3164",
    ],
)
async def test_hello_with_an_unprintable_or_long_name_is_rejected(open_gateway: OpenGateway, name: str) -> None:
    node = await open_gateway(Plaza)
    client = await node.connect()
    await client.hello(name)
    assert (await client.ended()).code == "BAD_NAME"
    assert node.gateway.players_count == 0


@pytest.mark.parametrize("name", ["x", "x" * 24, "가" * 24, "Ann Ö."])
async def test_hello_with_a_name_of_24_printable_characters_is_accepted(open_gateway: OpenGateway, name: str) -> None:
    node = await open_gateway(Plaza)
    await node.join(name)
    assert node.zone.world.holders == [name]


async def test_full_zone_rejects_new_players_and_keeps_its_own(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, max_players=1)
    first, second = await node.join("first"), await node.connect()
    await node.greet(second, "second")
    node.tick()
    bye = await second.ended()
    assert (bye.code, bye.retry) == ("SERVER_FULL", True)
    await heard(first)
    await first.say(Goodbye())
    await first.ended()
    await node.join("second")


async def test_newest_session_of_one_name_replaces_the_older_one(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    other, old = await node.join("other"), await node.join("ann")
    await other.read_until(Tick)
    new = await node.connect()
    await node.greet(new, "ann")
    node.tick()
    bye = await old.ended()
    assert (bye.code, bye.retry) == ("REPLACED", False)
    welcome, _ = await new.welcomed()
    told = await other.read_a(Tick)
    assert (told.leaves, told.joins) == ((1,), ((welcome.slot, "ann"),))
    assert node.gateway.players_count == 2


async def test_newest_session_of_one_name_wins_within_one_tick(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    old, new = await node.connect(), await node.connect()
    await node.greet(old, "ann")
    await node.greet(new, "ann")
    node.tick()
    assert (await old.ended()).code == "REPLACED"
    await new.welcomed()
    assert node.zone.world.holders == ["ann"]


# --- Tickets and names ----------------------------------------------------------------------------


SECRET = b"a secret of the tests"


def ticket(name: str, seconds: float = 60.0, zone: str = "plaza") -> bytes:
    return issue_ticket(SECRET, name, zone, int(time.time() + seconds), secrets.token_bytes(16))


async def join_with(node: GatewayFixture, name: str, ticket: bytes) -> Client:
    client = await node.connect()
    await hello_with(node, client, name, ticket)
    return client


async def hello_with(node: GatewayFixture, client: Client, name: str, ticket: bytes) -> None:
    before = node.gateway.counters.packets_in_total
    await client.say(Hello(2, name, ticket))
    await until(lambda: node.gateway.counters.packets_in_total > before)


async def rejected(node: GatewayFixture, name: str, ticket: bytes) -> Bye:
    """Joins with a ticket that the zone rejects; returns the goodbye."""
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
    assert node.gateway.players_count == 1, "a replayed ticket does not replace its player"
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


async def test_ticket_of_a_zone_with_another_name_is_rejected(open_gateway: OpenGateway) -> None:
    first, second = [await open_gateway(Plaza, secret=SECRET, zone_name=name) for name in ("plaza-1", "plaza-2")]
    good = ticket("ann", zone="plaza-1")
    assert (await rejected(second, "ann", good)).code == "BAD_TICKET"
    assert (await rejected(first, "bob", ticket("bob"))).code == "BAD_TICKET", "the name of the game is not the zone's"
    client = await join_with(first, "ann", good)
    first.tick()
    await client.welcomed()


async def test_full_zone_does_not_consume_the_ticket(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET, max_players=1)
    first, good = await join_with(node, "first", ticket("first")), ticket("ann")
    assert (await rejected(node, "ann", good)).code == "SERVER_FULL"
    await first.say(Goodbye())
    await first.ended()
    await join_with(node, "ann", good)
    node.tick()
    assert node.gateway.players_count == 1


async def test_name_without_tickets_is_taken_over_only_from_its_own_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    holder = await node.connect(host="127.0.0.9")
    await node.greet(holder, "ann")
    thief = await node.connect(host="127.0.0.8")
    await node.greet(thief, "ann")
    node.tick()
    bye = await thief.ended()
    assert (bye.code, bye.text, bye.retry) == ("NAME_TAKEN", "a player at another address has this name", True)
    again = await node.connect(host="127.0.0.9")
    await node.greet(again, "ann")
    node.tick()
    await holder.welcomed()
    assert (await holder.ended()).code == "REPLACED"
    again.sock.close()
    await until(lambda: not node.gateway.players_count)
    later = await node.connect(host="127.0.0.8")
    await node.greet(later, "ann")
    node.tick()
    await later.welcomed()


async def test_name_with_tickets_is_taken_over_from_any_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, secret=SECRET)
    holder = await join_with(node, "ann", ticket("ann"))
    elsewhere = await node.connect(host="127.0.0.8")
    await hello_with(node, elsewhere, "ann", ticket("ann"))
    node.tick()
    assert (await holder.ended()).code == "REPLACED"
    assert node.gateway.players_count == 1
