"""The C# client comes back over lost connections: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from helpers.csharp import CSharpClient, Driver
from helpers.gateway_fixture import OpenGateway
from helpers.relay import Cut, Relay
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver import Player, Refused, Rules, action
from zoneserver.protocol.world import World
from zoneserver.server import ZoneServer


class Counting(Rules):
    """Counts what each player did."""

    def on_start(self) -> None:
        self.done: list[int] = []
        self.calls: list[str] = []

    @action
    def count(self, player: Player, number: int) -> None:
        self.done.append(number)
        player.tell("counted", number)

    @action(private=True)
    def add(self, player: Player, number: int) -> int:
        self.done.append(number)
        return number + 1

    @action
    def fail(self, player: Player, number: int) -> None:
        raise Refused("NO", str(number))

    def on_join(self, player: Player) -> None:
        player.tell("greeted", player.name)

    def on_drop(self, player: Player) -> None:
        self.calls.append("drop")

    def on_resume(self, player: Player) -> None:
        self.calls.append("resume")

    def on_leave(self, player: Player) -> None:
        self.calls.append("leave")

    def on_tick(self) -> None:
        self.emit("tick", self.tick)


def rules_of(server: ZoneServer) -> Counting:
    rules = server.zone.rules
    assert isinstance(rules, Counting)
    return rules


@pytest.fixture
def open_place(cleanup: contextlib.AsyncExitStack, open_server: OpenServer) -> Callable[..., Awaitable[Any]]:
    """Opens a server behind a relay that cuts connections."""

    async def open_place(cuts: list[Cut] | None = None, **settings: Any) -> tuple[ZoneServer, Relay]:
        server = await open_server(Counting, **{"hz": 100} | settings)
        return server, await Relay(server.port, cuts).open(cleanup)

    return open_place


async def returned(client: CSharpClient, times: int) -> None:
    await until(lambda: len(client.told("back")) == times)


async def test_it_comes_back_to_its_slot_with_nothing_lost_and_nothing_twice(
    driver: Driver, open_place: Callable[..., Awaitable[Any]]
) -> None:
    server, relay = await open_place()
    ann = driver.join(f"127.0.0.1:{relay.port}", name="ann", whole=1)
    (slot, *_) = await ann.until("joined")
    cuts = [relay.reset, lambda: ann.do("drop")] * 2
    numbers = itertools.count()
    for done, cut in enumerate(cuts, 1):
        for _ in range(3):
            ann.act("count", next(numbers))
            ann.act("add", next(numbers))
        ann.act("fail", 7)
        cut()
        ann.act("count", next(numbers))
        await returned(ann, done)
        assert ann.told("back")[-1] == ["True", "0", slot]
        # The attempts count anew after a PONG.
        await until(lambda: json.loads(ann.ask("facts"))["unsettled"] == 0)
    rounds = len(cuts)
    assert rules_of(server).done == list(range(7 * rounds))
    fates = [line[1] for line in ann.told("done")]
    assert (fates.count("Happened"), fates.count("Answered"), fates.count("Refused")) == (
        4 * rounds,
        3 * rounds,
        rounds,
    )
    assert [int(json.loads(line[1])[0]) for line in ann.told("answered")] == [
        number + 1 for number in range(7 * rounds) if number % 7 in {1, 3, 5}
    ]
    assert ann.told("told")[0][1:] == ["greeted", '["ann"]']
    counted = [int(json.loads(line[2])[0]) for line in ann.told("told")[1:]]
    assert counted == [number for number in range(7 * rounds) if number % 7 not in {1, 3, 5}]
    assert [line[1:] for line in ann.told("refused")] == [["NO", "7"]] * rounds
    # With `whole` every event comes, once.
    ticks = [int(json.loads(line[2])[0]) for line in ann.told("heard") if line[0] == "tick"]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    assert [line[0] for line in ann.told("dropped")] == ["CONNECTION_LOST"] * rounds
    assert rules_of(server).calls.count("resume") == rounds
    ann.do("close")
    await ann.until("closed", lambda line: line[0] == "CLIENT_LEFT")
    await until(lambda: rules_of(server).calls[-1] == "leave")


async def test_nothing_is_lost_wherever_the_stream_is_cut(
    driver: Driver, open_place: Callable[..., Awaitable[Any]]
) -> None:
    chance = random.Random(3)
    # The ends of these connections lie within messages, and between the private messages of a tick and its frame. The
    # first one lasts until the player is in.
    cuts = [Cut(False, 1500)]
    for _ in range(3):
        cuts += [Cut(True, chance.randint(30, 300)), *(Cut(False, chance.randint(150, 1500)) for _ in range(2))]
    server, relay = await open_place(cuts)
    ann = driver.join(f"127.0.0.1:{relay.port}", name="ann", whole=1)
    await until(lambda: ann.told("joined"))
    number = 0
    while relay.cuts or json.loads(ann.ask("facts"))["phase"] != "Playing":
        if len(ann.told("done")) > number - 12:
            ann.act("count", number)
            ann.act("add", number + 1)
            number += 2
        await asyncio.sleep(0.004)
    await until(lambda: len(ann.told("done")) == number)
    assert rules_of(server).done == list(range(number))
    assert [line[1] for line in ann.told("done")].count("Answered") == number // 2
    assert [int(json.loads(line[1])[0]) for line in ann.told("answered")] == list(range(2, number + 1, 2))
    assert len(ann.told("back")) >= 5
    # What the game tells the player alone comes with the events of its tick.
    told, heard = [], []
    for kind, *line in ann.told("told", "heard", "ticked"):
        if kind == "told" and line[1] == "counted":
            told += json.loads(line[2])
        elif kind == "heard" and line[0] == "count":
            heard += json.loads(line[2])
        elif kind == "ticked":
            assert told == heard
    assert told == list(range(0, number, 2))
    ann.do("dispose")


async def test_a_cut_right_behind_the_welcome_is_a_late_join(
    driver: Driver, open_place: Callable[..., Awaitable[Any]], cleanup: contextlib.AsyncExitStack
) -> None:
    server, _ = await open_place()
    crowd = []
    for place in range(80, 260, 15):
        # A relay of its own: a client that comes back would otherwise take the cut of one that is still to connect.
        relay = await Relay(server.port, [Cut(from_client=False, after_bytes=place)]).open(cleanup)
        crowd.append(driver.join(f"127.0.0.1:{relay.port}", name=f"bot {place}"))
    # Without a WELCOME the client does not join; without a state it comes back for it; and with one it comes back.
    await until(lambda: all(each.told("closed") or each.told("joined") for each in crowd))
    joined = [each for each in crowd if each.told("joined")]
    late = [each for each in joined if each.told("dropped", "joined")[0][0] == "dropped"]
    assert late
    for each in late:
        assert (await each.until("told"))[1] == "greeted"
        assert not each.told("back")
    await until(lambda: all(len(each.told("ticked")) > 5 for each in joined))
    for each in joined:
        assert len(each.told("told")) == 1
        each.do("dispose")


async def test_what_is_done_while_it_is_away_is_bounded_and_a_lost_player_joins_anew(
    driver: Driver, open_place: Callable[..., Awaitable[Any]]
) -> None:
    server, relay = await open_place(resume_seconds=0.05)
    ann = driver.join(f"127.0.0.1:{relay.port}", name="ann")
    await ann.until("joined")
    relay.is_closed = True
    relay.reset()
    await ann.until("dropped")
    for number in range(18):
        ann.act("count", number)
    # Sixteen are kept for a moment.
    await until(lambda: len(ann.told("refused")) == 2)
    assert [line[:2] for line in ann.told("refused")] == [["17", "AWAY"], ["18", "AWAY"]]
    await until(lambda: "leave" in rules_of(server).calls)
    relay.is_closed = False
    assert (await ann.until("back"))[0] == "False"
    # The player whom the zone knows now has done nothing.
    await until(lambda: len(ann.told("done")) == 18)
    assert {tuple(line[1:3]) for line in ann.told("done")} == {("Refused", "AWAY")}
    assert rules_of(server).done == []
    ann.act("count", 99)
    await ann.until("done", lambda line: line[1] == "Happened")
    assert rules_of(server).done == [99]
    ann.do("dispose")


async def test_it_stays_away_after_a_leave_and_without_the_option(
    driver: Driver, open_place: Callable[..., Awaitable[Any]]
) -> None:
    _, relay = await open_place()
    ann = driver.join(f"127.0.0.1:{relay.port}", name="ann")
    bob = driver.join(f"127.0.0.1:{relay.port}", name="bob", resume=0)
    await ann.until("joined")
    await bob.until("joined")
    relay.is_closed = True
    relay.reset()
    assert (await bob.until("closed"))[:2] == ["CONNECTION_LOST", "True"]
    await ann.until("dropped")
    ann.act("count", 1)
    ann.do("close")
    assert (await ann.until("closed"))[0] == "CLIENT_LEFT"
    assert (await ann.until("done"))[1:3] == ["Lost", "CLIENT_LEFT"]
    assert relay.connections == 2


async def test_a_wrong_state_is_told_and_replaced(
    driver: Driver, open_gateway: OpenGateway, cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = await open_gateway(Counting, hz=1, resume_seconds=1000)  # Each frame has a hash.
    is_wrong = False

    async def tick_forever() -> None:
        hashed = World.hash
        monkeypatch.setattr(World, "hash", lambda world: hashed(world) ^ is_wrong)
        while True:
            fixture.tick()
            await asyncio.sleep(0.005)

    ticking = asyncio.create_task(tick_forever())
    cleanup.push_async_callback(asyncio.gather, ticking, return_exceptions=True)
    cleanup.callback(ticking.cancel)
    # With `whole` a client gets frames on top of what it has, unless it asks for the state.
    ann = driver.join(f"127.0.0.1:{fixture.port}", name="ann", whole=1)
    (slot, *_) = await ann.until("joined")
    is_wrong = True
    await ann.until("diverged")
    is_wrong = False
    assert (await ann.until("dropped"))[0] == "DIVERGED"
    assert (await ann.until("back"))[::2] == ["True", slot]
    # The state came as a snapshot, and agrees from then on.
    assert [line[1] for line in ann.told("ticked")].count("True") == 2
    checked = json.loads(ann.ask("facts"))["hashes"]
    await until(lambda: json.loads(ann.ask("facts"))["hashes"] > checked)
    assert json.loads(ann.ask("facts"))["phase"] == "Playing"
    # A state that is wrong again and again is the end.
    is_wrong = True
    code, retry, text = await ann.until("closed")
    assert (code, retry, "state hash" in text) == ("DIVERGED", "True", True)


async def test_it_leaves_a_server_that_falls_silent_and_comes_back(
    driver: Driver, open_place: Callable[..., Awaitable[Any]]
) -> None:
    _, relay = await open_place()
    ann = driver.join(f"127.0.0.1:{relay.port}", name="ann", patience=0.5)
    await ann.until("joined")
    relay.freeze()
    assert "the server has sent nothing for" in (await ann.until("dropped"))[1]
    assert (await ann.until("back"))[0] == "True"
    ann.do("dispose")


async def test_it_plays_and_comes_back_over_websocket(driver: Driver, open_server: OpenServer) -> None:
    server = await open_server(Counting, hz=100)
    ann = driver.join(f"ws://127.0.0.1:{server.port}", name="ann", whole=1)
    (slot, *_) = await ann.until("joined")
    for number in range(0, 6, 2):
        ann.act("count", number)
        ann.act("add", number + 1)
        ann.do("drop")
        await returned(ann, number // 2 + 1)
        assert ann.told("back")[-1] == ["True", "0", slot]
        await until(lambda: json.loads(ann.ask("facts"))["unsettled"] == 0)
    assert rules_of(server).done == list(range(6))
    assert [json.loads(line[2])[0] for line in ann.told("told")] == ["ann", 0, 2, 4]
    await until(lambda: json.loads(ann.ask("facts"))["hashes"] > 0)
    bob = driver.join(f"ws://127.0.0.1:{server.port}", name=" bob")
    assert (await bob.until("closed"))[:2] == ["BAD_NAME", "False"]
    ann.do("close")
    assert (await ann.until("closed"))[0] == "CLIENT_LEFT"
    await until(lambda: rules_of(server).calls[-1] == "leave")
