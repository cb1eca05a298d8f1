"""A server that sends far more than any honest one: the client's memory stays bounded, and the error names it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from array import array
from typing import Any

import msgpack
import pytest
import zoneclient as client
from helpers.waiting import until
from helpers.worlds import zone_info
from helpers.zone_connections import FIRST, HOST, WELCOME, serve_bytes

from zoneserver.protocol import decoding
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import WireError, decode_server
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import DEFLATE, Deflated, Op, Refusal, Snapshot, Tick, Welcome


async def test_refusals_without_end_end_the_connection(cleanup: contextlib.AsyncExitStack) -> None:
    refusal = length_prefixed(Refusal(1, 0, "WARNED", "slower, please").encode())
    port = await serve_bytes(cleanup, length_prefixed(WELCOME) + refusal * 50_000, closes=False)
    async with client.connect(HOST, port, name="ann") as zone:
        with pytest.raises(client.ZoneError, match=r"PROTOCOL_ERROR: .* came without a frame"):
            await anext(zone)
        assert not zone._private
        assert not zone._receiver.waiting


async def test_refusals_that_wait_for_the_program_stop_the_reading(cleanup: contextlib.AsyncExitStack) -> None:
    refusal = length_prefixed(Refusal(1, 0, "WARNED", "x" * 60_000).encode())
    port = await serve_bytes(cleanup, length_prefixed(WELCOME) + refusal * 400, closes=False)
    async with client.connect(HOST, port, name="ann") as zone:
        await until(lambda: zone._receiver._is_paused)
        assert zone._receiver.waiting_bytes < 6 * 1024 * 1024


async def test_deflated_frames_wait_as_they_came_and_leave_other_tasks_their_turn(
    cleanup: contextlib.AsyncExitStack,
) -> None:
    welcome = Welcome(2, 0, 0, zone_info(100, 100), 1024, 16, (DEFLATE,))
    ticks = 40
    noise = [(None, None, "noise", b"x" * 60_000)] * 32
    payloads = (dataclasses.replace(FIRST, tick=tick, events=noise).encode() for tick in range(1, ticks + 1))
    frames = b"".join(length_prefixed(Deflated(deflate(payload)).encode()) for payload in payloads)
    assert len(frames) < 4 * 1024 * 1024
    port = await serve_bytes(cleanup, length_prefixed(welcome.encode()) + frames, closes=False)
    async with client.connect(HOST, port, name="ann", deflate=True) as zone:
        await until(lambda: len(zone._receiver.waiting) == ticks)
        assert zone._receiver.waiting_bytes <= len(frames) + ticks * 256
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count_turns())
        assert [(await anext(zone)).tick for _ in range(ticks)] == list(range(1, ticks + 1))
        counting.cancel()
        assert turns >= ticks


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        FIRST.encode()[:-1],
        Snapshot(1, ["ann"], *[[0]] * 6, [[1]]).encode(),  # type: ignore[arg-type,list-item]
        Tick(1, 100, None, movers=[7], seqs=[1], vx=[1], vy=[1]).encode(),
        Tick(1, 100, None, stats=[0, 9, 2**40]).encode(),
        Tick(1, 100, None, joins=[(0, 1)]).encode(),
        Tick(1, 100, None, joins=[(0, "ann"), (0, "bob")]).encode(),
        Tick(1, 100, None, board=[0, 1]).encode(),
        FIRST.encode()[:-1] + b"\x91\x94\xc0\xc0\xa1k\x80",
        b"\x94\x14\x01\x01\x01",
        b"\x94\x17\x01\xa1k\x80",
    ],
    ids=[
        *("no message", "cut short", "a snapshot with another stat", "a mover who is not there", "a stat out of range"),
        *("an unknown kind", "a slot taken twice", "an entry that no board has", "a map in an event"),
        *("a refusal without its text", "a map in place of the values that are told"),
    ],
)
@pytest.mark.parametrize("deflated", [False, True])
async def test_every_wrong_frame_is_a_zone_error(
    cleanup: contextlib.AsyncExitStack, payload: bytes, deflated: bool
) -> None:
    welcome = Welcome(2, 0, 0, zone_info(100, 100), 1024, 16, (DEFLATE,)).encode()
    sent = Deflated(deflate(payload)).encode() if deflated else payload
    port = await serve_bytes(cleanup, length_prefixed(welcome) + length_prefixed(sent))
    async with client.connect(HOST, port, name="ann", deflate=deflated) as zone:
        with pytest.raises(client.ZoneError, match="PROTOCOL_ERROR: from the server"):
            await anext(zone)


def large(element: bytes) -> bytes:
    """Return a TICK of this element eleven times."""
    return b"\x9c" + bytes([Op.TICK]) + element * 11


def welcome_of(kinds: list[Any]) -> bytes:
    """Return a WELCOME of these kinds."""
    packed: bytes = msgpack.packb([Op.WELCOME, 2, 0, 0, ["g", ""], [20, 1, 1, 20], kinds, [], [1024, 16], [], None])
    return packed


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (large(b"\xdd" + (500_000).to_bytes(4) + b"\x91\x01" * 500_000), "more than 1,048,576 elements"),
        (large(b"\xdd" + (500_000).to_bytes(4) + b"\xcd\x10\x01" * 500_000), "more than 1,048,576 elements"),
        (large(b"\xdd" + (600_000).to_bytes(4) + b"\x01" * 600_000), "exceeds max_array_len"),
        (welcome_of([["player", [["s", 1]] * 900_000]]), "not a message"),
        (welcome_of([["player", [["s", 1]] * 257]]), "at most 256 stats"),
        (welcome_of([["player", []]] * 257), "1 to 256 kinds"),
    ],
    ids=["arrays of one element", "numbers", "one array", "a welcome of megabytes", "many stats", "many kinds"],
)
def test_message_that_decodes_to_much_more_memory_is_rejected(payload: bytes, message: str) -> None:
    with pytest.raises(WireError, match=message):
        decode_server(payload)


def test_largest_frames_of_an_honest_server_are_decoded() -> None:
    players = 65_536
    column = array("i", bytes(4 * players))
    small, large = array("b", bytes(players)), array("I", bytes(4 * players))
    names = [f"a player of the zone {slot % 100}" for slot in range(players)]
    snapshot = Snapshot(1, names, column, column, small, small, large, array("B", bytes(players)), [column] * 4)
    assert decode_server(snapshot.encode()).tick == 1  # type: ignore[union-attr]
    events = [
        (slot, 1, "say", "what a crowd today, and what a day for it to come together here") for slot in range(20_000)
    ]
    placed = [value for slot in range(players) for value in (slot, 70_000, 70_000, 0, 0)]
    moved = list(range(10_000)), [1] * 10_000, [1] * 10_000, [1] * 10_000
    tick = Tick(1, 100, 5, [], [], *moved, placed=placed, events=events)
    payload = tick.encode()
    assert len(payload) > decoding._ELEMENTS_MAX
    assert decode_server(payload).events[-1][0] == 19_999  # type: ignore[union-attr]
