"""The server assembles all parts of a zone server: zone, gateway, listeners, tick loop and admin port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, Self

from zoneserver.admin.figures import counted
from zoneserver.admin.stats import STATS_SCHEMA, Stats
from zoneserver.config import Config, check_secret
from zoneserver.frontend import Frontend
from zoneserver.gateway.gateway import Gateway
from zoneserver.gateway.listeners.ports import Ports
from zoneserver.http.documents import DocumentServer
from zoneserver.link.hub import GatewayHub
from zoneserver.persistence import Persistence
from zoneserver.remote_gateways import RemoteGateways
from zoneserver.tick_loop import TickLoop
from zoneserver.zone.game_class import new_game
from zoneserver.zone.link import Command, Requests, gateway_of
from zoneserver.zone.local_link import LocalZoneLink
from zoneserver.zone.rules import Rules
from zoneserver.zone.ticked_zone import TickedZone, told_schema
from zoneserver.zone.zone import Zone

__all__ = ["SECRET_GRACE_SECONDS", "ZoneServer"]

SECRET_GRACE_SECONDS = 300
"""How long the secret before the present one still verifies tickets: as long as `zoneserver ticket` makes a ticket
valid for."""

# How long a stop waits for players who come back to the next start.
_KEEP_SECONDS = 1.0


class ZoneServer:
    """One zone on one port, in this process.

    >>> async def main() -> None:
    ...     async with ZoneServer(Rules, port=0, stats_port=None) as server:
    ...         await server.serve(seconds=0.1)
    ...         print(server.port > 0, server.stats().players)
    >>> asyncio.run(main())
    True 0

    `rules` is the game: a class or an instance; or what is to run in place of a game, such as a replay. All settings
    are fields of Config: pass a Config, or single fields by name. Leaving the block tells all players that the server
    stops, and closes the ports.
    Raises GameError when making the game raises; `start` raises it when the game's `on_start` does.
    """

    gateway_class: type[Gateway] = Gateway
    """The class of the gateway. A subclass that delivers in another way replaces it."""

    def __init__(self, rules: Rules | type[Rules] | TickedZone, config: Config | None = None, **settings: Any) -> None:
        if config is not None and settings:
            raise TypeError("pass a Config or single settings, not both")
        self.config = config if config is not None else Config(**settings)
        self._rules = new_game(rules) if isinstance(rules, type) else rules
        self.sockets: list[socket.socket] = []
        """Sockets that listen already, given before `start`: players connect there, and not at `host` and `port`."""
        self.stats_socket: socket.socket | None = None
        """A socket that listens already, given before `start`: the admin port, in place of `stats_port`."""
        self.control_path = ""
        """The path of the socket at which the server takes commands; empty without one."""
        self.has_failed = False
        """Whether the server stopped because too many ticks failed, or could not write all players to its store."""
        self.loop: asyncio.AbstractEventLoop
        self.ticked: TickedZone
        """What the server runs."""
        self.frontend: Frontend
        self.hub: GatewayHub | None = None
        """The gateways in other processes; None for a server without a link."""
        self._gateways: RemoteGateways | None = None
        self._persistence = Persistence(self.config)
        self._stopping: asyncio.Event
        self._is_stopped = False
        self.is_kept = False
        """Whether the players stay in over the next start of the server."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Binds the ports, accepts connections and begins to tick.

        Raises OSError when a port cannot be bound, or the certificate cannot be used (`filename` is then set), and
        ValueError when one of `sockets` lets anyone from other machines join, and the settings do not allow that.
        With a journal the zone goes on where the journal ends: everybody who was in has lost the connection, and may
        come back. Raises CannotStartError when the store or the journal cannot be opened or used.
        """
        config = self.config
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self.frontend = frontend = Frontend(config, self.stats, self.loop, self.sockets, self.stats_socket)
        with contextlib.ExitStack() as unless_started:
            unless_started.callback(frontend.ports.close)
            unless_started.callback(self._persistence.abandon)
            await self._persistence.open()
            rules = self._rules
            if isinstance(rules, Rules):
                self.ticked = await self._persistence.make_zone(rules, self._stopping.is_set)
            else:
                self.ticked = rules
            self._assemble()
            if self.hub is not None:
                await self.hub.open()
            unless_started.pop_all()
        self.tick_loop.start()
        frontend.start()

    def _assemble(self) -> None:
        """Makes the other parts, and listens."""
        config, zone = self.config, self.ticked
        first_ref = zone.attendance.newest_ref + 1 if isinstance(zone, Zone) else 1
        self.link = link = LocalZoneLink(zone, self.epoch, first_ref)
        if isinstance(zone, Zone) and self.epoch > 1:
            # Everybody who was in has lost the connection, unless a gateway in another process has it. No stop is
            # planned any more.
            gateways = zone.attendance.gateways
            lost = [] if config.link else gateways.numbers()
            kept = {*gateways.numbers()} - {*lost}
            drops = [ref for ref in zone.attendance.refs() if gateway_of(ref) not in kept]
            link.send(Requests(drops=drops, lost=lost, commands=[Command(0, ("stop", "--cancel"))]))
        frontend, persistence = self.frontend, self._persistence
        link_of_gateway, former = persistence.link_to(link, self.loop.time), persistence.former_frames()
        if config.link:
            places = config, self.zone, link_of_gateway, self.epoch, former
            self._gateways = RemoteGateways(*places, self._due, self._fail, lambda: frontend.uptime_s)
            self.hub = self._gateways.hub
            # Gateways are told of a tick before the players of this process.
            link.subscribe(self.hub.on_tick)
        gateway = frontend.make_gateway(link_of_gateway, config, former, self.gateway_class)
        if isinstance(zone, Zone):
            gateway.learn_bans(zone.address_bans(time.time()))
        frontend.listen(told_schema(zone), zone.world, self._trouble)
        recorder = persistence.recorder
        # Made last: the grid of its ticks begins at once, and reading the pages takes longer than a tick may.
        self.tick_loop = TickLoop(link, zone, gateway, frontend.reporter, self.loop, self._fail, recorder)

    # --- What players and operators see -----------------------------------------------------------

    @property
    def gateway(self) -> Gateway:
        """The sessions of the server."""
        return self.frontend.gateway

    @property
    def ports(self) -> Ports:
        """The listening sockets."""
        return self.frontend.ports

    @property
    def port(self) -> int | None:
        """The port for players; None without one."""
        return self.ports.port

    @property
    def stats_port(self) -> int | None:
        """The admin port; None without one."""
        return self.ports.stats_port

    @property
    def addresses(self) -> list[str]:
        """Where players connect: address and port of each socket, as text."""
        return self.ports.addresses

    @property
    def admin(self) -> DocumentServer | None:
        """The documents of the admin port; None without one."""
        return self.frontend.admin

    @property
    def epoch(self) -> int:
        """Which start of the zone this is. A server without a journal begins anew each time."""
        return self._persistence.epoch

    def count_players(self) -> tuple[int, int]:
        """As `Attendance.count_players`."""
        return self.ticked.attendance.count_players() if isinstance(self.ticked, Zone) else (0, 0)

    def players_elsewhere(self) -> list[tuple[str, int | None, str]]:
        """As `RemoteGateways.players`; empty for a server without a link."""
        return [] if self._gateways is None else self._gateways.players()

    @property
    def zone(self) -> Zone:
        """The zone of the game."""
        assert isinstance(self.ticked, Zone), "this server runs no game"
        return self.ticked

    async def serve(self, seconds: float | None = None) -> None:
        """Runs until `request_stop` is called, or for a number of seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            self.request_stop()

    def reload_certificate(self) -> None:
        """Reads the files of the certificate again: players who connect from now on get the new one, and nobody is
        disconnected. Without TLS it does nothing.

        Raises OSError when the files cannot be used; the server then goes on with the certificate that it has.
        """
        self.frontend.reload_certificate()

    def change_secret(self, secret: bytes) -> bool:
        """Verifies tickets with another secret from now on; returns False if it is the same one.

        For SECRET_GRACE_SECONDS, tickets that were made with the secret before this one are good as well. Raises
        ValueError for a secret that is too short, and for a server that was started without one.
        """
        if not self.config.secret:
            raise ValueError("the server was started without a secret")
        check_secret(secret)
        return self.zone.change_secret(secret, time.time() + SECRET_GRACE_SECONDS)

    @property
    def is_stopping(self) -> bool:
        """Whether the server has been told to stop."""
        return self._stopping.is_set()

    def request_stop(self, *, keep: bool = False) -> None:
        """Lets `serve` return; may be called from a signal handler of the loop.

        With `keep` and a journal the players stay in: no rule is told that they leave, and the next start has them in
        the zone, without a connection. The first request decides.
        """
        if not self._stopping.is_set():
            self.is_kept = keep and self.has_journal
        self._stopping.set()

    @property
    def has_journal(self) -> bool:
        """Whether the server keeps a journal, so that a later start can go on where it ended."""
        return self.config.journal != ""

    @property
    def is_replay(self) -> bool:
        """Whether the zone is a replay, which takes other commands than a game."""
        return bool(self.ticked.replay)

    async def stop(self) -> None:
        """Stops accepting, runs a last tick, and calls `on_leave` for every player who does not stay in, and `on_stop`.
        Then tells every player, waits up to the drain time for them to go, closes the ports, and waits until all are in
        the store. Those that cannot be written within ten seconds go to a file, and `has_failed` is set."""
        self.request_stop()
        self.frontend.stop_accepting()
        if not self._is_stopped:
            self._is_stopped = True
            saves = self.tick_loop.finish(keep=self.is_kept)
            self._persistence.save(saves, self.ticked.world.tick)
            if self.hub is not None:
                # Without its journal the zone cannot say that anyone leaves: all are in it at the next start.
                self.hub.stop(keep=self.is_kept or self.tick_loop.has_lost_journal)
        seconds = min(_KEEP_SECONDS, self.config.drain_seconds) if self.is_kept else self.config.drain_seconds
        await self.frontend.close(seconds, keep=self.is_kept)
        if self.hub is not None:
            await self.hub.close()
        if not await self._persistence.close(self.ticked.info.name):
            self.has_failed = True

    def _due(self) -> float:
        return self.tick_loop.ticker.due

    def _fail(self) -> None:
        self.has_failed = True
        self.request_stop()

    # --- Statistics -------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """The present state of every part."""
        gateway, zone = self.gateway, self.ticked
        replay = dict(zone.replay)
        of_hub = [] if self.hub is None else [self.hub.counters]
        figures = counted(gateway.counters, zone.counters, *self._persistence.counters, *of_hub)
        figures |= self.frontend.figures() | self.tick_loop.figures()
        # The players of a replay have no connections.
        figures["players"] = int(replay.get("players", gateway.players_count))
        own = Stats(
            **figures,
            schema=STATS_SCHEMA,
            game=zone.info.name,
            ctl=self.control_path,
            parked=zone.parked,
            tick=zone.world.tick,
            epoch=self.epoch,
            hz=self.config.hz,
            replay=replay,
            store_unsaved=self._persistence.unsaved_count,
        )
        return own if self._gateways is None else self._gateways.add_to(own)

    def _trouble(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        return "" if self.loop.time() - self._due() < 1.0 else "the tick is late"
