"""`zoneserver ctl`: tells a running server what to do; and the end of it in `zoneserver run`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path

from zoneserver.cli.command import print_result
from zoneserver.cli.parser import Parser
from zoneserver.control.client import NoServerError, ask
from zoneserver.control.desk import Desk
from zoneserver.control.door import Door
from zoneserver.control.gateway_desk import GatewayDesk
from zoneserver.control.messages import Outcome
from zoneserver.control.running import RunningServer, running_servers
from zoneserver.control.socket_file import default_path
from zoneserver.control.stop_commands import Restarter
from zoneserver.control.web_door import WebDoor
from zoneserver.gateway_server import GatewayServer
from zoneserver.server import ZoneServer
from zoneserver.support.errors import CannotStartError, Exit
from zoneserver.support.host import is_loopback
from zoneserver.support.logs import print_error
from zoneserver.support.parse import parse_port

__all__ = ["NO_SOCKET", "ControlSocket", "ctl", "ctl_settings"]

NO_SOCKET = "none"
"""The value of `run --ctl` with which a server takes no commands."""

# The port for players that a server has by default.
_PORT = 7777
_EXAMPLES = """\
  zoneserver ctl                                   list the commands, those of the game included
  zoneserver ctl players                           who is in
  zoneserver ctl kick ann "be nice"
  zoneserver ctl ban ann --for 1h                  by name; by address: ban 192.0.2.1
  zoneserver ctl bans                              who is banned, and for how long
  zoneserver ctl say "a new map at eight"
  zoneserver ctl stop --in 5m "a new map"          stop --cancel keeps the server running
  zoneserver ctl stop --drain                      let nobody new in, and stop when the last player has left
  zoneserver ctl restart                           start the code as it is now; the players stay in
  zoneserver ctl --port 7000 give ann 5            a command of the game, on the server with this port
  zoneserver ctl --port 7779 stop                  the gateway with this admin port
"""
_EXIT_CODES = "0 done, 1 refused or failed, 2 wrong usage, 3 no server listens there"

log = logging.getLogger(__name__)


def ctl_settings(parser: Parser) -> None:
    """Declares the command `ctl`."""
    command = parser.command(
        "ctl",
        "tell a running server what to do",
        "Tell a running server on this machine what to do. The flags stand before the words.",
        examples=_EXAMPLES,
        exit_codes=_EXIT_CODES,
        usage="[flags] [WORDS]",
    )
    text = "the port of players, which names the socket; the admin port of a gateway, and of a zone with --port off"
    shown = f"{_PORT}; if nothing listens there, the only server of this user"
    command.setting("--port", parse=parse_port, help=text, shown=shown)
    command.setting("--ctl", metavar="PATH", help="the socket of the server", shown="a path made from the port")
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="WORDS", help="a command and its arguments")
    command.common()


def ctl(arguments: argparse.Namespace) -> int:
    """Runs one command on a server, and prints its result. Raises CannotStartError and UsageError."""
    _require_sockets()
    code, text = _ask(arguments, arguments.words or ["help"])
    if code == Exit.OK:
        print_result(text)
    else:
        print_error(f"zoneserver ctl: {text}")
    return code


def _ask(arguments: argparse.Namespace, words: Sequence[str]) -> Outcome:
    if arguments.ctl:
        return ask(Path(arguments.ctl), words)
    try:
        return ask(default_path(arguments.port or _PORT), words)
    except NoServerError as error:
        found = running_servers()
        # A zone is meant rather than its gateways.
        meant = [each for each in found if not each.is_gateway] or found
        if arguments.port is None and len(meant) == 1:
            port = meant[0].port
            print_error(f"zoneserver ctl: no server has port {_PORT}, so this is the only one, at port {port}")
            return ask(default_path(port), words)
        if not found:
            raise
        typed = shlex.join(words)
        lines = [f"  zoneserver ctl --port {each.port} {typed}  ({_kind(each)})" for each in found]
        raise CannotStartError("\n".join([f"{error}. On this machine run:", *lines])) from None


def _kind(server: RunningServer) -> str:
    return "a gateway" if server.is_gateway else "a server"


def _require_sockets() -> None:
    if not hasattr(socket, "AF_UNIX"):
        raise CannotStartError("this system has no Unix sockets, so a server takes no commands")


class ControlSocket:
    """The commands of operators to a server or a gateway of this process, until `close`: by the control socket, by the
    page of the admin port, and by signals. The server starts again if there is a `restarter`."""

    def __init__(self, server: ZoneServer | GatewayServer, restarter: Restarter | None = None) -> None:
        self._server = server
        self._restarter = restarter
        self._desk: Desk | GatewayDesk | None = None
        self._door: Door | None = None
        # The commands of signals that are being run.
        self._running: set[asyncio.Task[None]] = set()

    async def open(self, path: str | None) -> None:
        """Opens the socket, and takes commands from the page, unless `path` is `none`.

        Raises CannotStartError if the socket is not possible at a path that the user gave. Without such a path,
        the server then goes on without a socket.
        """
        server = self._server
        desk: Desk | GatewayDesk
        if isinstance(server, ZoneServer):
            desk = Desk(server.link, server.gateway, server.loop, server, self._restarter)
            # A server without a port for players is found by its admin port.
            port = server.port or server.stats_port
        else:
            desk = GatewayDesk(server.frontend.gateway, server.loop, server.request_stop)
            # Gateways may share the port for players.
            port = server.stats_port
        self._desk, admin = desk, server.frontend.admin
        if path != NO_SOCKET and admin is not None and is_loopback(server.config.stats_host):
            admin.orders["/ctl"] = WebDoor(desk.run).answer
        if path == NO_SOCKET or (path is None and not hasattr(socket, "AF_UNIX")):
            return
        _require_sockets()
        if not path and port is None:
            log.warning("the server runs without a control socket, as it has no port to name it by: give --ctl PATH")
            return
        door = Door(Path(path).absolute() if path else default_path(port or 0), desk.run)
        try:
            await door.open(is_default=path is None)
        except CannotStartError as error:
            if path is not None:
                raise CannotStartError(f"no control socket: {error}") from None
            log.warning("the server runs without a control socket: %s", error)
            return
        self._door = door
        server.control_path = str(door.path)

    def run(self, cause: str, *words: str) -> None:
        """Runs a command soon, and logs what becomes of it. `cause` is the signal that means it."""
        task = asyncio.create_task(self._run(cause, words))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, cause: str, words: Sequence[str]) -> None:
        if self._desk is not None:
            _, text = await self._desk.run(words)
            log.info("%s: %s", cause, text)

    def close(self) -> None:
        """Closes the socket and removes its file."""
        if self._door is not None:
            self._door.close()
        if self._desk is not None:
            self._desk.close()
        self._door = self._desk = None
        admin = self._server.frontend.admin
        if admin is not None:
            admin.orders.clear()
