"""Starts the command of a running server again, in the same process: with other code, and with the same ports."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
from typing import NoReturn
from urllib.parse import quote

from zoneserver.server import ZoneServer
from zoneserver.support import systemd
from zoneserver.support.errors import CannotStartError
from zoneserver.support.logs import drain_logs

__all__ = ["NEW_WORLD", "Restart", "stay_text", "temporary_journal"]

NEW_WORLD = "fine, but the zone begins anew: "
"""What a check prints, with the reason, for a game that cannot go on in the world of its temporary journal."""

# What the names of sockets begin with that a server hands over to its next start.
_PLAYERS, _STATISTICS = "zone-players", "zone-stats"
# What an error of the command begins with.
_PREFIX = re.compile(r"^zoneserver[a-z ]*: ", re.MULTILINE)
# How long the check of the new code may take. It takes less than a second for most games.
_CHECK_SECONDS = 30.0
_OBJECTION_CHARACTERS_MAX = 2_000
# The variable that tells a check, and the next start of this process, which temporary journal goes on.
_JOURNAL_VARIABLE = "ZONESERVER_TEMPORARY_JOURNAL"


def temporary_journal() -> str:
    """The directory of the temporary journal that goes on with this start of the process; empty if there is none."""
    return os.environ.pop(_JOURNAL_VARIABLE, "")


def stay_text(players: int, staying: int) -> str:
    """How many players stay in when they lose their connection, for people.

    >>> stay_text(0, 0), stay_text(1, 1), stay_text(3, 2)
    ('nobody is in', '1 player stays in', '2 of 3 players stay in')
    """
    if players == 0:
        return "nobody is in"
    if players == 1:
        return "1 player stays in" if staying else "the player who is in cannot stay"
    return f"{f'{staying:,} of ' if staying < players else ''}{players:,} players stay in"


class Restart:
    """Checks whether the command of this process could start once more, and starts it once the server has stopped.

    The process becomes the command that it was started with. It keeps its id, its standard streams and its listening
    sockets, where connections wait meanwhile. `journal` is the directory of its temporary journal, if it has one. It is
    not possible in a process that was not started as the command.
    """

    def __init__(self, server: ZoneServer, journal: str = "", *, is_possible: bool = True) -> None:
        self.is_due = False
        """Whether the command is to start again when the server has stopped."""
        self.is_again = False
        """Whether this is such a start, at the same address."""
        self._is_possible = is_possible and sys.platform != "win32"
        self._server = server
        # The directory of a temporary journal that goes on with the next start.
        self._journal = journal
        # Why the next start cannot go on with it.
        self._new_world = ""
        # The names of the sockets that the supervisor gave to the server.
        self._given: list[str] = []
        # The listening sockets of the server by name, for the next start.
        self._sockets: list[tuple[str, socket.socket]] = []

    def take_sockets(self) -> None:
        """Gives the server the sockets that this process was started with, by a supervisor or by `become`."""
        server, own = self._server, (self._name_of_players(), self._name_of_statistics())
        for name, sock in systemd.take_sockets():
            if name == own[1]:
                server.stats_socket = sock
            elif name == own[0]:
                server.sockets.append(sock)
                self.is_again = True
            elif name.startswith((_PLAYERS, _STATISTICS)):
                sock.close()  # The settings have another address now.
            else:
                server.sockets.append(sock)
                self._given.append(name)

    # The addresses as the settings have them, so that port 0 stays the port that was found for it.

    def _name_of_players(self) -> str:
        return quote(f"{_PLAYERS} {self._server.config.host} {self._server.config.port}", safe="")

    def _name_of_statistics(self) -> str:
        return quote(f"{_STATISTICS} {self._server.config.stats_host} {self._server.config.stats_port}", safe="")

    async def objection(self) -> str:
        """What is wrong with the settings and the game as they are now, as lines for people; empty if nothing is."""
        if not self._is_possible:
            return "this process was not started by the command zoneserver, and cannot start again"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *sys.orig_argv[1:],
            *("--check", "--log-format", "text", "--log-level", "error"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | self._environment(),
        )
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            return f"the check did not end within {_CHECK_SECONDS:g} s: does the game wait or loop when it is loaded?"
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode == 0:
            _, _, self._new_world = output.decode(errors="replace").strip().partition(NEW_WORLD)
            return ""
        text = _PREFIX.sub("", errors.decode(errors="replace")).strip()
        return text[-_OBJECTION_CHARACTERS_MAX:] or f"the check ended with code {process.returncode}"

    def _environment(self) -> dict[str, str]:
        return {_JOURNAL_VARIABLE: self._journal} if self._journal else {}

    def request_restart(self) -> str:
        """Stops the server and keeps its players in; `become` follows. Returns what happens, for people."""
        self.is_due = True
        is_kept = not self._new_world
        self._server.loop.call_soon(lambda: self._server.request_stop(keep=is_kept))
        return (
            f"fine: restarting; {stay_text(*self._server.count_players())}"
            if is_kept
            else f"{NEW_WORLD}{self._new_world}"
        )

    def cancel(self) -> None:
        """Lets the process end when the server has stopped."""
        self.is_due = False

    def keep_sockets(self) -> None:
        """Keeps the listening sockets of the server open. Called before the server stops."""
        players, statistics = self._server.ports.share()
        names = self._given or [self._name_of_players()] * len(players)
        self._sockets = list(zip(names, players, strict=True))
        if statistics is not None:
            self._sockets.append((self._name_of_statistics(), statistics))

    def become(self) -> NoReturn:
        """Replaces this process by the command that it was started with. Raises CannotStartError if that fails."""
        if self._new_world:
            shutil.rmtree(self._journal, ignore_errors=True)
        else:
            os.environ |= self._environment()
        drain_logs()
        systemd.hand_over(self._sockets)
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except OSError as error:
            raise CannotStartError(f"cannot start {sys.executable} again: {error.strerror}") from None
