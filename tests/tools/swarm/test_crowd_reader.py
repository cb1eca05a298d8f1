"""The sockets of many bots are read together, and no fault of the stream is missed."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from helpers.tick_frames import FrameStream, changed
from helpers.waiting import until
from zoneclient.bots.action_tracker import ActionCounts
from zoneclient.bots.behaviours import Idle
from zonetools.swarm import crowd_reader
from zonetools.swarm.bot import SwarmBot
from zonetools.swarm.crowd_reader import CrowdReader
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.plan import Plan

from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Bye, Refusal, Welcome

_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.fixture(autouse=True)
def _quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_reader, "_ROUND_SECONDS_MAX", 0.01)


class Owner:
    """An owner of bots with real connections to the sockets in `servers`."""

    def __init__(self) -> None:
        self.stream = FrameStream()
        self.plan = Plan(bots=9, mix={"idle": 1})
        self.frame_checker = self.stream.checker
        self.reader = CrowdReader(lambda: None)
        self.counts = ActionCounts()
        self.places = Places([Place()])
        self.bots: list[SwarmBot] = []
        self.servers: list[socket.socket] = []
        self.byes: dict[int, Bye] = {}
        self.listener = socket.create_server(("127.0.0.1", 0))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def bot_closed(self, bot: SwarmBot, bye: Bye) -> None:
        self.byes[bot.number] = bye

    async def join(self, number: int) -> None:
        bot = SwarmBot(self, number, Idle())
        await bot.loop.create_connection(lambda: bot, *self.listener.getsockname())
        theirs, _ = self.listener.accept()
        world = self.stream.zone.world
        welcome = Welcome(2, number, world.tick, world.info, 1024, 16)
        theirs.sendall(length_prefixed(welcome.encode()) + length_prefixed(self.stream.snapshot()))
        self.bots.append(bot)
        self.servers.append(theirs)
        await until(lambda: bot.tick == world.tick)

    async def send_frame(self) -> None:
        """Send the next frame to all bots, which then only watch, and wait until they have read it."""
        frame = length_prefixed(self.stream.payload())
        for server in self.servers:
            server.sendall(frame)
        await until(lambda: all(bot.tick == self.stream.zone.world.tick for bot in self.bots))

    def counted(self) -> dict[str, int]:
        counts = self.stream.counts()
        counts["broken"] = len(self.byes)
        return {name: count for name, count in counts.items() if count and name != "received"}


@contextlib.asynccontextmanager
async def owner_of(bots: int) -> AsyncIterator[Owner]:
    owner = Owner()
    try:
        for number in range(bots):
            await owner.join(number)
        yield owner
    finally:
        for bot in owner.bots:
            if not bot.is_lost:
                bot.abort()
        await until(lambda: all(bot.is_lost for bot in owner.bots))
        owner.reader.close()
        for server in (owner.listener, *owner.servers):
            server.close()


def altered(frames: list[bytes]) -> list[bytes]:
    return [frames[0], changed(frames[1], dilation_percent=99), *frames[2:]]


def missing(frames: list[bytes]) -> list[bytes]:
    return [frames[0], *frames[2:]]


def doubled(frames: list[bytes]) -> list[bytes]:
    return [frames[0], frames[1], frames[1], *frames[2:]]


def reordered(frames: list[bytes]) -> list[bytes]:
    return [frames[0], frames[2], frames[1], *frames[3:]]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one read"])
@pytest.mark.parametrize(
    ("fault", "faults"),
    [
        (list, {}),
        (altered, {"mismatched": 1}),
        (missing, {"gaps": 1}),
        (doubled, {"gaps": 1}),
        (reordered, {"gaps": 3}),
    ],
)
async def test_crowd_reader_finds_a_fault_of_one_stream(
    fault: Callable[[list[bytes]], list[bytes]], faults: dict[str, int], together: bool
) -> None:
    async with owner_of(3) as owner:
        frames = [owner.stream.payload() for _ in range(6)]
        # The first bot takes the frames apart; the others only compare.
        for number, server in enumerate(owner.servers):
            sent = [length_prefixed(frame) for frame in (fault(frames) if number == 2 else frames)]
            for data in [b"".join(sent)] if together else sent:
                before = owner.bots[number].received_bytes
                server.sendall(data)
                await until(lambda: owner.bots[number].received_bytes == before + len(data))  # noqa: B023
        assert owner.counted() == faults
        assert [bot.tick for bot in owner.bots] == [7, 7, 7]


async def test_private_message_between_frames_is_read_and_the_frames_are_checked() -> None:
    async with owner_of(2) as owner:
        frames = [length_prefixed(owner.stream.payload()) for _ in range(4)]
        refusal = length_prefixed(Refusal(3, 77, "NO", "not here").encode())
        owner.servers[0].sendall(b"".join(frames))
        await until(lambda: owner.bots[0].tick == 5)
        data = frames[0] + refusal + b"".join(frames[1:])
        # Cut in the middle of the refusal, and in the middle of a frame.
        for part in (data[: len(frames[0]) + 9], data[len(frames[0]) + 9 : -7], data[-7:]):
            before = owner.bots[1].received_bytes
            owner.servers[1].sendall(part)
            await until(lambda: owner.bots[1].received_bytes == before + len(part))  # noqa: B023
        assert owner.bots[1].tick == 5
        assert owner.counts.duplicated == 1, "the refusal is of an action that was never sent"
        assert owner.counted() == {}


async def test_end_and_reset_of_a_connection_reach_the_bot() -> None:
    async with owner_of(3) as owner:
        owner.servers[0].close()
        owner.servers[1].setsockopt(*_RESET_ON_CLOSE)
        owner.servers[1].close()
        await until(lambda: len(owner.byes) == 2)
        assert {number: bye.code for number, bye in owner.byes.items()} == dict.fromkeys(range(2), "CONNECTION_LOST")
        assert "reset by peer" in owner.byes[1].text
        # The descriptors of the lost ones may be those of others by now.
        owner.servers[2].sendall(length_prefixed(owner.stream.payload()))
        await until(lambda: owner.bots[2].tick == 2)
        owner.bots[2].drop()
        await until(lambda: owner.bots[2].is_lost)
        assert not owner.reader._bots


async def test_bot_that_is_deaf_for_a_while_reads_nothing() -> None:
    async with owner_of(2) as owner:
        owner.bots[1].drop(0.1)
        for server in owner.servers:
            server.sendall(length_prefixed(owner.stream.payload()))
        await until(lambda: owner.bots[1].is_lost)
        assert [bot.tick for bot in owner.bots] == [2, 1]


async def test_bot_that_waits_is_read_at_once_and_one_that_watches_with_several_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with owner_of(3) as owner:
        reader = owner.reader
        reader._round_seconds = 3600.0
        await owner.send_frame()
        (number,) = reader._waiting  # One bot is always read at once.
        others = [bot for bot in owner.bots if bot is not reader._bots[number]]
        acting, watching = others
        acting.act("say", "hello")
        frames = [length_prefixed(owner.stream.payload()) for _ in range(3)]
        for tick, frame in enumerate(frames, 3):
            for server in owner.servers:
                server.sendall(frame)
            await until(lambda: acting.tick == tick)  # noqa: B023
        assert watching.tick == 2
        reads, read = list[int](), watching.read

        def counting(buffer: bytearray, size: int) -> None:
            reads.append(size)
            read(buffer, size)

        monkeypatch.setattr(watching, "read", counting)
        # The action has an outcome, so that its bot only watches from now on.
        acting_server, watching_server = (owner.servers[bot.number] for bot in others)
        acting_server.sendall(length_prefixed(Refusal(6, acting.next_seq - 1, "NO", "").encode()))
        await until(lambda: len(reader._waiting) == 1)
        # The end of a connection is read at once, and all that came before it.
        watching_server.close()
        await until(lambda: watching.is_lost)
        assert (watching.tick, reads) == (5, [len(b"".join(frames))])
        assert owner.counted() == {"broken": 1}
        # If that one bot leaves, another one takes its place.
        (number,) = reader._waiting
        (left,) = (bot for bot in owner.bots if bot not in (watching, reader._bots[number]))
        reader._bots[number].drop()
        await until(lambda: [reader._bots[each] for each in reader._waiting] == [left])


async def test_watching_bots_are_read_more_often_if_too_much_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd_reader, "_WAITING_BYTES_MAX", 8)
    async with owner_of(2) as owner:
        reader = owner.reader
        await owner.send_frame()
        reader._round_seconds, reader._tick_seconds = 0.08, 0.03
        seen = []
        for _ in range(3):
            await owner.send_frame()
            seen.append(reader._round_seconds)
        assert seen == [0.04, 0.03, 0.03]
