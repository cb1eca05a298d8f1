"""The server: the one module that knows everybody, and puts them together.

Startup binds before anything else; a beat per tick; a shutdown with a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

from zoneserver.admin.http import AdminProtocol, Document, PlainText
from zoneserver.admin.log_report import Reporter
from zoneserver.admin.prometheus import CONTENT_TYPE, load_exposition
from zoneserver.admin.stats import STATS_SCHEMA, Stats
from zoneserver.config import Config
from zoneserver.delivery import GATEWAYS
from zoneserver.gateway.listeners import tcp, tls
from zoneserver.gateway.session import Session
from zoneserver.support.logs import fields
from zoneserver.support.process import MissingExtraError, raise_open_files, rss_bytes
from zoneserver.zone.rules import Rules
from zoneserver.zone.ticker import Ticker
from zoneserver.zone.zone import Zone, new_game

__all__ = ["ZoneServer"]

log = logging.getLogger(__name__)

# Descriptors that are not for players: listeners, the admin port, logs, libraries.
_SPARE_FILES = 128
# Players shown on the map at the most: a picture needs no more, and a tick must not wait for it.
_MAP_PLAYERS_MAX = 2_000
# So many ticks that fail one after the other end the server.
_FAILURES_MAX = 20
# From so many packets a tick on, the loop rests between looks at the sockets: so long, and not in
# the last moment before a tick.
_CROWD_PACKETS = 32
_REST_SECONDS = 0.004
_AWAKE_SECONDS = 0.001


class ZoneServer:
    """One zone on one port, in this process.

    >>> async def main() -> None:
    ...     async with ZoneServer(Rules, port=0, stats_port=None) as server:
    ...         await server.serve(seconds=0.1)
    ...         print(server.port > 0, server.stats().players)
    >>> asyncio.run(main())
    True 0

    `rules` is the game: a class or an instance. Everything else is a field of Config, given whole or
    by name. Leaving the block tells all players and closes the ports. Raises GameError for a game that
    fails to be made, and `start` for one that fails in its `on_start`.
    """

    def __init__(self, rules: Rules | type[Rules], config: Config | None = None, **settings: Any) -> None:
        if config is not None and settings:
            raise TypeError("give a Config or single settings, not both")
        self.config = config if config is not None else Config(**settings)
        self._rules = new_game(rules) if isinstance(rules, type) else rules
        self.has_failed = False
        """Whether it stopped because the zone could not be run any more."""
        self._loop: asyncio.AbstractEventLoop
        self._tls: ssl.SSLContext | None = None
        self._listeners: list[tcp.Listener] = []
        self._admin_connections: set[AdminProtocol] = set()
        self._stopping: asyncio.Event
        self._beat_handle: asyncio.TimerHandle | None = None
        self._packets_before_tick = 0
        self._connections_before_rest = 0
        self._overruns_total = 0
        # Ticks that failed one after the other; a zone that fails for long is not worth keeping up.
        self._failures = 0
        # CPU time of the process at two moments about a second apart: the load between them.
        self._cpu = ((0.0, 0.0), (0.0, 0.0))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Binds, listens and begins to tick. Raises OSError when a port is not to be had, or a certificate
        cannot be used (`filename` is then set)."""
        config = self.config
        self._tls = _tls_context(config)
        with contextlib.ExitStack() as unless_started:
            # Both ports first: nothing is half started when one of them is taken.
            player_socket = unless_started.enter_context(tcp.bind(config.host, config.port, config.limits))
            admin_socket = None
            if config.stats_port is not None:
                admin_socket = unless_started.enter_context(tcp.bind("127.0.0.1", config.stats_port))
            self._assemble()
            self.port = player_socket.getsockname()[1]
            self.stats_port = admin_socket.getsockname()[1] if admin_socket else None
            self._listen(player_socket, admin_socket)
            unless_started.pop_all()
        self._beat_handle = self._loop.call_at(self._ticker.due, self._beat)
        self._reporter.start()

    def _assemble(self) -> None:
        """The zone, the gateway and the clock. Raises TypeError or GameError for a game that cannot be run."""
        config = self.config
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        # A stopping player may hold a descriptor for a moment while the next one is let in.
        spare = _SPARE_FILES + (tls.HANDSHAKES_MAX if config.tls_cert is not None else 0)
        self.files_wanted = config.max_players + config.max_players // 10 + _SPARE_FILES + spare
        """The open-file limit that `max_players` asks for."""
        files = raise_open_files(self.files_wanted)
        self._connections_max = max(1, files - spare)
        self.players_max = min(config.max_players, self._connections_max)
        self.zone = Zone(self._rules, hz=config.hz, seed=config.seed, limits=config.limits)
        self.gateway = GATEWAYS[config.delivery](self.zone, config, self._loop, self._connections_max)
        self._ticker = Ticker(config.hz, self._loop.time())
        self._started = time.monotonic()
        self._sample_cpu()
        self._reporter = Reporter(config, self.stats, self._loop)

    def _listen(self, player_socket: socket.socket, admin_socket: socket.socket | None) -> None:
        limits, loop, gateway = self.config.limits, self._loop, self.gateway

        if self._tls is not None:
            sessions = tls.TlsListener(player_socket, lambda: Session(gateway, limits, loop), self._tls, limits)
            self._listeners.append(sessions)
        else:
            self._listeners.append(tcp.Listener(player_socket, lambda sock: Session(gateway, limits, loop, sock.send)))
        if admin_socket is not None:
            documents: dict[str, Document] = {
                "/stats": lambda _: (HTTPStatus.OK, self._watched_stats().to_json()),
                "/metrics": self._metrics(),
                "/healthz": lambda _: self._health(),
                "/map": lambda _: (HTTPStatus.OK, self.map()),
                "/sessions": self._sessions,
            }
            connections = self._admin_connections
            self._listeners.append(tcp.Listener(admin_socket, lambda _: AdminProtocol(documents, connections)))

    async def serve(self, seconds: float | None = None) -> None:
        """Runs until `request_stop`, or for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            self.request_stop()

    def request_stop(self) -> None:
        """Lets `serve` return; may be called from a signal handler of the loop."""
        self._stopping.set()

    async def stop(self) -> None:
        """Stops accepting, tells everybody, waits for them up to the drain time, closes the ports."""
        self.request_stop()
        for listener in self._listeners:
            listener.close()
        if self._beat_handle is not None:
            self._beat_handle.cancel()
        self._reporter.stop()
        # Who was accepted just now is told like everybody else.
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        await self.gateway.close(self.config.drain_seconds)
        for connection in tuple(self._admin_connections):
            connection.close()

    # --- The beat ---------------------------------------------------------------------------------

    def _beat(self) -> None:
        skipped = self._ticker.advance(self._loop.time())
        try:
            seconds = self.gateway.tick(round(self._ticker.dilation * 100))
        except Exception:
            self._failures += 1
            tick, failures = self.zone.world.tick, self._failures
            about = fields(tick=tick, failures=failures)
            log.exception("tick %d failed, the %d. in a row: nobody is told of it", tick, failures, extra=about)
            if self._failures >= _FAILURES_MAX:
                log.critical(
                    "%d ticks failed one after the other: the zone cannot go on, and stops", failures, extra=about
                )
                self.has_failed = True
                self.request_stop()
        else:
            self._failures = 0
            if skipped or seconds > self._ticker.period:
                self._overruns_total += 1
                self._reporter.overran(
                    self.zone.world.tick, seconds * 1000, skipped, self.gateway.times.newest_ms(), self._overruns_total
                )
        if self._loop.time() - self._cpu[1][0] >= 1.0:
            self._sample_cpu()
        self._beat_handle = self._loop.call_at(self._ticker.due, self._beat)
        packets = self.gateway.counters.packets_in_total
        if packets - self._packets_before_tick >= _CROWD_PACKETS:
            self._loop.call_soon(self._rest, self._ticker.due)
        self._packets_before_tick = packets

    def _rest(self, due: float) -> None:
        """Lets packets gather, over and over until the tick that is due.

        What a crowd sends comes at any moment, and each packet that wakes the process up by itself costs
        about as much as reading and obeying it. None is wanted before the tick.
        """
        seconds = min(_REST_SECONDS, due - self._loop.time() - _AWAKE_SECONDS)
        if seconds <= 0 or self._stopping.is_set():
            return
        connections = self.gateway.counters.connections_total
        # Only so many connections are accepted in a turn: while some come, the turns follow at once.
        if connections == self._connections_before_rest:
            time.sleep(seconds)
        self._connections_before_rest = connections
        self._loop.call_soon(self._rest, due)

    def _sample_cpu(self) -> None:
        self._cpu = self._cpu[1], (self._loop.time(), time.process_time())

    # --- Documents --------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """The state of everything, now."""
        gateway, zone, counters = self.gateway, self.zone, self.gateway.counters
        (time_before, cpu_before), (time_after, cpu_after) = self._cpu
        return Stats(
            schema=STATS_SCHEMA,
            time_unix_s=round(time.time(), 3),
            pid=os.getpid(),
            game=zone.name,
            loop=type(self._loop).__module__.partition(".")[0],
            uptime_s=round(time.monotonic() - self._started, 3),
            players=gateway.players,
            players_peak=gateway.players_peak,
            players_max=self.players_max,
            connections=gateway.connections,
            handshaking=len(gateway.pending),
            behind=gateway.broadcaster.behind,
            queued_bytes=gateway.broadcaster.queued_bytes,
            tick=zone.world.tick,
            tick_due_monotonic_s=round(self._ticker.due, 6),
            hz=self.config.hz,
            dilation=round(self._ticker.dilation, 3),
            ticks_total=zone.world.tick,
            ticks_skipped_total=self._ticker.skipped_total,
            encodes_total=zone.encodes_total,
            snapshots_total=zone.history.snapshots_total,
            overruns_total=self._overruns_total,
            rule_failures_total=zone.rule_failures_total,
            superseded_total=zone.superseded_total,
            connections_total=counters.connections_total,
            joins_total=counters.joins_total,
            packets_in_total=counters.packets_in_total,
            actions_in_total=counters.actions_in_total,
            bytes_in_total=counters.bytes_in_total,
            frames_out_total=counters.frames_out_total,
            sends_total=counters.sends_total,
            frames_skipped_total=counters.frames_skipped_total,
            catch_ups_total=counters.catch_ups_total,
            deliveries_out_total=counters.deliveries_out_total,
            bytes_out_total=counters.bytes_out_total,
            deflates_total=counters.deflates_total,
            deflate_seconds_total=round(counters.deflate_seconds_total, 6),
            frames_deflated_total=counters.frames_deflated_total,
            bytes_saved_total=counters.bytes_saved_total,
            frame_bytes=gateway.broadcaster.frame_bytes,
            refusals=dict(counters.refusals),
            restraints=dict(counters.restraints),
            addresses=len(gateway.pending.admission),
            closes=dict(counters.closes),
            tick_ms=gateway.times.tick_ms(),
            phases_ms=gateway.times.phases_ms(),
            cpu_percent=round(100 * (cpu_after - cpu_before) / max(1e-9, time_after - time_before), 1),
            cpu_seconds_total=round(time.process_time(), 3),
            rss_bytes=rss_bytes(),
        )

    def map(self) -> dict[str, Any]:
        """Where everybody is, for a picture: `positions` is x, y, x, y, ... of at most 2,000 players."""
        world = self.zone.world
        slots = list(world.slots())
        step = -(-len(slots) // _MAP_PLAYERS_MAX) or 1
        return {
            "schema": "zone-map/1",
            "tick": world.tick,
            "width": world.width,
            "height": world.height,
            "players": len(slots),
            "positions": [value for slot in slots[::step] for value in world.position(slot)],
        }

    def _watched_stats(self) -> Stats:
        """The state of everything, for somebody who watches."""
        self._reporter.is_watched = True
        return self.stats()

    def _metrics(self) -> Document:
        """The same for Prometheus. Loaded now: a tick would wait for what is loaded when it is first asked for."""
        try:
            written = load_exposition()
        except MissingExtraError as error:
            complaint = {"error": str(error)}
            return lambda _: (HTTPStatus.NOT_IMPLEMENTED, complaint)
        return lambda _: (HTTPStatus.OK, PlainText(CONTENT_TYPE, written(self._watched_stats())))

    def _sessions(self, query: Mapping[str, str]) -> tuple[HTTPStatus, dict[str, Any]]:
        """The players' sessions that are first by a figure: `?sort=queued&limit=20`; and who went last."""
        limit = query.get("limit", "20")
        try:
            listed = self.gateway.sessions(query.get("sort", "queued"), int(limit) if limit.isdecimal() else 0)
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}
        return HTTPStatus.OK, listed.to_json()

    def _health(self) -> tuple[HTTPStatus, dict[str, Any]]:
        late = self._loop.time() - self._ticker.due
        healthy = late < 1.0 and not self._stopping.is_set()
        status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
        return status, {"status": "ok" if healthy else "stopping", "tick": self.zone.world.tick}


def _tls_context(config: Config) -> ssl.SSLContext | None:
    if config.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key)
    except OSError as error:
        text = f"cannot use the certificate {config.tls_cert} and its key: {error.strerror}"
        raise OSError(error.errno, text, config.tls_cert) from None
    return context
