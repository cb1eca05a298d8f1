"""Several admin ports as one."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from helpers.admin_ports import AdminPort, open_admin_port
from helpers.dashboards import session, session_list, stats
from helpers.server_stats import gateway_stats
from hypothesis import given
from hypothesis import strategies as st
from zonetools.common.admin_client import ServerUnreachable
from zonetools.dashboard.data.group import Group
from zonetools.dashboard.data.monitor import Monitor
from zonetools.dashboard.data.whole import OwnedSession, merged, whole

from zoneserver.admin.stats import SessionList


def of_names(*names: str, **figures: float) -> SessionList:
    """A list with sessions of these names."""
    sessions = [session(number, name=name, **figures) for number, name in enumerate(names)]
    return dataclasses.replace(session_list(players=len(names)), sessions=sessions, closed=[])


def test_whole_adds_gateways_up_and_takes_the_rest_from_the_zone() -> None:
    zone = stats(players=5, tick=900, cpu_percent=10.0, gateways=[gateway_stats("gw1")])
    # The zone's figures have those of gw1 in them.
    first = stats(gateway="gw1", players=5, tick=899, cpu_percent=80.0)
    second = stats(gateway="gw2", players=40, tick=898, bytes_out_total=1, refusals={"DEAD": 1})
    one = whole([first, zone, second], [])
    assert (one.players, one.tick, one.gateway, one.cpu_percent) == (45, 900, "", 80.0)
    assert one.bytes_out_total == zone.bytes_out_total + 1
    assert one.refusals == {"OUT_OF_RANGE": 5, "DEAD": 1}
    assert one.rss_bytes == 150_000_000


def test_whole_keeps_the_totals_of_what_is_away_and_not_its_players() -> None:
    first, second = stats(gateway="gw1", bytes_out_total=7), stats(gateway="gw2", players=40, bytes_out_total=100)
    one = whole([first], [second])
    assert (one.players, one.bytes_out_total) == (300, 107)


def test_whole_counts_no_gateway_twice_while_its_zone_is_away() -> None:
    zone = stats(bytes_out_total=900, gateways=[gateway_stats("gw1"), gateway_stats("gw2")])
    gateways = [stats(gateway=name, bytes_out_total=400) for name in ("gw1", "gw2")]
    assert whole([zone, *gateways], []).bytes_out_total == 900
    assert whole(gateways, [zone]).bytes_out_total == 800
    assert whole([zone], gateways).bytes_out_total == 900


@given(st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=4), st.integers(1, 6))
def test_merged_list_has_the_first_of_all(queues: list[list[int]], limit: int) -> None:
    lists = [
        (f"gw{place}", dataclasses.replace(of_names(), sessions=[session(size, queued_bytes=size) for size in queue]))
        for place, queue in enumerate(queues)
    ]
    found = merged(lists, "queued", limit).sessions
    assert [one.queued_bytes for one in found] == sorted(itertools.chain(*queues), reverse=True)[:limit]
    for one in found:
        assert isinstance(one, OwnedSession)
        assert one.queued_bytes in queues[int(one.at.removeprefix("gw"))]


@pytest.fixture
def ports() -> Iterator[list[AdminPort]]:
    """A zone and its gateway gw1, with a session each, and the gateway gw2, which does not answer."""
    zone = stats(ctl="/zone.ctl", gateways=[gateway_stats("gw1")])
    with ExitStack() as stack:
        yield [
            stack.enter_context(open_admin_port(*each))
            for each in (
                (stats(pid=1, gateway="gw1", ctl="/gw1.ctl"), of_names("ann", queued_bytes=5)),
                (zone, of_names("bob", queued_bytes=9)),
                (None, of_names("eve")),
            )
        ]


@contextlib.contextmanager
def group_of(ports: list[AdminPort]) -> Iterator[Group]:
    with contextlib.closing(Group([Monitor("127.0.0.1", each.port, 0.01) for each in ports], 0.01)) as group:
        yield group


async def test_group_shows_the_map_of_the_zone_and_the_sessions_of_all(ports: list[AdminPort]) -> None:
    with group_of(ports) as group:
        for _ in range(2):
            await group.ask(with_map=True, sort="queued")
        state = group.state()
        assert state.zone is not None
        assert state.zone.positions[0] == ports[1].port % 100
        assert state.sessions is not None
        assert [(one.name, getattr(one, "at", "")) for one in state.sessions.sessions] == [
            ("bob", "plaza"),
            ("ann", "gw1"),
        ]
        assert [row.state for row in state.ports] == ["fine", "fine", "away"]
        assert state.outage is None
        assert group.state(0).samples[-1].stats.gateway == "gw1"
        assert group.state(0).zone == state.zone
        assert list(group.outages()) == [ports[2].address]
        # The zone of gw1 can kick anybody there, and then gw1.
        assert group.who_may_kick("ann") == [1, 0]
        assert group.who_may_kick("bob") == [1]
        assert group.who_may_kick("eve") == []


async def test_group_compares_no_figures_of_other_processes(ports: list[AdminPort]) -> None:
    with group_of(ports) as group:

        async def next_sample() -> bool:
            for port in ports:
                if port.stats is not None:
                    port.stats = dataclasses.replace(port.stats, uptime_s=port.stats.uptime_s + 1)
            return (await group.ask()).rates is not None

        assert [await next_sample() for _ in range(3)] == [False, True, True]
        # A server with a past comes in: what it sent before is no rate of the group.
        ports[2].stats = stats(gateway="gw2", uptime_s=5000.0, bytes_out_total=10**12)
        while group.monitors[2].last is None:
            has_rates = await next_sample()
        assert not has_rates
        assert await next_sample()
        assert group.last is not None
        assert group.last.stats.bytes_out_total > 10**12


async def test_group_without_an_answer_is_an_outage(ports: list[AdminPort]) -> None:
    for port in ports:
        port.stats = None
    with group_of(ports) as group:
        with pytest.raises(ServerUnreachable):
            await group.ask()
        assert group.state().outage is not None
        ports[0].stats = stats(gateway="gw1")

        async def answers() -> bool:
            with contextlib.suppress(ServerUnreachable):
                await group.ask()
            return group.last is not None

        while not await answers():
            pass
        assert group.state().outage is None
