"""The listening sockets of a server: those of its players, and that of its admin port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from zoneserver.config import Config, check_exposure
from zoneserver.gateway.listeners import tcp
from zoneserver.support.format import format_address

__all__ = ["Ports"]


class Ports:
    """Binds the ports of the settings. Sockets that listen already take the place of those.

    Raises OSError when a port cannot be bound, and ValueError when one of the given sockets lets anyone from other
    machines join, and the settings do not allow that. No socket is open then.
    """

    def __init__(
        self,
        config: Config,
        players: Sequence[socket.socket] = (),
        statistics: socket.socket | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        with contextlib.ExitStack() as unless_bound:
            for given in (*players, *([statistics] if statistics else [])):
                unless_bound.enter_context(given)
            for given in players:
                check_exposure(config, given.getsockname()[0])
                tcp.set_limits(given, config.limits)
            self.players = list(players)
            """The sockets at which players connect; empty for a server without a port for them."""
            if not players and config.port is not None:
                self.players = tcp.bind_all(config.host, config.port, config.limits, is_shared=is_shared)
            for sock in self.players:
                unless_bound.enter_context(sock)
            self.statistics = statistics
            """The socket of the admin port; None for a server without one."""
            if statistics is None and config.stats_port is not None:
                self.statistics = _bind_statistics(config.stats_host, config.stats_port)
            unless_bound.pop_all()
        self.port: int | None = self.players[0].getsockname()[1] if self.players else None
        self.stats_port: int | None = self.statistics.getsockname()[1] if self.statistics else None
        self.addresses = [format_address(*sock.getsockname()[:2]) for sock in self.players]
        """Where players connect: address and port of each socket, as text."""

    def listen(self) -> None:
        """Lets connections of players wait to be accepted. Ports that are not shared do so already."""
        for sock in self.players:
            tcp.listen(sock)

    def share(self) -> tuple[list[socket.socket], socket.socket | None]:
        """Second descriptors of the sockets of players and of the admin port. They stay open when the server stops, and
        connections wait there to be accepted."""
        return [sock.dup() for sock in self.players], self.statistics.dup() if self.statistics else None

    def close(self) -> None:
        """Closes the sockets. Listeners that accept from them close them by themselves."""
        for sock in (*self.players, *([self.statistics] if self.statistics else [])):
            sock.close()


def _bind_statistics(host: str, port: int) -> socket.socket:
    try:
        return tcp.bind(host, port)
    except OSError as error:
        text = f"cannot listen on {format_address(host, port)} for statistics: {error.strerror or error}"
        raise OSError(error.errno, text, host) from None
