"""The player registry: unique names, tickets, and the number of players."""

from __future__ import annotations

from helpers.yard import HZ, told, zone_of

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.zone.link import Ended, Join
from zoneserver.zone.player_registry import PlayerRegistry


def join(ref: int, name: str, ticket: bytes = b"", host: str = "127.0.0.1") -> Join:
    return Join(ref, name, ticket, host)


def test_enter_registers_a_player_until_leave() -> None:
    registry = PlayerRegistry("yard", players_max=2)
    assert registry.enter(join(1, "ann"), 0.0).ended == []
    assert 1 in registry
    registry.leave(1)
    assert 1 not in registry
    assert registry.enter(join(2, "ann", host="192.0.2.1"), 0.0).ended == [], "the name is free again"


def test_enter_of_a_rejected_player_changes_nothing() -> None:
    registry = PlayerRegistry("yard", players_max=2)
    registry.enter(join(1, "ann"), 0.0)
    (ended,) = registry.enter(join(2, "ann", host="192.0.2.1"), 0.0).ended
    assert (ended.ref, ended.reason) == (2, CloseReason.NAME_TAKEN)
    assert 1 in registry
    assert 2 not in registry


def test_enter_from_another_address_of_one_ipv6_network_replaces_the_player() -> None:
    registry = PlayerRegistry("yard", players_max=2)
    registry.enter(join(1, "ann", host="2001:db8::1"), 0.0)
    assert registry.enter(join(2, "ann", host="2001:db8::ffff:2"), 0.0).ended == [Ended(1, CloseReason.REPLACED, "")]
    (ended,) = registry.enter(join(3, "ann", host="2001:db8:0:1::1"), 0.0).ended
    assert (ended.ref, ended.reason) == (3, CloseReason.NAME_TAKEN)


def test_enter_into_a_full_zone_may_replace_a_player_of_equal_name() -> None:
    registry = PlayerRegistry("yard", players_max=1)
    registry.enter(join(1, "ann"), 0.0)
    assert registry.enter(join(2, "ann"), 0.0).ended == [Ended(1, CloseReason.REPLACED, "")]
    assert 2 in registry


# --- Through a zone -------------------------------------------------------------------------------


def test_join_of_a_registered_name_replaces_the_older_player() -> None:
    zone = zone_of("ann", "bob")
    zone.join(7, "ann")
    result = zone.step()
    assert result.ended == [Ended(1, CloseReason.REPLACED, "")]
    assert result.joined == [(7, 0)]
    assert (list(told(result).leaves), list(told(result).joins)) == ([0], [(0, "ann")])
    zone.leave(1)
    assert told(zone.step()).leaves == (), (
        "the gateway reports the end of the old session, which the zone knows already"
    )


def test_join_of_a_name_from_another_address_is_rejected() -> None:
    zone = zone_of("ann")
    zone.join(2, "ann", host="192.0.2.1")
    assert zone.step().ended == [Ended(2, CloseReason.NAME_TAKEN, "")]


def test_full_zone_rejects_joins_until_a_player_leaves() -> None:
    zone = zone_of("ann", "bob", players_max=2)
    zone.join(3, "cid")
    assert zone.step().ended == [Ended(3, CloseReason.SERVER_FULL, "")]
    zone.leave(1)
    zone.join(4, "dan")
    assert zone.step().joined == [(4, 0)]


def test_zone_with_a_secret_accepts_each_ticket_once() -> None:
    secret = b"0123456789abcdef"
    zone = zone_of(secret=secret)
    ticket = issue_ticket(secret, "ann", "yard", 100, bytes(16))
    zone.join(1, "ann")
    zone.join(2, "ann", ticket)
    result = zone.step(unix_seconds=50.0)
    assert result.ended == [Ended(1, CloseReason.BAD_TICKET, "this zone requires a ticket")]
    assert result.joined == [(2, 0)]
    zone.join(3, "ann", ticket)
    assert zone.step(unix_seconds=50.0).ended == [Ended(3, CloseReason.BAD_TICKET, "the ticket has been used")]


def test_players_who_wait_for_a_slot_count_as_players() -> None:
    zone = zone_of(limits=Limits(joins_per_second=HZ), players_max=2)
    for ref, name in enumerate(("ann", "bob", "cid"), 1):
        zone.join(ref, name)
    result = zone.step()
    assert (result.joined, result.ended) == ([(1, 0)], [Ended(3, CloseReason.SERVER_FULL, "")])
    zone.leave(2)
    result = zone.step()
    assert (result.joined, list(told(result).leaves)) == ([], [])


def test_registry_does_not_keep_tickets() -> None:
    registry = PlayerRegistry("plaza", players_max=10)
    assert registry.enter(Join(1, "ann", bytes(1_000), "127.0.0.1"), unix_seconds=0.0).ended == []
    assert not any(join.ticket for join in registry._by_ref.values())
