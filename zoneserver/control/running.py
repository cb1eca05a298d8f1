"""The servers of this user that run on this machine, by the sockets that they open at default paths."""

from __future__ import annotations

from typing import NamedTuple

from zoneserver.control.client import ask
from zoneserver.control.socket_file import default_path, default_ports
from zoneserver.support.errors import CannotStartError, Exit

__all__ = ["RunningServer", "running_servers"]


class RunningServer(NamedTuple):
    """One server or gateway that takes commands."""

    port: int
    """The port that names its socket: `zoneserver ctl --port`."""
    is_gateway: bool


def running_servers() -> list[RunningServer]:
    """All of them, by port."""
    found = []
    for port in default_ports():
        try:
            code, text = ask(default_path(port), ["help"])
        except CannotStartError:
            continue  # The file of a server that was killed, or something else.
        if code == Exit.OK:
            found.append(RunningServer(port, is_gateway="stop this gateway" in text))
    return found
