"""Limits by address: both sides of each bound, and bounded tables."""

from __future__ import annotations

import logging
import math
from collections import Counter

import pytest
from helpers.gateway_fixture import OpenGateway
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.address_limits import AddressLimits
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Act, Bye, Goodbye, Refusal, Tick
from zoneserver.zone.link import NO_BANS, AddressBan

ANN, BOB = "192.0.2.1", "192.0.2.2"


TOO_MANY, BANNED = CloseReason.TOO_MANY_CONNECTIONS, CloseReason.BANNED


def opened(addresses: AddressLimits, host: str, now: float) -> CloseReason | None:
    """Opens a connection; returns why it is rejected."""
    objection = addresses.opened(host, object(), now)
    return objection and objection[0]


def address_limits(ban_seconds: float = 60.0, **limits: float) -> AddressLimits:
    # All bounds are wide but the one that the test sets.
    wide = {
        "address_connections_max": 1_000_000,
        "address_handshakes_max": 1_000_000,
        "address_connections_burst": 1_000_000,
    }
    return AddressLimits(Limits(**{**wide, **limits}), ban_seconds)  # type: ignore[arg-type]


def test_connections_of_an_address_are_bounded_until_one_is_gone() -> None:
    addresses = address_limits(address_connections_max=3)
    assert [opened(addresses, ANN, 0.0) for _ in range(4)] == [None] * 3 + [TOO_MANY]
    assert opened(addresses, BOB, 0.0) is None, "another address has its own"
    addresses.gone(ANN, 0.0)
    assert opened(addresses, ANN, 0.0) is None


def test_handshakes_of_an_address_are_listed_until_they_are_complete() -> None:
    addresses = address_limits()
    for connection in "abc":
        addresses.opened(ANN, connection, 0.0)
    addresses.greeted(ANN, "b")
    assert list(addresses.handshaking(ANN)) == ["a", "c"]
    assert not addresses.handshaking(BOB)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"address_connections_max": 1}, "limit: address_connections_max"),
        ({"address_connections_burst": 1}, "limit: address_connections_per_second"),
    ],
)
def test_rejection_names_the_limit(limits: dict[str, float], named: str) -> None:
    addresses = address_limits(**limits)
    addresses.opened(ANN, "a", 0.0)
    objection = addresses.opened(ANN, "b", 0.0)
    assert objection is not None
    assert named in objection[1]


def test_new_connections_of_an_address_are_bounded_per_second() -> None:
    addresses = address_limits(address_connections_burst=5, address_connections_per_second=2)
    assert [opened(addresses, ANN, 0.0) for _ in range(6)] == [None] * 5 + [TOO_MANY]
    for _ in range(1000):
        assert opened(addresses, ANN, 0.1) is TOO_MANY
    assert opened(addresses, ANN, 0.6) is None, "a rejected connection is not charged"


def test_ban_lasts_its_time_and_concerns_one_address() -> None:
    addresses = address_limits(ban_seconds=10.0)
    opened(addresses, ANN, 0.0)
    addresses.ban(ANN, 5.0)
    assert opened(addresses, ANN, 14.9) is BANNED
    addresses.gone(ANN, 14.9)
    assert opened(addresses, ANN, 14.95) is BANNED, "the ban outlives the last connection"
    assert opened(addresses, BOB, 14.9) is None
    assert opened(addresses, ANN, 15.0) is None


def test_ban_of_the_zone_needs_no_connection_and_lasts_until_its_end_or_until_it_is_lifted() -> None:
    addresses = address_limits(ban_seconds=10.0)
    ban, lifted = AddressBan(ANN, 10.0, "", is_ordered=False), AddressBan(ANN, 0.0, "", is_ordered=True)
    ordered = AddressBan(BOB, math.inf, "go away", is_ordered=True)
    assert addresses.learn([ban, ordered], 0.0) == [ban, ordered]
    assert addresses.learn([ban._replace(seconds=3.0)], 5.0) == [], "a ban that ends earlier changes nothing"
    assert addresses.opened(ANN, "a", 9.9) == (BANNED, BANNED.text)
    assert opened(addresses, ANN, 10.0) is None
    assert addresses.opened(BOB, "b", 1e9) == (BANNED, "go away")
    assert addresses.learn([ban, lifted], 11.0) == [ban]
    assert opened(addresses, ANN, 11.0) is None
    addresses.ban(ANN, 12.0)
    assert addresses.learn([NO_BANS, ordered], 13.0) == [], "it was known before"
    assert [opened(addresses, host, 13.0) for host in (ANN, BOB)] == [None, BANNED]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_loopback_address_is_exempt(host: str) -> None:
    addresses = address_limits(address_connections_max=1, address_connections_burst=1)
    assert {opened(addresses, host, 0.0) for _ in range(100)} == {None}
    addresses.ban(host, 0.0)
    assert opened(addresses, host, 0.0) is None
    addresses.greeted(host, None)
    addresses.gone(host, 0.0)
    assert len(addresses) == 0


def test_ipv6_address_counts_as_its_network() -> None:
    addresses = address_limits(address_connections_max=1)
    assert opened(addresses, "2001:db8::1", 0.0) is None
    assert opened(addresses, "2001:db8::ffff:1", 0.0) is TOO_MANY
    assert opened(addresses, "2001:db8:0:1::1", 0.0) is None
    addresses.gone("2001:db8::1", 0.0)
    assert opened(addresses, "2001:db8::2", 0.0) is None


def test_ipv6_networks_of_one_owner_share_higher_limits() -> None:
    addresses = address_limits(address_connections_max=2, address_actions_burst=10)
    # Each connection comes from a /64 of its own, in one /56.
    assert [opened(addresses, f"2001:db8:0:{n:x}::1", 0.0) for n in range(5)] == [None] * 4 + [TOO_MANY]
    # Each connection comes from a /56 of its own, in one /48.
    assert [opened(addresses, f"2001:db8:0:{n:x}00::1", 0.0) for n in range(1, 6)] == [None] * 4 + [TOO_MANY]
    assert opened(addresses, "2001:db8:1::1", 0.0) is None, "another /48"
    budgets = [addresses.budgets(f"2001:db8:0:{n:x}::1") for n in range(4)]
    assert [each is not None and each.admit(10, 0.0) for each in budgets] == [True, True, False, False]
    for n in range(4):
        addresses.gone(f"2001:db8:0:{n:x}::1", 0.0)
    assert [opened(addresses, f"2001:db8:0:{n:x}::1", 0.0) for n in range(5)] == [None] * 4 + [TOO_MANY]


def test_crowd_of_ipv6_networks_does_not_fill_the_table() -> None:
    addresses = address_limits(addresses_max=100)
    for number in range(5_000):
        host = f"2001:db8:{number:x}::1"
        addresses.opened(host, None, now=0.0)
        addresses.ban(host, now=0.0)
        addresses.gone(host, now=0.0)
        assert len(addresses) <= 101


def test_table_of_addresses_is_bounded() -> None:
    addresses = address_limits(addresses_max=100)
    for number in range(10_000):
        host = f"10.0.{number >> 8}.{number & 255}"
        opened(addresses, host, now=0.0)
        addresses.ban(host, now=0.0)
        addresses.gone(host, now=0.0)
        assert len(addresses) <= 101
    assert opened(addresses, "10.0.39.15", now=0.0) is BANNED, "the oldest entries are dropped first"


def test_forgettable_address_is_dropped() -> None:
    addresses = AddressLimits(Limits(), ban_seconds=60.0)
    for number in range(1000):
        host = f"10.0.{number >> 8}.{number & 255}"
        opened(addresses, host, now=float(number))
        addresses.greeted(host, None)
        addresses.gone(host, now=float(number))
    assert len(addresses) <= 2


def test_ban_does_not_keep_other_addresses_in_the_table() -> None:
    addresses = AddressLimits(Limits(), ban_seconds=60.0)
    for number in range(1000):
        host, now = f"10.0.{number >> 8}.{number & 255}", number / 20
        opened(addresses, host, now)
        addresses.greeted(host, None)
        if number % 100 == 0:
            addresses.ban(host, now)
        addresses.gone(host, now)
    assert len(addresses) <= 25
    assert opened(addresses, "10.0.0.0", now=59.9) is BANNED


def test_ipv4_mapped_address_counts_as_the_ipv4_address() -> None:
    addresses = address_limits(address_connections_max=1)
    assert opened(addresses, "::ffff:192.0.2.1", 0.0) is None
    assert opened(addresses, "::ffff:192.0.2.2", 0.0) is None
    assert opened(addresses, "192.0.2.1", 0.0) is TOO_MANY
    assert {opened(addresses, "::ffff:127.0.0.1", 0.0) for _ in range(3)} == {None}


def test_spent_budget_of_an_address_is_remembered_until_it_has_drained() -> None:
    addresses = address_limits(address_actions_burst=10, address_actions_per_second=1)
    assert opened(addresses, ANN, 0.0) is None
    budgets = addresses.budgets(ANN)
    assert budgets is not None
    assert budgets.admit(10, 0.0)
    addresses.gone(ANN, 1.0)
    assert opened(addresses, ANN, 2.0) is None
    again = addresses.budgets(ANN)
    assert again is not None
    assert not again.admit(5, 2.0)
    assert again.admit(2, 2.0)
    addresses.gone(ANN, 3.0)
    assert len(addresses) == 1
    # Other addresses come and go, so that the entry is examined.
    for number in range(3):
        opened(addresses, f"198.51.100.{number}", 20.0)
        addresses.gone(f"198.51.100.{number}", 20.0)
    assert ANN not in addresses._absent


def test_loopback_address_has_no_budgets() -> None:
    assert address_limits().budgets("127.0.0.1") is None
    assert address_limits().budgets("::1") is None


# --- Through a gateway ----------------------------------------------------------------------------


async def test_address_at_its_connection_limit_is_rejected_and_others_are_accepted(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(address_connections_max=2))
    for number in range(2):
        client = await node.connect(host="127.0.0.9")
        await node.greet(client, f"ann {number}")
    refused = await node.connect(host="127.0.0.9")
    bye = await refused.ended()
    assert bye.code == "TOO_MANY_CONNECTIONS"
    assert bye.text == "too many connections from 127.0.0.9 (limit: address_connections_max)"
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
    assert node.gateway.players_count == 1, "players who are in stay in"
    await node.join("somebody else")
    node.tick()
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
        await until(lambda: node.gateway._intake._packets)
        node.tick()
        await talker.say(Goodbye())
        while not isinstance(message := await talker.read(), Bye):
            if isinstance(message, Refusal):
                codes[message.code] += 1
        assert message.code == "CLIENT_LEFT", "a session is not ended for the actions of others"
        talker.sock.close()
        await until(lambda: node.gateway.connections == 1)
        for _ in range(2):
            told += len((await observer.read_a(Tick)).events)
    assert told == 20
    assert codes == {"TOO_MANY_ACTIONS": 40}
    # The budget drains, and another address has a budget of its own.
    node.pass_time(10.0)
    for host in ("127.0.0.9", "127.0.0.8"):
        client = await node.connect(host=host)
        await node.greet(client, f"from {host}")
        node.tick()
        await client.welcomed()
        await client.say(Act(1, [("emote", 0)] * 10))
        await until(lambda: node.gateway._intake._packets)
        node.tick()
        assert len((await client.read_a(Tick)).events) == 10


async def test_address_with_too_many_violations_is_banned_for_a_while(
    open_gateway: OpenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    node = await open_gateway(Plaza, limits=Limits(address_violations_burst=3), ban_seconds=10.0)
    for number in range(3):
        client = await node.connect(host="127.0.0.9")
        await node.greet(client, f"ann {number}")
        node.tick()
        await client.welcomed()
        await client.say(Act(1, [("fly",)]))
        await until(lambda: node.gateway._intake._packets)
        node.tick()
        assert (await client.read_a(Refusal)).code == "UNKNOWN_ACTION"
    refused = await node.connect(host="127.0.0.9")
    assert (await refused.ended()).code == "BANNED"
    assert node.gateway.players_count == 3, "players who are in stay in"
    (record,) = [record for record in caplog.records if record.name == "zoneserver.gateway.handshake"]
    assert record.getMessage().startswith(
        "BANNED: 127.0.0.9 for 10 s, too many violations come from there (limit: address_violations_per_second): "
    )
    node.tick()
    node.pass_time(10.1)
    await node.greet(await node.connect(host="127.0.0.9"), "late")
