"""The commands that stop a server, or start it again, when they meet."""

from __future__ import annotations

import asyncio

from zoneserver.control.messages import Outcome
from zoneserver.control.stop_commands import StopCommands
from zoneserver.support.errors import Exit


class Server:
    """A server, and the check of its code, which takes as long as the test wants."""

    has_journal = True
    is_stopping = False

    def __init__(self) -> None:
        self.checked = asyncio.Event()
        self.restarts = 0

    def count_players(self) -> tuple[int, int]:
        return 0, 0

    def request_stop(self, *, keep: bool = False) -> None:
        self.is_stopping = True

    async def objection(self) -> str:
        await self.checked.wait()
        return ""

    def request_restart(self) -> str:
        self.restarts += 1
        return "fine"


def commands(server: Server) -> StopCommands:
    async def ask_zone(_words: object) -> Outcome:
        return Outcome(Exit.OK, "")

    return StopCommands(server, asyncio.get_running_loop(), ask_zone, lambda _: None, server)


async def test_stop_wins_over_a_restart_that_is_being_checked() -> None:
    server = Server()
    stops = commands(server)
    restart = asyncio.ensure_future(stops.restart([]))
    await asyncio.sleep(0)
    assert (await stops.stop([])).code == Exit.OK
    await asyncio.sleep(0)
    server.checked.set()
    assert await restart == Outcome(Exit.FAILED, "the server stops")
    assert server.restarts == 0


async def test_restart_whose_check_has_not_ended_is_answered_at_the_end_of_the_server() -> None:
    server = Server()
    stops = commands(server)
    restart = asyncio.ensure_future(stops.restart([]))
    await asyncio.sleep(0)
    stops.close()
    assert await restart == Outcome(Exit.FAILED, "the server stops")


async def test_second_restart_is_refused_while_the_first_is_being_checked() -> None:
    server = Server()
    stops = commands(server)
    restart = asyncio.ensure_future(stops.restart([]))
    await asyncio.sleep(0)
    assert await stops.restart([]) == Outcome(Exit.FAILED, "another restart is being checked")
    server.checked.set()
    assert (await restart, server.restarts) == (Outcome(Exit.OK, "fine"), 1)
