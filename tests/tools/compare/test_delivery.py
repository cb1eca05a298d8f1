"""Delivery strategies: how many sends each makes of equal actions, and that none loses or repeats a frame."""

from __future__ import annotations

from helpers.fake_loop import FakeLoop
from helpers.framings import BARE
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.session_fixture import SessionFixture
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st
from zonetools.compare.delivery import GatheringBroadcaster, ImmediateGateway, SessionGateway

from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.counters import GatewayCounters
from zoneserver.gateway.gateway import Gateway
from zoneserver.protocol.messages import Act, Tick
from zoneserver.zone.frame_history import Form, History

PLAYERS, ACTIONS = 4, 3


# --- The same actions, counted --------------------------------------------------------------------


async def crowd(fixture: GatewayFixture) -> list[Client]:
    """Join players, and have each read everything up to the tick in which the last one joined."""
    clients = [await fixture.join(f"player-{number}") for number in range(PLAYERS)]
    fixture.clock.run()
    for client in clients[:-1]:
        while (await client.read_a(Tick)).tick < fixture.zone.world.tick:
            pass
    return clients


async def act(fixture: GatewayFixture, clients: list[Client]) -> None:
    """Have each client send a few actions, and return when the server has received all of them."""
    before = fixture.gateway.counters.packets_in_total
    for seq in range(1, ACTIONS + 1):
        for client in clients:
            await client.say(Act(seq, [("move", seq, 0)]))
    await until(lambda: fixture.gateway.counters.packets_in_total == before + len(clients) * ACTIONS)


async def read_frames(fixture: GatewayFixture, clients: list[Client], first_tick: int) -> list[Tick]:
    """The frames from this tick on. Every client has every frame, and all have equal ones."""
    count = fixture.zone.world.tick + 1 - first_tick
    read = [[await client.read_a(Tick) for _ in range(count)] for client in clients]
    assert [frame.tick for frame in read[0]] == list(range(first_tick, first_tick + count))
    assert all(frames == read[0] for frames in read)
    return read[0]


async def test_the_zone_makes_a_send_per_tick_and_player(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, gateway_class=Gateway, hz=20)
    clients = await crowd(fixture)
    sends, tick = fixture.gateway.counters.sends_total, fixture.zone.world.tick
    await act(fixture, clients)
    assert fixture.gateway.counters.sends_total == sends
    fixture.tick()
    assert fixture.gateway.counters.sends_total == sends + PLAYERS
    (frame,) = await read_frames(fixture, clients, tick + 1)
    assert len(frame.movers) == PLAYERS


async def test_immediate_makes_a_send_per_action_and_player(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, gateway_class=ImmediateGateway, hz=20)
    clients = await crowd(fixture)
    sends, tick = fixture.gateway.counters.sends_total, fixture.zone.world.tick
    await act(fixture, clients)
    assert fixture.gateway.counters.sends_total == sends + PLAYERS * ACTIONS * PLAYERS
    frames = await read_frames(fixture, clients, tick + 1)
    assert [len(frame.movers) for frame in frames] == [1] * PLAYERS * ACTIONS


async def test_a_session_gathers_the_frames_of_a_turn_in_one_send(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, gateway_class=SessionGateway, hz=20)
    clients = await crowd(fixture)
    counters, tick = fixture.gateway.counters, fixture.zone.world.tick
    sends, frames_out = counters.sends_total, counters.frames_out_total
    await act(fixture, clients)
    assert counters.frames_out_total == frames_out + PLAYERS * ACTIONS * PLAYERS
    assert counters.sends_total == sends
    fixture.clock.turn()
    assert counters.sends_total == sends + PLAYERS
    frames = await read_frames(fixture, clients, tick + 1)
    assert [len(frame.movers) for frame in frames] == [1] * PLAYERS * ACTIONS
    assert not fixture.clock.turn()


async def test_a_session_that_gathers_is_told_its_end_after_what_waits(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Plaza, gateway_class=SessionGateway, hz=20)
    clients = await crowd(fixture)
    await act(fixture, clients[:1])
    await clients[1].say(Act(1, [("move", 1, 0)]), Act(1, [("move", 1, 0)]))
    for _ in range(ACTIONS + 1):
        assert (await clients[1].read_a(Tick)).movers
    assert (await clients[1].ended()).code == "PROTOCOL_ERROR"
    fixture.clock.run()
    assert fixture.gateway.players_count == PLAYERS - 1


# --- Gathering, whatever stalls when --------------------------------------------------------------


def gathered(payload: bytes) -> list[tuple[bool, int]]:
    """For each message of ten bytes: whether it is a snapshot, and its tick."""
    assert len(payload) % 10 == 0
    things = [payload[start : start + 10] for start in range(0, len(payload), 10)]
    return [(thing.startswith(b"s"), int(thing[1:])) for thing in things]


@given(st.lists(st.one_of(st.just("tick"), st.just("turn"), st.integers(1, 60)), max_size=60), st.booleans())
def test_stalled_session_that_gathers_gets_every_tick_once(steps: list[str | int], direct: bool) -> None:
    loop, counters = FakeLoop(), GatewayCounters()
    history = History(4, lambda: b"s%09d" % history.tick)
    broadcaster = GatheringBroadcaster(history, Config(), counters, loop)
    fixture = SessionFixture(direct=direct, framing=BARE)
    fixture.attach(broadcaster)
    broadcaster.join(fixture.session, Form(BARE), 0.0)
    fixture.session.flush()
    fixture.transport.room = 25
    for step in [*steps, "turn", 10_000]:
        if step == "tick":
            data = b"f%09d" % (history.tick + 1)
            history.append(history.tick + 1, data)
            broadcaster.send(1, 0.0)
        elif step == "turn":
            loop.run()
        else:
            assert isinstance(step, int)
            fixture.transport.take(step)
    (is_snapshot, tick), *rest = gathered(bytes(fixture.transport.kernel))
    assert (is_snapshot, tick) == (True, 0)
    for is_snapshot, next_tick in rest:
        assert next_tick > tick if is_snapshot else next_tick == tick + 1
        tick = next_tick
    assert tick == history.tick
    assert counters.sends_total <= len(fixture.transport.sends)
