"""A server with an admin port, and connections to that port."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from helpers.admin_browser import Browse, open_browser
from helpers.servers import OpenServer

from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer


@pytest.fixture
async def server(open_server: OpenServer) -> ZoneServer:
    return await open_server(Plaza, hz=100)


@pytest.fixture
def browse(server: ZoneServer, cleanup: AsyncExitStack) -> Browse:
    return lambda: open_browser(server.stats_port, cleanup)
