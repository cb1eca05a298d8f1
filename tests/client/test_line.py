"""Coming back over lost connections: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import zoneclient as client
from helpers.relay import Cut, Relay
from helpers.servers import OpenServer
from helpers.waiting import until
from zoneclient import line, receiver  # noqa: F401

from zoneserver import Player, Refused, Rules, action
from zoneserver.server import ZoneServer

HOST = "127.0.0.1"


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

    def on_drop(self, player: Player) -> None:
        self.calls.append("drop")

    def on_resume(self, player: Player) -> None:
        self.calls.append("resume")

    def on_leave(self, player: Player) -> None:
        self.calls.append("leave")

    def on_tick(self) -> None:
        self.emit("tick", self.tick)


class Place:
    """A server behind a relay."""

    def __init__(self, server: ZoneServer, relay: Relay) -> None:
        self.server, self.relay = server, relay

    @property
    def rules(self) -> Counting:
        rules = self.server.zone.rules
        assert isinstance(rules, Counting)
        return rules

    def join(self, name: str = "ann", **settings: Any) -> contextlib.AbstractAsyncContextManager[client.ZoneConnection]:
        return client.connect(HOST, self.relay.port, **{"name": name, "resume": True} | settings)


OpenPlace = Callable[..., Awaitable[Place]]


@pytest.fixture
def open_place(cleanup: contextlib.AsyncExitStack, open_server: OpenServer) -> OpenPlace:
    async def open_place(cuts: list[Cut] | None = None, **settings: Any) -> Place:
        server = await open_server(Counting, **{"hz": 100} | settings)
        return Place(server, await Relay(server.port, cuts).open(cleanup))

    return open_place


async def returned(zone: client.ZoneConnection) -> list[client.Update]:
    """The updates up to the first one after a return."""
    updates = [await anext(zone)]
    while not updates[-1].resumed:
        updates.append(await anext(zone))
    return updates


def ticks_told(updates: list[client.Update]) -> list[int]:
    """The ticks whose own event came."""
    return [event.values[0] for update in updates for event in update.events if event.kind == "tick"]


def reset(place: Place) -> None:
    place.relay.reset()


def end_to_client(place: Place) -> None:
    place.relay.half_close(client=True)


def end_to_server(place: Place) -> None:
    place.relay.half_close(client=False)


@pytest.mark.parametrize("drop", [reset, end_to_client, end_to_server])
async def test_iteration_goes_on_over_a_drop_with_every_event(
    open_place: OpenPlace, drop: Callable[[Place], None]
) -> None:
    place = await open_place()
    async with place.join(whole=True) as zone:
        slot, updates = zone.slot, [await anext(zone) for _ in range(3)]
        drop(place)
        updates += await returned(zone)
        assert (zone.slot, zone.is_away, updates[-1].missed) == (slot, False, 0)
        assert ticks_told(updates[1:]) == list(range(updates[0].tick + 1, updates[-1].tick + 1))
        await until(lambda: place.rules.calls == ["drop", "resume"])
    await until(lambda: place.rules.calls == ["drop", "resume", "leave"])
    assert place.server.stats().closes["CLIENT_LEFT"] == 1


async def test_actions_around_a_drop_happen_once_with_their_fates(open_place: OpenPlace) -> None:
    place = await open_place()
    async with place.join(whole=True) as zone:
        await anext(zone)
        updates: list[client.Update] = []

        async def iterate() -> None:
            async for update in zone:
                updates.append(update)  # noqa: PERF401

        async with asyncio.TaskGroup() as group:
            iterating = group.create_task(iterate())
            numbers = itertools.count()
            answers = []
            for _ in range(5):
                place.relay.reset()
                for _ in range(3):
                    answers += [asyncio.ensure_future(zone.done(zone.act("count", next(numbers))))]
                    answers += [asyncio.ensure_future(zone.ask("add", next(numbers)))]
                    zone.flush()
                    await asyncio.sleep(0)
                await until(lambda: zone.is_away)
                seq = zone.act("fail", 7)
                with pytest.raises(client.ActionRefusedError, match="NO: 7"):
                    await zone.done(seq)
            assert all(await asyncio.gather(*answers))
            await zone.ping()
            iterating.cancel()
        assert place.rules.done == list(range(30))
        told = [told.values[0] for update in updates for told in update.told]
        assert told == list(range(0, 30, 2))
        answered = [answered.values[0] for update in updates for answered in update.answered]
        assert answered == list(range(2, 31, 2))
        refused = [refusal.text for update in updates for refusal in update.refused]
        assert refused == ["7"] * 5
        assert sum(update.resumed for update in updates) == 5
        assert zone.unsettled == 0
