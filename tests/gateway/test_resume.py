"""Clients whose connection is lost, and who come back with RESUME."""

from __future__ import annotations

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway, heard
from helpers.raw_client import Client
from helpers.waiting import until

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import (
    RESUME,
    WHOLE,
    Act,
    Goodbye,
    Hello,
    Refusal,
    Resume,
    Return,
    Snapshot,
    Tick,
    Welcome,
)


async def join(node: GatewayFixture, name: str, host: str = "") -> tuple[Client, Return]:
    """A player who may come back, and how."""
    client = await node.connect(host=host)
    await node_reads(node, client, Hello(2, name, b"", [RESUME]))
    node.tick()
    welcome, _ = await client.welcomed()
    assert welcome.resume is not None
    assert list(welcome.options) == [RESUME]
    return client, welcome.resume


async def node_reads(node: GatewayFixture, client: Client, message: Hello | Resume) -> None:
    before = node.gateway.counters.packets_in_total
    await client.say(message)
    await until(lambda: node.gateway.counters.packets_in_total > before)


async def lose(node: GatewayFixture, client: Client) -> None:
    """Ends the connection without a goodbye."""
    drops = node.gateway.counters.drops_total
    client.sock.close()
    await until(lambda: node.gateway.counters.drops_total > drops)


async def resume(
    node: GatewayFixture, name: str, how: Return, tick: int, *options: str, host: str = "", epoch: int | None = None
) -> Client:
    """A connection that has said RESUME; the next tick answers."""
    client = await node.connect(host=host)
    epoch = how.epoch if epoch is None else epoch
    await node_reads(node, client, Resume(2, name, how.token, epoch, tick, [RESUME, *options]))
    return client


async def test_resume_gets_the_same_slot_a_new_token_and_the_frames_since(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    other, _ = await join(node, "other")
    ann, how = await join(node, "ann")
    seen = node.zone.world.tick
    await ann.say(Act(1, [("say", "one")]))
    await heard(ann)
    node.tick()
    await lose(node, ann)
    node.tick(2)
    assert (node.gateway.players_count, len(node.gateway.parked), node.zone.parked) == (1, 1, 1)
    ann = await resume(node, "ann", how, seen, WHOLE)
    node.tick()
    welcome = await ann.read_a(Welcome)
    assert welcome.slot == 1
    assert welcome.resume is not None
    assert (welcome.resume.seq, welcome.resume.epoch) == (1, how.epoch)
    assert welcome.resume.token != how.token
    ticks = [await ann.read_a(Tick) for _ in range(4)]
    assert [tick.tick for tick in ticks] == [seen + 1, seen + 2, seen + 3, seen + 4]
    assert [len(tick.events) for tick in ticks] == [1, 0, 0, 0]
    for tick in [await other.read_a(Tick) for _ in range(5)][1:]:
        assert (tick.leaves, tick.joins) == ((), ())
    assert (node.gateway.players_count, len(node.gateway.parked), node.zone.parked) == (2, 0, 0)
    counters = node.gateway.counters
    assert (counters.joins_total, counters.resumes_total, counters.drops_total) == (2, 1, 1)


async def test_resume_with_the_newest_tick_gets_nothing_but_the_next_frames(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    ann, how = await join(node, "ann")
    again = await resume(node, "ann", how, node.zone.world.tick + 1)
    node.tick()
    await again.read_a(Welcome)
    node.tick()
    assert (await again.read_a(Tick)).tick == node.zone.world.tick
    assert (await ann.ended()).code == "REPLACED"


@pytest.mark.parametrize("ticks", [0, 300])
async def test_resume_from_another_epoch_or_too_long_ago_gets_a_snapshot(open_gateway: OpenGateway, ticks: int) -> None:
    node = await open_gateway(Plaza, resume_seconds=600.0)
    ann, how = await join(node, "ann")
    await lose(node, ann)
    node.tick(1 + ticks)
    epoch = how.epoch if ticks else how.epoch + 1
    ann = await resume(node, "ann", how, node.zone.world.tick - ticks, WHOLE, epoch=epoch)
    node.tick()
    await ann.read_a(Welcome)
    assert (await ann.read_a(Snapshot)).tick == node.zone.world.tick


async def test_token_is_not_good_any_more_when_the_client_has_used_the_next_session(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    _, how = await join(node, "ann")
    again = await resume(node, "ann", how, 1)
    node.tick()
    await again.read_a(Welcome)
    # The WELCOME may have been lost on its way.
    again = await resume(node, "ann", how, 1)
    node.tick()
    await again.read_a(Welcome)
    await heard(again)
    thief = await resume(node, "ann", how, 1)
    node.tick()
    assert (await thief.ended()).code == "RESUME_FAILED"


async def test_refusals_that_went_into_a_dead_connection_follow_the_welcome(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    ann, how = await join(node, "ann")
    seen = node.zone.world.tick
    await ann.say(Act(1, [("no such thing",)]))
    await heard(ann)
    node.tick()
    ann = await resume(node, "ann", how, seen)
    node.tick()
    await ann.read_a(Welcome)
    assert (await ann.read_a(Refusal)).seq == 1
    assert isinstance(await ann.read(), Tick | Snapshot)


async def test_actions_above_the_sequence_of_the_welcome_are_taken_again(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    ann, how = await join(node, "ann")
    await ann.say(Act(1, [("say", "one"), ("say", "two")]))
    await heard(ann)
    node.tick()
    # These are read, but the connection is lost before the tick: the zone never takes them.
    await ann.say(Act(3, [("say", "three")]))
    await until(lambda: node.gateway._intake.has_packets)
    await lose(node, ann)
    node.tick()
    ann = await resume(node, "ann", how, node.zone.world.tick)
    node.tick()
    welcome = await ann.read_a(Welcome)
    assert welcome.resume is not None
    assert welcome.resume.seq == 2
    await ann.say(Act(3, [("say", "three")]))
    await heard(ann)
    node.tick()
    assert [event[3] for event in (await ann.read_until(Tick)).events] == ["three"]


@pytest.mark.parametrize("said", ["goodbye", "nonsense"])
async def test_nobody_is_parked_after_a_goodbye_or_a_fault_of_their_own(open_gateway: OpenGateway, said: str) -> None:
    node = await open_gateway(Plaza)
    ann, how = await join(node, "ann")
    if said == "goodbye":
        await ann.say(Goodbye())
    else:
        await ann.say_bytes(b"\0\0\0\1\xc0")
    await ann.ended()
    node.tick()
    assert (len(node.gateway.parked), node.zone.world.holders) == (0, [])
    again = await resume(node, "ann", how, node.zone.world.tick)
    node.tick()
    bye = await again.ended()
    assert (bye.code, bye.retry) == ("RESUME_FAILED", True)


async def test_failed_resumes_count_as_connections_of_their_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(address_connections_burst=3, address_connections_per_second=0.01))
    _, how = await join(node, "ann")
    for _ in range(3):
        guess = how._replace(token=bytes(16))
        again = await resume(node, "ann", guess, 1, host="127.0.0.2")
        node.tick()
        assert (await again.ended()).code == "RESUME_FAILED"
    fourth = await node.connect(host="127.0.0.2")
    assert (await fourth.ended()).code == "TOO_MANY_CONNECTIONS"


async def test_one_address_cannot_fill_the_zone_with_players_without_connections(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(address_connections_max=2))
    for number in range(3):
        client, _ = await join(node, f"body-{number}", host="127.0.0.2")
        client.sock.close()
        await until(lambda: not node.gateway.players_count)
        node.tick()
    assert (len(node.gateway.parked), node.zone.world.holders) == (2, ["body-0", "body-1"])


async def test_ban_of_an_address_ends_the_return_of_its_players(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    ann, _ = await join(node, "ann", host="127.0.0.2")
    eve, _ = await join(node, "eve", host="127.0.0.2")
    await lose(node, ann)
    node.tick()
    await eve.say_bytes(b"\0\0\0\1\xc0")
    assert (await eve.ended()).code == "PROTOCOL_ERROR"
    node.tick()
    assert (len(node.gateway.parked), node.zone.world.holders) == (0, [])


async def test_kick_of_an_exempt_address_keeps_the_parked_players_of_it(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    ann, _ = await join(node, "ann")
    eve, _ = await join(node, "eve")
    await lose(node, ann)
    await eve.say_bytes(b"\0\0\0\1\xc0")
    await eve.ended()
    node.tick()
    assert len(node.gateway.parked) == 1


async def test_mute_goes_on_after_a_return_and_is_told_again(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(actions_burst=10, actions_per_second=0.01))
    ann, how = await join(node, "ann")
    for seq in range(1, 17):
        await ann.say(Act(seq, [("say", "a")]))
    await heard(ann)
    node.tick()
    assert [refusal.code for refusal in (await ann.read_a(Refusal), await ann.read_a(Refusal))] == ["WARNED", "MUTED"]
    await lose(node, ann)
    node.tick()
    ann = await resume(node, "ann", how, node.zone.world.tick)
    node.tick()
    welcome, refusal = await ann.read_a(Welcome), await ann.read_until(Refusal)
    assert welcome.resume is not None
    assert (refusal.code, refusal.seq) == ("MUTED", welcome.resume.seq + 1)


async def test_flood_guard_of_a_player_who_does_not_come_back_is_forgotten(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, resume_seconds=0.5)
    ann, _ = await join(node, "ann")
    await lose(node, ann)
    node.tick()
    assert len(node.gateway.parked) == 1
    node.tick(node.config.hz)
    assert (len(node.gateway.parked), node.zone.world.holders) == (0, [])


async def test_server_where_nobody_comes_back_gives_no_token(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, resume_seconds=0.0)
    client = await node.connect()
    await node_reads(node, client, Hello(2, "ann", b"", [RESUME]))
    node.tick()
    welcome, _ = await client.welcomed()
    assert (welcome.resume, list(welcome.options)) == (None, [])


async def test_resume_of_a_client_that_no_longer_wants_to_come_back(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    _, how = await join(node, "ann")
    client = await node.connect()
    await node_reads(node, client, Resume(2, "ann", how.token, how.epoch, 0))
    node.tick()
    assert (await client.read_a(Welcome)).resume is None
    client.sock.close()
    await until(lambda: not node.gateway.players_count)
    node.tick()
    assert node.zone.world.holders == []
