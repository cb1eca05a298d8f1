"""Coming back over lost connections: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zoneclient as client
from helpers.relay import Cut, Relay
from helpers.servers import OpenServer
from helpers.tls import issue_pki
from helpers.waiting import until
from hypothesis import given, settings
from hypothesis import strategies as st
from zoneclient import line, receiver

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

    def on_join(self, player: Player) -> None:
        player.tell("greeted", 0)

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


@contextlib.asynccontextmanager
async def updates_of(zone: client.ZoneConnection) -> AsyncIterator[list[client.Update]]:
    """The updates that a task takes meanwhile."""
    updates: list[client.Update] = []

    async def iterate() -> None:
        async for update in zone:
            updates.append(update)  # noqa: PERF401

    iterating = asyncio.create_task(iterate())
    yield updates
    iterating.cancel()
    await asyncio.gather(iterating, return_exceptions=True)


OpenPlace = Callable[..., Awaitable[Place]]


@pytest.fixture(autouse=True)
def _quick_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection counts as one that has held, so that the waits do not grow."""
    monkeypatch.setattr("zoneclient.receiver.HELD_SECONDS", 0.0)


@pytest.fixture
def open_place(cleanup: contextlib.AsyncExitStack, open_server: OpenServer) -> OpenPlace:
    async def open_place(cuts: list[Cut] | None = None, rules: type[Counting] = Counting, **settings: Any) -> Place:
        server = await open_server(rules, **{"hz": 100} | settings)
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


def told(updates: list[client.Update], kind: str = "counted") -> list[int]:
    return [each.values[0] for update in updates for each in update.told if each.kind == kind]


def answered(updates: list[client.Update]) -> list[int]:
    return [each.values[0] for update in updates for each in update.answered]


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
        async with updates_of(zone) as updates:
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
                with pytest.raises(client.ActionRefusedError, match="NO: 7"):
                    await zone.done(zone.act("fail", 7))
            assert all(await asyncio.gather(*answers))
        assert place.rules.done == list(range(30))
        assert told(updates) == list(range(0, 30, 2))
        assert answered(updates) == list(range(2, 31, 2))
        assert [refusal.text for update in updates for refusal in update.refused] == ["7"] * 5
        assert sum(update.resumed for update in updates) == 5
        assert zone.unsettled == 0


@settings(max_examples=6)
@given(
    st.lists(
        st.one_of(
            st.builds(Cut, st.just(False), st.integers(1, 300) | st.integers(1, 3000)),
            st.builds(Cut, st.just(True), st.integers(1, 100) | st.integers(1, 1000)),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_nothing_is_lost_and_nothing_happens_twice_wherever_the_stream_is_cut(cuts: list[Cut], deflate: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "_FIRST_SECONDS", 0.01)
        patch.setattr(line, "_LAST_SECONDS", 0.01)
        asyncio.run(play_over(cuts, deflate=deflate))


async def play_over(cuts: list[Cut], *, deflate: bool) -> None:
    """Plays over connections that are cut at these places, and compares what happened with what was told."""
    async with contextlib.AsyncExitStack() as cleanup:
        server = await cleanup.enter_async_context(ZoneServer(Counting, port=0, stats_port=None, hz=100))
        place = Place(server, await Relay(server.port).open(cleanup))
        async with place.join(whole=True, deflate=deflate) as zone, updates_of(zone) as updates:
            await until(lambda: updates)
            place.relay.cuts = cuts
            place.relay.reset()
            acted: list[int] = []
            refused: list[int] = []
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                while cuts or zone.is_away or len(acted) < 20:
                    if zone.unsettled < 10:
                        acted.append(len(acted))
                        group.create_task(do(zone, acted[-1], refused))
                    await asyncio.sleep(0.002)
            await zone.ping()
        done = [number for number in acted if number not in refused]
        assert place.rules.done == done
        assert told(updates) == [number for number in done if number % 2]
        assert answered(updates) == [number + 1 for number in done if number % 2 == 0]
        assert ticks_told(updates[1:]) == list(range(updates[0].tick + 1, updates[-1].tick + 1))
        assert "leave" not in place.rules.calls[:-1]


async def do(zone: client.ZoneConnection, number: int, refused: list[int]) -> None:
    """Counts a number, or asks for its sum, and expects that it happened, unless the client was away for too long."""
    try:
        if number % 2:
            assert await zone.done(zone.act("count", number))
        else:
            assert await zone.ask("add", number) == (number + 1,)
    except client.ActionRefusedError as error:
        assert error.code == "AWAY"
        refused.append(number)


# --- A longer absence -----------------------------------------------------------------------------


async def test_long_absence_without_whole_is_a_snapshot_that_says_how_many_ticks_it_stands_for(
    open_place: OpenPlace,
) -> None:
    place = await open_place()
    async with place.join() as zone:
        first = await anext(zone)
        place.relay.is_closed = True
        place.relay.reset()
        tick = first.tick
        await until(lambda: place.server.zone.world.tick > tick + 60)
        assert zone.is_away
        place.relay.is_closed = False
        updates = [first, *await returned(zone)]
        back, before = updates[-1], updates[-2]
        assert (back.resynced, back.missed) == (True, back.tick - before.tick)
        assert back.missed > 30
        following = await anext(zone)
        assert (following.resumed, following.missed, following.tick) == (False, 0, back.tick + 1)
        assert zone.now() >= back.tick


async def test_actions_of_a_longer_absence_are_refused_and_those_before_it_are_not(
    open_place: OpenPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_KEPT_SECONDS", 0.05)
    place = await open_place()
    async with place.join() as zone:
        await anext(zone)
        place.relay.is_closed = True
        before = zone.act("count", 1)
        place.relay.reset()
        await until(lambda: zone.is_away)
        seqs = [zone.act("count", number) for number in range(2, 19)]
        with pytest.raises(client.ActionRefusedError, match="AWAY"):
            await zone.done(seqs[-1])
        assert zone.unsettled == 17, "16 are kept"
        with pytest.raises(client.ActionRefusedError, match="AWAY"):
            await zone.done(seqs[0])
        place.relay.is_closed = False
        assert await zone.done(before) is True
        after = zone.act("count", 20)
        assert after == seqs[-1] + 1
        assert await zone.done(after) is True
        assert place.rules.done == [1, 20]
        updates = await returned(zone)
        assert sorted(refusal.seq for refusal in updates[-1].refused) == seqs


async def test_player_who_comes_back_too_late_ends_with_resume_failed(open_place: OpenPlace) -> None:
    place = await open_place(resume_seconds=0.05)
    async with place.join() as zone:
        await anext(zone)
        place.relay.is_closed = True
        place.relay.reset()
        await until(lambda: "leave" in place.rules.calls)
        place.relay.is_closed = False
        with pytest.raises(client.ZoneClosedError, match="RESUME_FAILED") as caught:
            await returned(zone)
        assert caught.value.retry
        assert not zone.is_away
        with pytest.raises(client.ZoneClosedError, match="RESUME_FAILED"):
            zone.act("count", 1)
        with pytest.raises(client.ZoneClosedError, match="RESUME_FAILED"):
            await zone.ping()


async def test_there_is_no_way_back_after_a_minute(open_place: OpenPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "AWAY_SECONDS_MAX", 0.1)
    place = await open_place()
    async with place.join() as zone:
        place.relay.is_closed = True
        place.relay.reset()
        with pytest.raises(
            client.ZoneClosedError, match=r"CONNECTION_LOST: there was no way back within 0\.1 s"
        ) as caught:
            await returned(zone)
        assert caught.value.retry


async def test_player_who_was_replaced_does_not_come_back(open_place: OpenPlace) -> None:
    place = await open_place()
    async with place.join() as zone, place.join() as other:
        with pytest.raises(client.ZoneClosedError, match="REPLACED"):
            await returned(zone)
        assert other.slot == zone.slot
        assert await other.done(other.act("count", 1)) is True
        assert place.relay.connections == 2


async def test_lost_connection_ends_the_session_of_a_client_that_may_not_come_back(open_place: OpenPlace) -> None:
    place = await open_place(resume_seconds=0)
    async with place.join() as zone:
        place.relay.reset()
        with pytest.raises(client.ZoneClosedError, match="CONNECTION_LOST"):
            await returned(zone)


async def test_frozen_connection_is_left_for_another(open_place: OpenPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "PING_SECONDS", 0.05)
    monkeypatch.setattr(receiver, "RETURN_SECONDS", 0.3)
    place = await open_place()
    async with place.join(whole=True) as zone:
        updates = [await anext(zone)]
        place.relay.freeze()
        updates += await returned(zone)
        assert ticks_told(updates[1:]) == list(range(updates[0].tick + 1, updates[-1].tick + 1))
        assert place.rules.calls == ["resume"], "the server had not noticed"


async def test_player_comes_back_to_a_server_with_tls(open_place: OpenPlace, tmp_path: Path) -> None:
    pki = issue_pki(tmp_path)
    place = await open_place(tls_cert=pki.cert, tls_key=pki.key)
    async with place.join(tls=pki.context) as zone:
        place.relay.reset()
        await returned(zone)


async def test_watcher_joins_again(open_place: OpenPlace) -> None:
    place = await open_place()
    async with place.join(name=None, watch=True) as zone:
        first = await anext(zone)
        place.relay.reset()
        back = (await returned(zone))[-1]
        assert (zone.slot, back.resynced) == (None, True)
        assert 0 < back.missed <= back.tick - first.tick


@pytest.mark.parametrize("after_bytes", range(80, 130, 5))
async def test_what_is_told_to_a_newcomer_outlives_a_cut_behind_the_snapshot(
    open_place: OpenPlace, after_bytes: int
) -> None:
    place = await open_place([Cut(False, after_bytes)])
    with contextlib.suppress(client.JoinRefusedError):  # The cut may come before the WELCOME is whole.
        async with place.join(whole=True) as zone:
            assert told(await returned(zone), "greeted") == [0]


@pytest.mark.parametrize("resume", [False, True])
async def test_client_that_takes_a_player_over_is_told_and_may_act(open_place: OpenPlace, resume: bool) -> None:
    class Welcoming(Counting):
        def on_resume(self, player: Player) -> None:
            player.tell("welcomed", player.slot)

    place = await open_place(rules=Welcoming)
    async with place.join(leave_timeout=0) as zone:
        assert all([await zone.done(zone.act("count", number)) for number in range(3)])
        async with place.join(resume=resume) as other:
            assert told([await anext(other), await anext(other)], "welcomed") == [other.slot]
            assert await other.done(other.act("count", 3)) is True


# --- Leaving while away ---------------------------------------------------------------------------


async def test_block_that_ends_while_the_client_is_away_waits_for_the_return(open_place: OpenPlace) -> None:
    place = await open_place()
    async with place.join() as zone:
        await anext(zone)
        zone.act("count", 1)
        place.relay.reset()
        await until(lambda: zone.is_away)
    await until(lambda: place.rules.calls == ["drop", "resume", "leave"])
    assert place.rules.done == [1]


@pytest.mark.parametrize("leave_timeout", [0, 0.01])
async def test_block_without_time_ends_while_the_client_is_away(
    open_place: OpenPlace, leave_timeout: float, caplog: pytest.LogCaptureFixture
) -> None:
    place = await open_place()
    async with place.join(leave_timeout=leave_timeout) as zone:
        place.relay.is_closed = True
        place.relay.reset()
        await until(lambda: zone.is_away)
    with pytest.raises(client.ZoneClosedError, match="CONNECTION_LOST"):
        zone.act("count", 1)
    assert ("ann leaves without a goodbye" in caplog.text) == bool(leave_timeout)


async def test_task_is_cancelled_while_the_client_is_away(open_place: OpenPlace) -> None:
    place = await open_place()

    async def play() -> None:
        async with place.join() as zone:
            place.relay.is_closed = True
            place.relay.reset()
            zones.append(zone)
            await returned(zone)

    zones: list[client.ZoneConnection] = []
    playing = asyncio.create_task(play())
    await until(lambda: zones and zones[0].is_away)
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    connections = place.relay.connections
    await until(lambda: place.rules.calls == ["drop"])
    assert place.relay.connections == connections
