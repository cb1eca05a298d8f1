"""The command `python -m zoneclient`, as two people use it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import Awaitable, Callable

import pytest
from helpers.servers import OpenServer
from zoneclient.__main__ import main

from zoneserver.games.chat import Chat

PATIENCE_SECONDS = 30.0


class Console:
    """A process of `python -m zoneclient`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def reads(self, line: str) -> None:
        """Return when this line was printed."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (read := (await self.process.stdout.readline()).decode()) != f"{line}\n":
                assert read, f"{line!r} was never printed"

    async def warns(self, pattern: str) -> None:
        """Return when a line that matches was printed to the standard error."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not re.fullmatch(pattern.replace("(", r"\(").replace(")", r"\)"), await self._warning()):
                pass

    async def _warning(self) -> str:
        assert self.process.stderr is not None
        line = (await self.process.stderr.readline()).decode()
        assert line, "the standard error has ended"
        return line.rstrip("\n")

    async def ended(self) -> tuple[int | None, str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


OpenConsole = Callable[[str, int], Awaitable[Console]]


@pytest.fixture
def open_console(cleanup: contextlib.AsyncExitStack) -> OpenConsole:
    """Open consoles that are closed at the end of the test."""

    async def close(process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.communicate()

    async def open_console(name: str, port: int) -> Console:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "zoneclient", name, "--port", str(port)), stdin=pipe, stdout=pipe, stderr=pipe
        )
        cleanup.push_async_callback(close, process)
        return Console(process)

    return open_console


async def test_two_people_chat(open_server: OpenServer, open_console: OpenConsole) -> None:
    server = await open_server(Chat)
    ann = await open_console("ann", server.port)
    await ann.reads("[topic] 'anything'")
    bob = await open_console("bob", server.port)
    await bob.reads("[topic] 'anything'")
    await ann.reads("* bob is here")
    ann.type("hello, bob")
    await bob.reads("ann: hello, bob")
    bob.type("/change_topic 'the weather'")
    await ann.reads("bob: change_topic 'the weather'")
    bob.type("/fly 3")
    await bob.reads("! UNKNOWN_ACTION: there is no action 'fly'")
    bob.type("/fly high")
    bob.process.stdin.close()  # type: ignore[union-attr]
    code, err = await bob.ended()
    assert (code, "texts" in err) == (0, True)
    await ann.reads("* bob has left")
    await server.stop()
    await ann.warns("connection lost (SERVER_STOPPING), coming back ...")
    ann.process.send_signal(signal.SIGINT)
    assert await ann.ended() == (130, "")


async def test_console_comes_back_and_says_so(open_server: OpenServer, open_console: OpenConsole) -> None:
    server = await open_server(Chat, resume_seconds=0.5)
    ann = await open_console("ann", server.port)
    await ann.reads("[topic] 'anything'")
    for session in list(server.gateway._connections):
        session.abort()
    await ann.warns("connection lost (CONNECTION_LOST), coming back ...")
    await ann.warns(r"back after \d\.\d s, 0 ticks missed")
    ann.type("hello")
    await ann.reads("ann: hello")
    ann.process.send_signal(signal.SIGSTOP)
    for session in list(server.gateway._connections):
        session.abort()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while server.gateway.counters.drops_total < 2 or server.gateway.parked:
            await asyncio.sleep(0.01)
    ann.process.send_signal(signal.SIGCONT)
    code, err = await ann.ended()
    assert (code, "zone-client: RESUME_FAILED: the player is not in the zone any more" in err) == (1, True)
    assert err.endswith(f"join again with zone-client ann --port {server.port}\n")


async def test_piped_lines_are_heard_and_told_before_the_console_leaves(
    open_server: OpenServer, open_console: OpenConsole
) -> None:
    server = await open_server(Chat)
    ann = await open_console("ann", server.port)
    await ann.reads("[topic] 'anything'")
    eve = await open_console("eve", server.port)
    assert eve.process.stdin is not None
    eve.process.stdin.write(b"hello\n/fly 3")
    eve.process.stdin.close()
    await ann.reads("eve: hello")
    await eve.reads("! UNKNOWN_ACTION: there is no action 'fly'")
    assert (await eve.ended())[0] == 0
    await ann.reads("* eve has left")


async def test_interrupt_leaves_the_zone_without_an_error_message(
    open_server: OpenServer, open_console: OpenConsole
) -> None:
    server = await open_server(Chat)
    ann = await open_console("ann", server.port)
    await ann.reads("[topic] 'anything'")
    ann.process.send_signal(signal.SIGINT)
    code, err = await ann.ended()
    assert (code, len(err.splitlines())) == (130, 1)
    assert server.stats().closes == {"CLIENT_LEFT": 1}


async def test_rejected_name_is_reported_in_one_line(open_server: OpenServer, open_console: OpenConsole) -> None:
    console = await open_console("a\tb", (await open_server(Chat)).port)
    assert await console.ended() == (
        3,
        (
            "zone-client: BAD_NAME: a name must have 1 to 24 visible characters, no space at either end, "
            "and no mark at the start\n"
        ),
    )


def test_missing_server_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ann", "--port", "1"]) == 3
    assert capsys.readouterr().err == "zone-client: no server listens on 127.0.0.1:1: is it running?\n"
