"""A server with an admin port, and connections to that port."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from helpers.admin_browser import Browse, Browser, wait_closed
from helpers.servers import OpenServer

from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer


@pytest.fixture
async def server(open_server: OpenServer) -> ZoneServer:
    return await open_server(Plaza, hz=100)


@pytest.fixture
def browse(server: ZoneServer, cleanup: AsyncExitStack) -> Browse:
    async def browse() -> Browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.stats_port)
        cleanup.push_async_callback(wait_closed, writer)
        cleanup.callback(writer.close)
        return Browser(reader, writer)

    return browse
