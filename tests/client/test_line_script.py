"""Coming back to a server that follows a script: what no honest server does every day."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import Any

import pytest
import zoneclient as client
from golden.messages import snapshot
from helpers.waiting import until
from helpers.worlds import zone_info
from zoneclient import line

from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import decode_client
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import (
    Act,
    Answered,
    Bye,
    Deflated,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Resume,
    Return,
    Snapshot,
    Tick,
    Told,
    Welcome,
)

HOST = "127.0.0.1"
ZONE = zone_info(100, 100, name="made up")


def welcome(tick: int, seq: int = 0, token: bytes = b"a" * 16, epoch: int = 1, zone: Any = ZONE) -> Welcome:
    return Welcome(2, 0, tick, zone, 1024, 16, ["resume"], Return(token, 300, epoch, seq))


def state(tick: int, seq: int = 0) -> Snapshot:
    return snapshot(tick, ["ann"], {0: (0, 0, 0, 0, tick, seq)}, 0)


class Script:
    """A server that sends one script for each connection, behind HELLO or RESUME. None closes the connection."""

    def __init__(self, *scripts: list[Any]) -> None:
        self.port = 0
        self.scripts = list(scripts)
        self.received: list[Any] = []
        self.connections: list[Connection] = []

    def acts(self) -> list[Act]:
        return [message for message in self.received if isinstance(message, Act)]

    def say(self, *messages: Any) -> None:
        """Sends more on the newest connection."""
        self.connections[-1].say(list(messages))


class Connection(asyncio.Protocol):
    def __init__(self, script: Script) -> None:
        self.script = script
        self.deframer = Deframer(1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.script.connections.append(self)

    def data_received(self, data: bytes) -> None:
        for payload in self.deframer.receive(data):
            message = decode_client(payload)
            self.script.received.append(message)
            if isinstance(message, Hello | Resume):
                self.say(self.script.scripts.pop(0))
            elif isinstance(message, Goodbye):
                self.transport.close()

    def say(self, messages: list[Any]) -> None:
        for message in messages:
            if message is None:
                self.transport.close()
            else:
                payload = message if isinstance(message, bytes) else message.encode()
                self.transport.write(length_prefixed(payload))


@contextlib.asynccontextmanager
async def playing(*scripts: list[Any], **settings: Any) -> Any:
    """A server with these scripts, and a client that may come back."""
    script = Script(*scripts)
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(script), HOST, 0)
    port = listener.sockets[0].getsockname()[1]
    settings = {"name": "ann", "resume": True, "leave_timeout": 0} | settings
    try:
        async with client.connect(HOST, port, **settings) as zone:
            yield script, zone
    finally:
        listener.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(line, "_LAST_SECONDS", 0.0)


async def test_resume_says_the_newest_tick_also_of_what_waits_for_the_program() -> None:
    waiting = [Tick(6, 100, None), Deflated(deflate(Tick(7, 100, None).encode())), Told(8, "hi", [1]), None]
    async with playing(
        [welcome(5), state(5), *waiting], [welcome(9), Told(8, "hi", [1]), Tick(8, 100, None)], deflate=True, whole=True
    ) as (script, zone):
        await until(lambda: len(script.received) > 1)
        resume = script.received[1]
        assert resume == Resume(2, "ann", b"a" * 16, 1, 7, ("deflate", "resume", "whole"))
        updates = [await anext(zone) for _ in range(4)]
        assert [update.tick for update in updates] == [5, 6, 7, 8]
        assert [update.resumed for update in updates] == [False, False, False, True]
        assert [len(update.told) for update in updates] == [0, 0, 0, 1]


async def test_private_messages_that_come_again_count_once() -> None:
    nan = math.nan
    before = [Refusal(6, 1, "NO", ""), Told(6, "hi", [nan]), Told(6, "hi", [nan]), Refusal(5, 0, "WARNED", "")]
    again = [Refusal(6, 1, "NO", ""), Told(6, "hi", [nan]), Told(6, "hi", [nan]), Told(7, "hi", [nan])]
    async with playing([welcome(5), state(5), *before, None], [welcome(7), *again, state(7)]) as (_, zone):
        assert (await anext(zone)).tick == 5
        update = await anext(zone)
        assert [refusal.code for refusal in update.refused] == ["NO", "WARNED"]
        assert [told.tick for told in update.told] == [6, 6, 7]
        assert (update.resumed, update.missed) == (True, 2)


async def test_zone_that_begins_again_at_an_earlier_tick_takes_the_clock_back() -> None:
    async with playing(
        [welcome(500), state(500), Told(501, "hi", []), None], [welcome(400, epoch=2, seq=1), state(400)]
    ) as (script, zone):
        await anext(zone)
        assert zone.now() >= 500
        update = await anext(zone)
        assert (update.tick, update.resumed, update.missed, len(update.told)) == (400, True, 0, 1)
        assert 400 <= zone.now() < 450
        seq = zone.act("wave")
        assert seq == 2
        script.say(Answered(401, seq, []), Tick(401, 100, None))
        assert await zone.done(seq) is True, "it does not wait for the tick of what was told before"


async def test_snapshot_of_an_earlier_tick_takes_the_clock_back_within_a_connection() -> None:
    async with playing([welcome(500), state(500), Tick(501, 50, None), state(100)]) as (_, zone):
        updates = [await anext(zone) for _ in range(3)]
        assert [update.missed for update in updates] == [0, 0, 0]
        assert 100 <= zone.now() < 150


async def test_answers_that_are_lost_are_given_up_a_second_after_the_return() -> None:
    zone_of_two_hertz = zone_info(100, 100, name="made up", hz=2)
    async with playing(
        [welcome(5, zone=zone_of_two_hertz), state(5)],
        [welcome(6, seq=3, zone=zone_of_two_hertz), Tick(6, 100, None), Tick(7, 100, None)],
    ) as (script, zone):
        asking = asyncio.create_task(zone.ask("add", 1))
        await until(lambda: zone.unsettled)
        seqs = [zone.act("wave") for _ in range(3)]
        zone.flush()
        await until(script.acts)
        script.say(None)
        while (await anext(zone)).tick < 7:
            assert zone.unsettled == 4
        await until(lambda: script.acts()[-1] == Act(4, (("wave",),)))
        script.say(Tick(8, 100, None))
        assert (await anext(zone)).tick == 8
        assert zone.unsettled == 1
        assert [await zone.done(seq) for seq in seqs[:2]] == [False, False]
        with pytest.raises(TimeoutError, match="the answer to action 1 was lost with the connection"):
            await asking
        script.say(Tick(9, 100, None, events=[(0, 4, "wave")]))
        assert await zone.done(seqs[2]) is True


async def test_another_game_after_a_restart_is_seen_by_a_new_replica() -> None:
    bigger = zone_info(200, 300, name="made up", version="2")
    async with playing([welcome(5), state(5), None], [welcome(6, epoch=2, zone=bigger), state(6)]) as (_, zone):
        await anext(zone)
        update = await anext(zone)
        assert (update.joined, update.left, zone.game_version) == ({}, {}, "2")
        assert zone.replica.world.info == bigger


async def test_return_to_another_slot_is_an_error() -> None:
    elsewhere = Welcome(2, 1, 6, ZONE, 1024, 16, ["resume"], Return(b"b" * 16, 300, 1, 0))
    async with playing([welcome(5), state(5), None], [elsewhere]) as (_, zone):
        await anext(zone)
        with pytest.raises(client.ZoneClosedError, match=r"PROTOCOL_ERROR: .* another slot"):
            await anext(zone)


async def test_broken_message_before_the_drop_ends_the_return() -> None:
    async with playing([welcome(5), state(5), Tick(9, 100, None), None], *[[None]] * 1000) as (_, zone):
        await anext(zone)
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server: the frame of tick 9"):
            await anext(zone)
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server: the frame of tick 9"):
            zone.act("wave")


async def test_undecodable_message_before_the_drop_is_an_error() -> None:
    async with playing([welcome(5), state(5), b"\x9c\x12nonsense", None]) as (script, zone):
        await anext(zone)
        with pytest.raises(client.ZoneClosedError, match="PROTOCOL_ERROR: from the server"):
            await anext(zone)
        assert len(script.connections) == 1


@pytest.mark.parametrize("code", ["SERVER_FULL", "TOO_MANY_CONNECTIONS", "SERVER_STOPPING", "SERVER_RESTARTING"])
async def test_attempt_that_finds_no_room_is_followed_by_another(code: str) -> None:
    busy = [Bye(code, "", True), None]
    async with playing([welcome(5), state(5), None], busy, [None], [welcome(5), Tick(6, 100, None)]) as (_, zone):
        assert [(await anext(zone)).tick for _ in range(2)] == [5, 6]


@pytest.mark.parametrize(
    "code", ["SLOW_CONSUMER", "INTERNAL_ERROR", "SERVER_STOPPING", "SERVER_RESTARTING", "CONNECTION_LOST"]
)
async def test_client_comes_back_after_a_close_that_is_no_fault_of_its_own(code: str) -> None:
    async with playing([welcome(5), state(5), Bye(code, "", True), None], [welcome(5), Tick(6, 100, None)]) as (
        _,
        zone,
    ):
        assert [(await anext(zone)).tick for _ in range(2)] == [5, 6]


@pytest.mark.parametrize("code", ["BANNED", "FLOOD", "REPLACED", "FULL_OF_BEES"])
@pytest.mark.parametrize("is_back", [False, True])
async def test_client_does_not_come_back_after_any_other_close(code: str, is_back: bool) -> None:
    end = [Bye(code, "", True), None]
    scripts = [[welcome(5), state(5), None], end] if is_back else [[welcome(5), state(5), *end]]
    async with playing(*scripts) as (script, zone):
        await anext(zone)
        with pytest.raises(client.ZoneClosedError, match=code):
            await anext(zone)
        assert not zone.is_away
        assert len(script.connections) == len(scripts)


async def test_ping_is_answered_by_the_next_connection() -> None:
    async with playing([welcome(5), state(5)], [welcome(5)]) as (script, zone):
        pinging = asyncio.create_task(zone.ping())
        await asyncio.sleep(0)
        script.say(None)
        pings = [Ping(1), Ping(2)]  # The regular one and ours.
        await until(lambda: script.received[-2:] == pings and len(script.connections) == 2 and not zone.is_away)
        script.say(*(Pong(ping.token, 5, 0) for ping in pings))
        assert await pinging >= 0


async def test_waits_grow_while_the_server_ends_each_connection_behind_its_welcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[int] = []

    async def pause(attempt: int) -> None:
        waits.append(attempt)

    monkeypatch.setattr(line, "pause", pause)
    ended = [welcome(5), state(5), Bye("INTERNAL_ERROR", "", True), None]
    async with playing(ended, ended, ended, [welcome(5), state(5)]) as (script, zone):
        await until(lambda: len(script.connections) == 4 and not zone.is_away)
        assert waits == [0, 1, 2]
        script.scripts = [[welcome(6), state(6)]]
        zone._receiver._held_at = 0.0  # The connection has held for long.
        script.say(Pong(next(each for each in reversed(script.received) if isinstance(each, Ping)).token, 5, 0))
        await until(lambda: zone.rtt is not None)
        script.say(None)
        await until(lambda: len(script.connections) == 5)
        assert waits[3:] == [0]
