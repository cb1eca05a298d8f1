"""The bounds of Config, and limits given by name."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import socket
from typing import Any

import pytest

from zoneserver.config import Config, Limits, parse_limits
from zoneserver.notation import journal_kept, sync_seconds
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Rules

BOUNDS = [("port", 0, 65_535), ("stats_port", 0, 65_535), ("hz", 1, 100), ("max_players", 1, 65_000)]


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_config_accepts_a_value_at_either_bound(name: str, low: int, high: int) -> None:
    for value in (low, high):
        settings_given: dict[str, Any] = {name: value}
        assert getattr(Config(**settings_given), name) == value


@pytest.mark.parametrize(("name", "low", "high"), BOUNDS)
def test_config_rejects_a_value_beyond_either_bound_by_name(name: str, low: int, high: int) -> None:
    for value in (low - 1, high + 1):
        settings_given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name} must be from {low} to {high}, not {value}"):
            Config(**settings_given)


def test_config_accepts_none_as_stats_port() -> None:
    assert Config(stats_port=None).stats_port is None


def test_config_has_no_port_for_players_when_it_is_off_or_by_default_with_a_link() -> None:
    link = "unix:zone.sock"
    ports = [Config(), Config(port=None), Config(link=link), Config(link=link, port=7000), Config(port=0, link=link)]
    assert [config.port for config in ports] == [7777, None, None, 7000, 0]
    assert Config(host="192.0.2.1", port=None).port is None, "nobody can reach a port that is not there"


def test_config_rejects_equal_ports_other_than_zero() -> None:
    with pytest.raises(ValueError, match="port and stats_port must differ: both are 7000"):
        Config(port=7000, stats_port=7000)
    assert Config(port=0, stats_port=0).port == 0


def test_config_and_limits_are_immutable() -> None:
    for made, name in ((Config(), "hz"), (Limits(), "stall_seconds")):
        with pytest.raises(AttributeError):
            setattr(made, name, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stall_second=3", "there is no limit 'stall_second'; did you mean 'stall_seconds'?"),
        ("stall_seconds=soon", "'stall_seconds=soon' is not of the form limit=number: stall_seconds is a number"),
        ("history_ticks=0", "history_ticks must be above 0 and at most 1,000,000,000, not 0"),
        ("history_ticks=1.5", "not of the form limit=number: history_ticks is a whole number"),
        ("history_ticks=1e20", "not of the form limit=number: history_ticks is a whole number"),
        ("history_ticks=99999999999999999999", "history_ticks must be above 0 and at most 1,000,000,000, not 9"),
        ("socket_send_bytes=99999999999999", "socket_send_bytes must be above 0 and at most 1,000,000,000"),
        ("tcp_user_timeout_seconds=1e12", "tcp_user_timeout_seconds must be above 0 and at most 1,000,000, not"),
        ("stall_seconds=nan", "stall_seconds must be above 0 and at most 1,000,000, not nan"),
        ("stall_seconds=inf", "stall_seconds must be above 0"),
    ],
)
def test_parse_limits_rejects_unknown_names_and_values_out_of_range(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        parse_limits(text)


@pytest.mark.parametrize("limit", dataclasses.fields(Limits), ids=lambda limit: limit.name)
async def test_a_server_starts_with_each_limit_at_either_bound(limit: dataclasses.Field[Any]) -> None:
    most = 10**6 if limit.name.endswith("_seconds") else 10**9
    for value in (1, most):
        async with ZoneServer(Rules, port=0, stats_port=None, limits=Limits(**{limit.name: value})) as server:
            with socket.create_connection(("127.0.0.1", server.port)):
                await asyncio.sleep(0)
    with pytest.raises(ValueError, match=f"{limit.name} must be above 0 and at most"):
        Limits(**{limit.name: most + 1})


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("1s", 1.0), ("tick", 0.0), ("never", math.inf)])
def test_sync_seconds_reads_an_interval_or_a_word(text: str, seconds: float) -> None:
    assert sync_seconds(text) == seconds
    assert Config(journal_sync=text).journal_sync == text


@pytest.mark.parametrize("text", ["", "0", "0ms", "often", "-1s", "ticks"])
def test_journal_sync_that_is_no_interval_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is no interval of the journal: write tick, never, or a duration as 200ms"):
        Config(journal_sync=text)


@pytest.mark.parametrize(
    ("text", "seconds", "size"),
    [("", 0, 0), ("1h30m", 5400, 0), ("10GB", 0, 10**10), ("64MiB", 0, 2**26), ("all", math.inf, 0), ("0s", 0, 0)],
)
def test_journal_kept_reads_a_duration_a_size_or_all(text: str, seconds: float, size: float) -> None:
    assert journal_kept(text) == (seconds, size)
    assert Config(journal_keep=text).journal_keep == text


@pytest.mark.parametrize("text", ["10", "much", "1 hour", "-1h", "10 apples"])
def test_journal_keep_that_is_no_amount_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a duration, a size nor all: write 1h, 10GB or all"):
        Config(journal_keep=text)


def test_forwarded_from_is_a_tuple_of_addresses_and_networks_in_their_usual_form() -> None:
    assert Config().forwarded_from == ()
    config = Config(forwarded_from=["::FFFF:127.0.0.1", "2001:DB8::/32"])  # type: ignore[arg-type]
    assert config.forwarded_from == ("127.0.0.1", "2001:db8::/32")
    for wrong in ("localhost", "10.0.0.1/8", "", "fe80::1%eth0", "*"):
        with pytest.raises(ValueError, match="is neither an address nor a network: write 127"):
            Config(forwarded_from=(wrong,))
