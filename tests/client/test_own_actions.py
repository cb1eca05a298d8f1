"""`done`, `ask`, and what the game tells one player alone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.worlds import zone_info
from helpers.zone_connections import FIRST, HOST, actions_received, joined, serve_bytes, updates_to
from zoneclient import connection

from zoneserver import Player, Refused, Rules, action
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Answered, Bye, Refusal, Snapshot, Tick, Told, Welcome


class Market(Rules):
    """A game with public and private actions."""

    stats = {"gold": 10}  # noqa: RUF012

    @action
    def wave(self, player: Player) -> None: ...

    @action
    def walk(self, player: Player, vx: int, vy: int) -> None:
        player.move(vx, vy)

    @action(private=True)
    def buy(self, player: Player, price: int) -> int:
        if price > player["gold"]:
            raise Refused("TOO_DEAR", "you have too little gold")
        player["gold"] -= price
        return player["gold"]

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: str) -> None:
        other.tell("whisper", player.slot, text)


def kinds(updates: list[client.Update]) -> list[str]:
    return [event.kind for update in updates for event in update.events]


async def test_done_and_ask_work_within_the_iteration_of_the_only_task(open_server: OpenServer) -> None:
    server = await open_server(Market, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        ticks, gold, waves = [], [], []
        async for update in zone:
            ticks.append(update.tick)
            waves += kinds([update])
            if len(gold) == 5 and len(waves) == 5:
                break
            if len(gold) < 5:
                assert await zone.done(zone.act("wave")) is True
                gold.append(await zone.ask("buy", 1))
                assert zone.slot is not None
                assert zone.replica.stat(zone.slot, "gold") == gold[-1][0], "the replica has the state behind an answer"
        assert gold == [(9,), (8,), (7,), (6,), (5,)]
        assert ticks == list(range(ticks[0], ticks[-1] + 1)), "no update is lost, and they are in order"


async def test_done_and_ask_work_while_another_task_iterates(open_server: OpenServer) -> None:
    server = await open_server(Market, hz=100)
    updates: list[client.Update] = []

    async def listen(zone: client.ZoneConnection) -> None:
        async for update in zone:
            updates.append(update)  # noqa: PERF401

    async with client.connect(HOST, server.port, name="ann") as zone:
        listening = asyncio.create_task(listen(zone))
        answers = await asyncio.gather(*(zone.ask("buy", 1) for _ in range(8)))
        assert sorted(answers) == [(gold,) for gold in range(2, 10)]
        assert all(await asyncio.gather(*(zone.done(zone.act("wave")) for _ in range(8))))
        await until(lambda: len(kinds(updates)) == 8)
        listening.cancel()
        assert [update.tick for update in updates] == list(range(updates[0].tick, updates[-1].tick + 1))
        assert [answered.values for update in updates for answered in update.answered] == answers


async def test_refused_action_raises_with_its_code(open_server: OpenServer) -> None:
    server = await open_server(Market, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        for refused in (zone.ask("buy", 11), zone.done(zone.act("buy", 11))):
            with pytest.raises(client.ActionRefusedError, match="TOO_DEAR: you have too little gold") as caught:
                await refused
            assert (caught.value.code, caught.value.text) == ("TOO_DEAR", "you have too little gold")
        assert isinstance(caught.value, client.ZoneError)
        assert await zone.ask("buy", 10) == (0,)


async def test_superseded_action_is_done_but_has_not_happened(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Market, hz=100)
    async with joined(fixture, "ann") as zone:
        seqs = [zone.act("walk", 1, 0), zone.act("wave"), zone.act("walk", 2, 0)]
        waiting = [asyncio.create_task(zone.done(seq)) for seq in seqs]
        await actions_received(fixture, 3)
        assert zone.unsettled == 3
        fixture.tick()
        assert await asyncio.gather(*waiting) == [False, True, True]
        assert [await zone.done(seq) for seq in seqs] == [False, True, True]
        assert zone.unsettled == 0


async def test_asking_for_a_public_action_raises_once_it_has_happened(open_server: OpenServer) -> None:
    server = await open_server(Market, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        with pytest.raises(ValueError, match="the action 'wave' is not private, so it has no answer"):
            await zone.ask("wave")
        assert zone.unsettled == 0


async def test_done_times_out_and_loses_nothing(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Market, hz=100)
    async with joined(fixture, "ann") as zone:
        seq = zone.act("wave")
        with pytest.raises(TimeoutError, match=r"the server has not told within 0\.05 s what became of action 1"):
            await zone.done(seq, timeout=0.05)
        await actions_received(fixture, 1)
        cancelled = asyncio.create_task(zone.ask("buy", 1))
        await actions_received(fixture, 2)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        fixture.tick()
        assert await zone.done(seq) is True
        updates = await updates_to(zone, fixture.zone.world.tick)
        assert kinds(updates) == ["wave"]
        assert [answered.values for answered in updates[-1].answered] == [(9,)]
        assert zone._asked == {}


async def test_done_of_an_action_that_was_never_sent_is_a_value_error(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Market, hz=100)
    async with joined(fixture, "ann") as zone:
        with pytest.raises(ValueError, match="there was no action 7 of late"):
            await zone.done(7)


async def test_done_raises_at_the_end_of_the_connection(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Market, hz=100)
    async with joined(fixture, "ann") as zone:
        waiting = asyncio.create_task(zone.done(zone.act("wave")))
        await asyncio.sleep(0)
        await fixture.gateway.close(10)
        with pytest.raises(client.ZoneClosedError, match="SERVER_STOPPING"):
            await waiting


async def test_whisper_reaches_one_player_alone(open_gateway: OpenGateway) -> None:
    fixture = await open_gateway(Market, hz=100)
    async with joined(fixture, "ann") as ann, joined(fixture, "bob") as bob, joined(fixture, "cid") as cid:
        seq = ann.act("whisper", bob.slot, "hi")
        await actions_received(fixture, 1)
        fixture.tick()
        last = [(await updates_to(zone, fixture.zone.world.tick))[-1] for zone in (ann, bob, cid)]
        assert [kinds([update]) for update in last] == [[], [], []]
        assert [[(told.kind, told.values) for told in update.told] for update in last] == [
            [],
            [("whisper", (ann.slot, "hi"))],
            [],
        ]
        assert [[(each.seq, each.values) for each in update.answered] for update in last] == [[(seq, ())], [], []]


async def test_program_that_only_asks_becomes_one_that_has_fallen_behind(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_READY_BYTES_MAX", 2_000)
    server = await open_server(Market, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        async with client.connect(HOST, server.port, name="bob"):
            for _ in range(20):
                assert await zone.done(zone.act("wave")) is True
        while zone.replica.slot("bob") is not None:
            assert await zone.done(zone.act("wave")) is True
        for _ in range(20):
            assert await zone.done(zone.act("wave")) is True
        assert len(zone._ready) < 20
        first = await anext(zone)
        assert (first.resynced, first.joined, first.left, first.events) == (True, {0: "ann"}, {}, [])


# --- What only a server that lies sends, or one at a bad moment -----------------------------------

WELCOME = length_prefixed(Welcome(2, 0, 0, zone_info(100, 100), 1024, 16).encode())


async def talk(cleanup: contextlib.AsyncExitStack, *messages: Any) -> int:
    """Start a server that sends these messages behind its WELCOME."""
    return await serve_bytes(cleanup, WELCOME + b"".join(length_prefixed(each.encode()) for each in messages), False)


def tick(number: int, *seqs: int) -> Tick:
    return Tick(number, 100, None, events=[(0, seq, "wave") for seq in seqs])


async def test_snapshot_and_mute_tell_the_fates(cleanup: contextlib.AsyncExitStack) -> None:
    column = [0]
    snapshot = Snapshot(9, ["ann"], *[column] * 5, [3], [])  # type: ignore[arg-type]
    muted = Refusal(9, 4, "MUTED", "too much"), Refusal(9, 5, "UNMUTED", "")
    first = Tick(1, 100, None, joins=[(0, "ann")])
    port = await talk(cleanup, first, tick(2, 1), snapshot, *muted, tick(10, 6))
    async with client.connect(HOST, port, name="ann") as zone:
        seqs = [zone.act("wave") for _ in range(6)]
        assert [await zone.done(seq) for seq in seqs[:3]] == [True, False, True]
        for seq in seqs[3:5]:
            with pytest.raises(client.ActionRefusedError, match="MUTED: too much"):
                await zone.done(seq)
        assert await zone.done(seqs[5]) is True


async def test_answer_ahead_of_the_end_is_returned(cleanup: contextlib.AsyncExitStack) -> None:
    port = await talk(cleanup)
    async with client.connect(HOST, port, name="ann", leave_timeout=0) as zone:
        asking = asyncio.create_task(zone.ask("quit"))
        await asyncio.sleep(0)
        # The frame of tick 5 never comes.
        for message in (Answered(5, 1, ("so long",)), Bye("RETIRED", "", False)):
            zone._receiver.data_received(length_prefixed(message.encode()))
        assert await asking == ("so long",)
        with pytest.raises(client.ZoneClosedError, match="RETIRED"):
            await anext(zone)


@pytest.mark.parametrize("message", [Told(1, "noise", (b"x" * 60_000,)), Answered(1, 7, (b"x" * 60_000,))])
async def test_private_messages_without_end_end_the_connection(
    cleanup: contextlib.AsyncExitStack, message: Told | Answered
) -> None:
    port = await talk(cleanup, *[message] * 400)
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneClosedError, match=r"PROTOCOL_ERROR: .* private messages came without a frame"):
            await anext(zone)
        assert not zone._private


async def test_error_of_the_server_reaches_the_iteration_behind_done(cleanup: contextlib.AsyncExitStack) -> None:
    wrong = Tick(2, 100, 0xBAD)
    port = await talk(cleanup, FIRST, wrong)
    async with client.connect(HOST, port, name="ann", leave_timeout=0) as zone:
        with pytest.raises(client.DivergedError):
            await zone.done(zone.act("wave"))
        assert (await anext(zone)).tick == 1
        with pytest.raises(client.DivergedError):
            await anext(zone)
