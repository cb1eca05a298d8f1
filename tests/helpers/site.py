"""A zone and its gateways in the process of a test."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from helpers.waiting import until

from zoneserver.config import Config
from zoneserver.gateway_server import GatewayServer
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Rules

__all__ = ["Site"]


class Site:
    """Zones at one link, one after the other, and gateways. `cleanup` stops them."""

    def __init__(self, folder: Path, cleanup: contextlib.AsyncExitStack) -> None:
        self.link = f"unix:{folder / 'zone.sock'}"
        self._cleanup = cleanup
        self._settings: dict[str, Any] = {"stats_port": None, "link": self.link, "drain_seconds": 0.1}

    async def zone(self, rules: type[Rules], **settings: Any) -> ZoneServer:
        return await self._cleanup.enter_async_context(ZoneServer(rules, hz=50, **self._settings | settings))

    async def gateway(self, name: str, port: int = 0, **settings: Any) -> GatewayServer:
        """Starts a gateway, which serves until it is told to stop."""
        gateway = GatewayServer(name, Config(port=port, is_open=True, **self._settings | settings))
        await gateway.start()
        serving = asyncio.create_task(gateway.serve())

        async def stop() -> None:
            gateway.request_stop()
            await serving
            await gateway.stop()

        self._cleanup.push_async_callback(stop)
        return gateway

    @staticmethod
    async def attached(zone: ZoneServer, count: int) -> None:
        """Waits until the zone has so many gateways."""
        assert zone.hub is not None
        hub = zone.hub
        await until(lambda: len(list(hub.gateways)) == count)
