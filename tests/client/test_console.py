"""A player at a console, as two people use it; and bots of one's own, in a game that is not the demo."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from helpers.servers import OpenServer
from zoneclient.__main__ import main, parse_line, update_lines
from zoneclient.connection import Event, Update

from zoneserver.games.chat import Chat
from zoneserver.games.tag import Tag
from zoneserver.protocol.messages import Refusal

PATIENCE_SECONDS = 30.0


class Console:
    """`python -m zoneclient`, at which somebody types."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())

    async def reads(self, line: str) -> None:
        """Returns when this line has come."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (read := (await self.process.stdout.readline()).decode()) != f"{line}\n":
                assert read, f"{line!r} never came"

    async def ended(self) -> tuple[int | None, str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, err = await self.process.communicate()
        return self.process.returncode, err.decode()


OpenConsole = Callable[[str, int], Awaitable[Console]]


@pytest.fixture
def open_console(cleanup: contextlib.AsyncExitStack) -> OpenConsole:
    """Consoles that are closed when the test is over."""

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
    await ann.reads("*: topic ('anything',)")
    bob = await open_console("bob", server.port)
    await bob.reads("*: topic ('anything',)")
    await ann.reads("* bob is here")
    ann.type("hello, bob")
    await bob.reads("ann: hello, bob")
    bob.type("/change_topic 'the weather'")
    await ann.reads("bob: change_topic ('the weather',)")
    bob.type("/fly 3")
    await bob.reads("! UNKNOWN_ACTION: there is no action 'fly'")
    bob.type("/say hello")
    bob.process.stdin.close()  # type: ignore[union-attr]
    code, err = await bob.ended()
    assert (code, "texts" in err) == (0, True)
    await ann.reads("* bob has left")
    await server.stop()
    code, err = await ann.ended()
    assert (code, err.splitlines()[1:]) == (1, ["zone-client: SERVER_STOPPING: the server is shutting down"])


async def test_who_interrupts_it_leaves_without_a_word(open_server: OpenServer, open_console: OpenConsole) -> None:
    server = await open_server(Chat)
    ann = await open_console("ann", server.port)
    await ann.reads("*: topic ('anything',)")
    ann.process.send_signal(signal.SIGINT)
    code, err = await ann.ended()
    assert (code, len(err.splitlines())) == (130, 1)
    assert server.stats().closes == {"CLIENT_LEFT": 1}


async def test_a_name_that_the_zone_does_not_take_is_told_in_one_line(
    open_server: OpenServer, open_console: OpenConsole
) -> None:
    console = await open_console("a\tb", (await open_server(Chat)).port)
    assert await console.ended() == (
        3,
        ("zone-client: BAD_NAME: a name has 1 to 24 characters, all of which can be seen, and no space around it\n"),
    )


def test_nobody_there_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ann", "--port", "1"]) == 3
    assert capsys.readouterr().err == "zone-client: no server listens on 127.0.0.1:1: is it running?\n"


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("hello\n", ("say", ["hello"])),
        ("  hello  all ", ("say", ["hello  all"])),
        ("\n", None),
        ("/wave", ("wave", [])),
        ("/move 5 -3", ("move", [5, -3])),
        ('/do 1.5  True \'it is "here"\' "it\'s"', ("do", [1.5, True, 'it is "here"', "it's"])),
    ],
)
def test_a_line_is_said_or_is_an_action(line: str, action: object) -> None:
    assert parse_line(line) == action


@pytest.mark.parametrize("line", ["/move x", "/say 'open", "/move 1,", "/move __import__('os')"])
def test_what_is_no_argument_is_explained(line: str) -> None:
    with pytest.raises(ValueError, match="/move 5 -3"):
        parse_line(line)


def test_what_a_game_tells_does_not_reach_the_terminal_raw() -> None:
    events = [Event(0, "ann", "say", ("\x1b[2J",)), Event(None, None, "\x1b[2J", ()), Event(0, "ann", "say", (b"",))]
    lines = update_lines(Update(1, 1.0, {1: "\x1b[2J"}, {2: "\x1b[2J"}, events, [Refusal(1, 1, "NO", "\x1b[2J")]))
    assert len(lines) == 6
    assert all(line.isprintable() for line in lines)


def test_of_a_crowd_that_is_there_already_some_are_named() -> None:
    crowd = {slot: f"p{slot}" for slot in range(1_000)}
    assert update_lines(Update(1, 1.0, crowd, {}, [], [], resynced=True)) == [
        "* here: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, and 990 more"
    ]
    assert update_lines(Update(1, 1.0, {7: "ann"}, {}, [], [], resynced=True)) == ["* here: ann"]
    assert update_lines(Update(1, 1.0, {}, {}, [], [], resynced=True)) == []
    assert update_lines(Update(1, 1.0, {7: "ann"}, {3: "bob"}, [], [])) == ["* ann is here", "* bob has left"]


# --- The swarm in any game ------------------------------------------------------------------------

BOTS = """\
from zoneclient import Behaviour

class Runner(Behaviour):
    motion_kinds = frozenset({"run"})
    def decide(self, bot, replica):
        return "run", (bot.random.randint(-9, 9), 0)

class Mute:
    pass
"""


async def swarm(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """(exit code, stdout, stderr) of a small swarm that was started in a folder with bots in it."""
    (folder / "mybots.py").write_text(BOTS)
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "zonetools.swarm", "--no-progress", "--bots", "6", "--time", "500ms", *arguments),
        stdout=pipe,
        stderr=pipe,
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_bots_of_ones_own_play_any_game_and_idle_ones_watch_it(open_server: OpenServer, tmp_path: Path) -> None:
    server = await open_server(Tag, stats_port=0)
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port), "--json", "-")
    for who in (("--bot", "mybots:Runner"), ("--mix", "mybots:Runner=1,idle=2", "--processes", "2"), ("--mix=idle=1",)):
        code, out, err = await swarm(tmp_path, *ports, *who)
        report = json.loads(out)
        assert (code, report["errors"], err) == (0, [], "")
        assert (report["bots"]["joined"], report["frames"]["received"] > 0) == (6, True)
        assert (report["actions"]["delivered"] > 0) == ("idle=1" not in who[0])


async def test_bots_that_are_for_another_game_are_told_so(open_server: OpenServer, tmp_path: Path) -> None:
    server = await open_server(Tag, stats_port=0)
    ports = ("--port", str(server.port), "--stats-port", str(server.stats_port))
    code, out, _ = await swarm(tmp_path, *ports, "--mix", "walker=1")
    assert code == 1
    assert "in tag, there is no action 'move': these bots are for another game; --bot module:Class" in out


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (["--bot", "mybots:Walker"], "mybots has no Behaviour named 'Walker'; it has Runner"),
        (["--bot", "mybots:Mute"], "mybots has no Behaviour named 'Mute'; it has Runner"),
        (["--bot", "nowhere:Runner"], "there is no module 'nowhere' here"),
        (["--mix", "walker=1,mybots:Walker=1"], "mybots has no Behaviour named 'Walker'"),
        (["--bot", "mybots:Runner", "--mix", "idle=1"], "not allowed with argument --bot"),
    ],
)
async def test_bots_that_are_not_there_are_told_before_anything_starts(
    who: list[str], words: str, tmp_path: Path
) -> None:
    code, out, err = await swarm(tmp_path, *who)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]
