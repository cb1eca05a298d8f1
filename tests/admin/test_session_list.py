"""The list of sessions: the order by each figure, and why sessions ended."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.waiting import until

from zoneserver.admin.session_list import list_sessions
from zoneserver.admin.stats import SESSION_SORTS, SessionList, SessionStats
from zoneserver.config import Limits
from zoneserver.gateway.connections import _CLOSED_MAX
from zoneserver.protocol.messages import Act, Goodbye, Tick
from zoneserver.zone.rules import Player, Refused, Rules, action

SMALL = Limits(socket_send_bytes=16 * 1024, linger_seconds=0.2)


class Stubborn(Rules):
    """A game with large frames that refuses every action."""

    def on_tick(self) -> None:
        self.emit("noise", bytes(4096))

    @action
    def plead(self, player: Player) -> None:
        raise Refused("NO")


def listed(node: GatewayFixture, sort: str = "queued", limit: int = 20) -> SessionList:
    """The list after a round trip through JSON."""
    return SessionList.from_json(
        json.loads(json.dumps(list_sessions(node.gateway, node.clock.time(), sort, limit).to_json()))
    )


def names(node: GatewayFixture, sort: str, limit: int = 20) -> list[str]:
    return [session.name for session in listed(node, sort, limit).sessions]


async def pleads(node: GatewayFixture, client: Client, seq: int) -> None:
    """Sends an action that the game refuses."""
    before = node.gateway.counters.packets_in_total
    await client.say(Act(seq, [("plead",)]))
    await until(lambda: node.gateway.counters.packets_in_total > before)
    node.tick()


async def test_session_is_listed_with_its_figures(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    client = await node.join("ann")
    node.clock.now += 5.0
    await pleads(node, client, 41)
    (ann,) = listed(node).sessions
    host, port = client.sock.getsockname()
    assert (ann.name, ann.slot, ann.address) == ("ann", 0, f"{host}:{port}")
    assert (ann.state, ann.standing) == ("playing", "FINE")
    assert (ann.connected_s, ann.actions_in_total, ann.refusals_total, ann.refusals) == (5.0, 41, 1, {"NO": 1})
    assert (ann.behind_ticks, ann.queued_bytes) == (0, 0)
    assert ann.bytes_out_total > 4096
    assert (ann.rtt_ms is not None) is (sys.platform == "linux")


async def test_joining_player_is_listed_without_a_slot(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    await node.greet(await node.connect(), "ann")
    await node.connect()
    (ann,) = listed(node).sessions
    assert (ann.state, ann.slot) == ("joining", None)


async def test_player_who_does_not_read_is_listed_first_and_behind(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn, limits=SMALL)
    ann, _bob = await node.join("ann"), await node.join("bob", receive_bytes=4096)
    while not node.gateway.broadcaster.behind:
        node.tick()
        await ann.read_until(Tick)
    node.tick()
    for sort in ("queued", "behind"):
        first, second = listed(node, sort).sessions
        assert (first.name, first.state, second.name) == ("bob", "behind", "ann")
        assert first.queued_bytes > 0
        assert first.behind_ticks > 0
        assert (first.why.endswith("the client reads too slowly, or its line is full."), second.why) == (True, "")
    assert names(node, "out") == ["ann", "bob"]


async def test_paused_player_is_listed_as_resting(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn, send_rate=4096)
    await node.join("ann")
    node.tick(3)
    (ann,) = listed(node).sessions
    assert (ann.state, ann.queued_bytes) == ("resting", 0)
    assert "byte budget" in ann.why
    assert ann.behind_ticks > 0


async def test_sessions_are_ordered_by_each_figure(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    ann = await node.join("ann")
    node.clock.now += 1.0
    bob = await node.join("bob")
    await pleads(node, ann, 1)
    await pleads(node, ann, 2)
    await pleads(node, bob, 100)
    assert names(node, "refused") == ["ann", "bob"]
    assert names(node, "actions") == ["bob", "ann"]
    assert names(node, "age") == ["ann", "bob"]
    assert names(node, "actions", limit=1) == ["bob"]
    for sort in SESSION_SORTS:
        assert sorted(names(node, sort)) == ["ann", "bob"]


async def test_filter_finds_sessions_by_name_address_state_and_standing(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    for name in ("Ann", "joanna", "bob"):
        await node.join(name)
    await node.greet(await node.connect(), "cyd")
    found = {
        text: list_sessions(node.gateway, node.clock.time(), "age", 1, text)
        for text in ("", "ANN", "127.0.0.1", "joining", "fine", "muted")
    }
    assert {text: each.found for text, each in found.items()} == {
        "": 4,
        "ANN": 2,
        "127.0.0.1": 4,
        "joining": 1,
        "fine": 4,
        "muted": 0,
    }
    assert ([each.name for each in found["joining"].sessions], found["ANN"].players) == (["cyd"], 3)


@pytest.mark.parametrize(("sort", "limit"), [("", 20), ("name", 20), ("queued", 0), ("queued", 201)])
async def test_list_sessions_rejects_an_unknown_sort_or_limit(open_gateway: OpenGateway, sort: str, limit: int) -> None:
    node = await open_gateway(Stubborn)
    with pytest.raises(ValueError, match=r"sort must be one of queued|limit must be 1 to 200"):
        list_sessions(node.gateway, node.clock.time(), sort, limit)


async def test_ended_session_is_listed_with_its_reason(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    ann = await node.join("ann")
    node.clock.now += 7.0
    await ann.say(Goodbye())
    await ann.ended()
    node.clock.now += 2.0
    stranger = await node.connect()
    await stranger.say_bytes(b"\0\0\0\1\xc1")
    await stranger.ended()
    last, first = listed(node).closed
    assert (first.name, first.code, first.text) == ("ann", "CLIENT_LEFT", "the player said goodbye")
    assert (first.ago_s, first.lived_s) == (2.0, 7.0)
    assert (last.name, last.code, last.lived_s) == ("", "PROTOCOL_ERROR", 0.0)
    assert first.address.startswith("127.0.0.1:")
    assert len(listed(node, limit=1).closed) == 1


async def test_ended_sessions_are_remembered_up_to_a_bound(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn, limits=Limits(address_connections_max=1000, address_connections_burst=1000))
    clients = [await node.connect() for _ in range(_CLOSED_MAX + 1)]
    for client in clients:
        client.sock.close()
    await until(lambda: not node.gateway.connections)
    assert len(listed(node, limit=200).closed) == _CLOSED_MAX


async def test_session_of_a_closed_socket_is_listed(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Stubborn)
    await node.join("ann")
    (session,) = node.gateway._connections
    session.abort()
    assert names(node, "rtt") == ["ann"]
    # The loop tells the session in a later turn that its connection is gone.
    await until(lambda: not node.gateway.connections)
    await asyncio.sleep(0)
    assert names(node, "rtt") == []


def test_session_list_reads_a_newer_server_and_rejects_other_documents() -> None:
    session = SessionStats("ann", 0, "127.0.0.1:1", "tcp", "playing", "FINE", 1.0, 0, 0, None, 10, 1, 0, {}, "")
    given = SessionList("zone-sessions/1", 7, 1, "queued", 1, [session], [])
    document = given.to_json()
    document["sessions"][0]["news"] = document["news"] = 1
    assert SessionList.from_json(document) == given
    for other in ([], {}, {"schema": "zone-stats/1"}, given.to_json() | {"sessions": [{"name": "ann"}]}):
        with pytest.raises(ValueError):
            SessionList.from_json(other)
