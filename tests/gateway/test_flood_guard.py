"""The flood guard: which clients are warned, muted and ended, and that honest ones never are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from helpers.gateway_fixture import GatewayFixture, OpenGateway
from helpers.raw_client import Client
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.gateway.address_limits import AddressBudgets
from zoneserver.gateway.flood_guard import FloodGuard, PenaltyLevel
from zoneserver.protocol.codes import RESTRAINTS, CloseReason
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Act, Bye, Ping, Pong, Refusal, Tick
from zoneserver.zone.link import Standing

LIMITS = Limits()

Spend = Callable[[FloodGuard, float], bool]

# A function that spends one unit of a bucket, and how many units the bucket holds.
BUDGETS: list[tuple[Spend, float, CloseReason]] = [
    (lambda guard, now: guard.record_packet(4, now), LIMITS.frames_burst, CloseReason.FLOOD),
    (lambda guard, now: guard.record_packet(1024, now), LIMITS.bytes_burst / 1024, CloseReason.FLOOD),
    (lambda guard, now: guard.record_actions(1, now), LIMITS.actions_burst, CloseReason.FLOOD),
    (
        lambda guard, now: guard.record_violation("BAD_PAYLOAD", now),
        LIMITS.violations_burst,
        CloseReason.PROTOCOL_ERROR,
    ),
]


@pytest.mark.parametrize(("spend", "burst", "reason"), BUDGETS)
def test_level_rises_at_exactly_one_one_and_a_half_and_two_bursts(
    spend: Spend, burst: float, reason: CloseReason
) -> None:
    guard, rises = FloodGuard(LIMITS), {}
    for count in range(1, int(3 * burst) + 1):
        if spend(guard, 0.0):
            rises[guard.level] = count
    assert rises == {PenaltyLevel.WARNED: burst, PenaltyLevel.MUTED: 1.5 * burst, PenaltyLevel.OUT: 2 * burst}
    assert guard.reason is reason
    assert guard.text


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3), st.integers(0, 40), st.booleans()), max_size=30))
def test_player_who_goes_to_another_guard_gains_nothing(steps: list[tuple[float, int, int, bool]]) -> None:
    one, other, now, clock = FloodGuard(LIMITS), FloodGuard(LIMITS), 0.0, 0.0
    for seconds, kind, count, is_moving in steps:
        standing = other.standing(now + clock)
        now += seconds
        if is_moving:
            # The clock of the other gateway says something else.
            clock, other = 5.0 - clock, FloodGuard(LIMITS)
            if standing is not None:
                other.take_over(standing._replace(age_seconds=seconds), now + clock)
        for _ in range(count):
            BUDGETS[kind][0](one, now)
            BUDGETS[kind][0](other, now + clock)
        one.forgive(now)
        other.forgive(now + clock)
        assert other.level >= one.level


def test_standing_is_taken_over_with_its_reason_and_drains_with_its_age() -> None:
    guard, spend = FloodGuard(LIMITS), BUDGETS[3][0]
    assert guard.standing(0.0) is None
    for _ in range(15):
        spend(guard, 0.0)
    standing = guard.standing(0.0)
    assert standing == Standing(2, "PROTOCOL_ERROR", guard.text, (0, 0, 0, 1500))
    for age_seconds, is_over in ((9.0, False), (10.1, True)):
        other = FloodGuard(LIMITS)
        other.take_over(standing._replace(age_seconds=age_seconds), 100.0)
        assert (other.level, other.reason) == (0 if is_over else 2, CloseReason.PROTOCOL_ERROR)
        assert other.forgive(100.5) == is_over


RATES = [
    LIMITS.frames_per_second,
    LIMITS.bytes_per_second / 1024,
    LIMITS.actions_per_second,
    LIMITS.violations_per_second,
]


@pytest.mark.parametrize(("spend", "rate"), [(spend, rate) for (spend, *_), rate in zip(BUDGETS, RATES, strict=True)])
def test_client_at_the_sustained_rate_is_never_warned(spend: Spend, rate: float) -> None:
    guard = FloodGuard(LIMITS)
    assert not any(spend(guard, count / rate) for count in range(10_000))


def test_level_is_forgiven_when_every_bucket_has_drained_to_half() -> None:
    guard = FloodGuard(LIMITS)
    for _ in range(int(LIMITS.frames_burst * 1.5)):
        guard.record_packet(4, now=0.0)
    assert guard.level is PenaltyLevel.MUTED
    drained_to_half = LIMITS.frames_burst / LIMITS.frames_per_second
    assert not guard.forgive(now=drained_to_half - 0.1)
    guard.record_packet(4, now=drained_to_half + 0.1)
    assert guard.level is PenaltyLevel.MUTED, "a mute does not end unnoticed"
    assert guard.forgive(now=drained_to_half + 0.1)
    assert guard.level is PenaltyLevel.FINE
    for _ in range(int(LIMITS.frames_burst * 0.6)):
        guard.record_packet(4, now=drained_to_half + 0.1)
    assert guard.level is PenaltyLevel.WARNED
    guard.record_packet(4, now=2.0 * drained_to_half)
    assert guard.level is PenaltyLevel.FINE, "a warning ends by itself"


def test_level_out_is_never_forgiven() -> None:
    guard = FloodGuard(LIMITS)
    for _ in range(int(LIMITS.frames_burst * 2)):
        guard.record_packet(4, now=0.0)
    assert not guard.record_packet(4, now=1000.0)
    assert not guard.forgive(now=1000.0)
    assert guard.level is PenaltyLevel.OUT


@given(
    packets_per_second=st.integers(1, 19),
    actions_per_packet=st.integers(1, 2),
    stall_seconds=st.floats(0, 5),
)
def test_honest_client_is_never_warned_even_after_a_stall_of_five_seconds(
    packets_per_second: int, actions_per_packet: int, stall_seconds: float
) -> None:
    """The client stays below 20 packets a second with up to two actions each: below 40 actions a second.

    Sometimes the packets of five seconds arrive at once.
    """
    guard, now = FloodGuard(LIMITS), 0.0

    def packet() -> bool:
        return guard.record_packet(60, now) or guard.record_actions(actions_per_packet, now)

    for _ in range(5):
        for _ in range(packets_per_second * 4):
            now += 1 / packets_per_second
            assert not packet()
        now += stall_seconds
        for _ in range(int(packets_per_second * stall_seconds)):
            assert not packet()
    assert guard.level is PenaltyLevel.FINE


# --- Budgets of an address ----------------------------------------------------------------------------


def test_address_budget_is_shared_by_its_guards() -> None:
    budgets, left = AddressBudgets(LIMITS), LIMITS.address_actions_burst
    while left:
        # Each guard is new, so its own buckets are empty.
        count = min(left, LIMITS.actions_burst / 2)
        assert FloodGuard(LIMITS, budgets).admit_actions(int(count), now=0.0)
        left -= count
    newcomer = FloodGuard(LIMITS, budgets)
    assert not newcomer.admit_actions(1, now=0.0)
    assert newcomer.level is PenaltyLevel.FINE
    assert newcomer.admit_actions(1, now=1.0 / LIMITS.address_actions_per_second)
    assert FloodGuard(LIMITS).admit_actions(10**9, now=0.0), "without an address there is no bound"


def test_violations_of_all_guards_count_against_their_address() -> None:
    budgets = AddressBudgets(LIMITS)
    for count in range(1, int(LIMITS.address_violations_burst) + 1):
        guard = FloodGuard(LIMITS, budgets)
        assert not guard.is_address_out(now=0.0), count
        guard.record_violation("BAD_PAYLOAD", now=0.0)
        assert guard.level is PenaltyLevel.FINE
    assert guard.is_address_out(now=0.0)
    assert not guard.is_address_out(now=1.0)
    assert not FloodGuard(LIMITS).is_address_out(now=0.0)
    assert not budgets.is_drained(now=1.0)
    assert budgets.is_drained(now=LIMITS.address_violations_burst / LIMITS.address_violations_per_second)


# --- Through a gateway ----------------------------------------------------------------------------


PING = length_prefixed(Ping(1).encode())


def restraints(messages: list[Any]) -> list[tuple[str, int]]:
    """The codes and sequences of what a client was told of its penalties."""
    return [(each.code, each.seq) for each in messages if isinstance(each, Refusal) and each.code in RESTRAINTS]


async def refusals(client: Client) -> list[str]:
    """The codes of all refusals until the end, followed by the code of the goodbye."""
    codes: list[str] = []
    while True:
        message = await client.read()
        if isinstance(message, Refusal):
            codes.append(message.code)
        elif hasattr(message, "retry"):
            return [*codes, message.code]


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
    # A warned client is read once a tick, at most 64 packets.
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
    assert counters.packets_in_total == seen, "the client is not read before the tick"
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
        await until(lambda: node.gateway._intake._packets)
        node.tick()
    # 304 actions are more than 300, one and a half times the burst.
    assert node.gateway.counters.restraints == {"WARNED": 1, "MUTED": 1}
    seen = [await healthy.read_a(Tick) for _ in range(19)]
    assert sum(len(tick.events) for tick in seen) == 18 * 16
    await flooder.say(Act(seq, [("emote", 0)]))
    await until(lambda: node.gateway._intake._packets)
    node.tick()
    assert (await healthy.read_a(Tick)).events == ()
    assert node.gateway.counters.actions_in_total == 305


# By default 300 actions mute, 400 end the session, and a mute for 300 actions lasts until 100 are left: five seconds.
MUTE_ACTIONS, MUTE_SECONDS = int(1.5 * LIMITS.actions_burst), LIMITS.actions_burst / LIMITS.actions_per_second


async def emote(node: GatewayFixture, client: Client, first: int, count: int) -> None:
    """Sends so many actions from a sequence on, and runs a tick for each packet of 16 or fewer."""
    for seq in range(first, first + count, 16):
        await client.say(Act(seq, [("emote", 0)] * min(16, first + count - seq)))
        await until(lambda: node.gateway._intake._packets)
        node.tick()


async def muted(node: GatewayFixture, client: Client) -> int:
    """Lets a client send until it is muted by its last action, which skips sequences. Returns its sequence."""
    await emote(node, client, 1, MUTE_ACTIONS - 1)
    assert node.gateway.counters.restraints == {"WARNED": 1}
    await emote(node, client, MUTE_ACTIONS + 5, 1)
    assert node.gateway.counters.restraints == {"WARNED": 1, "MUTED": 1}
    return MUTE_ACTIONS + 5


async def test_mute_names_the_first_and_the_last_action_that_it_dropped(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    last = await muted(node, client)
    node.pass_time(MUTE_SECONDS - 1.0)
    await emote(node, client, last + 1, 3)
    node.pass_time(4.0)
    await emote(node, client, last + 4, 1)
    await client.say(Ping(9))
    heard, events = [], []
    while not isinstance(message := await client.read(), Pong):
        heard.append(message)
        events += [seq for _, seq, *_ in message.events] if isinstance(message, Tick) else []
    assert restraints(heard) == [("WARNED", 0), ("MUTED", last), ("UNMUTED", last + 3)]
    # Each action is in a frame, or it is one that the mute names.
    expected = [seq & 0xFF for seq in (*range(1, MUTE_ACTIONS), last + 4)]
    assert events == expected
    assert {player.guard.level for player in node.gateway.players} == {PenaltyLevel.FINE}


async def test_mute_ends_with_the_first_tick_after_the_buckets_have_drained(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    await client.say_bytes(PING * int(1.5 * LIMITS.frames_burst))
    while node.gateway.counters.restraints != {"WARNED": 1, "MUTED": 1}:
        node.tick()
        await asyncio.sleep(0.001)
    (player,) = node.gateway.players
    seconds = player.guard._packets.seconds_until(0.5, node.gateway._now)
    node.pass_time(seconds - 0.01)
    assert player.guard.level is PenaltyLevel.MUTED
    node.clock.now += 0.02
    node.tick()
    assert player.guard.level is PenaltyLevel.FINE, "the client has sent nothing"
    node.tick(3)
    await client.say(Ping(9))
    heard: list[Any] = []
    while not isinstance(message := await client.read(), Pong) or message.token != 9:
        heard.append(message)
    assert restraints(heard) == [("WARNED", 0), ("MUTED", 1), ("UNMUTED", 0)], "no action was sent, and so none dropped"


async def test_packets_that_were_read_before_the_mute_but_not_decoded_are_dropped(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(frames_burst=4, frames_per_second=1.0))
    client = await node.join("ann")
    # The sixth packet mutes, before any of them is decoded.
    await client.say(*(Act(seq, [("emote", 0)]) for seq in range(1, 7)))
    await until(lambda: len(node.gateway._intake._packets) == 6)
    node.tick()
    node.pass_time(6.0)
    await client.say(Act(7, [("emote", 1)]))
    await until(lambda: node.gateway._intake._packets)
    node.tick()
    heard: list[Any] = []
    while not heard or not (isinstance(heard[-1], Tick) and heard[-1].events):
        heard.append(await client.read())
    assert restraints(heard) == [("WARNED", 0), ("MUTED", 1), ("UNMUTED", 6)]
    assert heard[-1].events == ((0, 7, "emote", 1),)


async def test_mute_that_ends_the_session_is_not_told_to_be_over(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    client = await node.join("ann")
    last = await muted(node, client)
    await client.say(*(Act(last + number, [("emote", 0)] * 16) for number in range(1, 200, 16)))
    await until(lambda: node.gateway._intake._packets)
    while not node.gateway.counters.closes:
        node.tick()
        await asyncio.sleep(0.001)
    node.pass_time(2 * MUTE_SECONDS)
    heard = []
    while not isinstance(message := await client.read(), Bye):
        heard.append(message)
    assert message.code == "FLOOD"
    assert restraints(heard) == [("WARNED", 0), ("MUTED", last)]
    assert not node.gateway._penalties._muted


async def test_mute_of_a_client_that_reads_nothing_ends_as_well(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, limits=Limits(stall_seconds=60.0))
    deaf, healthy = await node.join("deaf", receive_bytes=4096), await node.join("healthy")
    last = await muted(node, deaf)
    node.zone.rules.emit("fill", "x" * 60_000)
    node.tick()
    for number in range(40):
        if node.gateway.broadcaster.behind:
            break
        node.zone.rules.emit("fill", f"{number}" * 20_000)
        node.tick()
    assert node.gateway.broadcaster.behind == 1
    await healthy.read_until(Tick)
    node.pass_time(MUTE_SECONDS + 1.0)
    assert {player.guard.level for player in node.gateway.players} == {PenaltyLevel.FINE}
    assert not node.gateway.counters.closes
    await deaf.say(Act(last + 1, [("emote", 3)]))
    await until(lambda: node.gateway._intake._packets)
    node.tick()
    while not any(event[:2] == (0, (last + 1) & 0xFF) for event in (await healthy.read_until(Tick)).events):
        pass
    heard: list[Any] = []
    while restraints(heard)[-1:] != [("UNMUTED", last)]:
        heard.append(await deaf.read())


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
        await until(lambda: node.gateway._intake._packets or node.gateway.counters.closes)
        node.tick()
        tick = await healthy.read_a(Tick)
        assert (tick.movers, tick.events) == ([], ()), "never broadcast"
    # Ten violations warn, fifteen mute, and each later packet weighs as much as a violation.
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
        await until(lambda: node.gateway._intake._packets)
        node.clock.now += 0.05
        node.tick()
    assert node.gateway.counters.refusals == {"DEAD": 199}
    assert not node.gateway.counters.restraints


async def test_long_action_counts_as_several(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza)
    talker = await node.join("talker")
    said = 0
    while not node.gateway.counters.restraints:
        said += 1
        await talker.say(Act(said, [("say", "x" * 200)]))
        await until(lambda: node.gateway._intake._packets)
        node.tick()
    # About 210 bytes count as two actions, and the burst is 200.
    assert said == 100


@pytest.mark.parametrize(("characters", "per_second"), [(190, 5), (200, 4), (190, 10), (20, 20)])
async def test_honest_talker_stays_below_half_of_the_action_budget(
    open_gateway: OpenGateway, characters: int, per_second: int
) -> None:
    node = await open_gateway(Plaza, hz=20)
    talker = await node.join("talker")
    for said in range(1, 60 * per_second):
        await talker.say(Act(said, [("say", "x" * characters)]))
        await until(lambda: node.gateway._intake._packets)
        node.clock.now += 1 / per_second
        node.tick()
    (player,) = node.gateway.players
    assert player.guard._actions.fill(node.gateway._now) <= 0.5
    assert node.gateway.counters.restraints == {}


async def test_refusals_of_an_honest_game_ban_neither_session_nor_address(open_gateway: OpenGateway) -> None:
    node = await open_gateway(Plaza, hz=20)
    clients = [await node.connect(host="127.0.0.9") for _ in range(20)]
    for number, client in enumerate(clients):
        await node.greet(client, f"fighter {number}")
    node.tick()
    for number, player in enumerate(node.zone.rules.players.values()):
        player.place(number * 400, 0)
    for round_number in range(100):
        for number, client in enumerate(clients):
            await client.say(Act(round_number + 1, [("strike", (number + 1) % 20)]))
        await until(lambda: len(node.gateway._intake._packets) == 20)
        node.clock.now += 0.2
        node.tick()
    assert node.gateway.counters.refusals == {"OUT_OF_RANGE": 2_000}
    assert (node.gateway.counters.restraints, node.gateway.counters.closes) == ({}, {})
    await node.greet(await node.connect(host="127.0.0.9"), "late")
    node.tick()
    assert node.gateway.players_count == 21
