"""The desk takes the commands of operators: it runs those of the server, and hands the others to the zone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from zoneserver.control.messages import Outcome
from zoneserver.control.session_commands import SessionCommands
from zoneserver.control.stop_commands import Restarter, StopCommands, Stoppable
from zoneserver.gateway.gateway import Gateway
from zoneserver.support.errors import Exit
from zoneserver.support.parse import nearest
from zoneserver.zone.commands import BUILT_IN, OF_A_REPLAY
from zoneserver.zone.link import USAGE, Command, Requests, TickOutput, ZoneLink

__all__ = ["Desk", "no_more"]

_ANSWER_SECONDS = 5.0


class Served(Stoppable, Protocol):
    """A server as the desk sees it."""

    @property
    def players_elsewhere(self) -> Callable[[], list[tuple[str, int | None, str]]]:
        """Name, slot and gateway of each player whose connection a gateway in another process has."""


class Desk:
    """Runs commands on one server. The server starts again if there is a `restarter`."""

    def __init__(
        self,
        link: ZoneLink,
        gateway: Gateway,
        loop: asyncio.AbstractEventLoop,
        server: Served,
        restarter: Restarter | None = None,
    ) -> None:
        self._link = link
        self._gateway = gateway
        self._loop = loop
        self._server = server
        self._sessions = SessionCommands(gateway, loop)
        self._stops = StopCommands(server, loop, self._ask_zone, self._say, restarter)
        self._refs = itertools.count(1)
        # Commands that the zone has not answered, by ref.
        self._asked: dict[int, asyncio.Future[Outcome]] = {}
        self._own: dict[str, Callable[[list[str]], Awaitable[Outcome]]] = {
            "help": self._help,
            "players": self._players,
            "stop": self._stops.stop,
            "restart": self._stops.restart,
        }
        self._game_usages = dict(link.commands)
        self._names = [*BUILT_IN, *(usage.partition(" ")[0] for usage in self._game_usages)]
        link.subscribe(self._receive)

    def close(self) -> None:
        """Runs no planned stop any more, and answers the commands that wait for the zone."""
        self._stops.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_result(Outcome(Exit.FAILED, "the server stops"))

    async def run(self, words: Sequence[str]) -> Outcome:
        """Runs one command."""
        name, *rest = words or ("help",)
        if name not in self._names:
            return Outcome(Exit.USAGE, f"there is no command {name!r:.80}; {nearest(name, self._names)}")
        try:
            if name in self._own:
                return await self._own[name](rest)
        except ValueError as error:
            return Outcome(Exit.USAGE, f"{USAGE}: {BUILT_IN[name][0]}: {error}")
        return await self._ask_zone(words)

    # --- Commands of the zone ---------------------------------------------------------------------

    async def _ask_zone(self, words: Sequence[str]) -> Outcome:
        ref = next(self._refs)
        self._asked[ref] = answer = self._loop.create_future()
        self._link.send(Requests(commands=[Command(ref, tuple(words))]))
        try:
            return await asyncio.wait_for(answer, _ANSWER_SECONDS)
        except TimeoutError:
            return Outcome(Exit.FAILED, f"the zone has not answered within {_ANSWER_SECONDS:g} s")
        finally:
            del self._asked[ref]

    def _receive(self, output: TickOutput) -> None:
        for ref, is_done, text in output.results:
            answer = self._asked.get(ref)
            if answer is not None and not answer.done():
                failed = Exit.USAGE if text.startswith(f"{USAGE}: ") else Exit.FAILED
                answer.set_result(Outcome(Exit.OK if is_done else failed, text))
        self._stops.on_tick()

    def _say(self, text: str) -> None:
        # Nothing has the ref 0, so the result is dropped.
        self._link.send(Requests(commands=[Command(0, ("say", text))]))

    # --- Commands of the server -------------------------------------------------------------------

    async def _help(self, words: list[str]) -> Outcome:
        no_more(words)
        built_in, whose = (OF_A_REPLAY, "replay") if self._server.is_replay else (BUILT_IN, "game")
        rows = [*built_in.values(), *self._game_usages.items()]
        width = max(len(usage) for usage, _ in rows)
        lines = [f"{usage:<{width}}  {text}".rstrip() for usage, text in rows]
        if self._game_usages:
            lines.insert(len(built_in), f"commands of the {whose}:")
        return Outcome(Exit.OK, "\n".join(lines))

    async def _players(self, words: list[str]) -> Outcome:
        as_json = words[:1] == ["--json"]
        no_more(words[as_json:])
        elsewhere = self._server.players_elsewhere()
        away = self._server.count_players()[0] - len(elsewhere) - self._gateway.players_count
        text = await self._sessions.players(as_json=as_json, elsewhere=elsewhere)
        if away > 0 and not as_json:
            text += f"\nand {away} whose connection is lost and who may come back"
        return Outcome(Exit.OK, text)


def no_more(words: Sequence[str]) -> None:
    """Raises ValueError if there are words that the command does not take."""
    if words:
        raise ValueError(f"{words[0]!r:.80} is one word too many")
