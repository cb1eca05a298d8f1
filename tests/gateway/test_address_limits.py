"""Admission by address: both sides of each bound, and no table without one."""

import pytest

from zoneserver.config import Limits
from zoneserver.gateway.address_limits import Admission
from zoneserver.protocol.codes import CloseReason

ANN, BOB = "192.0.2.1", "192.0.2.2"


def admission(ban_seconds: float = 60.0, **limits: float) -> Admission:
    # Of each test only one bound is to be felt.
    wide = {
        "address_connections_max": 1_000_000,
        "address_handshakes_max": 1_000_000,
        "address_connections_burst": 1_000_000,
    }
    return Admission(Limits(**{**wide, **limits}), ban_seconds)  # type: ignore[arg-type]


def test_connections_of_an_address_are_bounded_until_one_is_gone() -> None:
    door = admission(address_connections_max=3)
    assert [door.opened(ANN, 0.0) for _ in range(4)] == [None] * 3 + [CloseReason.TOO_MANY_CONNECTIONS]
    assert door.opened(BOB, 0.0) is None, "another address has its own"
    door.gone(ANN, 0.0)
    assert door.opened(ANN, 0.0) is None


def test_handshakes_of_an_address_are_bounded_until_one_is_complete() -> None:
    door = admission(address_handshakes_max=2)
    assert [door.opened(ANN, 0.0) for _ in range(3)] == [None] * 2 + [CloseReason.TOO_MANY_CONNECTIONS]
    door.greeted(ANN)
    assert door.opened(ANN, 0.0) is None


def test_new_connections_of_an_address_are_bounded_per_second() -> None:
    door = admission(address_connections_burst=5, address_connections_per_second=2)
    assert [door.opened(ANN, 0.0) for _ in range(6)] == [None] * 5 + [CloseReason.TOO_MANY_CONNECTIONS]
    for _ in range(1000):
        assert door.opened(ANN, 0.1) is CloseReason.TOO_MANY_CONNECTIONS
    assert door.opened(ANN, 0.6) is None, "what was turned away was not charged"


def test_ban_lasts_its_time_and_concerns_one_address() -> None:
    door = admission(ban_seconds=10.0)
    door.opened(ANN, 0.0)
    door.ban(ANN, 5.0)
    assert door.opened(ANN, 14.9) is CloseReason.BANNED
    door.gone(ANN, 14.9)
    assert door.opened(ANN, 14.95) is CloseReason.BANNED, "it outlives the last connection"
    assert door.opened(BOB, 14.9) is None
    assert door.opened(ANN, 15.0) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_loopback_address_is_exempt(host: str) -> None:
    door = admission(address_connections_max=1, address_connections_burst=1)
    assert {door.opened(host, 0.0) for _ in range(100)} == {None}
    door.ban(host, 0.0)
    assert door.opened(host, 0.0) is None
    door.greeted(host)
    door.gone(host, 0.0)
    assert len(door) == 0


def test_ipv6_address_counts_as_its_network() -> None:
    door = admission(address_connections_max=1)
    assert door.opened("2001:db8::1", 0.0) is None
    assert door.opened("2001:db8::ffff:1", 0.0) is CloseReason.TOO_MANY_CONNECTIONS
    assert door.opened("2001:db8:0:1::1", 0.0) is None
    door.gone("2001:db8::1", 0.0)
    assert door.opened("2001:db8::2", 0.0) is None


def test_table_of_addresses_is_bounded() -> None:
    door = admission(addresses_max=100)
    for number in range(10_000):
        host = f"10.0.{number >> 8}.{number & 255}"
        door.opened(host, now=0.0)
        door.ban(host, now=0.0)
        door.gone(host, now=0.0)
        assert len(door) <= 101
    assert door.opened("10.0.39.15", now=0.0) is CloseReason.BANNED, "the longest gone are forgotten first"


def test_forgettable_address_is_dropped() -> None:
    door = Admission(Limits(), ban_seconds=60.0)
    for number in range(1000):
        host = f"10.0.{number >> 8}.{number & 255}"
        door.opened(host, now=float(number))
        door.greeted(host)
        door.gone(host, now=float(number))
    assert len(door) <= 2


def test_ban_does_not_keep_other_addresses_in_the_table() -> None:
    door = Admission(Limits(), ban_seconds=60.0)
    for number in range(1000):
        host, now = f"10.0.{number >> 8}.{number & 255}", number / 20
        door.opened(host, now)
        door.greeted(host)
        if number % 100 == 0:
            door.ban(host, now)
        door.gone(host, now)
    assert len(door) <= 25
    assert door.opened("10.0.0.0", now=59.9) is CloseReason.BANNED


def test_ipv4_mapped_address_counts_as_the_ipv4_address() -> None:
    door = admission(address_connections_max=1)
    assert door.opened("::ffff:192.0.2.1", 0.0) is None
    assert door.opened("::ffff:192.0.2.2", 0.0) is None
    assert door.opened("192.0.2.1", 0.0) is CloseReason.TOO_MANY_CONNECTIONS
    assert {door.opened("::ffff:127.0.0.1", 0.0) for _ in range(3)} == {None}


def test_spent_budget_of_an_address_is_remembered_until_it_has_drained() -> None:
    door = admission(address_actions_burst=10, address_actions_per_second=1)
    assert door.opened(ANN, 0.0) is None
    budgets = door.budgets(ANN)
    assert budgets is not None
    assert budgets.admit(10, 0.0)
    door.gone(ANN, 1.0)
    assert door.opened(ANN, 2.0) is None
    again = door.budgets(ANN)
    assert again is not None
    assert not again.admit(5, 2.0)
    assert again.admit(2, 2.0)
    door.gone(ANN, 3.0)
    assert len(door) == 1
    # Others come and go, and it is looked at.
    for number in range(3):
        door.opened(f"198.51.100.{number}", 20.0)
        door.gone(f"198.51.100.{number}", 20.0)
    assert ANN not in door._absent


def test_loopback_address_has_no_budgets() -> None:
    assert admission().budgets("127.0.0.1") is None
    assert admission().budgets("::1") is None
