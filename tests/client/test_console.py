"""What a player types and sees at a console, in a real zone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import zoneclient as client
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.worlds import zone_info
from helpers.zone_connections import HOST
from zoneclient.connection import ZoneConnection
from zoneclient.console import Console
from zoneclient.game_schema import GameSchema
from zoneclient.line import Line
from zoneclient.receiver import Receiver
from zoneclient.update import Event, Update

from zoneserver import Player, Rules, action
from zoneserver.protocol.messages import Refusal, Welcome


class Duel(Rules):
    """A small game with everything that a console shows."""

    board = {"match": 1, "leader": "nobody"}  # noqa: RUF012
    kinds = {"coin": {}, "wolf": {}}  # noqa: RUF012

    def on_start(self) -> None:
        for x in range(3):
            self.spawn("coin", x, 0)
        self.spawn("wolf", 5, 5)

    def on_join(self, player: Player) -> None:
        player.place(3, 4 * len(player.name))

    @action
    def say(self, player: Player, text: str) -> None: ...

    @action
    def strike(self, player: Player, other: Player) -> None:
        """Strikes another player."""

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: str) -> None:
        """Tells one player something."""
        other.tell("whisper", player.slot, text)

    @action(private=True)
    def bag(self, player: Player) -> list[str]:
        return ["apple", "rope"]


@contextlib.asynccontextmanager
async def console_in(port: int, name: str | None) -> AsyncIterator[tuple[Console, list[str]]]:
    """Open a console; yields it, and the lines that it has shown."""
    lines: list[str] = []
    async with client.connect(HOST, port, name=name, watch=name is None, leave_timeout=0) as zone:
        console = Console(zone)

        async def show() -> None:
            async for update in zone:
                lines.extend(console.update_lines(update))

        showing = asyncio.create_task(show())
        try:
            yield console, lines
        finally:
            showing.cancel()
            await console.close()
            await asyncio.gather(showing, return_exceptions=True)


async def test_console_names_players_and_shows_private_words(open_server: OpenServer) -> None:
    server = await open_server(Duel, hz=100)
    async with console_in(server.port, "ann") as (ann, seen), console_in(server.port, "bobby") as (bob, heard):
        await until(lambda: "* bobby is here" in seen)
        assert await ann.enter("hello there") == []
        assert await ann.enter("/strike bobby") == []
        assert await ann.enter("/whisper bobby it's only for you") == []
        await until(lambda: '[whisper] ann "it\'s only for you"' in heard)
        assert [line for line in heard if line.startswith("ann: ")] == ["ann: hello there", "ann: strike bobby"]
        assert await bob.enter("/bag") == []
        await until(lambda: "= ('apple', 'rope')" in heard)
        await until(lambda: "= done" in seen)
        with pytest.raises(ValueError, match="there is no player 'cid' here; write arguments as"):
            await ann.enter("/strike cid")
        await ann.enter("/strike 99")
        await until(lambda: any("NO_TARGET" in line for line in seen))
        assert not any("game.json" in line or "zone-game" in line for line in seen + heard)


async def test_who_help_and_board_answer_at_once(open_server: OpenServer) -> None:
    server = await open_server(Duel, hz=100)
    async with console_in(server.port, "ann") as (ann, seen), console_in(server.port, "bobby"):
        await until(lambda: "* bobby is here" in seen)
        assert await ann.enter(" /who ") == ["* players: 2: ann (you), bobby (8 away)", "* coin: 3", "* wolf: 1"]
        assert await ann.enter("/board") == ["* match: 1", "* leader: 'nobody'"]
        shown = await ann.enter("/help")
        assert "/strike OTHER:player              Strikes another player." in shown
        assert any(line.startswith("/who ") for line in shown)
        assert await ann.enter("   ") == []


async def test_watching_console_shows_and_cannot_act(open_server: OpenServer) -> None:
    server = await open_server(Duel, hz=100)
    async with console_in(server.port, None) as (watcher, seen), console_in(server.port, "ann") as (ann, _):
        await ann.enter("hello")
        await until(lambda: "ann: hello" in seen)
        assert await watcher.enter("/who") == ["* players: 1: ann", "* coin: 3", "* wolf: 1"]
        assert (await watcher.enter("/help"))[0] == "you only watch, and have no player to act with"
        for line in ("hello", "/strike ann", "/strike 0"):
            with pytest.raises(ValueError, match="you only watch"):
                await watcher.enter(line)


def watching() -> Console:
    """A console without a server."""
    welcome = Welcome(2, None, 0, zone_info(100, 100), 1024, 16)
    line = Line("", 0, None, 1.0, resume=False, name="", ticket=b"", watch=True)
    line.receiver = Receiver("", b"", watch=True)
    line.receiver.welcome = welcome
    return Console(ZoneConnection(line))


async def test_console_that_comes_back_asks_for_the_game_again_and_names_what_was_lost(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zoneclient.line._KEPT_SECONDS", 0.01)
    server = await open_server(Duel, hz=100)
    async with client.connect(HOST, server.port, name="ann", resume=True, leave_timeout=0) as zone:
        console, may_return, shown = Console(zone), asyncio.Event(), ""

        async def pause(_: int) -> None:
            await may_return.wait()

        def has_shown(text: str) -> bool:
            nonlocal shown
            shown += "".join(capsys.readouterr())
            return text in shown

        zone._line.pause = pause
        showing = asyncio.create_task(console.print_updates())
        assert any("/strike" in text for text in await console.enter("/help"))
        console._schema = GameSchema()  # As of a game that has changed.
        for session in list(server.gateway._connections):
            session.abort()
        await until(lambda: zone.is_away)
        await console.enter("good bye")
        await until(lambda: not zone.unsettled)
        may_return.set()
        await until(lambda: has_shown("back after"))
        await until(lambda: has_shown("for too long, and this was not sent: good bye\n"))
        await until(lambda: bool(console._schema.actions))
        showing.cancel()
        await console.close()
        await asyncio.gather(showing, return_exceptions=True)


async def test_update_lines_escape_control_characters() -> None:
    events = [Event(0, "ann", "say", ("\x1b[2J",)), Event(None, None, "\x1b[2J", ()), Event(0, "ann", "say", (b"",))]
    update = Update(1, 1.0, {1: "\x1b[2J"}, {2: "\x1b[2J"}, events, [Refusal(1, 2, "NO", "\x1b[2J")])
    lines = watching().update_lines(update)
    assert len(lines) == 6
    assert all(line.isprintable() for line in lines)


async def test_update_lines_name_at_most_ten_present_players() -> None:
    lines = watching().update_lines
    crowd = {slot: f"p{slot}" for slot in range(1_000)}
    assert lines(Update(1, 1.0, crowd, {}, resynced=True)) == [
        "* here: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, and 990 more"
    ]
    assert lines(Update(1, 1.0, {7: "ann"}, {}, resynced=True)) == ["* here: ann"]
    assert lines(Update(1, 1.0, {}, {}, resynced=True)) == []
    assert lines(Update(1, 1.0, {7: "ann"}, {3: "bob"})) == ["* ann is here", "* bob has left"]
