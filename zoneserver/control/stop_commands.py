"""The commands of operators that stop a server, or start it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from zoneserver.control.messages import Outcome
from zoneserver.control.stop_plan import StopPlan
from zoneserver.support.errors import Exit
from zoneserver.support.format import exact_duration
from zoneserver.support.parse import above_zero, parse_duration, take_option

__all__ = ["Restarter", "StopCommands", "Stoppable"]


class Stoppable(Protocol):
    """A server as these commands see it."""

    @property
    def has_journal(self) -> bool: ...

    @property
    def is_replay(self) -> bool: ...

    @property
    def count_players(self) -> Callable[[], tuple[int, int]]:
        """The number of players who are in, those without a connection included; and how many of them stay in when the
        server starts again."""

    @property
    def is_stopping(self) -> bool: ...

    def request_stop(self, *, keep: bool = False) -> None: ...


class Restarter(Protocol):
    """Starts the command of this process again."""

    async def objection(self) -> str:
        """Why the command could not be started again, as lines for people; empty if it could."""

    def request_restart(self) -> str:
        """Stops the server, and then starts it again. Returns what happens, for people."""


class StopCommands:
    """Stops one server when an operator says so. `ask_zone` runs a command of the zone, `say` tells all players a text.

    Without a `restarter` the server cannot start again by itself.
    """

    def __init__(
        self,
        server: Stoppable,
        loop: asyncio.AbstractEventLoop,
        ask_zone: Callable[[Sequence[str]], Awaitable[Outcome]],
        say: Callable[[str], None],
        restarter: Restarter | None,
    ) -> None:
        self._server = server
        self._loop = loop
        self._ask_zone = ask_zone
        self._say = say
        self._restarter = restarter
        self._plan = StopPlan(loop, say, server.request_stop)
        # The check before a restart that runs now.
        self._checking: asyncio.Task[str] | None = None

    def close(self) -> None:
        """Runs no planned stop and no restart any more."""
        self._plan.cancel()
        if self._checking is not None:
            self._checking.cancel()

    def on_tick(self) -> None:
        """Stops a server without players that waits for its last player to leave."""
        if self._plan.is_draining:
            self._plan.stop_if_empty(self._server.count_players()[0])

    async def stop(self, words: list[str]) -> Outcome:
        """Runs `stop`. Raises ValueError for wrong words."""
        if words == ["--cancel"]:
            return await self._cancel()
        if words == ["--keep"]:
            return self._keep()
        is_drain = "--drain" in words
        if is_drain:
            words.remove("--drain")
        duration, left = take_option(words, "--in")
        text = " ".join(left)
        if not text.isprintable() or len(text) > 200 or text.startswith("--"):
            raise ValueError("TEXT must be printable, at most 200 characters long, and not begin with --")
        seconds = None if duration is None else above_zero(parse_duration)(duration)
        if is_drain:
            return await self._drain(seconds, text)
        if seconds is not None:
            self._plan.set(seconds, text)
            return Outcome(Exit.OK, f"the server stops in {exact_duration(seconds)}; stop --cancel keeps it")
        self._say(f"the server stops{f': {text}' if text else ''}")
        # The answer is written before.
        self._loop.call_soon(self._server.request_stop)
        return Outcome(Exit.OK, "the server stops")

    async def _drain(self, seconds: float | None, text: str) -> Outcome:
        answer = await self._ask_zone(("stop", "--drain"))
        if answer.code != Exit.OK:
            return answer
        players = self._server.count_players()[0]
        self._plan.drain(seconds, text)
        latest = "" if seconds is None else f", at the latest in {exact_duration(seconds)}"
        left = f"when the last of {players:,} players has left" if players > 1 else "when the last player has left"
        return Outcome(Exit.OK, f"the server stops {left}{latest}; stop --cancel keeps it")

    async def _cancel(self) -> Outcome:
        was_set = self._plan.is_set
        self._plan.cancel()
        answer = await self._ask_zone(("stop", "--cancel"))
        if answer.code != Exit.OK:
            return answer
        if not was_set:
            return Outcome(Exit.FAILED, "no stop is planned")
        self._say("the server does not stop")
        return Outcome(Exit.OK, "the server does not stop")

    # --- Stops after which the players are still in -----------------------------------------------

    def _keep(self) -> Outcome:
        if not self._server.has_journal:
            return _NO_JOURNAL
        self._loop.call_soon(lambda: self._server.request_stop(keep=True))
        return Outcome(Exit.OK, "the server stops, and its players stay in over the next start")

    async def restart(self, words: list[str]) -> Outcome:
        """Runs `restart`. Raises ValueError for wrong words."""
        if words:
            raise ValueError(f"{words[0]!r:.80} is one word too many")
        if not self._server.has_journal:
            return _NO_JOURNAL
        if self._restarter is None:
            return Outcome(Exit.FAILED, "the program that runs this server does not start it again")
        if self._checking is not None:
            return Outcome(Exit.FAILED, "another restart is being checked")
        self._checking = check = asyncio.ensure_future(self._restarter.objection())
        try:
            await asyncio.wait({check})
        finally:
            check.cancel()
            self._checking = None
        if self._server.is_stopping or check.cancelled():
            return Outcome(Exit.FAILED, "the server stops")
        objection = check.result()
        if objection:
            return Outcome(Exit.FAILED, f"the server goes on as it is, since the new code cannot start: {objection}")
        return Outcome(Exit.OK, self._restarter.request_restart())


_NO_JOURNAL = Outcome(Exit.FAILED, "this server keeps no journal, so nobody could stay in: start it with --journal DIR")
