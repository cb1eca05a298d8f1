"""HTTP from a trusted proxy: the address in its headers counts, and no client is in the way of another."""

from __future__ import annotations

import asyncio
import sys

import pytest
import websockets
from helpers.servers import OpenServer
from helpers.waiting import PATIENCE_SECONDS

from zoneserver.admin.session_list import list_sessions
from zoneserver.config import Limits
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import PROTOCOL_VERSION, Hello
from zoneserver.server import ZoneServer

PROXY = "127.0.0.1"


@pytest.fixture
async def server(open_server: OpenServer) -> ZoneServer:
    limits = Limits(address_connections_max=1)
    return await open_server(Plaza, hz=50, forwarded_from=(PROXY,), limits=limits)


def dial(server: ZoneServer, *chain: str, host: str = PROXY) -> websockets.connect:
    """A WebSocket, with one header X-Forwarded-For for each of these."""
    headers = [("X-Forwarded-For", hosts) for hosts in chain]
    url = f"ws://127.0.0.1:{server.port}/"
    return websockets.connect(url, additional_headers=headers, proxy=None, local_addr=(host, 0))


async def test_limits_count_the_address_that_a_trusted_proxy_tells(server: ZoneServer) -> None:
    chains = {"ann": ["198.51.100.1"], "bob": ["203.0.113.9, 2001:db8::1", PROXY], "eve": ["nonsense"]}
    expected = {"ann": "198.51.100.1", "bob": "2001:db8::1", "eve": f"{PROXY}:"}
    sockets = {name: await dial(server, *chain) for name, chain in chains.items()}
    for name, chain in chains.items():
        await sockets[name].send(Hello(PROTOCOL_VERSION, name, b"").encode())
        await sockets[name].recv()
        with pytest.raises(websockets.InvalidStatus, match="429"):
            await dial(server, *chain)
    found = list_sessions(server.gateway, asyncio.get_running_loop().time(), "age", 9).sessions
    assert {each.name: each.address.startswith(expected[each.name]) for each in found} == dict.fromkeys(chains, True)
    for sock in sockets.values():
        await sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one address only")
async def test_header_of_another_address_is_not_read(server: ZoneServer) -> None:
    async with dial(server, "198.51.100.1", host="127.0.0.9"):
        # It is rejected before it sends its request.
        with pytest.raises(websockets.InvalidHandshake):
            await dial(server, "198.51.100.2", host="127.0.0.9")
        assert server.gateway.counters.closes == {"TOO_MANY_CONNECTIONS": 1}


async def test_connection_of_a_proxy_ends_with_its_first_page_since_clients_share_it(server: ZoneServer) -> None:
    request = b"GET /game.json HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(PATIENCE_SECONDS):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    writer.close()
    await writer.wait_closed()
