"""Servers that send garbage, too much or nothing: the C# client ends with a clear error, and stays bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import zlib

import pytest
from golden.document import PATH
from helpers.csharp import Driver
from helpers.waiting import until
from helpers.zone_connections import FIRST, WELCOME, serve_bytes

from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Op, Refusal, Tick

WARNED = length_prefixed(Refusal(1, 0, "WARNED", "x" * 900).encode())
# A TOLD of 300 KB.
LONG = length_prefixed(b"\x94\x17\x01\xa1k\x91\xc6" + (300_000).to_bytes(4) + bytes(300_000))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is it a zone server"),
        (b"\0\0\0\0", "a message of 0 bytes"),
        (length_prefixed(b"\xc1"), "no message"),
        (length_prefixed(FIRST.encode()), "before its WELCOME"),
        (length_prefixed(WELCOME) * 2, "a second WELCOME"),
        (length_prefixed(WELCOME) + length_prefixed(Tick(2, 100, None).encode()), "does not follow"),
        (length_prefixed(WELCOME) + length_prefixed(FIRST.encode()[:-1]), "cut short"),
        (
            length_prefixed(WELCOME) + length_prefixed(Refusal(1, 0, "WARNED", "x" * 900).encode()) * 9_000,
            "without a frame",
        ),
        (
            length_prefixed(WELCOME)
            + length_prefixed(b"\x94\x17\x01\xa1k\x91\xc6" + (300_000).to_bytes(4) + bytes(300_000)),
            "a message 23 of",
        ),
    ],
)
async def test_garbage_ends_the_connection_for_good(
    driver: Driver, cleanup: contextlib.AsyncExitStack, data: bytes, text: str
) -> None:
    port = await serve_bytes(cleanup, data, closes=False)
    ann = driver.join(f"127.0.0.1:{port}", name="ann")
    code, retry, why = await ann.until("closed")
    assert (code, retry) == ("PROTOCOL_ERROR", "False")
    assert "from the server: " in why
    assert text in why


async def test_no_server_and_a_silent_server_are_told(driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ann = driver.join(f"127.0.0.1:{port}", name="ann", timeout=0.1)
        assert (await ann.until("closed"))[::2] == [
            "CONNECTION_LOST",
            f"no answer from tcp://127.0.0.1:{port} within 0.1 s",
        ]
    bob, cid = (driver.join(f"{scheme}://127.0.0.1:{port}", name="bob") for scheme in ("tcp", "ws"))
    for client, text in (bob, "cannot connect to 127.0.0.1"), (cid, "cannot open a WebSocket at ws://127.0.0.1"):
        code, retry, why = await client.until("closed")
        assert (code, retry) == ("CONNECTION_LOST", "True")
        assert f"{text}:{port}" in why


@pytest.mark.parametrize("scheme", ["ws", "wss", "tls"])
async def test_connection_to_a_silent_server_is_closed_at_its_deadline(
    driver: Driver, cleanup: contextlib.AsyncExitStack, scheme: str
) -> None:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.read()
            ended.set()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    cleanup.callback(server.close)
    ann = driver.join(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", name="ann", timeout=0.2)
    assert "no answer" in (await ann.until("closed"))[2]
    await until(ended.is_set)


async def test_server_that_welcomes_and_sends_no_state_is_told(
    driver: Driver, cleanup: contextlib.AsyncExitStack
) -> None:
    port = await serve_bytes(cleanup, length_prefixed(WELCOME), closes=False)
    ann = driver.join(f"127.0.0.1:{port}", name="ann", timeout=0.2)
    assert (await ann.until("closed"))[::2] == [
        "CONNECTION_LOST",
        f"tcp://127.0.0.1:{port} has let this client in, but sends no state: is it overloaded?",
    ]


def deflated(data: bytes) -> str:
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(data) + packer.flush()
    return (bytes((0x92, Op.DEFLATED, 0xC6)) + len(packed).to_bytes(4) + packed).hex()


NUMBERS = b"\xdd" + (500_000).to_bytes(4) + b"\x01" * 500_000
# A TICK with so many leaves, joins and numbers in `placed`.
LARGE = (
    b"\x9c\x12\x01\x64\xc0"
    + NUMBERS * 2
    + b"\x94\xc4\x01\x01"
    + b"\xc4\0" * 3
    + b"\x93\xc4\x01\x01"
    + b"\xc4\0" * 2
    + NUMBERS
)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (deflated(bytes(17 * 2**20)), "inflates to more"),
        (deflated(b"\x91\x13"), "neither SNAPSHOT nor TICK"),
        (LARGE.hex(), "more than 1048576 elements"),
        ((b"\x96\x11\x01\xdd" + (600_000).to_bytes(4) + b"\xc0" * 600_000).hex(), "array of 600000"),
        ((b"\x96\x11\x01\xdd" + (0xFFFFFFFF).to_bytes(4)).hex(), "array of 4294967295"),
        ((b"\x94\x17\x01\xa1k" + b"\x91" * 100_000 + b"\xc0").hex(), "nested too deep"),
        ((b"\x94\x17\x01\xa1k\x91\xc6" + (0xFFFFFFFF).to_bytes(4)).hex(), "cut short"),
    ],
    ids=["a bomb", "another op", "many numbers", "many slots", "a long array", "deep arrays", "a long bin"],
)
def test_message_that_would_take_much_memory_is_refused(driver: Driver, payload: str, text: str) -> None:
    verdict, why = driver.ask("?read", payload)
    assert verdict == "refused"
    assert text in why


def test_mutated_messages_are_read_or_refused_and_nothing_else(driver: Driver) -> None:
    vectors = json.loads(PATH.read_text(encoding="utf-8"))
    chance = random.Random(7)
    verdicts = {"refused": 0, "read": 0}
    for chain in chance.sample(vectors["chains"], 6):
        steps = [bytes.fromhex(step["hex"]) for step in chain["steps"]]
        for _ in range(100):
            driver.ask("?new")
            driver.ask("?apply", chain["welcome"])
            for step in steps[:2]:
                mutated = bytearray(step)
                for _ in range(chance.randint(0, 3)):
                    at = chance.randrange(len(mutated))
                    mutated[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
                answer = driver.ask("?apply", mutated.hex())
                assert answer[0] != "failed", (mutated.hex(), answer)
                verdicts["refused" if answer[0] == "refused" else "read"] += 1
    assert min(verdicts.values()) > 50


async def test_a_program_that_does_not_poll_stops_the_reading(
    driver: Driver, cleanup: contextlib.AsyncExitStack
) -> None:
    transports: list[asyncio.Transport] = []

    class Sender(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transports.append(transport)
            for _ in range(600):
                transport.write(length_prefixed(bytes(60_000)))

    server = await asyncio.get_running_loop().create_server(Sender, "127.0.0.1", 0)
    cleanup.callback(server.close)
    driver.ask("?idle", "open", server.sockets[0].getsockname()[1])
    await until(lambda: driver.ask("?idle", "count") == ["64"])
    # The rest waits at the server, but for what the kernels of both ends hold.
    assert transports[0].get_write_buffer_size() > 16 * 2**20
    assert driver.ask("?idle", "count") == ["64"]
    driver.ask("?idle", "close")
    await until(transports[0].is_closing)
