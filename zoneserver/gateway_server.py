"""The gateway server holds players of a zone that runs in another process."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from zoneserver.admin.figures import counted
from zoneserver.admin.gateways import gateway_figures
from zoneserver.admin.stats import STATS_SCHEMA, Stats
from zoneserver.config import Config
from zoneserver.frontend import Frontend
from zoneserver.gateway_loop import GatewayLoop
from zoneserver.link.carriers import link_security, open_gateway_carrier
from zoneserver.link.remote_link import RemoteZoneLink
from zoneserver.protocol.codes import CloseReason
from zoneserver.support.errors import CannotStartError
from zoneserver.support.format import format_address
from zoneserver.support.host import is_loopback
from zoneserver.support.logs import fields

__all__ = ["GatewayServer", "default_name"]

log = logging.getLogger(__name__)

# How often the gateway asks a zone to accept it that does not answer.
_KNOCK_SECONDS = 0.5
# How often the zone is told the figures of this gateway.
_FIGURES_SECONDS = 1.0
# How long the players have to read that the gateway stops.
_DRAIN_SECONDS = 1.0


def default_name() -> str:
    """The name of a gateway that was given none: the machine and the process."""
    host = "".join(each if each.isascii() and each.isalnum() else "-" for each in socket.gethostname())
    return f"{host[:40] or 'gateway'}-{os.getpid()}"


class GatewayServer:
    """Players connect here, and the zone is reached by a link. Implements `LinkUser`.

    `config` has the settings of this process; what the zone decides (tick rate, players, tickets) comes from it. With
    `is_open` players of other machines need no ticket. Unless `is_page_set`, the page is `off` if the zone needs
    tickets.
    """

    def __init__(self, name: str, config: Config, *, is_open: bool = False, is_page_set: bool = True) -> None:
        self.name = name
        self.config = config
        self.control_path = ""
        """The path of the socket at which the gateway takes commands; empty without one."""
        self.has_failed = False
        """Whether the gateway stopped because the zone has no place for it."""
        self.is_outdated = False
        """Whether the gateway stopped because the zone runs another game now: it is to be started again."""
        self.on_waiting: Callable[[], None] = lambda: None
        """Called once if no zone has answered for a second, when the ports are bound."""
        self.loop: asyncio.AbstractEventLoop
        self.frontend: Frontend
        self.link: RemoteZoneLink
        self.gateway_loop: GatewayLoop | None = None
        self._is_open = is_open
        self._is_page_set = is_page_set
        self._stopping, self._attached = asyncio.Event(), asyncio.Event()
        self._begun_unix_ms = round(time.time() * 1000)
        self._figures_at = 0.0
        self._why_rejected = ""
        self._is_silent = False

    @property
    def port(self) -> int | None:
        """The port for players."""
        return self.frontend.ports.port

    @property
    def stats_port(self) -> int | None:
        """The admin port; None without one."""
        return self.frontend.ports.stats_port

    async def start(self) -> None:
        """Binds the ports, waits for the zone, and accepts connections.

        Raises OSError and ValueError as Frontend does, and CannotStartError when the zone cannot be used. It returns
        without a gateway if the server is told to stop meanwhile.
        """
        self.loop = asyncio.get_running_loop()
        config = self.config
        self.carrier = carrier = open_gateway_carrier(config.link, self.name, link_security(config))
        self.link = link = RemoteZoneLink(self.name, carrier.send, time.monotonic, self, self.loop.call_soon)
        self.frontend = Frontend(config, self.stats, self.loop, is_shared=True)
        try:
            await carrier.open(link.receive, link.changed)
            if not await self._wait_for_zone():
                return
            self._assemble()
        except BaseException:
            self.frontend.ports.close()
            link.detach()
            await carrier.close()
            raise

    async def _wait_for_zone(self) -> bool:
        """Waits until the zone has accepted this gateway. Returns False if the server is to stop."""
        waits = [asyncio.create_task(self._attached.wait()), asyncio.create_task(self._stopping.wait())]
        since, is_told = self.loop.time(), False
        try:
            while not (await asyncio.wait(waits, timeout=_KNOCK_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
                self.link.knock()
                if is_told or self.loop.time() - since < 1.0:
                    continue
                is_told = True
                self.on_waiting()
                if self.carrier.is_up:  # Else the carrier has said what it waits for.
                    address = self.carrier.address
                    log.warning("no zone answers at %s: waiting for it", address, extra=fields(link=address))
        finally:
            for wait in waits:
                wait.cancel()
        if self._why_rejected:
            raise CannotStartError(f"the zone at {self.carrier.address} rejects this gateway: {self._why_rejected}")
        return self._attached.is_set()

    def _assemble(self) -> None:
        facts = self.link.facts
        if facts.needs_ticket and not self._is_page_set:
            self.config = dataclasses.replace(self.config, page="off")
        config = dataclasses.replace(
            self.config, hz=facts.info.hz, max_players=facts.max_players, resume_seconds=facts.resume_seconds
        )
        self._check_exposure()
        frontend = self.frontend
        self._info = facts.info
        gateway = frontend.make_gateway(self.link, config)
        self.gateway_loop = GatewayLoop(self.link, gateway, self.loop)
        frontend.listen(facts.schema, self.link.replica.world, self._trouble)
        self.link.begin()
        self.gateway_loop.start()
        frontend.start()

    def _check_exposure(self) -> None:
        """Raises ValueError if anyone could join from other machines, and neither the zone nor a setting allows it."""
        host = self.config.host
        if not (self.link.facts.needs_ticket or self._is_open or is_loopback(host)):
            raise ValueError(
                f"the zone needs no ticket, so anyone who can reach {host} may join under any name: "
                "give the zone a secret (--secret-file), or allow it (--open)"
            )

    def reload_certificate(self) -> None:
        """As `Frontend.reload_certificate`."""
        self.frontend.reload_certificate()

    async def serve(self, seconds: float | None = None) -> None:
        """Runs until `request_stop` is called, or for a number of seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not self._stopping.is_set():
                    self._watch()
                    try:
                        async with asyncio.timeout(0.25):
                            await self._stopping.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            self.request_stop()

    def request_stop(self) -> None:
        """Lets `serve` return; may be called from a signal handler of the loop."""
        self._stopping.set()

    async def stop(self) -> None:
        """Stops accepting, and ends all sessions: their players stay in the zone, and come back at another gateway."""
        self.request_stop()
        if self.gateway_loop is not None:
            self.frontend.stop_accepting()
            self.gateway_loop.stop()
            self.link.detach()
            await self.frontend.close(min(_DRAIN_SECONDS, self.config.drain_seconds), keep=True)
        else:
            self.frontend.ports.close()
        await self.carrier.close()

    # --- What the zone says (LinkUser) ------------------------------------------------------------

    def link_figures(self) -> Mapping[str, Any]:
        ports = self.frontend.ports
        return {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "begun_unix_ms": self._begun_unix_ms,
            "address": ", ".join(ports.addresses),
            "stats": "" if ports.stats_port is None else format_address(self.config.stats_host, ports.stats_port),
            **({} if self.gateway_loop is None else gateway_figures(self.stats())),
        }

    def link_attached(self) -> None:
        if not self._attached.is_set():
            self._attached.set()
            return
        log.info("the zone is there again: its tick %d", self.link.tick)
        self.frontend.change_schema(self.link.facts.schema)
        try:
            self._check_exposure()
        except ValueError as error:
            log.critical("this gateway stops: %s", error)
            self._fail()

    def link_broken(self, text: str) -> None:
        if self.gateway_loop is None:
            return
        gateway = self.frontend.gateway
        log.warning("%s: %d sessions end, and their players join anew", text, gateway.connections)
        gateway.end_all(CloseReason.SERVER_RESTARTING)
        if self.link.info != self._info:
            log.warning("the zone runs another game now: this gateway starts again")
            self.is_outdated = True
            self.request_stop()
            return
        self.link.begin_anew()

    def link_rejected(self, text: str) -> None:
        self._why_rejected = text
        if self._attached.is_set():
            log.critical("the zone rejects this gateway: %s", text)
            self._fail()
        self.request_stop()

    def _fail(self) -> None:
        self.has_failed = True
        self.request_stop()

    def link_stopping(self, *, keep: bool) -> None:
        if keep:
            log.info("the zone starts again: all players stay connected")
            return
        log.info("the zone stops: all sessions end, and the gateway waits for its next start")
        if self.gateway_loop is not None:
            self.frontend.gateway.end_all(CloseReason.SERVER_STOPPING, is_unknown=False)

    # --- Statistics -------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Notices that the zone has fallen silent, and tells it of this gateway."""
        if self.gateway_loop is None:
            return
        silent = self.gateway_loop.silent_seconds
        if bool(silent) != self._is_silent:
            self._is_silent = bool(silent)
            if silent:
                told = fields(silent_seconds=silent)
                waits = "players stay connected, and wait" if self.frontend.gateway.connections else "waiting for it"
                text = "no tick from the zone at %s for %.1f s: %s"
                log.warning(text, self.carrier.address, silent, waits, extra=told)
            else:
                log.info("the zone goes on at tick %d", self.link.tick, extra=fields(tick=self.link.tick))
        now = self.loop.time()
        if now - self._figures_at >= _FIGURES_SECONDS:
            self._figures_at = now
            self.link.figures = self.link_figures()

    def _trouble(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        return "the zone is silent" if self._is_silent else ""

    def stats(self) -> Stats:
        """The present state of every part."""
        assert self.gateway_loop is not None, "the gateway has not started"
        gateway, link = self.frontend.gateway, self.link
        figures = counted(gateway.counters, link.counters)
        figures |= self.frontend.figures() | self.gateway_loop.figures()
        return Stats(
            **figures,
            schema=STATS_SCHEMA,
            game=link.info.name,
            ctl=self.control_path,
            parked=0,
            gateway=self.name,
            link=self.carrier.address,
            zone_silent_s=self.gateway_loop.silent_seconds,
            lead_ms=round(link.lead.seconds * 1000, 3),
            tick=link.tick,
            epoch=link.epoch,
            hz=link.info.hz,
            replay={},
            store_unsaved=0,
        )
