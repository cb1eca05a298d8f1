"""The front end of a server: what players and operators see of it, wherever its zone runs."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoneserver.admin.documents import documents
from zoneserver.admin.figures import of_gateway, of_process
from zoneserver.admin.log_report import Reporter
from zoneserver.admin.stats import Stats
from zoneserver.config import Config
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners import tcp
from zoneserver.gateway.listeners.door import PAGE_CONNECTIONS_MAX, Door, uncounted_max
from zoneserver.gateway.listeners.ports import Ports
from zoneserver.http.access import Access
from zoneserver.http.connection import HttpConnection
from zoneserver.http.documents import DocumentServer
from zoneserver.http.pages import admin_page, page_url, schema_page
from zoneserver.protocol.world import World
from zoneserver.support.certificate import ServerCertificate
from zoneserver.support.host import is_loopback
from zoneserver.support.process import raise_open_files
from zoneserver.zone.link import ZoneLink

__all__ = ["Frontend"]

_log = logging.getLogger(__name__)

# Descriptors for other purposes than players: listeners, the admin port, logs, libraries.
_SPARE_FILES = 128


class Frontend:
    """Ports, certificate, gateway, admin port and reports of a server. `stats` gives the statistics of the server.

    Call `make_gateway`, then `listen`, then `start`; at the end `stop_accepting`, then `close`. Ports that have not
    begun to listen are closed by `ports.close`.

    It binds the ports at once, so that nothing has started when one of them is taken; `sockets` and `stats_socket`
    listen already and take the place of those of the settings. Other processes of the user may bind the players' port
    as well, if it `is_shared`. Raises OSError when a port cannot be bound, or the
    certificate cannot be used (`filename` is then set), and ValueError when one of `sockets` lets anyone from other
    machines join, and the settings do not allow that.
    """

    def __init__(
        self,
        config: Config,
        stats: Callable[[], Stats],
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket] = (),
        stats_socket: socket.socket | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self.gateway: Gateway
        self.reporter: Reporter
        self.players_max: int
        """The most players for whom there are open files."""
        self.files_wanted: int
        """The open-file limit that `max_players` and `max_watchers` ask for."""
        self.admin: DocumentServer | None = None
        """The documents of the admin port; None without one."""
        self._config = config
        self._stats = stats
        self._loop = loop
        self._started: float
        self._page_connections_max: int
        self._certificate: ServerCertificate | None = None
        self.door: Door
        self._admin_listener: tcp.Listener | None = None
        if config.tls_cert is not None:
            self._certificate = ServerCertificate(config.tls_cert, config.tls_key)
            self._warn_of_certificate()
        self.ports = Ports(config, sockets, stats_socket, is_shared=is_shared)

    def make_gateway(
        self,
        link: ZoneLink,
        config: Config,
        former: Sequence[tuple[int, bytes]] = (),
        gateway_class: type[Gateway] = Gateway,
    ) -> Gateway:
        """Makes the gateway to a zone, and the reporter. `config` has the values that the zone decides."""
        self._config = config
        # A TLS handshake holds a descriptor before it counts as a connection. Each listener bounds its own.
        spare = _SPARE_FILES + len(self.ports.players) * uncounted_max(config)
        self.files_wanted = config.max_players + config.max_players // 10 + config.max_watchers + _SPARE_FILES + spare
        files = raise_open_files(self.files_wanted + PAGE_CONNECTIONS_MAX)
        self._page_connections_max = min(PAGE_CONNECTIONS_MAX, files // 16)
        connections_max = max(1, files - spare - self._page_connections_max)
        self.players_max = min(config.max_players, connections_max)
        self.gateway = gateway_class(link, config, self._loop, connections_max, former)
        self.reporter = Reporter(config, self._stats, self._loop)
        self._started = time.monotonic()
        return self.gateway

    def listen(self, schema: Mapping[str, Any], world: World, trouble: Callable[[], str]) -> None:
        """Accepts connections of players, and requests at the admin port. `schema` is that of the game, `world` that of
        the map, and `trouble` as for `documents`. Raises CannotStartError if the page of the game cannot be read."""
        certificate = self._certificate
        context = (lambda: certificate.context) if certificate is not None else None
        self.door = Door(self.gateway, self._config, schema, context, self._page_connections_max)
        self.ports.listen()
        self.door.listen(self.ports.players)
        if self.ports.statistics is not None:
            served = documents(self._watched_stats, self.gateway, world, self._loop.time, trouble, schema)
            self._listen_admin(self.ports.statistics, served)

    def _listen_admin(self, admin_socket: socket.socket, served: Mapping[str, Any]) -> None:
        # A public port is reached under any name, and protected by its token.
        is_local = is_loopback(self._config.stats_host)
        access, page = Access(is_local=True) if is_local else None, admin_page(is_loopback=is_local)
        self.admin = admin = DocumentServer({**page, **served}, access, self._config.stats_token, open_paths=page)
        self._admin_listener = tcp.Listener(admin_socket, lambda *_: HttpConnection(admin))

    def change_schema(self, schema: Mapping[str, Any]) -> None:
        """Serves another schema of the game from now on."""
        self.door.change_schema(schema)
        if self.admin is not None:
            self.admin.documents |= schema_page(schema)

    def start(self) -> None:
        """Begins to report to the log."""
        self.reporter.start()

    def reload_certificate(self) -> None:
        """Reads the files of the certificate again: players who connect from now on get the new one, and nobody is
        disconnected. Without TLS it does nothing.

        Raises OSError when the files cannot be used; the server then goes on with the certificate that it has.
        """
        if self._certificate is not None:
            self._certificate.reload()
            self._warn_of_certificate()

    def _warn_of_certificate(self) -> None:
        objection = self._certificate and self._certificate.objection()
        if objection:
            _log.warning(objection)

    def stop_accepting(self) -> None:
        """Stops accepting, and reporting. Sessions stay."""
        self.door.close()
        if self._admin_listener is not None:
            self._admin_listener.close()
            self._admin_listener = None
        self.reporter.stop()

    async def close(self, seconds: float, *, keep: bool = False) -> None:
        """Tells every client that the server stops, waits so long for them to go, and closes the ports."""
        # Connections that were accepted just before are told like all others.
        await self.door.wait_closed()
        await self.gateway.close(seconds, keep=keep)
        if self.admin is not None:
            self.admin.close()

    # --- Statistics -------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        """The figures of the gateway beside its counters, and those of the process, by the names in `Stats`."""
        return (
            of_gateway(self.gateway)
            | of_process()
            | {
                "page": page_url(self._config, self.ports.port),
                "loop": type(self._loop).__module__.partition(".")[0],
                "uptime_s": self.uptime_s,
                "players_max": self.players_max,
            }
        )

    @property
    def uptime_s(self) -> float:
        """How long the server has run."""
        return round(time.monotonic() - self._started, 3)

    def _watched_stats(self) -> Stats:
        """The statistics for one who requests them. Tells the reporter of the request."""
        self.reporter.is_watched = True
        return self._stats()
