"""The desk of a gateway: the commands of operators about its own sessions. All others are for the zone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from zoneserver.control.desk import no_more
from zoneserver.control.messages import Outcome
from zoneserver.control.session_commands import SessionCommands
from zoneserver.gateway.gateway import Gateway
from zoneserver.protocol.codes import GameReason
from zoneserver.support.errors import Exit
from zoneserver.zone.commands import BUILT_IN, KICKED
from zoneserver.zone.link import USAGE

__all__ = ["GatewayDesk"]

_COMMANDS = {
    "kick": BUILT_IN["kick"],
    "players": ("players [--json]", "list the players of this gateway"),
    "stop": ("stop", "stop this gateway; its players come back at another one"),
    "help": BUILT_IN["help"],
}


class GatewayDesk:
    """Runs commands on one gateway, which `request_stop` stops."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop, request_stop: Callable[[], None]) -> None:
        self._gateway = gateway
        self._loop = loop
        self._request_stop = request_stop
        self._sessions = SessionCommands(gateway, loop)

    def close(self) -> None:
        """No command waits for anything."""

    async def run(self, words: Sequence[str]) -> Outcome:
        """Runs one command."""
        name, *rest = words or ("help",)
        if name not in _COMMANDS:
            text = f"a gateway has no command {name!r:.80}; it has {', '.join(_COMMANDS)}. Ask the zone for all others"
            return Outcome(Exit.USAGE, text)
        try:
            return await self._run(name, rest)
        except ValueError as error:
            return Outcome(Exit.USAGE, f"{USAGE}: {_COMMANDS[name][0]}: {error}")

    async def _run(self, name: str, words: list[str]) -> Outcome:
        match name:
            case "kick":
                return self._kick(words)
            case "players":
                as_json = words[:1] == ["--json"]
                no_more(words[as_json:])
                return Outcome(Exit.OK, await self._sessions.players(as_json=as_json))
        no_more(words)
        if name == "stop":
            # The answer is written before.
            self._loop.call_soon(self._request_stop)
            return Outcome(Exit.OK, "the gateway stops; its players come back at another one")
        width = max(len(usage) for usage, _ in _COMMANDS.values())
        return Outcome(Exit.OK, "\n".join(f"{usage:<{width}}  {text}" for usage, text in _COMMANDS.values()))

    def _kick(self, words: list[str]) -> Outcome:
        if not words:
            raise ValueError("whom?")
        name, text = words[0], " ".join(words[1:])
        if not text.isprintable() or len(text) > 200:
            raise ValueError("TEXT must be printable and at most 200 characters long")
        for player in self._gateway.players:
            if player.name == name:
                player.session.end(GameReason(KICKED), text or "an operator ended the session")
                return Outcome(Exit.OK, f"{name} is kicked")
        return Outcome(Exit.FAILED, f"there is no player {name!r:.80} at this gateway")
