"""Bots whose connection is lost come back, and their checks go on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from helpers.fake_loop import FakeLoop
from helpers.fake_transport import FakeTransport
from helpers.relay import Relay
from helpers.servers import OpenServer
from helpers.swarm_results import outcome
from helpers.tick_frames import FrameStream, NoReader
from hypothesis import given
from hypothesis import strategies as st
from zoneclient import line
from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.behaviours import Chatty
from zoneclient.connection import ZoneConnection
from zonetools.swarm import returns, worker
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.commands import Command, Measure, Stop
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Address, Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.worker import Worker

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_client
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import Act, Ping, Refusal, Resume, Return, Told, Welcome
from zoneserver.server import ZoneServer

PATIENCE_SECONDS = 30.0
TOKEN, LATER_TOKEN = b"a" * 16, b"b" * 16


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def run_swarm(server: ZoneServer, done: Any, bots: int = 3, **plan: Any) -> Tally:
    """Run bots against a server until `done(tally)`."""
    settings: dict[str, Any] = {"port": server.port, "ramp": 1000, "rate": 50, "mix": {"drops": 1}} | plan
    swarm, commands = Worker(Plan(bots=bots, **settings), 0), asyncio.Queue[Command]()
    running = asyncio.create_task(swarm.run(commands))
    try:
        await until(lambda: swarm.progress()["done"] or running.done())
        commands.put_nowait(Measure())
        await until(lambda: done(swarm.tally()) or running.done())
        commands.put_nowait(Stop())
        return await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def result_of(tally: Tally) -> dict[str, Any]:
    return report.summary(outcome(tally, plan=Plan(bots=tally.requested), superseded_server=None))


# --- Whole bots -----------------------------------------------------------------------------------


async def test_bots_that_drop_again_and_again_come_back_and_nothing_is_lost_or_doubled(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_FIRST_SECONDS", 0.05)
    server = await open_server(Plaza, hz=100)
    tally = await run_swarm(server, lambda tally: tally.resumed >= 15 and tally.resent >= 5, web=0.5)
    assert report.passed(result_of(tally)), result_of(tally)
    assert tally.drops >= tally.resumed == tally.away.total >= 15
    assert tally.closed["CONNECTION_LOST"] == tally.drops
    assert (tally.resumes_failed, tally.unanswered, tally.closed_early, tally.joined) == (0, 0, 0, 3)
    assert tally.joined_web == 2
    assert tally.answered and tally.refused["COOLDOWN"], "private messages were part of it"


async def test_bots_of_an_address_that_ends_come_back_at_the_other(
    open_server: OpenServer, cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_FIRST_SECONDS", 0.05)
    server = await open_server(Plaza, hz=100)
    ended, other = [await Relay(server.port).open(cleanup) for _ in range(2)]

    def done(tally: Tally) -> bool:
        if not ended.is_closed and tally.delivered > 100:
            ended.is_closed = True
            ended.reset()
        return tally.moved == 3 and tally.delivered > 200

    plan = {"mix": {"walker": 2, "chatty": 1}, "resume": True, "web": 0.5}
    others = (Address("127.0.0.1", other.port),)
    tally = await run_swarm(server, done, bots=6, port=ended.port, others=others, **plan)
    assert report.passed(result_of(tally)), result_of(tally)
    assert (tally.drops, tally.resumed, tally.moved, tally.unanswered) == (3, 3, 3, 0)
    first, second = tally.places.each
    assert (first.bots, first.joined, first.connected, first.drops, first.moved, first.away.total) == (3, 3, 0, 3, 3, 3)
    assert (second.bots, second.joined, second.connected, second.drops, second.returned) == (3, 3, 6, 0, 3)
    assert first.frames > 0 and first.frames + second.frames == tally.frames
    assert first.latency.total + second.latency.total <= tally.latency.total
    assert second.latency.total > 0


async def test_bots_that_roam_come_back_at_another_address_each_time(
    open_server: OpenServer, cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_FIRST_SECONDS", 0.05)
    server = await open_server(Plaza, hz=100)
    relays = [await Relay(server.port).open(cleanup) for _ in range(2)]
    plan = {"port": relays[0].port, "others": (Address("127.0.0.1", relays[1].port),), "roam": True}
    tally = await run_swarm(server, lambda tally: tally.resumed >= 6, **plan)
    assert report.passed(result_of(tally)), result_of(tally)
    assert tally.moved == tally.resumed >= 6


@given(addresses=st.integers(1, 5), data=st.data(), attempt=st.integers(0, 9), roams=st.booleans())
def test_bot_tries_its_own_address_first_then_another_then_any(
    addresses: int, data: st.DataObject, attempt: int, roams: bool
) -> None:
    place = data.draw(st.integers(0, addresses - 1))
    plan = Plan(others=tuple(Address("::1", port) for port in range(1, addresses)), roam=roams)
    found = {returns.next_place(plan, place, attempt) for _ in range(50)}
    assert found <= set(range(addresses))
    if addresses == 1 or (attempt == 0 and not roams):
        assert found == {place}
    elif attempt < 2:
        assert place not in found


async def test_bot_without_resume_does_not_come_back(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneclient.bots.behaviours.Drops.resumes", False)
    tally = await run_swarm(await open_server(Plaza, hz=100), lambda tally: tally.closed_early)
    assert tally.closed_early and not tally.drops
    assert not report.passed(result_of(tally))


async def test_bot_that_comes_back_too_late_fails_the_run(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line.random, "random", lambda: 1.0)
    server = await open_server(Plaza, hz=100, resume_seconds=0.05)
    tally = await run_swarm(server, lambda tally: tally.closed_early == 2, bots=2)
    assert (tally.drops, tally.resumed, tally.resumes_failed, tally.closed_early) == (2, 0, 2, 2)
    assert tally.closed == {"CONNECTION_LOST": 2, "RESUME_FAILED": 2}
    assert (tally.lost, tally.unanswered > 0) == (0, True), "the action after the drop has no fate"
    assert not report.passed(result_of(tally))


async def test_bot_gives_up_when_the_server_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returns, "AWAY_SECONDS_MAX", 0.2)
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    async with ZoneServer(Plaza, port=0, hz=100) as server:
        plan = {"mix": {"walker": 1}, "resume": True}
        running = asyncio.create_task(run_swarm(server, lambda tally: tally.closed_early == 2, bots=2, **plan))
        await until(lambda: server.stats().players == 2)
    tally = await running
    assert (tally.drops, tally.resumed, tally.resumes_failed) == (2, 0, 2)
    assert (tally.closed["SERVER_STOPPING"], tally.closed["CONNECTION_LOST"], tally.lost) == (2, 2, 0)


async def test_client_of_the_user_comes_back_and_is_counted(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[bool] = []

    async def client(zone: ZoneConnection) -> None:
        async for update in zone:
            if update.resumed:
                said.append(await zone.done(zone.act("say", "back")))
            elif len(said) < 2:
                zone._receiver.abort()

    monkeypatch.setattr(worker, "load_role", lambda _role: client)
    server = await open_server(Plaza, hz=100)
    tally = await run_swarm(server, lambda _: len(said) >= 2, bots=1, mix={"idle": 1}, resume=True)
    assert report.passed(result_of(tally)), result_of(tally)
    assert (tally.drops, tally.resumed, tally.away.total, tally.clients) == (2, 2, 2, 1)
    assert (tally.closed, said) == ({"CONNECTION_LOST": 2, "CLIENT_LEFT": 1}, [True, True])


async def test_client_of_the_user_that_comes_back_too_late_fails_the_run(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def client(zone: ZoneConnection) -> None:
        async for _ in zone:
            zone._receiver.abort()

    monkeypatch.setattr(worker, "load_role", lambda _role: client)
    monkeypatch.setattr(line.random, "random", lambda: 1.0)
    server = await open_server(Plaza, hz=100, resume_seconds=0.05)
    tally = await run_swarm(server, lambda tally: tally.closed_early, bots=1, mix={"idle": 1}, resume=True)
    assert (tally.drops, tally.resumed, tally.resumes_failed, tally.closed_early) == (1, 0, 1, 1)
    assert tally.closed == {"CONNECTION_LOST": 1, "RESUME_FAILED": 1}


# --- One bot, message by message ------------------------------------------------------------------


class Owner:
    """An owner of bots without connections: tests call `data_received`."""

    def __init__(self, stream: FrameStream) -> None:
        self.plan = Plan(bots=2, mix={"chatty": 1}, resume=True)
        self.frame_checker = stream.checker
        self.reader = NoReader()
        self.counts = ActionCounts()
        self.places = Places([Place()])
        self.stream = stream
        self.told: list[bytes] = []
        self.missed: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bot_told(self, payload: bytes) -> None:
        self.told.append(payload)

    def bot_missed(self, ticks: int) -> None:
        self.missed.append(ticks)

    def welcome(self, token: bytes, seq: int, slot: int = 0, epoch: int = 1) -> bytes:
        world = self.stream.zone.world
        resume = Return(token, 300, epoch, seq)
        return length_prefixed(Welcome(2, slot, world.tick, world.info, 1024, 16, ["resume"], resume).encode())

    def open(self, bot: SwarmBot) -> SwarmBot:
        bot.connection_made(FakeTransport(FakeLoop(), bot))
        return bot

    def join(self) -> SwarmBot:
        bot = self.open(SwarmBot(self, 0, Chatty()))
        bot.data_received(self.welcome(TOKEN, 0) + length_prefixed(self.stream.snapshot()))
        return bot


def sent(bot: SwarmBot) -> list[Any]:
    transport: Any = bot.transport
    payloads = Deframer(4096).receive(bytes(transport.kernel))
    return [message for payload in payloads if not isinstance(message := decode_client(payload), Ping)]


async def test_returning_bot_shows_its_token_and_tick_and_sends_again_what_was_never_taken() -> None:
    owner = Owner(FrameStream())
    bot = owner.join()
    bot.data_received(length_prefixed(owner.stream.payload()))
    first = bot.act("say", "one")
    for text in "two", "three":
        bot.act("say", text)
    again = owner.open(bot.successor())
    assert isinstance(resume := sent(again)[0], Resume)
    assert (resume.name, resume.token, resume.epoch, resume.tick) == (bot.name, TOKEN, 1, 2)
    again.data_received(owner.welcome(LATER_TOKEN, seq=first))
    assert sent(again)[1:] == [Act(first + 1, (("say", "two"), ("say", "three")))]
    assert again.act("say", "four") == first + 3
    assert (owner.counts.sent, owner.counts.resent, again.attempt.result()) == (4, 2, None)


async def test_private_messages_that_come_again_after_a_drop_count_once() -> None:
    owner = Owner(FrameStream())
    bot = owner.join()
    seq = bot.act("say", "one")
    private = [Refusal(3, seq, "NO", "").encode(), Told(4, "hint", [1]).encode(), Told(4, "hint", [1]).encode()]
    wire = [length_prefixed(payload) for payload in private]
    # The bot gets the frame of tick 2 and what belongs to the later ticks, and then a part of that again.
    bot.data_received(length_prefixed(owner.stream.payload()) + wire[0] + wire[1] + wire[2])
    for repetition in range(2):
        bot = owner.open(bot.successor())
        bot.data_received(owner.welcome(TOKEN, seq) + b"".join(wire[: repetition + 2]))
    bot.data_received(length_prefixed(owner.stream.payload()) + length_prefixed(owner.stream.payload()))
    assert (len(owner.told), owner.counts.refused, owner.counts.duplicated) == (2, {"NO": 1}, 0)
    # But behind the frame of their tick they are new.
    bot = owner.open(bot.successor())
    bot.data_received(owner.welcome(TOKEN, seq) + wire[0] + wire[1])
    assert (len(owner.told), owner.counts.duplicated) == (3, 1)


async def test_return_to_another_slot_fails() -> None:
    owner = Owner(FrameStream())
    again = owner.open(owner.join().successor())
    again.data_received(owner.welcome(TOKEN, 0, slot=1))
    again.connection_lost(None)
    bye = again.attempt.result()
    assert bye is not None
    assert (bye.code, bye.text) == (
        "PROTOCOL_ERROR",
        "from the server: the player who comes back is in slot 1, and was in slot 0",
    )


async def test_snapshot_of_a_return_counts_the_ticks_that_it_stands_for() -> None:
    owner = Owner(FrameStream())
    bot = owner.join()
    frames = [owner.stream.payload() for _ in range(5)]
    again = owner.open(bot.successor())
    again.data_received(owner.welcome(TOKEN, 0) + length_prefixed(owner.stream.snapshot()))
    assert (owner.missed, again.tick) == ([5], 6)
    again.data_received(length_prefixed(owner.stream.payload()))
    assert owner.stream.counts() == {"received": 1, "mismatched": 0, "gaps": 0, "diverged": 0}
    # Another bot comes back with all frames.
    whole = owner.open(bot.successor())
    whole.data_received(owner.welcome(TOKEN, 0) + b"".join(map(length_prefixed, frames)))
    assert (whole.tick, owner.missed) == (6, [5])
    assert owner.stream.counts() == {"received": 6, "mismatched": 0, "gaps": 0, "diverged": 0}


async def test_tick_that_a_restarted_server_tells_otherwise_is_a_mismatch() -> None:
    owner = Owner(FrameStream())
    bot = owner.join()
    before = owner.stream.snapshot()
    bot.data_received(length_prefixed(owner.stream.payload()))
    owner.frame_checker.grid = object()  # type: ignore[assignment]
    # A server that has forgotten tick 2 runs it again, with another action in it.
    other = FrameStream()
    other.zone.submit(0, 1, [("say", "hello")])
    again = owner.open(bot.successor())
    again.data_received(owner.welcome(TOKEN, 0, epoch=2) + length_prefixed(before) + length_prefixed(other.payload()))
    assert owner.stream.checker.mismatched == 1
    assert owner.frame_checker.grid is None, "its ticks are due at other times"
